"""The session-block loss with exact gradients, in both parametrisations, and its L-BFGS polish.

Free: X_s is any n × n matrix for each lag. Linear: X_s = Aˢ Π with Π = B Bᵀ. The loss is that of `als.loss_of` with the
latent covariances shared by all sessions; each evaluation is two products with the data whatever the number of lags.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy import linalg, optimize

from antidrome.dynamics.als import curvatures, loss_of
from antidrome.dynamics.gauge import normalise
from antidrome.dynamics.powers import linear_gradient, linear_latent
from antidrome.dynamics.problem import Fit, Problem, left_out, own_covariance, pull_of_diagonals, weighted_grams
from antidrome.dynamics.system import dynamics_of

Evaluate = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray, np.ndarray]]


def loss_and_gradient(
    problem: Problem, loadings: np.ndarray, latent: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Loss per frame (less the data's constant) and its gradients in C (neuron, latent) and X (lag, latent, latent)."""
    shared = dataclasses.replace(problem, coupling=np.inf)
    fit = Fit(loadings, latent[None])
    grams = [loadings[m.rows].T @ loadings[m.rows] for m in problem.moments]
    products, d_loadings, d_latent = [], np.zeros_like(loadings), np.zeros_like(latent)
    curvature = curvatures(shared, fit, grams)
    for k, (m, gram, bend, share) in enumerate(zip(problem.moments, grams, curvature, problem.weights, strict=True)):
        seen, weights = loadings[m.rows], problem.weights_of_lags[k]
        product, cache = m.products(seen)
        products.append(product)
        mixing = latent * weights
        excess = left_out(shared, m, own_covariance(seen, latent, shared.n_hollow))
        step = seen @ (bend / m.weight) - m.mix(cache, mixing) - pull_of_diagonals(seen, excess, mixing)
        inner = gram @ latent @ gram - product
        inner[: len(excess)] -= weighted_grams(seen, excess)
        d_loadings[m.rows] += share * step
        d_latent += share * weights * inner
    return loss_of(shared, fit, grams, products), d_loadings, d_latent


def polish(problem: Problem, fit: Fit, n_iterations: int = 50) -> Fit:
    """L-BFGS on C and all X_s together, from a fit; latent covariances shared by the sessions."""
    loadings, latent = normalise(fit.loadings, fit.mean_latent(problem.weights))
    latent = latent.copy()
    latent[0] = (latent[0] + latent[0].T) / 2
    shape, n_loadings = latent.shape, loadings.size
    scale = np.sqrt((latent**2).mean()) or 1.0

    def function(flat: np.ndarray) -> tuple[float, np.ndarray]:
        c, x = flat[:n_loadings].reshape(loadings.shape), scale * flat[n_loadings:].reshape(shape)
        loss, d_c, d_x = loss_and_gradient(problem, c, x)
        return loss, np.concatenate([d_c.ravel(), scale * d_x.ravel()])

    start = np.concatenate([loadings.ravel(), latent.ravel() / scale])
    flat, losses = _minimise(function, start, n_iterations)
    return Fit(flat[:n_loadings].reshape(loadings.shape), scale * flat[n_loadings:].reshape(1, *shape), losses)


def polish_linear(
    evaluate: Evaluate, loadings: np.ndarray, latent: np.ndarray, lags: tuple[int, ...], n_iterations: int = 100
) -> tuple[Fit, np.ndarray]:
    """L-BFGS on (C, A, B), X_s = Aˢ B Bᵀ, from a free fit: its A by least squares over the lags, B from X_0.

    Parameters
    ----------
    evaluate
        Loss and its gradients in C and X.
    loadings, latent, lags
        C (neuron, latent) and X_s (lag, latent, latent) of the free fit, and their lags.
    n_iterations
        At most so many.

    Returns
    -------
    fit, dynamics A
    """
    loadings, latent = normalise(loadings, latent)
    values, vectors = linalg.eigh((latent[0] + latent[0].T) / 2)
    values = np.maximum(values, 1e-3 * max(values[-1], 1e-12))
    factor = vectors * np.sqrt(values)
    dynamics = dynamics_of(latent, lags, factor @ factor.T)
    n, n_loadings = loadings.shape[1], loadings.size

    def unpack(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        c = flat[:n_loadings].reshape(loadings.shape)
        a, b = flat[n_loadings:].reshape(2, n, n)
        return c, a, b

    def function(flat: np.ndarray) -> tuple[float, np.ndarray]:
        c, a, b = unpack(flat)
        loss, d_c, d_x = evaluate(c, linear_latent(a, b, lags))
        d_a, d_b = linear_gradient(a, b, lags, d_x)
        return loss, np.concatenate([d_c.ravel(), d_a.ravel(), d_b.ravel()])

    start = np.concatenate([loadings.ravel(), dynamics.ravel(), factor.ravel()])
    flat, losses = _minimise(function, start, n_iterations)
    c, a, b = unpack(flat)
    return Fit(c, linear_latent(a, b, lags)[None], losses), a


def _minimise(function, start: np.ndarray, n_iterations: int) -> tuple[np.ndarray, tuple[float, ...]]:
    losses: list[float] = []

    def counted(flat: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = function(flat)
        if not np.isfinite(loss) or not np.isfinite(gradient).all():
            return 1e300, np.zeros_like(flat)
        losses.append(loss)
        return loss, gradient

    found = optimize.minimize(
        counted, start, jac=True, method="L-BFGS-B", options={"maxiter": n_iterations, "maxfun": 2 * n_iterations}
    )
    return found.x, (*losses, float(found.fun))
