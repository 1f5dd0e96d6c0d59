"""The covariance of the process, from that of some frames of it.

Slow latent states visit few independent places in a recording: their realised covariance X_0, which predicts the pairs
of these very recordings, says little about the covariance that other recordings of the same process would show. Its
sampling variance follows from the dynamics themselves (Bartlett 1946), and tells how far to shrink it towards the
covariance in which no latent direction is privileged (Ledoit & Wolf 2004), in the basis CᵀC = p I.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import linalg

from antidrome.dynamics.lags import stretches
from antidrome.dynamics.population import Population

LONGEST = 20_000
NEGLIGIBLE = 1e-6


def process_covariance(
    loadings: np.ndarray, covariance: np.ndarray, dynamics: np.ndarray, lengths: Sequence[int]
) -> tuple[np.ndarray, float]:
    """Stationary covariance of the latent states, in the basis given.

    Parameters
    ----------
    loadings
        C (neuron, latent).
    covariance
        X_0 (latent, latent), realised, positive definite.
    dynamics
        A, stable.
    lengths
        Frames of every uninterrupted stretch of the recordings.

    Returns
    -------
    covariance (latent, latent), the share (0 to 1) by which it was shrunk
    """
    n = len(covariance)
    gram = loadings.T @ loadings / max(len(loadings), 1)
    root = linalg.cholesky(gram + 1e-12 * np.trace(gram) / n * np.eye(n), lower=True)
    inverse = linalg.solve_triangular(root, np.eye(n), lower=True)
    x = root.T @ covariance @ root
    a = root.T @ dynamics @ inverse.T
    even = np.trace(x) / n * np.eye(n)
    distance = float(((x - even) ** 2).sum())
    share = 1.0 if distance <= 0 else float(min(1.0, sampling_variance(x, a, lengths) / distance))
    shrunk = (1 - share) * x + share * even
    return inverse.T @ shrunk @ inverse, share


def sampling_variance(covariance: np.ndarray, dynamics: np.ndarray, lengths: Sequence[int]) -> float:
    """Sum over all entries of the variance of a sample covariance of a Gaussian process with X_s = Aˢ X_0.

    Σ_ab var = Σ_j (T_j / T)² (1 / T_j) Σ_s (1 − |s| / T_j) [tr(X_s)² + tr(X_s X_s)] over stretches of T_j frames.
    """
    frames = np.asarray(lengths, dtype=float)
    longest = int(min(frames.max(initial=1), LONGEST))
    terms, x = np.zeros(longest), covariance
    for s in range(longest):
        terms[s] = np.trace(x) ** 2 + (x * x.T).sum()
        if np.abs(x).max() < NEGLIGIBLE * np.abs(covariance).max():
            break
        x = dynamics @ x
    sums, moments = np.cumsum(terms), np.cumsum(terms * np.arange(longest))
    last = np.minimum(frames.astype(int), longest) - 1
    one = 2 * (sums[last] - moments[last] / frames) - terms[0]
    return float((frames * one).sum() / frames.sum() ** 2)


def stretch_lengths(population: Population) -> list[int]:
    """Frames of every uninterrupted stretch of all sessions."""
    return [stop - start for session in population.sessions for start, stop in stretches(session.segment)]
