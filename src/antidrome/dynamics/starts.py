"""Where the solvers start from, and how the best of several starts is found."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import linalg

from antidrome.dynamics.als import alternate
from antidrome.dynamics.problem import Fit, Problem
from antidrome.dynamics.resuming import Stages

SOME_NEURONS = 5000
N_POWERS, N_ALONE, N_TRIAL = 6, 10, 15
"""Power iterations of a spectral start, iterations of a session alone, and iterations of every start."""


def random_start(problem: Problem, n_components: int, rng: np.random.Generator) -> Fit:
    """Random loadings, the identity for every X_s."""
    return _with_identity(problem, rng.standard_normal((problem.n_neurons, n_components)))


def spectral_start(problem: Problem, n_components: int, rng: np.random.Generator) -> Fit:
    """Leading subspace of Σ_k T_k Σ_s (Λ_ks + Λ_ksᵀ) with zeros for pairs never recorded together."""
    n = min(n_components, problem.n_neurons)
    basis = linalg.qr(rng.standard_normal((problem.n_neurons, n)), mode="economic")[0]
    for _ in range(N_POWERS):
        moved = np.zeros_like(basis)
        for m, weights in zip(problem.moments, problem.weights_of_lags, strict=True):
            _, cache = m.products(basis[m.rows])
            moved[m.rows] += m.weight * m.mix(cache, weights * np.eye(n))
        basis = linalg.qr(moved, mode="economic")[0]
    return _with_identity(problem, basis)


def aligned_start(problem: Problem, n_components: int, rng: np.random.Generator) -> Fit:
    """Every session fitted alone, then turned onto the others by the neurons they share, most shared first.

    Where sessions share few neurons the loss hardly feels how they are turned against one another, so that iterations
    from elsewhere take long to find it (Bishop & Yu 2014 complete covariances in this order).
    """
    alone = []
    for m, child in zip(problem.moments, rng.spawn(len(problem.moments)), strict=True):
        inner = dataclasses.replace(m, rows=np.arange(len(m.rows)))
        own = Problem.of([inner], len(m.rows), problem.lag_weights, hollow_lags=problem.hollow_lags)
        found = alternate(own, spectral_start(own, n_components, child), N_ALONE).loadings
        alone.append(_widened(found, n_components, child))
    loadings, placed = np.zeros((problem.n_neurons, n_components)), np.zeros(problem.n_neurons, dtype=bool)
    left = set(range(len(alone)))
    while left:
        rows = {k: problem.moments[k].rows for k in left}
        best = max(sorted(left), key=lambda k: (placed[rows[k]].sum(), len(rows[k])))
        left.remove(best)
        shared = placed[rows[best]]
        turned = alone[best]
        if shared.any():
            turned = turned @ np.linalg.lstsq(turned[shared], loadings[rows[best][shared]], rcond=1e-6)[0]
        loadings[rows[best][~shared]] = turned[~shared]
        placed[rows[best]] = True
    return _with_identity(problem, loadings)


def _widened(loadings: np.ndarray, n_components: int, rng: np.random.Generator) -> np.ndarray:
    """Loadings of a session with fewer neurons than dimensions, with faint random columns for what it cannot tell."""
    missing = n_components - loadings.shape[1]
    if missing <= 0:
        return loadings
    faint = 1e-3 * loadings.std() * rng.standard_normal((len(loadings), missing))
    return np.concatenate([loadings, faint], axis=1)


def multi_start(
    problem: Problem,
    n_components: int,
    rng: np.random.Generator,
    *,
    n_starts: int,
    n_iterations: int,
    tolerance: float,
    on_iteration: Callable[[Fit], Any] | None = None,
    stages: Stages | None = None,
) -> tuple[Fit, tuple[float, ...]]:
    """Try a spectral, an aligned and further random starts briefly, go on with the one of lowest loss.

    Until then all sessions share their latent covariances, which keeps them aligned; then they are let loose as far as
    the problem's coupling allows.

    Parameters
    ----------
    problem, n_components, rng, n_starts, n_iterations, tolerance
        As for `FitSettings`.
    on_iteration
        Called with the state after each iteration.
    stages
        Where finished stages and the state of the one under way are kept.

    Returns
    -------
    fit, losses of the starts after the trial
    """
    stages = stages or Stages()
    shared, trials = dataclasses.replace(problem, coupling=np.inf), []

    def solve(name: str, of: Problem, begin: Callable[[], Fit], n: int) -> Fit:
        return stages.run(name, Fit, begin, lambda fit, tell: alternate(of, fit, n, tolerance, tell), on_iteration)

    makers = (spectral_start, aligned_start) if len(problem.moments) > 1 else (spectral_start,)
    for index, child in enumerate(rng.spawn(max(n_starts, 1))):
        make = makers[index] if index < len(makers) else random_start
        begin = functools.partial(make, shared, n_components, child)
        trials.append(solve(f"start-{index}", shared, begin, min(N_TRIAL, n_iterations)))
    best = min(trials, key=lambda fit: fit.loss)
    losses = tuple(trial.loss for trial in trials)
    left = n_iterations - len(best.losses)
    if problem.is_shared:
        return solve("solution", problem, lambda: best, n_iterations), losses
    together = solve("together", shared, lambda: best, len(best.losses) + left // 2)
    apart = dataclasses.replace(together, losses=(), converged=False)
    return solve("solution", problem, lambda: apart, left - left // 2), losses


def some_neurons_first(
    problem: Problem,
    n_components: int,
    rng: np.random.Generator,
    *,
    on_iteration: Callable[[Fit], Any] | None = None,
    stages: Stages | None = None,
    **effort: Any,
) -> tuple[Fit, tuple[float, ...]]:
    """Fit a few thousand neurons of all observation patterns; the others follow in one step of least squares.

    The latent covariances of a large population are known from a part of it, at a part of the cost.

    Parameters
    ----------
    problem, n_components, rng, on_iteration, stages, effort
        As for `multi_start`.

    Returns
    -------
    fit with loadings of zero for all other neurons, losses of the starts
    """
    chosen = representatives(problem.pattern_of, SOME_NEURONS, 20 * n_components, rng.spawn(1)[0])
    place = np.full(problem.n_neurons, -1)
    place[chosen] = np.arange(len(chosen))
    moments = []
    for m in problem.moments:
        part = m.restricted(np.flatnonzero(place[m.rows] >= 0), m.weight)
        moments.append(dataclasses.replace(part, rows=place[part.rows]))
    part = Problem.of(
        moments, len(chosen), problem.lag_weights, problem.coupling, problem.shrinkage, problem.hollow_lags
    )
    named = (stages or Stages()).named("some")
    fit, losses = multi_start(part, n_components, rng, on_iteration=on_iteration, stages=named, **effort)
    loadings = np.zeros((problem.n_neurons, n_components))
    loadings[chosen] = fit.loadings
    return Fit(loadings, fit.latent), losses


def representatives(pattern_of: np.ndarray, n_some: int, at_least: int, rng: np.random.Generator) -> np.ndarray:
    """About `n_some` neurons, ascending: the same share of every observation pattern, `at_least` so many of each."""
    share = min(1.0, n_some / max(len(pattern_of), 1))
    chosen = []
    for members in np.split(np.argsort(pattern_of, kind="stable"), np.cumsum(np.bincount(pattern_of))[:-1]):
        size = min(len(members), max(round(share * len(members)), at_least))
        chosen.append(rng.choice(members, size, replace=False))
    return np.sort(np.concatenate(chosen))


def _with_identity(problem: Problem, loadings: np.ndarray) -> Fit:
    n = loadings.shape[1]
    return Fit(loadings, np.tile(np.eye(n), (1, len(problem.lag_weights), 1, 1)))
