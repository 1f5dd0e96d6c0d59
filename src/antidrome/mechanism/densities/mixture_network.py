"""The mixture-density network: features to a mixture of Gaussians with full covariance (Bishop 1994).

The last hidden layer feeds three linear heads: logits (K), means (K·D) and upper triangular precision factors with
exponential diagonal. The number of components can grow and shrink without a change of shape: `active` says which of
the K are in use. The mixture is one of z, what a linear regression of the parameters on the features leaves
(`linear_start`); as z is linear in the parameters, theirs is a mixture of Gaussians as well.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from antidrome.mechanism.densities.bayesian import Linear, as_float32, side_by_side
from antidrome.mechanism.densities.linear_step import LinearStep

LOG_DIAGONAL_LIMIT = 12.0
INACTIVE_LOGIT = -1e9
FEW_DIMENSIONS = 4


class MixtureParameters(NamedTuple):
    """Mixtures of z, one row each: log weights (n, K), means (n, K, D), factors as rows of the triangle (n, K, T); and
    the mean of the linear step (n, D)."""

    log_weights: Float[Array, "n K"]
    means: Float[Array, "n K D"]
    triangles: Float[Array, "n K T"]
    linear: Float[Array, "n D"]


class MixtureNetwork(eqx.Module):
    """Tanh layers and three heads.

    Parameters
    ----------
    n_features
        Inputs.
    n_dimensions
        D, dimensions of the density.
    components
        K, the largest number of components.
    hidden
        Units of the hidden layers.
    bayesian
        Gaussian weights (`Linear`).
    n_active
        Components in use at first.
    """

    layers: tuple[Linear, ...]
    logits: Linear
    means: Linear
    triangles: Linear
    active: Bool[Array, " K"]
    linear: LinearStep
    n_dimensions: int = eqx.field(static=True)

    def __init__(
        self,
        n_features: int,
        n_dimensions: int,
        *,
        components: int,
        hidden: tuple[int, ...],
        bayesian: bool,
        draw: np.random.Generator,
        n_active: int | None = None,
    ) -> None:
        sizes = [n_features, *hidden]
        self.layers = tuple(
            Linear(a, b, bayesian=bayesian, gain=0.7, spread=float(i == 0), draw=draw)
            for i, (a, b) in enumerate(itertools.pairwise(sizes))
        )
        n_triangle = n_dimensions * (n_dimensions + 1) // 2
        self.logits = Linear(sizes[-1], components, bayesian=bayesian, gain=0.1, draw=draw)
        self.means = Linear(sizes[-1], components * n_dimensions, bayesian=bayesian, gain=0.3, draw=draw)
        self.triangles = Linear(sizes[-1], components * n_triangle, bayesian=bayesian, gain=0.1, draw=draw)
        if components > 1:  # components that start at the same place never part
            spread = as_float32(draw.standard_normal(components * n_dimensions))
            self.means = eqx.tree_at(lambda layer: layer.bias, self.means, spread)
        self.active = jnp.asarray(np.arange(components) < (components if n_active is None else n_active))
        self.linear = LinearStep(n_features, n_dimensions)
        self.n_dimensions = n_dimensions

    def condition(self, x: Float[Array, "n k"], key: PRNGKeyArray | None = None) -> MixtureParameters:
        """The mixture of each row; with a key the weights are sampled, one draw a row."""
        noises, linear = self._noises(x.shape[0], key), self._first.mean(x)
        for layer, noise in zip(self.layers, noises, strict=False):
            x = jnp.tanh(layer(x, noise))
        heads = (self.logits, self.means, self.triangles)
        borders = np.cumsum([head.n_out for head in heads])[:-1]
        logits, means, triangles = jnp.split(side_by_side(heads)(x, noises[-1]), borders, axis=1)
        n, d = x.shape[0], self.n_dimensions
        return MixtureParameters(
            jax.nn.log_softmax(jnp.where(self.active, logits, INACTIVE_LOGIT)),
            means.reshape(n, -1, d),
            triangles.reshape(n, -1, d * (d + 1) // 2),
            linear,
        )

    @property
    def _first(self) -> LinearStep:
        """The linear step; with Bayesian weights it stays as it was started: nothing would hold it to earlier data."""
        return self.linear if self.logits.weight_log_sd is None else jax.lax.stop_gradient(self.linear)

    def _noises(self, n: int, key: PRNGKeyArray | None) -> list[Array | None]:
        """Noise for the hidden layers and for the heads together, drawn in one call (each call is slow to compile)."""
        hidden = [layer.n_out for layer in self.layers]
        if key is None or self.logits.weight_log_sd is None:
            return [None] * (len(hidden) + 1)
        total = sum(hidden) + sum(head.n_out for head in (self.logits, self.means, self.triangles))
        return list(jnp.split(jax.random.normal(key, (n, total)), np.cumsum(hidden), axis=1))

    def log_prob(self, u: Float[Array, "n D"], context: MixtureParameters) -> Float[Array, " n"]:
        """log Σₖ aₖ N(u; mₖ, (UₖᵀUₖ)⁻¹), row by row."""
        z, log_slope = self._first.forward(u, context.linear)
        measure = _few_dimensions if self.n_dimensions <= FEW_DIMENSIONS else _many_dimensions
        squared, log_determinant = measure(context.triangles, z[:, None, :] - context.means)
        log_normal = log_determinant - 0.5 * squared - 0.5 * self.n_dimensions * jnp.log(2 * jnp.pi)
        return jax.scipy.special.logsumexp(context.log_weights + log_normal, axis=1) + log_slope


def _few_dimensions(triangles: Array, centred: Array) -> tuple[Array, Array]:
    """‖U x‖² and log det U, (n, K), for rows of triangles (n, K, T) and x (n, K, D): row of U by row of U.

    Products of matrices this small cost more to start than to compute; with many dimensions it is the other way round.
    """
    squared = log_determinant = jnp.zeros(())
    start, d = 0, centred.shape[2]
    for i in range(d):
        row = triangles[:, :, start : start + d - i]  # the diagonal, then what stands right of it
        log_diagonal = jnp.clip(row[:, :, 0], -LOG_DIAGONAL_LIMIT, LOG_DIAGONAL_LIMIT)
        white = jnp.exp(log_diagonal) * centred[:, :, i] + jnp.sum(row[:, :, 1:] * centred[:, :, i + 1 :], axis=2)
        squared, log_determinant = squared + jnp.square(white), log_determinant + log_diagonal
        start += d - i
    return squared, log_determinant


def _many_dimensions(triangles: Array, centred: Array) -> tuple[Array, Array]:
    """The same by products of matrices."""
    d = centred.shape[2]
    rows, columns = np.triu_indices(d)
    pick = jnp.asarray(np.eye(d, dtype=np.float32)[columns].T)  # (D, T): entry t multiplies dimension columns[t]
    gather = jnp.asarray(np.eye(d, dtype=np.float32)[rows])  # (T, D): and adds to row rows[t]
    diagonal = jnp.asarray((rows == columns).astype(np.float32))
    limited = jnp.clip(triangles, -LOG_DIAGONAL_LIMIT, LOG_DIAGONAL_LIMIT)
    entries = jnp.where(diagonal > 0, jnp.exp(limited), triangles)
    white = (centred @ pick * entries) @ gather
    return jnp.sum(jnp.square(white), axis=2), limited @ diagonal


def factors_of(triangles: np.ndarray, n_dimensions: int) -> np.ndarray:
    """Upper triangular precision factors (…, D, D) of raw head outputs (…, T), in double precision."""
    rows, columns = np.triu_indices(n_dimensions)
    factors = np.zeros((*np.shape(triangles)[:-1], n_dimensions, n_dimensions))
    entries = np.asarray(triangles, float).copy()
    diagonal = rows == columns
    entries[..., diagonal] = np.exp(np.clip(entries[..., diagonal], -LOG_DIAGONAL_LIMIT, LOG_DIAGONAL_LIMIT))
    factors[..., rows, columns] = entries
    return factors


def before_linear_step(
    step: LinearStep, linear: np.ndarray, means: np.ndarray, factors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Means (n, D) and upper triangular precision factors (n, D, D) of u, from those of z = A u − b.

    Parameters
    ----------
    linear
        Means of the linear step, (n, D).
    """
    d = means.shape[1]
    inverse_width = np.exp(-np.asarray(step.log_width, float))
    a = inverse_width[:, None] * (np.eye(d) - np.triu(np.asarray(step.among, float), 1)).T
    of_u = np.linalg.solve(a, (means + inverse_width * linear).T).T
    upper = np.linalg.qr(factors @ a)[1]
    return of_u, upper * np.sign(np.diagonal(upper, axis1=1, axis2=2))[..., None]


def grow(network: MixtureNetwork, n_active: int, *, draw: np.random.Generator) -> MixtureNetwork:
    """More components, as copies of the heaviest one (by its bias), slightly perturbed; all start with equal weight.

    The density stays what it was, up to the perturbation, when one component was active before.
    """
    active = np.asarray(network.active)
    n_before, (k,) = int(active.sum()), active.shape
    if n_active <= n_before or n_active > k:
        return network
    heaviest = int(np.argmax(np.where(active, np.asarray(network.logits.bias), -np.inf)))
    new = np.flatnonzero(~active)[: n_active - n_before]
    d = network.n_dimensions
    sizes = {"logits": 1, "means": d, "triangles": d * (d + 1) // 2}
    for name, size in sizes.items():
        noise = (0.0 if name == "logits" else 1e-2) * draw.standard_normal((len(new), size))
        head = _copy_component(getattr(network, name), heaviest, new, noise)
        network = eqx.tree_at(lambda n, name=name: getattr(n, name), network, head)
    active = active.copy()
    active[new] = True
    network = eqx.tree_at(lambda n: n.active, network, jnp.asarray(active))
    if n_before == 1:
        level = [as_float32(np.zeros(head.shape)) for head in (network.logits.weight, network.logits.bias)]
        network = eqx.tree_at(lambda n: [n.logits.weight, n.logits.bias], network, level)
    return network


def prune(network: MixtureNetwork, log_weights: np.ndarray, smallest: float) -> tuple[MixtureNetwork, int]:
    """Retire components whose weight (K,), at the observation, is below `smallest`; returns how many went."""
    active = np.asarray(network.active)
    keep = active & (np.exp(log_weights) >= smallest)
    if not keep.any():
        return network, 0
    return eqx.tree_at(lambda n: n.active, network, jnp.asarray(keep)), int(active.sum() - keep.sum())


def _copy_component(head: Linear, source: int, targets: np.ndarray, noise: np.ndarray) -> Linear:
    """Columns of component `source` copied to each of `targets`, their biases perturbed by `noise` (targets, size)."""
    size = noise.shape[1]
    from_columns = np.arange(source * size, (source + 1) * size)
    to_columns = (targets[:, None] * size + np.arange(size)).ravel()

    def copied(values: Array) -> Array:
        own = np.array(values)
        own[..., to_columns] = own[..., np.tile(from_columns, len(targets))]
        return jnp.asarray(own)

    head = jax.tree.map(copied, head)
    bias = np.array(head.bias)
    bias[to_columns] += noise.ravel()
    return eqx.tree_at(lambda layer: layer.bias, head, jnp.asarray(bias))
