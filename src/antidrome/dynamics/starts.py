"""Where the solvers start from, and how the best of several starts is found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import linalg

from antidrome.dynamics.als import alternate
from antidrome.dynamics.problem import Fit, Problem


def random_start(problem: Problem, n_components: int, rng: np.random.Generator) -> Fit:
    """Random loadings, the identity for every X_s."""
    return _with_identity(problem, rng.standard_normal((problem.n_neurons, n_components)))


def spectral_start(problem: Problem, n_components: int, rng: np.random.Generator, n_powers: int = 6) -> Fit:
    """Leading subspace of Σ_k T_k Σ_s (Λ_ks + Λ_ksᵀ) with zeros for pairs never recorded together."""
    n = min(n_components, problem.n_neurons)
    basis = linalg.qr(rng.standard_normal((problem.n_neurons, n)), mode="economic")[0]
    for _ in range(n_powers):
        moved = np.zeros_like(basis)
        for m in problem.moments:
            weights = problem.lag_weights * m.available
            _, cache = m.products(basis[m.rows])
            moved[m.rows] += m.weight * m.mix(cache, weights[:, None, None] * np.eye(n))
        basis = linalg.qr(moved, mode="economic")[0]
    return _with_identity(problem, basis)


def multi_start(
    problem: Problem,
    n_components: int,
    rng: np.random.Generator,
    *,
    n_starts: int = 3,
    n_iterations: int = 100,
    n_trial: int = 15,
    tolerance: float = 1e-6,
    on_iteration: Callable[[Fit], Any] | None = None,
) -> tuple[Fit, tuple[float, ...]]:
    """Try a spectral and further random starts for `n_trial` iterations, go on with the one of lowest loss.

    Until then all sessions share their latent covariances, which keeps them aligned; then they are let loose as far as
    the problem's coupling allows.

    Returns
    -------
    fit, losses of the starts after the trial
    """
    shared, trials = dataclasses.replace(problem, coupling=np.inf), []
    for index in range(max(n_starts, 1)):
        start = (random_start if index else spectral_start)(problem, n_components, rng)
        trials.append(alternate(shared, start, min(n_trial, n_iterations), tolerance, on_iteration))
    best = min(trials, key=lambda fit: fit.loss)
    left = n_iterations - len(best.losses)
    for stage, n in ((shared, left if problem.is_shared else left // 2), (problem, left - left // 2)):
        if n > 0 and (stage is problem or not problem.is_shared or not best.converged):
            losses = best.losses if stage is shared else ()
            best = alternate(stage, dataclasses.replace(best, losses=losses), n, tolerance, on_iteration)
        if problem.is_shared:
            break
    return best, tuple(trial.loss for trial in trials)


def _with_identity(problem: Problem, loadings: np.ndarray) -> Fit:
    n = loadings.shape[1]
    return Fit(loadings, np.tile(np.eye(n), (1, len(problem.lag_weights), 1, 1)))
