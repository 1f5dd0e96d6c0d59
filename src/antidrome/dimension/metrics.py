"""Other metrics, carried back to Euclidean neighbours of embedded points, which are certified."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from antidrome.dimension.points import Points
from antidrome.errors import InputError

Metric = Literal["euclidean", "cosine", "hamming", "precomputed"]
MAX_SYMBOLS = 64
EMBEDDED_BYTES = 2**31


def embed(points: Points, metric: Metric) -> Points:
    """Points whose Euclidean distances order as the metric does: unit vectors, or indicators of symbols.

    Raises
    ------
    InputError
        A point without direction (cosine), or more than 64 symbols (hamming).
    """
    if metric == "cosine":
        return Points(_unit_vectors(points))
    if metric == "hamming":
        return Points(_indicators(points))
    return points


def distance_from_euclidean(distance: Float[np.ndarray, "points k"], metric: Metric) -> Float[np.ndarray, "points k"]:
    """Distances in the metric from those between embedded points."""
    if metric == "cosine":
        return 2 * np.arcsin(np.minimum(distance / 2, 1.0))
    if metric == "hamming":
        return np.rint(distance**2)
    return distance


def nearest_in_matrix(matrix: Points, k: int) -> tuple[Float[np.ndarray, "n k"], Int[np.ndarray, "n k"]]:
    """The k smallest distances of each row of a distance matrix, its diagonal left out.

    Raises
    ------
    InputError
        If it is not square, has numbers that are no distances, a diagonal that is not zero, or is not symmetric.
    """
    n = matrix.n_points
    if matrix.n_dimensions != n:
        raise InputError(f"A distance matrix is square; this one is {n} × {matrix.n_dimensions}.")
    distance, neighbour = np.empty((n, k)), np.empty((n, k), np.int64)
    for start, stop in matrix.blocks():
        block = matrix.rows(start, stop).astype(np.float64)
        rows = np.arange(start, stop)
        bad = np.argwhere(~(np.isfinite(block) & (block >= 0)))
        if bad.size:
            raise InputError(f"Row {start + bad[0][0]}, column {bad[0][1]} is {block[tuple(bad[0])]}: no distance.")
        diagonal = block[rows - start, rows]
        if (diagonal > 1e-6 * block.max(axis=1)).any():
            raise InputError(f"The diagonal of a distance matrix is zero; entry {rows[diagonal.argmax()]} is not.")
        if start == 0:
            other = matrix.take(np.arange(n), slice(0, stop)).T.astype(np.float64)
            if not np.allclose(block, other, rtol=1e-5, atol=1e-8 * block.max()):
                raise InputError("The distance matrix is not symmetric; is it a matrix of similarities or indices?")
        block[rows - start, rows] = np.inf
        best = np.argpartition(block, k - 1, axis=1)[:, :k]
        near = np.take_along_axis(block, best, 1)
        order = np.lexsort((best, near), axis=1)
        distance[start:stop] = np.take_along_axis(near, order, 1)
        neighbour[start:stop] = np.take_along_axis(best, order, 1)
    return distance, neighbour


def _unit_vectors(points: Points) -> np.ndarray:
    out = np.empty((points.n_points, points.n_dimensions))
    _require_room(out.nbytes, "unit vectors")
    for start, stop in points.blocks():
        block = points.rows(start, stop).astype(np.float64)
        largest = np.abs(block).max(axis=1, keepdims=True)
        if not (largest > 0).all():
            row = start + int(np.argmin(largest[:, 0]))
            raise InputError(f"Point {row} is all zeros (or not finite) and has no direction: no cosine metric for it.")
        block /= largest
        out[start:stop] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return out


def _indicators(points: Points) -> np.ndarray:
    symbols = np.unique(np.concatenate([np.unique(points.rows(a, b)) for a, b in points.blocks()]))
    if symbols.size > MAX_SYMBOLS or not np.isfinite(symbols.astype(np.float64)).all():
        raise InputError(
            f"The Hamming metric counts coordinates that differ; here are {symbols.size} different values, at most"
            f" {MAX_SYMBOLS} are symbols. Use metric='euclidean' for measured numbers."
        )
    if symbols.size <= 2:
        out = np.empty((points.n_points, points.n_dimensions), np.float32)
        for start, stop in points.blocks():
            out[start:stop] = points.rows(start, stop) == symbols[-1]
        return out
    out = np.empty((points.n_points, points.n_dimensions * symbols.size), np.float32)
    _require_room(out.nbytes, "indicators of symbols")
    for start, stop in points.blocks():
        block = points.rows(start, stop)
        equal = block[:, :, None] == symbols
        out[start:stop] = equal.reshape(block.shape[0], -1) * np.float32(np.sqrt(0.5))
    return out


def _require_room(n_bytes: int, what: str) -> None:
    if n_bytes > EMBEDDED_BYTES:
        raise InputError(f"The {what} would need {n_bytes / 2**30:.1f} GiB; use fewer points or coordinates.")
