"""Kalman filter and smoother in information form: data enter as h(t) = C_tᵀ R_t⁻¹ y(t) and J_t = C_tᵀ R_t⁻¹ C_t alone.

Observing p neurons is the same as observing n pseudo-neurons of unit noise with loadings L_tᵀ, J_t = L_t L_tᵀ, so all
costs but the two data products are free of p. Covariances go by the Joseph form in float64; while the pattern of
observed neurons stays the same their recursion is frozen as soon as it has converged, and only means move on.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import linalg

from antidrome.dynamics.lags import stretches
from antidrome.dynamics.system import root_of

FROZEN = 1e-10


@dataclasses.dataclass(frozen=True)
class Smoothed:
    """Posterior of the latent states of one session.

    Parameters
    ----------
    mean, covariance
        (frame, latent), (frame, latent, latent).
    second, lagged, early, late
        Sums for the M step: Σ E[x xᵀ] over all frames, Σ E[x(t + 1) x(t)ᵀ] over neighbours, and Σ E[x xᵀ] over the
        first and the second of each pair of neighbours.
    initial
        Σ E[x xᵀ] over the first frames of the stretches; `n_initial` of them.
    log_likelihood
        Without the terms that do not depend on the latent states (Σ y² / r and log R).
    """

    mean: np.ndarray
    covariance: np.ndarray
    second: np.ndarray
    lagged: np.ndarray
    early: np.ndarray
    late: np.ndarray
    initial: np.ndarray
    n_initial: int
    n_pairs: int
    log_likelihood: float


def smooth(
    information: np.ndarray,
    precisions: np.ndarray,
    pattern: np.ndarray,
    segment: np.ndarray,
    dynamics: np.ndarray,
    innovation: np.ndarray,
    initial: np.ndarray,
) -> Smoothed:
    """Forward and backward pass over all stretches of one session.

    Parameters
    ----------
    information
        h (frame, latent).
    precisions
        J of every pattern of observed neurons, (pattern, latent, latent).
    pattern
        (frame,) which one.
    segment
        (frame,) stretches; each starts anew from N(0, `initial`); frames with −1 are skipped.
    dynamics, innovation, initial
        A, Q, covariance of the first state of a stretch.
    """
    n_frames, n = information.shape
    mean, covariance = np.zeros((n_frames, n)), np.zeros((n_frames, n, n))
    sums = {name: np.zeros((n, n)) for name in ("second", "lagged", "early", "late", "initial")}
    n_initial = n_pairs = 0
    log_likelihood = 0.0
    roots = [root_of(j) for j in precisions]
    for start, stop in stretches(segment):
        frames = slice(start, stop)
        forward = _forward(information[frames], precisions, roots, pattern[frames], dynamics, innovation, initial)
        x, p, gains = _backward(forward, dynamics, innovation)
        mean[frames], covariance[frames] = x, p
        log_likelihood += forward.log_likelihood
        total = p.sum(axis=0) + x.T @ x
        first, last = p[0] + np.outer(x[0], x[0]), p[-1] + np.outer(x[-1], x[-1])
        sums["second"] += total
        sums["early"] += total - last
        sums["late"] += total - first
        sums["initial"] += first
        sums["lagged"] += x[1:].T @ x[:-1] + np.einsum("tab,tcb->ac", p[1:], gains)
        n_initial, n_pairs = n_initial + 1, n_pairs + stop - start - 1
    return Smoothed(mean, covariance, **sums, n_initial=n_initial, n_pairs=n_pairs, log_likelihood=log_likelihood)


@dataclasses.dataclass(frozen=True)
class _Forward:
    predicted_mean: np.ndarray
    predicted: np.ndarray
    filtered_mean: np.ndarray
    filtered: np.ndarray
    log_likelihood: float


def _forward(
    information: np.ndarray,
    precisions: np.ndarray,
    roots: list[np.ndarray],
    pattern: np.ndarray,
    dynamics: np.ndarray,
    innovation: np.ndarray,
    initial: np.ndarray,
) -> _Forward:
    n_frames, n = information.shape
    predicted, filtered = np.empty((n_frames, n, n)), np.empty((n_frames, n, n))
    log_determinant = np.empty(n_frames)
    p, before, frozen = initial, -1, False
    for t in range(n_frames):
        if frozen and pattern[t] == before:
            predicted[t], filtered[t], log_determinant[t] = predicted[t - 1], filtered[t - 1], log_determinant[t - 1]
            continue
        if t > 0:
            p = dynamics @ filtered[t - 1] @ dynamics.T + innovation
            p = (p + p.T) / 2
        predicted[t] = p
        filtered[t], log_determinant[t] = _update(p, roots[pattern[t]])
        frozen = (
            t > 0
            and pattern[t] == before
            and np.abs(filtered[t] - filtered[t - 1]).max() <= FROZEN * max(np.trace(filtered[t]), 1e-300)
        )
        before = pattern[t]
    x_predicted, x_filtered = np.empty((n_frames, n)), np.empty((n_frames, n))
    # x_f = P_f (P_p⁻¹ x_p + h) = (I − P_f J) x_p + P_f h
    push = np.einsum("tab,tb->ta", filtered, information)
    keep = np.eye(n) - filtered @ precisions[pattern]
    x = np.zeros(n)
    for t in range(n_frames):
        if t > 0:
            x = dynamics @ x
        x_predicted[t] = x
        x = keep[t] @ x + push[t]
        x_filtered[t] = x
    j_x = np.einsum("tab,tb->ta", precisions[pattern], x_predicted)
    innovation_information = information - j_x
    quadratic = np.einsum("ta,tab,tb->", innovation_information, filtered, innovation_information)
    linear = -2 * (information * x_predicted).sum() + (j_x * x_predicted).sum()
    return _Forward(
        x_predicted, predicted, x_filtered, filtered, float(-0.5 * (log_determinant.sum() - quadratic + linear))
    )


def _backward(
    forward: _Forward, dynamics: np.ndarray, innovation: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rauch–Tung–Striebel; covariances (I − G A) P_f (I − G A)ᵀ + G (P_s + Q) Gᵀ."""
    n_frames, n = forward.filtered_mean.shape
    x, p = forward.filtered_mean.copy(), forward.filtered.copy()
    gains = np.empty((max(n_frames - 1, 0), n, n))
    equal = _equal_the_next(forward.filtered)[:-1] & _equal_the_next(forward.predicted)[1:]
    frozen = False
    for t in range(n_frames - 2, -1, -1):
        same = t < n_frames - 2 and equal[t]
        if same:
            gains[t] = gains[t + 1]
        else:
            gains[t] = linalg.solve(forward.predicted[t + 1], dynamics @ forward.filtered[t], assume_a="pos").T
        if frozen and same:
            p[t] = p[t + 1]
            continue
        rest = np.eye(n) - gains[t] @ dynamics
        p[t] = rest @ forward.filtered[t] @ rest.T + gains[t] @ (p[t + 1] + innovation) @ gains[t].T
        frozen = same and np.abs(p[t] - p[t + 1]).max() <= FROZEN * max(np.trace(p[t]), 1e-300)
    for t in range(n_frames - 2, -1, -1):
        x[t] += gains[t] @ (x[t + 1] - forward.predicted_mean[t + 1])
    return x, p, gains


def _update(p: np.ndarray, root: np.ndarray) -> tuple[np.ndarray, float]:
    """Joseph form for n pseudo-neurons of unit noise: (I − K Lᵀ) P (I − K Lᵀ)ᵀ + K Kᵀ, and log |I + Lᵀ P L|."""
    spread = np.eye(root.shape[1]) + root.T @ p @ root
    factor = linalg.cholesky(spread, lower=True)
    gain = linalg.cho_solve((factor, True), root.T @ p).T
    rest = np.eye(len(p)) - gain @ root.T
    return rest @ p @ rest.T + gain @ gain.T, 2 * float(np.log(np.diag(factor)).sum())


def _equal_the_next(matrices: np.ndarray) -> np.ndarray:
    """(frame − 1,) bool, of matrices (frame, latent, latent)."""
    return (matrices[:-1] == matrices[1:]).all(axis=(1, 2))
