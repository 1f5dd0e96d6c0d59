"""Approximate neighbours for very many points, with their error measured: HNSW of faiss, where it is installed."""

from __future__ import annotations

import numpy as np

from antidrome.dimension.certificate import scan_rows
from antidrome.dimension.found import Found
from antidrome.dimension.pairs import pair_distances
from antidrome.dimension.points import Points, spread_rows
from antidrome.dimension.preparation import Frame, in_float64
from antidrome.errors import InputError

LINKS = 32
BUILD_WIDTH = 200
SEARCH_WIDTH = 128
SAMPLE_ROWS = 256
SPARE = 4


def approximate_neighbours(points: Points, frame: Frame, k: int) -> Found:
    """Neighbours by a navigable small-world graph (Malkov and Yashunin 2020); distances from float64 differences.

    Raises
    ------
    InputError
        If faiss is not installed.
    """
    try:
        import faiss
    except ImportError:
        raise InputError(
            "engine='approximate' needs faiss: pip install faiss-cpu. The exact engines need nothing."
        ) from None
    n, d = points.n_points, points.n_dimensions
    index = faiss.IndexHNSWFlat(d, LINKS)
    index.hnsw.efConstruction = BUILD_WIDTH
    index.hnsw.efSearch = max(SEARCH_WIDTH, 2 * k)
    everything = slice(0, d)
    for start, stop in points.blocks():
        index.add(frame.transform(points.rows(start, stop), everything, np.float32))
    distance, neighbour = np.empty((n, k)), np.empty((n, k), np.int64)
    wanted = min(k + 1 + SPARE, n)
    for start, stop in points.blocks():
        rows = np.arange(start, stop)
        _, found = index.search(frame.transform(points.rows(start, stop), everything, np.float32), wanted)
        usable = (found >= 0) & (found != rows[:, None])
        exact = np.full(found.shape, np.inf)
        exact[usable] = pair_distances(points, np.repeat(rows, wanted)[usable.ravel()], found[usable])
        order = np.lexsort((found, exact), axis=1)[:, :k]
        distance[rows], neighbour[rows] = np.take_along_axis(exact, order, 1), np.take_along_axis(found, order, 1)
    missed = np.flatnonzero(~np.isfinite(distance).all(axis=1))
    if missed.size:
        distance[missed], neighbour[missed] = scan_rows(points, in_float64(points, frame), missed, k)
    return Found(distance, neighbour, "approximate", int(missed.size))


def measured_recall(points: Points, frame: Frame, found: Found) -> float:
    """Share of true neighbours that were found, on rows spread over the points and searched exactly."""
    n, k = found.distance.shape
    rows = spread_rows(n, SAMPLE_ROWS)
    exact, _ = scan_rows(points, in_float64(points, frame), rows, k)
    return float(np.mean(found.distance[rows] <= exact[:, -1:]))
