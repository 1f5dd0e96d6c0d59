"""Sketch once, then forget time: a randomised range finder of Σ_s (Λ_s + Λ_sᵀ), and lagged covariances inside it."""

from __future__ import annotations

import numpy as np
from scipy import linalg

from antidrome.dynamics.data import SessionData
from antidrome.dynamics.lags import LagSet, lagged_mixture, lagged_products, pair_counts
from antidrome.dynamics.moments import SketchedMoments

N_POWERS = 1


def sketch(data: SessionData, lags: LagSet, rank: int, rng: np.random.Generator) -> SketchedMoments:
    """Λ_s ≈ B M_s Bᵀ of one session in three reads of row-wise data, with a power iteration (Halko et al. 2011).

    Parameters
    ----------
    data, lags
        The session, and the lags.
    rank
        Columns of B; 10 to 12 for each latent dimension keep what real recordings hold.
    rng
        Of the random test matrix.
    """
    session = data.session
    n_neurons = data.shape[1]
    rank = min(rank, n_neurons)
    counts = pair_counts(session.segment, lags.lags)
    divisor = np.maximum(counts - 1, 1)
    weights = lags.weights * (counts > 1)
    if not weights.any():
        weights = (np.arange(len(lags)) == 0).astype(float)

    def mix(z: np.ndarray, segment: np.ndarray) -> np.ndarray:
        return lagged_mixture(z, segment, lags.lags, (weights / divisor)[:, None, None] * np.eye(z.shape[1]))

    basis = rng.standard_normal((n_neurons, rank))
    for _ in range(1 + N_POWERS):
        basis = orthonormal(data.project_and_back(basis, mix, lags.largest))
    z = data.project(basis)
    core = lagged_products(z, session.segment, lags.lags) / divisor[:, None, None]
    variance = session.variance * session.n_observed * data.gain**2 / divisor[0]
    return SketchedMoments(
        session.rows, float(session.n_used), counts > 1, variance, np.ascontiguousarray(basis, dtype=data.dtype), core
    )


def orthonormal(columns: np.ndarray) -> np.ndarray:
    """Orthonormal basis of the columns, by two rounds of the Gram matrix where there are many rows."""
    if len(columns) < 20_000:
        return linalg.qr(columns, mode="economic")[0]
    for _ in range(2):
        values, vectors = linalg.eigh(columns.T @ columns)
        keep = values > 1e-14 * max(values[-1], 1e-300)
        vectors = vectors[:, keep] / np.sqrt(values[keep])
        columns = columns @ vectors
    return columns
