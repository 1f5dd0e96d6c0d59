"""Where a density starts: its linear step at the weighted least-squares regression of the parameters on the features.

From there a problem with a linear-Gaussian posterior needs no training at all, and every other one begins at the best
linear guess, which leaves less to learn from few simulations.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from antidrome.mechanism.densities.network import DensityNetwork

RIDGE = 1e-3
NARROWEST = 1e-3
WIDE = 4096
"""Columns beyond which, if they are more than the rows, the equations are solved in the rows: (k, k) would be large."""


def linear_start(network: DensityNetwork, u: np.ndarray, x: np.ndarray, weights: np.ndarray) -> DensityNetwork:
    """The network with its linear step fitted; networks that learn from traces are left as they are.

    Parameters
    ----------
    u, x
        Parameters in unconstrained coordinates (n, D) and inputs of the network (n, k), NaN where missing.
    weights
        (n,); rows with weight 0 do not count.
    """
    if network.embedding.trace is not None:
        return network
    rows = weights > 0
    inputs = network.embedding.of_array(np.asarray(x[rows], float))
    slope, among, offset, log_width = regression(u[rows], inputs, weights[rows])
    fitted = [jnp.asarray(a, jnp.float32) for a in (slope, among, offset, log_width)]
    return eqx.tree_at(
        lambda n: [n.body.linear.slope, n.body.linear.among, n.body.linear.offset, n.body.linear.log_width],
        network,
        fitted,
    )


def regression(
    u: np.ndarray, x: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ridge regression of each dimension on the features and on the dimensions before it.

    Returns
    -------
    Slopes (k, D), among the dimensions (D, D; entry j, i for j < i), offsets (D,), log residual spread (D,).
    """
    d, k = u.shape[1], x.shape[1]
    share = weights / weights.sum()
    slope, among = np.zeros((k, d)), np.zeros((d, d))
    offset, log_width = np.zeros(d), np.zeros(d)
    effective = 1 / np.sum(np.square(share))
    for i in range(d):
        inputs = np.column_stack([x, u[:, :i]])
        centre, target = share @ inputs, share @ u[:, i]
        centred, residual = inputs - centre, u[:, i] - target
        coefficients = _ridge(centred, residual, share, RIDGE + 1 / effective)
        left = residual - centred @ coefficients
        spare = max(1 - len(coefficients) / effective, 0.1)
        slope[:, i], among[:i, i] = coefficients[:k], coefficients[k:]
        offset[i] = target - centre @ coefficients
        log_width[i] = 0.5 * np.log(max(share @ np.square(left) / spare, NARROWEST**2))
    return slope, among, offset, log_width


def _ridge(x: np.ndarray, y: np.ndarray, share: np.ndarray, ridge: float) -> np.ndarray:
    """Coefficients (k,) of the weighted ridge regression of y (n,) on x (n, k): (XᵀWX + λ)⁻¹XᵀWy, which is
    (W^½X)ᵀ(W^½XXᵀW^½ + λ)⁻¹W^½y, an equation in n unknowns."""
    n, k = x.shape
    if k > max(n, WIDE):
        root = np.sqrt(share)
        rows = x * root[:, None]
        return rows.T @ np.linalg.solve(rows @ rows.T + ridge * np.eye(n), root * y)
    gram = (x * share[:, None]).T @ x
    gram += ridge * np.eye(k)
    return np.linalg.solve(gram, (x * share[:, None]).T @ y)
