"""Which way to the exact neighbours: a tree where the points are few-dimensional enough, matrix products elsewhere."""

from __future__ import annotations

from concurrent.futures import Executor
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from antidrome.core.cores import n_threads
from antidrome.core.executor import map_tasks
from antidrome.dimension.approximate import approximate_neighbours
from antidrome.dimension.certificate import refine, scan_rows
from antidrome.dimension.found import Found
from antidrome.dimension.points import Points
from antidrome.dimension.preparation import Frame, in_float64
from antidrome.dimension.products import collect_candidates, float64_seconds
from antidrome.dimension.selection import Candidates
from antidrome.dimension.squares import Tick, one_thread_each
from antidrome.dimension.tree import TREE_BYTES, plant, sampled_dimension, search_tree

Engine = Literal["auto", "tree", "products", "approximate"]
SPARE, WIDE_SPARE, WIDE_COLUMNS = 2, 4, 4096
TREE_ALWAYS_BELOW, TREE_COLUMNS, TREE_NEVER_ABOVE = 4, 64, 1024
TREE_FROM_POINTS = 4000
LOW_DIMENSION = 8.0
"""Points of more columns than TREE_COLUMNS are for a tree if a few of them look as if they had so few dimensions."""
AT_ONCE = 0.1
"""A tree that takes such a share of the products of all pairs is asked without a look at what boxes would take."""
TASK_ROWS = 2048


def spare(n_dimensions: int) -> int:
    """Candidates kept beyond k, so that the certificate holds for nearly every row of ordinary data.

    Wide points, whose rounding is larger and whose rows cost more to search again, keep more.
    """
    return SPARE if n_dimensions < WIDE_COLUMNS else WIDE_SPARE


def search(points: Points, frame: Frame, k: int, engine: Engine, executor: Executor | None, tick: Tick) -> Found:
    """The k nearest neighbours of all points, which are distinct and more than k."""
    if executor is not None:
        return _on_executor(points, frame, k, executor, tick)
    if engine == "approximate":
        return approximate_neighbours(points, frame, k)
    tree, seconds, limit = None, 0.0, np.inf
    if engine == "tree" or (engine == "auto" and _tree_may_win(points, frame)):
        tree = plant(points, frame)
    if tree is not None:
        every = _product_seconds(points.n_points, points.n_dimensions)
        if engine == "auto" and points.n_dimensions > TREE_ALWAYS_BELOW:
            seconds = tree.seconds(k)
        if seconds < AT_ONCE * every:
            return search_tree(tree, points, frame, k, tick)
        limit = seconds if seconds < every else np.inf
    n_kept = min(k + spare(points.n_dimensions), points.n_points - 1)
    candidates = collect_candidates(points, frame, n_kept, k, tick, limit)
    if candidates is None and engine == "auto" and seconds < float64_seconds(points.n_points, points.n_dimensions):
        if tree is None and points.n_dimensions <= TREE_COLUMNS:
            tree = plant(points, frame)
        if tree is not None:  # it is faster, or float64 is needed for nearly all: it has it
            return search_tree(tree, points, frame, k, tick)
    return _by_products(points, frame, k, candidates, tick)


def _tree_may_win(points: Points, frame: Frame) -> bool:
    n, d = points.n_points, points.n_dimensions
    if d <= TREE_ALWAYS_BELOW:
        return True
    if n < TREE_FROM_POINTS or d > TREE_NEVER_ABOVE or 8 * n * d > TREE_BYTES:
        return False
    return d <= TREE_COLUMNS or sampled_dimension(points, frame) < LOW_DIMENSION


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
