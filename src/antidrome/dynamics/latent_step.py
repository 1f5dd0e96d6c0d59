"""The X step of alternating least squares: latent covariances for given loadings, exactly."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from scipy import linalg

from antidrome.dynamics.problem import Fit, Problem, left_out, own_covariance, weighted_grams

JITTER = 1e-10
MOST_KEPT = 32


def hollow_targets(
    problem: Problem, fit: Fit, loadings: Sequence[np.ndarray], products: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Cᵀ Λ_s C of every session with the model's own diagonals in the place of those that are left out.

    `loadings` (neuron, latent) and `products` (lag, latent, latent) are those of each session.
    """
    targets = []
    for k, (m, seen, product) in enumerate(zip(problem.moments, loadings, products, strict=True)):
        target, excess = product.copy(), left_out(problem, m, own_covariance(seen, fit.of_session(k), problem.n_hollow))
        target[: len(excess)] += weighted_grams(seen, excess)
        targets.append(target)
    return targets


def shared_latent(
    problem: Problem, grams: Sequence[np.ndarray], targets: Sequence[np.ndarray], before: np.ndarray
) -> np.ndarray:
    """One X_s for all sessions, (lag, latent, latent): Σ_k T_k S_k X S_k = Σ_k T_k P_ks; X_0 is symmetric.

    One factor serves all lags that the same sessions have. What no session tells stays as it was `before`.
    """
    result = before.copy()
    for lags, sessions in problem.lags_by_sessions:
        weights = [problem.moments[k].weight for k in sessions]
        right = sum(weight * targets[k][lags] for weight, k in zip(weights, sessions, strict=True))
        if sessions.size == 0:
            result[lags] = 0.0
        elif sessions.size == 1:
            inverse = linalg.pinvh(grams[sessions[0]], check_finite=False)
            result[lags] = inverse @ (right / weights[0]) @ inverse
        elif sessions.size == 2:
            first, second = (np.sqrt(w) * grams[k] for w, k in zip(weights, sessions, strict=True))
            result[lags] = _of_two(first, second, right, before[lags])
        else:
            result[lags] = _of_many(np.array(weights), np.array([grams[k] for k in sessions]), right, before[lags])
    result[0] = (result[0] + result[0].T) / 2
    return result


def _of_two(first: np.ndarray, second: np.ndarray, right: np.ndarray, before: np.ndarray) -> np.ndarray:
    """X with F X F + S X S = `right` (lag, latent, latent), in the basis that makes F and S diagonal together."""
    whole = first + second
    values, vectors, failed = linalg.lapack.dsygvd(first, whole)
    if failed:  # directions that neither session has
        return _of_many(np.ones(2), np.array([first, second]), right, before)
    values = np.clip(values, 0.0, 1.0)
    normal = np.multiply.outer(values, values) + np.multiply.outer(1 - values, 1 - values)
    pull, back = JITTER * normal.mean(), whole @ vectors
    turned = (vectors.T @ right @ vectors + pull * (back.T @ before @ back)) / (normal + pull)
    return vectors @ turned @ vectors.T


def _of_many(weights: np.ndarray, grams: np.ndarray, right: np.ndarray, before: np.ndarray) -> np.ndarray:
    """X with Σ_k T_k S_k X S_k = `right` (lag, latent, latent); its even and odd parts do not mix.

    In the bases (E_ab ± E_ba) / √2 the equations have n (n + 1) / 2 and n (n − 1) / 2 unknowns instead of n².
    """
    n = grams.shape[-1]
    a, b, straight, crossed, share = _folding(n) if n <= MOST_KEPT else _folding.__wrapped__(n)
    flat = grams[:, a, b]
    pairs = (weights[:, None] * flat).T @ flat  # Σ_k T_k S_ac S_bd for a ≤ c, b ≤ d
    jitter = JITTER * float(weights @ np.trace(grams, axis1=1, axis2=2) ** 2) / n**2
    right, result = right + jitter * before, np.zeros_like(right)
    even, crossed = pairs.take(straight), pairs.take(crossed)
    odd = even[: len(a) - n, : len(a) - n] - crossed[: len(a) - n, : len(a) - n]
    even += crossed
    even *= share[:, None]
    even *= share
    for sign, normal in ((1, even), (-1, odd))[: 2 if n > 1 else 1]:
        i, j, weight = a[: len(normal)], b[: len(normal)], np.sqrt(0.5) * share[: len(normal)]
        normal[np.diag_indices_from(normal)] += jitter
        x = weight * solve_positive(normal, (weight * (right[:, i, j] + sign * right[:, j, i])).T).T
        result[:, i, j] += x
        result[:, j, i] += sign * x
    return result


@functools.lru_cache(maxsize=8)
def _folding(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pairs a ≤ b, those with a < b first; where S_ac S_bd and S_ad S_bc of all (a, b), (c, d) are; √½ where a = b."""
    a, b = (np.concatenate([one, np.arange(n)]) for one in np.triu_indices(n, 1))
    place = np.zeros((n, n), dtype=int)
    place[a, b] = place[b, a] = np.arange(len(a))
    of_a, of_b = len(a) * place[a], place[b]
    return a, b, of_a[:, a] + of_b[:, b], of_a[:, b] + of_b[:, a], np.where(a == b, np.sqrt(0.5), 1.0)


def solve_positive(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solution for a positive definite matrix; of least norm where it is singular."""
    _, solution, failed = linalg.lapack.dposv(matrix, right, lower=1)
    return np.linalg.pinv(matrix, hermitian=True) @ right if failed else solution


def session_latent(
    problem: Problem, grams: Sequence[np.ndarray], targets: Sequence[np.ndarray], mean: np.ndarray
) -> np.ndarray:
    """X_ks of every session, drawn to their `mean` (lag, latent, latent): (session, lag, latent, latent).

    S_k X S_k + g X = P_ks + g mean_s with g = coupling · p_k², solved in the eigenbasis of S_k.
    """
    size = np.array([max(len(m.rows), 1) for m in problem.moments], dtype=float)
    pull = (max(problem.coupling, 1e-10) * size**2)[:, None, None, None]
    values, vectors = np.linalg.eigh(np.array(grams))
    values, vectors = values[:, None, :], vectors[:, None]
    turned = vectors.transpose(0, 1, 3, 2) @ (np.array(targets) + pull * mean) @ vectors
    turned /= values[..., :, None] * values[..., None, :] + pull
    result = vectors @ turned @ vectors.transpose(0, 1, 3, 2)
    result = np.where(problem.available[:, :, None, None], result, mean)
    result[:, 0] = (result[:, 0] + result[:, 0].transpose(0, 2, 1)) / 2
    return result


def mean_latent(problem: Problem, latent: np.ndarray) -> np.ndarray:
    """(lag, latent, latent) mean over the sessions that have the lag, weighted by their frames."""
    weights = problem.weights[:, None] * problem.available
    return np.einsum("ks,ksab->sab", weights / np.maximum(weights.sum(axis=0), 1e-300), latent)
