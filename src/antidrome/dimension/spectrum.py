"""Spectrum of the covariance of points of any width, from chunks, and the linear dimensions that follow from it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from antidrome.dimension.points import Points
from antidrome.errors import InputError

CHUNK_BYTES = 64 * 2**20
MAX_SIDE = 20_000


def covariance_spectrum(points: Points) -> tuple[Float[np.ndarray, " rank"], Float[np.ndarray, " rank"]]:
    """Eigenvalues of the covariance, falling: of the points, and of the points with columns divided by their deviation.

    With fewer points than columns they come from the N × N matrix of inner products, summed over chunks of columns;
    else from the D × D matrix, summed over chunks of rows.

    Raises
    ------
    InputError
        More than 20,000 of both points and columns.
    """
    n, d = points.n_points, points.n_dimensions
    if min(n, d) > MAX_SIDE:
        raise InputError(f"{n} points of {d} numbers: a spectrum needs fewer than {MAX_SIDE:,} of one of them.")
    return _by_columns(points) if n <= d else _by_rows(points)


def centred_gram(points: Points, *, standardise: bool) -> Float[np.ndarray, "points points"]:
    """X Xᵀ of the centred (and standardised) points, float64, from chunks of columns; constant columns stay zero."""
    gram = np.zeros((points.n_points, points.n_points))
    for block in _centred_columns(points):
        if standardise:
            block /= _deviations(block.std(axis=0))
        gram += block @ block.T
    return gram


def principal_components(spectrum: Float[np.ndarray, " rank"], variance: float = 0.9) -> int:
    """Number of principal components that hold a share of the variance, counted from one."""
    total = float(spectrum.sum())
    if total <= 0:
        return 0
    return int(np.searchsorted(np.cumsum(spectrum) / total, variance * (1 - 1e-12)) + 1)


def participation_ratio(spectrum: Float[np.ndarray, " rank"]) -> float:
    """(Σ λ)² / Σ λ²."""
    squares = float(np.sum(spectrum**2))
    return float(spectrum.sum()) ** 2 / squares if squares > 0 else 0.0


def _by_columns(points: Points) -> tuple[np.ndarray, np.ndarray]:
    n = points.n_points
    raw, standardised = np.zeros((n, n)), np.zeros((n, n))
    for block in _centred_columns(points):
        raw += block @ block.T
        block /= _deviations(block.std(axis=0))
        standardised += block @ block.T
    return _falling(raw / (n - 1)), _falling(standardised / n)


def _by_rows(points: Points) -> tuple[np.ndarray, np.ndarray]:
    n, d = points.n_points, points.n_dimensions
    mean = np.zeros(d)
    for start, stop in points.blocks():
        mean += points.rows(start, stop).astype(np.float64).sum(axis=0) / n
    scatter = np.zeros((d, d))
    for start, stop in points.blocks():
        block = points.rows(start, stop) - mean
        scatter += block.T @ block
    deviation = _deviations(np.sqrt(np.diag(scatter) / n))
    correlation = scatter / n / deviation / deviation[:, None]
    return _falling(scatter / (n - 1)), _falling(correlation)


def _centred_columns(points: Points) -> Iterator[np.ndarray]:
    step = max(1, CHUNK_BYTES // (8 * points.n_points))
    for start in range(0, points.n_dimensions, step):
        columns = slice(start, min(start + step, points.n_dimensions))
        block = points.rows(0, points.n_points, columns).astype(np.float64)
        if not np.isfinite(block).all():
            raise InputError("The points have NaN or infinite values; drop them first.")
        yield block - block.mean(axis=0)


def _deviations(deviation: np.ndarray) -> np.ndarray:
    return np.where(deviation > 0, deviation, 1.0)


def _falling(matrix: np.ndarray) -> np.ndarray:
    return np.maximum(np.linalg.eigvalsh(matrix)[::-1], 0.0)
