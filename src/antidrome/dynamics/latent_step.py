"""The X step of alternating least squares: latent covariances for given loadings, exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import linalg

from antidrome.dynamics.problem import Fit, Problem, left_out


def hollow_targets(
    problem: Problem, fit: Fit, loadings: np.ndarray, products: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Cᵀ Λ_s C of every session with the model's own diagonals in the place of those that are left out."""
    targets = []
    for k, (product, m) in enumerate(zip(products, problem.moments, strict=True)):
        seen, target = loadings[m.rows], product.copy()
        for s, excess in enumerate(left_out(problem, m, seen, fit.of_session(k))):
            target[s] += seen.T @ (seen * excess[:, None])
        targets.append(target)
    return targets


def shared_latent(
    problem: Problem, grams: Sequence[np.ndarray], targets: Sequence[np.ndarray], before: np.ndarray
) -> np.ndarray:
    """One X_s for all sessions, (lag, latent, latent): Σ_k T_k S_k X S_k = Σ_k T_k P_ks.

    One n² × n² factor serves all lags that the same sessions have; X_0 is symmetric.
    """
    n = before.shape[-1]
    result, available = before.copy(), problem.available.T
    for pattern in np.unique(available, axis=0):
        members = (available == pattern).all(axis=1)
        sessions = np.flatnonzero(pattern)
        if sessions.size == 0:
            result[members] = 0.0
            continue
        right = sum(problem.moments[k].weight * targets[k][members] for k in sessions)
        if sessions.size == 1:
            inverse = linalg.pinvh(grams[sessions[0]])
            result[members] = inverse @ (right / problem.moments[sessions[0]].weight) @ inverse
            continue
        normal = sum(problem.moments[k].weight * np.kron(grams[k], grams[k]) for k in sessions)
        jitter = 1e-10 * np.trace(normal) / n**2
        normal[np.diag_indices(n * n)] += jitter
        flat = right.reshape(-1, n * n) + jitter * before[members].reshape(-1, n * n)
        result[members] = linalg.solve(normal, flat.T, assume_a="pos").T.reshape(-1, n, n)
    result[0] = (result[0] + result[0].T) / 2
    return result


def session_latent(
    problem: Problem, grams: Sequence[np.ndarray], targets: Sequence[np.ndarray], mean: np.ndarray
) -> np.ndarray:
    """X_ks of every session, drawn to their `mean` (lag, latent, latent): (session, lag, latent, latent).

    S_k X S_k + g X = P_ks + g mean_s with g = coupling · p_k², solved in the eigenbasis of S_k.
    """
    result = np.empty((len(problem.moments), *mean.shape))
    for k, (m, gram, target) in enumerate(zip(problem.moments, grams, targets, strict=True)):
        pull = max(problem.coupling, 1e-10) * max(len(m.rows), 1) ** 2
        values, vectors = linalg.eigh(gram)
        turned = vectors.T @ (target + pull * mean) @ vectors
        x = vectors @ (turned / (np.multiply.outer(values, values) + pull)) @ vectors.T
        x[~m.available] = mean[~m.available]
        x[0] = (x[0] + x[0].T) / 2
        result[k] = x
    return result


def mean_latent(problem: Problem, latent: np.ndarray) -> np.ndarray:
    """(lag, latent, latent) mean over the sessions that have the lag, weighted by their frames."""
    weights = problem.weights[:, None] * problem.available
    return np.einsum("ks,ksab->sab", weights / np.maximum(weights.sum(axis=0), 1e-300), latent)
