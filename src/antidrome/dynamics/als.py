"""Alternating least squares for the session-block loss: X_s given C, C given X_s, private variances in closed form.

Loss: ½ Σ_k T_k Σ_s w_s ‖C_k X_ks C_kᵀ + [s = 0] R_k − Λ̂_ks‖². With a free private variance the diagonal of lag 0 never
contributes, so all products are those of the hollow Λ_0 and the model's own diagonal is put in its place; likewise at
the other lags where neurons have private autocovariances (`Problem.hollow_lags`). One n × n factor per observation
pattern (set of sessions that saw a neuron) solves all rows of C that share it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from antidrome.dynamics.gauge import normalise
from antidrome.dynamics.lags import below, beside
from antidrome.dynamics.latent_step import (
    hollow_targets,
    mean_latent,
    session_latent,
    shared_latent,
    solve_positive,
)
from antidrome.dynamics.problem import ROWS_AT_ONCE, Fit, Problem, left_out, own_covariance, pull_of_diagonals

FEW_PATTERNS = 64
CALM_ITERATIONS = 5
MOST_STEPS, STILL = 300, 1e-5


def alternate(
    problem: Problem,
    start: Fit,
    n_iterations: int,
    tolerance: float = 1e-6,
    on_iteration: Callable[[Fit], Any] | None = None,
) -> Fit:
    """Iterate until the loss moves by less than `tolerance` of its size, five times in a row.

    What comes next is a function of the state alone, so that a fit that was kept on disk goes on as it would have.

    Parameters
    ----------
    problem, start
        What to fit, and from where.
    n_iterations
        At most so many losses in all, those of `start` included.
    on_iteration
        Called with the state after each iteration (progress, checkpoints).
    """
    fit = start
    while len(fit.losses) < n_iterations and not fit.converged:
        fit = iterate(problem, fit)
        fit = dataclasses.replace(fit, converged=is_calm(fit.losses, tolerance))
        if on_iteration is not None:
            on_iteration(fit)
    return fit


def is_calm(losses: Sequence[float], tolerance: float) -> bool:
    """Whether the last five changes of the loss are all at most `tolerance` of its size."""
    recent = np.array(losses[-CALM_ITERATIONS - 1 :])
    if len(recent) <= CALM_ITERATIONS:
        return False
    return bool((np.abs(np.diff(recent)) <= tolerance * np.maximum(np.abs(recent[1:]), 1e-300)).all())


def iterate(problem: Problem, fit: Fit) -> Fit:
    """One exact X step, one damped C step; the loss is that of the new X with the old C.

    Rows of C that are zero (neurons that no step has seen yet) take theirs undamped.
    """
    loadings, latent = normalise(fit.loadings, _for_all(problem, fit.latent))
    fit = dataclasses.replace(fit, loadings=loadings, latent=latent)
    seen = [loadings[m.rows] for m in problem.moments]
    answers = [m.products(some) for m, some in zip(problem.moments, seen, strict=True)]
    products, grams = [product for product, _ in answers], [some.T @ some for some in seen]
    fit = _latent_step(problem, fit, seen, grams, products)
    own = [own_covariance(some, fit.of_session(k), problem.n_hollow) for k, some in enumerate(seen)]
    curvature = curvatures(problem, fit, grams)
    loss = _loss(problem, fit, grams, products, own, curvature)
    rhs = np.zeros_like(loadings)
    for k, (m, some, (_, cache)) in enumerate(zip(problem.moments, seen, answers, strict=True)):
        mixing = fit.of_session(k) * problem.weights_of_lags[k]
        diagonals = pull_of_diagonals(some, left_out(problem, m, own[k]), mixing)
        rhs[m.rows] += m.weight * (m.mix(cache, mixing) + diagonals)
    solved = solve_rows(problem, rhs, curvature)
    damping = np.where(loadings.any(axis=1), 0.5, 0.0)[:, None]
    return Fit(np.ascontiguousarray(damping * loadings + (1 - damping) * solved), fit.latent, (*fit.losses, loss))


def latent_steps(problem: Problem, fit: Fit) -> Fit:
    """X steps alone, for the loadings as they are, until the diagonals that are left out move X_s no more."""
    fit = dataclasses.replace(fit, latent=_for_all(problem, fit.latent))
    seen = [fit.loadings[m.rows] for m in problem.moments]
    products = [m.products(some)[0] for m, some in zip(problem.moments, seen, strict=True)]
    grams = [some.T @ some for some in seen]
    for _ in range(MOST_STEPS):
        before, fit = fit.latent, _latent_step(problem, fit, seen, grams, products)
        if np.abs(fit.latent - before).max() <= STILL * np.abs(before).max():
            break
    return fit


def _latent_step(
    problem: Problem,
    fit: Fit,
    seen: Sequence[np.ndarray],
    grams: Sequence[np.ndarray],
    products: Sequence[np.ndarray],
) -> Fit:
    """The best X_s for these loadings and the diagonals of the X_s before."""
    targets = hollow_targets(problem, fit, seen, products)
    if problem.is_shared:
        latent = shared_latent(problem, grams, targets, fit.latent[0])[None]
    else:
        latent = session_latent(problem, grams, targets, mean_latent(problem, fit.latent))
    return dataclasses.replace(fit, latent=latent)


def curvatures(problem: Problem, fit: Fit, grams: Sequence[np.ndarray]) -> np.ndarray:
    """(session, latent, latent) T_k Σ_s w_s (X S_k Xᵀ + Xᵀ S_k X), each session's part of a row's normal matrix."""
    result = []
    for k, (m, gram) in enumerate(zip(problem.moments, grams, strict=True)):
        x = fit.of_session(k)
        weighted = m.weight * problem.weights_of_lags[k] * x
        result.append(beside(x @ gram) @ beside(weighted).T + below(weighted).T @ below(gram @ x))
    return np.array(result)


def solve_rows(problem: Problem, rhs: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """Rows of C from their right-hand sides, one factor per observation pattern."""
    n = rhs.shape[1]
    patterns, pattern_of = problem.patterns, problem.pattern_of
    size = np.bincount(pattern_of, minlength=len(patterns))
    flat = curvature.reshape(len(curvature), -1)
    mean = np.trace((size @ patterns @ flat).reshape(n, n)) / n / max(len(pattern_of), 1)
    ridge = (problem.shrinkage + 1e-10) * max(mean, 1e-300) * np.eye(n)
    result = np.empty_like(rhs)
    if len(patterns) <= FEW_PATTERNS:
        for index, pattern in enumerate(patterns):
            members = pattern_of == index
            result[members] = solve_positive((pattern @ flat).reshape(n, n) + ridge, rhs[members].T).T
        return result
    order = np.argsort(pattern_of, kind="stable")
    for start in range(0, len(rhs), ROWS_AT_ONCE):
        rows = order[start : start + ROWS_AT_ONCE]
        used, which = np.unique(pattern_of[rows], return_inverse=True)
        inverse = np.linalg.inv((patterns[used] @ flat).reshape(-1, n, n) + ridge)
        result[rows] = np.einsum("ia,iab->ib", rhs[rows], inverse[which])
    return result


def loss_of(problem: Problem, fit: Fit, grams: Sequence[np.ndarray], products: Sequence[np.ndarray]) -> float:
    """The loss per frame, less the constant ½ Σ_k T_k Σ_s w_s ‖Λ̂_ks‖², with the pull of the sessions to their mean."""
    own = [
        own_covariance(fit.loadings[m.rows], fit.of_session(k), problem.n_hollow) for k, m in enumerate(problem.moments)
    ]
    return _loss(problem, fit, grams, products, own, curvatures(problem, fit, grams))


def _loss(
    problem: Problem,
    fit: Fit,
    grams: Sequence[np.ndarray],
    products: Sequence[np.ndarray],
    own: Sequence[np.ndarray],
    curvature: np.ndarray,
) -> float:
    """As `loss_of`, from `own_covariance` and `curvatures`: ‖C X Cᵀ‖² = ⟨S, X S Xᵀ⟩ = ⟨S, Xᵀ S X⟩."""
    mean = None if problem.is_shared else mean_latent(problem, fit.latent)
    total = 0.0
    for k, (m, gram, product) in enumerate(zip(problem.moments, grams, products, strict=True)):
        x, weights = fit.of_session(k), problem.weights_of_lags[k, :, 0, 0]
        part = -2 * np.einsum("sab,sab->s", product, x)
        part[: len(own[k])] -= (own[k] * (2 * left_out(problem, m, own[k]) - own[k])).sum(axis=1)
        if mean is not None:
            part += problem.coupling * len(m.rows) ** 2 * ((x - mean) ** 2).sum(axis=(1, 2))
        whole = float((gram * curvature[k]).sum()) / (2 * m.weight)
        total += 0.5 * problem.weights[k] * (whole + float(weights @ part))
    return total


def _for_all(problem: Problem, latent: np.ndarray) -> np.ndarray:
    """As many latent covariances as the problem wants: one, or one a session."""
    wanted = 1 if problem.is_shared else len(problem.moments)
    if len(latent) == wanted:
        return latent
    return mean_latent(problem, latent)[None] if wanted == 1 else np.repeat(latent[:1], wanted, axis=0)
