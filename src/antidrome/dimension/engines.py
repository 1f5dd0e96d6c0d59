"""Which way to the exact neighbours: a tree where the points are few-dimensional enough, matrix products elsewhere."""

from __future__ import annotations

from concurrent.futures import Executor
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from antidrome.core.executor import map_tasks
from antidrome.dimension.approximate import approximate_neighbours
from antidrome.dimension.certificate import refine, scan_rows
from antidrome.dimension.found import Found
from antidrome.dimension.points import Points
from antidrome.dimension.preparation import Frame, in_float64, n_threads
from antidrome.dimension.products import collect_candidates
from antidrome.dimension.selection import Candidates
from antidrome.dimension.squares import Tick, one_thread_each
from antidrome.dimension.tree import TREE_BYTES, plant, search_tree

Engine = Literal["auto", "tree", "products", "approximate"]
SPARE = 2
"""Candidates kept beyond k; with them the certificate holds for nearly every row of ordinary data."""
TREE_ALWAYS_BELOW, TREE_NEVER_ABOVE = 4, 64
TREE_FROM_POINTS = 4000
AT_ONCE = 0.05
"""A tree that takes such a share of the products of all pairs is asked without a look at what boxes would take."""
TASK_ROWS = 2048


def search(points: Points, frame: Frame, k: int, engine: Engine, executor: Executor | None, tick: Tick) -> Found:
    """The k nearest neighbours of all points, which are distinct and more than k."""
    if executor is not None:
        return _on_executor(points, frame, k, executor, tick)
    if engine == "approximate":
        return approximate_neighbours(points, frame, k)
    few_dimensional = engine == "auto" and points.n_dimensions <= TREE_NEVER_ABOVE
    tree, limit = None, np.inf
    if engine == "tree" or (few_dimensional and _tree_may_win(points)):
        tree = plant(points, frame)
    if tree is not None:
        every = _product_seconds(points.n_points, points.n_dimensions)
        always = engine == "tree" or points.n_dimensions <= TREE_ALWAYS_BELOW
        seconds = 0.0 if always else tree.seconds(k)
        if seconds < AT_ONCE * every:
            return search_tree(tree, points, frame, k, tick)
        limit = seconds if seconds < every else np.inf
    candidates = collect_candidates(points, frame, min(k + SPARE, points.n_points - 1), k, tick, limit)
    if candidates is None and few_dimensional:  # the tree is faster, or float64 is needed for nearly all: it has it
        tree = tree or plant(points, frame)
        if tree is not None:
            return search_tree(tree, points, frame, k, tick)
    return _by_products(points, frame, k, candidates, tick)


def _tree_may_win(points: Points) -> bool:
    n, d = points.n_points, points.n_dimensions
    return d <= TREE_ALWAYS_BELOW or (n >= TREE_FROM_POINTS and 8 * n * d <= TREE_BYTES)


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
