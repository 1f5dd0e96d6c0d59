"""Neighbours by a k-d tree in float64, where points have few dimensions; distances and certificates as everywhere."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from antidrome.core.cores import n_threads
from antidrome.dimension.certificate import scan_rows
from antidrome.dimension.found import Found
from antidrome.dimension.pairs import pair_distances
from antidrome.dimension.points import Points, spread_rows
from antidrome.dimension.preparation import Frame, in_float64
from antidrome.dimension.squares import Tick

TREE_BYTES = 2**30
LEAF_POINTS = 24
PROBES, SAMPLED_ROWS = 48, 1000
ROWS_AT_A_TIME = 2**16


class Tree(NamedTuple):
    """The tree, and the points in it, in the frame."""

    tree: Any
    coordinates: Float[np.ndarray, "points columns"]

    def seconds(self, k: int) -> float:
        """What all questions would take on one core, from a few; the second time, when their paths are in cache."""
        rows = spread_rows(len(self.coordinates), PROBES)
        took = []
        for _ in range(2):
            started = time.perf_counter()
            self.tree.query(self.coordinates[rows], k + 2)
            took.append(time.perf_counter() - started)
        return min(took) * len(self.coordinates) / rows.size


def plant(points: Points, frame: Frame) -> Tree | None:
    """The tree of all points; None where they are too large for float64 in this frame."""
    from scipy.spatial import cKDTree

    if not np.isfinite(frame.squared_norm).all():
        return None
    every = slice(0, points.n_dimensions)
    coordinates = np.empty((points.n_points, points.n_dimensions))
    for a, b in points.blocks():
        coordinates[a:b] = frame.transform(points.rows(a, b), every, np.float64)
    return Tree(cKDTree(coordinates, leafsize=LEAF_POINTS, balanced_tree=False), coordinates)


def sampled_dimension(points: Points, frame: Frame) -> float:
    """Intrinsic dimension of a few of the points, by maximum likelihood (Facco et al. 2017): so a tree fares."""
    rows = spread_rows(points.n_points, SAMPLED_ROWS)
    x = frame.transform(points.take(rows), slice(0, points.n_dimensions), np.float64)
    norms = np.einsum("ij,ij->i", x, x)
    squares = norms + norms[:, None] - 2 * x @ x.T
    np.fill_diagonal(squares, np.inf)
    near, next_near = np.partition(squares, 1, axis=1)[:, :2].T
    used = (near > 0) & (next_near > near) & np.isfinite(next_near)
    return 2.0 / float(np.mean(np.log(next_near[used] / near[used]))) if used.any() else 0.0


def search_tree(tree: Tree, points: Points, frame: Frame, k: int, tick: Tick) -> Found:
    """The k nearest neighbours of all points."""
    n = points.n_points
    distance, neighbour = np.empty((n, k)), np.empty((n, k), np.int64)
    for start in range(0, n, ROWS_AT_A_TIME):
        # in the order of the leaves: what one question reads serves the next
        rows = np.asarray(tree.tree.indices[start : start + ROWS_AT_A_TIME])
        distance[rows], neighbour[rows] = _ask(tree, points, frame, rows, k)
        tick(rows.size / n)
    return Found(distance, neighbour, "tree", 0)


def _ask(
    tree: Tree, points: Points, frame: Frame, rows: Int[np.ndarray, " m"], k: int
) -> tuple[Float[np.ndarray, "m k"], Int[np.ndarray, "m k"]]:
    """Neighbours of some rows: candidates by the tree; distances, and certificates, as everywhere."""
    n = points.n_points
    wanted = min(k + 2, n)
    near, index = tree.tree.query(tree.coordinates[rows], wanted, workers=n_threads())
    near, index = near.reshape(rows.size, wanted), index.reshape(rows.size, wanted)
    own = index == rows[:, None]
    own[~own.any(axis=1), -1] = True
    near, index = near[~own].reshape(rows.size, -1), index[~own].reshape(rows.size, -1)
    exact = pair_distances(points, np.repeat(rows, wanted - 1), index.ravel()).reshape(index.shape)
    order = np.lexsort((index, exact), axis=1)[:, :k]
    distance, neighbour = np.take_along_axis(exact, order, 1), np.take_along_axis(index, order, 1)
    radius = distance[:, -1] * frame.scale
    exactly = frame.whole and frame.scale == 1.0 and float(frame.squared_norm.max()) < 2.0**50
    rounding = 0.0 * radius if exactly else 2.0**-50 * (2 * np.sqrt(frame.squared_norm[rows]) + radius)
    sure = (near[:, -1] - rounding >= radius) | (wanted == n)
    doubtful = np.flatnonzero(~sure & (rounding > 1e-12 * radius))
    if doubtful.size:
        distance[doubtful], neighbour[doubtful] = scan_rows(points, in_float64(points, frame), rows[doubtful], k)
    return distance, neighbour
