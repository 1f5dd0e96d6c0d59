"""Which way to the exact neighbours: a tree where the points are few-dimensional enough, matrix products elsewhere."""

from __future__ import annotations

import time
from concurrent.futures import Executor
from functools import partial
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from antidrome.core.executor import map_tasks
from antidrome.dimension.approximate import approximate_neighbours
from antidrome.dimension.certificate import pair_distances, refine, scan_rows
from antidrome.dimension.found import Found
from antidrome.dimension.points import Points
from antidrome.dimension.preparation import Frame, in_float64, n_threads
from antidrome.dimension.products import collect_candidates
from antidrome.dimension.selection import Candidates
from antidrome.dimension.squares import Tick, one_thread_each

Engine = Literal["auto", "tree", "products", "approximate"]
SPARE = 2
"""Candidates kept beyond k; with them the certificate holds for nearly every row of ordinary data."""
TREE_ALWAYS_BELOW = 4
TREE_NEVER_ABOVE = 64
TREE_FROM_POINTS = 4000
TREE_BYTES = 2**30
PROBES = 48
TASK_ROWS = 2048


def search(points: Points, frame: Frame, k: int, engine: Engine, executor: Executor | None, tick: Tick) -> Found:
    """The k nearest neighbours of all points, which are distinct and more than k."""
    if executor is not None:
        return _on_executor(points, frame, k, executor, tick)
    if engine == "approximate":
        return approximate_neighbours(points, frame, k)
    few_dimensional = engine == "auto" and points.n_dimensions <= TREE_NEVER_ABOVE
    if engine == "tree" or few_dimensional:
        found = _by_tree(points, frame, k, tick, forced=engine == "tree")
        if found is not None:
            return found
    candidates = collect_candidates(points, frame, min(k + SPARE, points.n_points - 1), k, tick)
    if candidates is None and few_dimensional:  # float64 is needed for nearly all: the tree has it
        found = _by_tree(points, frame, k, tick, forced=True)
        if found is not None:
            return found
    return _by_products(points, frame, k, candidates, tick)


def _by_products(points: Points, frame: Frame, k: int, candidates: Candidates | None, tick: Tick) -> Found:
    n = points.n_points
    if candidates is None:  # rounding would spoil most rows (tight clusters, near-duplicates)
        rows = np.arange(n)
        distance, neighbour = np.empty((n, k)), np.empty((n, k), np.int64)
    else:
        distance, neighbour, certified = refine(points, frame, candidates, k)
        rows = np.flatnonzero(~certified)
    if rows.size:
        distance[rows], neighbour[rows] = _scan(points, in_float64(points, frame), rows, k, tick)
    return Found(distance, neighbour, "products", int(rows.size))


def _scan(
    points: Points, frame: Frame, rows: np.ndarray, k: int, tick: Tick
) -> tuple[Float[np.ndarray, "m k"], Int[np.ndarray, "m k"]]:
    """`scan_rows` on all cores."""
    step = max(16, min(256, rows.size // (2 * n_threads())))
    parts = [rows[start : start + step] for start in range(0, rows.size, step)]
    found = []
    with one_thread_each() as pool:
        for part in pool.map(lambda some: scan_rows(points, frame, some, k), parts):
            found.append(part)
            tick(part[0].shape[0] / points.n_points)
    return np.concatenate([part[0] for part in found]), np.concatenate([part[1] for part in found])


def _by_tree(points: Points, frame: Frame, k: int, tick: Tick, *, forced: bool) -> Found | None:
    """By a k-d tree in float64; None where a probe says that products are faster, or memory forbids."""
    from scipy.spatial import cKDTree

    n, d = points.n_points, points.n_dimensions
    always = forced or d <= TREE_ALWAYS_BELOW
    if not always and (n < TREE_FROM_POINTS or 8 * n * d > TREE_BYTES):
        return None
    coordinates = np.concatenate(
        [frame.transform(points.rows(a, b), slice(0, d), np.float64) for a, b in points.blocks()]
    )
    if not np.isfinite(frame.squared_norm).all():
        return None
    tree = cKDTree(coordinates, leafsize=24, balanced_tree=False)
    if not always:
        rows = np.unique(np.linspace(0, n - 1, PROBES).astype(int))
        started = time.perf_counter()
        tree.query(coordinates[rows], k + 1)
        seconds = (time.perf_counter() - started) * n / rows.size
        if seconds > _product_seconds(n, d):
            return None
    distance, neighbour = np.empty((n, k)), np.empty((n, k), np.int64)
    for start in range(0, n, 2**16):
        rows = np.asarray(tree.indices[start : start + 2**16])  # near ones together: what one reads serves the next
        distance[rows], neighbour[rows] = _ask(tree, coordinates, points, frame, rows, k)
        tick(rows.size / n)
    return Found(distance, neighbour, "tree", 0)


def _ask(
    tree: Any, coordinates: np.ndarray, points: Points, frame: Frame, rows: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours of some rows: candidates by the tree; distances, and certificates, as everywhere."""
    n = points.n_points
    wanted = min(k + 2, n)
    near, index = tree.query(coordinates[rows], wanted, workers=n_threads())
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


def _product_seconds(n: int, d: int) -> float:
    """What the products would take on one core: passes over the blocks, and flops; only a choice hangs on it."""
    return n**2 / 2 * (1.6e-9 + 1.9e-11 * d)


def _on_executor(points: Points, frame: Frame, k: int, executor: Executor, tick: Tick) -> Found:
    """Blocks of rows on any executor, each against all points, by float64 products."""
    n = points.n_points
    frame = in_float64(points, frame)
    parts = [np.arange(start, min(start + TASK_ROWS, n)) for start in range(0, n, TASK_ROWS)]
    task = partial(_scan_task, points, frame, k)
    found = list(map_tasks(task, parts, executor=executor, on_result=lambda i, _: tick(parts[i].size / n)))
    distance, neighbour = (np.concatenate([part[i] for part in found]) for i in (0, 1))
    return Found(distance, neighbour, "products on an executor", n)


def _scan_task(points: Points, frame: Frame, k: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return scan_rows(points, frame, rows, k)
