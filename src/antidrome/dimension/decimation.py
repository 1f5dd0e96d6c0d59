"""The dimension of disjoint blocks of the points, each searched for itself: one look at the points serves all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from antidrome.core.seeds import generator
from antidrome.dimension.engines import search
from antidrome.dimension.graph import Duplicates, nearest_neighbours
from antidrome.dimension.metrics import Metric, distance_from_euclidean, embed
from antidrome.dimension.points import Points
from antidrome.dimension.preparation import Frame, copies, survey
from antidrome.dimension.ratios import usable_ratios
from antidrome.dimension.squares import one_thread_each
from antidrome.dimension.table import from_table, square_table
from antidrome.dimension.two_nn import Method, estimate_from
from antidrome.dimension.uncertainty import independent_error, influence, neighbours_of, shared_inflation
from antidrome.errors import InputError

TABLE_POINTS = 8192
"""Up to so many points the squared distances of all pairs are kept (256 MiB), and serve every number of blocks."""


class Neighbours(NamedTuple):
    """Distances to the two nearest and, where it is known, whose they are."""

    distance: Float[np.ndarray, "points 2"]
    neighbour: Int[np.ndarray, "points k"] | None


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """How points are split, searched and measured."""

    metric: Metric
    method: Method
    discard_fraction: float
    duplicates: Duplicates
    seed: int


def over_blocks(
    points: Points, counts: list[int], how: Blocks, whole: xr.Dataset | None, on_block: Callable[[], object]
) -> Iterator[tuple[int, Float[np.ndarray, "blocks 2"] | None]]:
    """For each number of blocks the estimate and standard error of every block; None where one cannot be measured.

    The points as one block must be measurable: InputError otherwise.
    """
    n = points.n_points
    order = generator(how.seed, "dimension/blocks").permutation(n)
    embedded = embed(points, how.metric)
    frame = survey(embedded)
    first = copies(embedded, frame.squared_norm)
    with one_thread_each():
        table = square_table(embedded, frame, order) if n <= TABLE_POINTS and embedded.in_memory else None
        for b in counts:
            found, together = [], None
            try:
                if table is not None and not (b == 1 and whole is not None):
                    together = from_table(table, b, 2)
                for number, members in enumerate(np.array_split(order[: n // b * b], b)):
                    if b == 1 and whole is not None:
                        near = Neighbours(whole["distance"].values[:, :2], neighbours_of(whole))
                    elif together is not None and (ready := together[number]) and _distinct(first[members]):
                        near = Neighbours(distance_from_euclidean(ready[0], how.metric), ready[1])
                    else:
                        near = _searched(embedded, frame, first, np.sort(members), how)
                    found.append(measured(near, how.method, how.discard_fraction))
                    on_block()
            except InputError:
                if b == 1:
                    raise
                yield b, None
                continue
            yield b, np.array(found)


def _distinct(first: np.ndarray) -> bool:
    return np.unique(first).size == first.size


def measured(near: Neighbours, method: Method, discard_fraction: float) -> tuple[float, float]:
    """Estimate and standard error from two neighbours."""
    mu, used = usable_ratios(near.distance[:, 0], near.distance[:, 1])
    log_mu = np.log(mu)
    order = np.argsort(log_mu)
    value = estimate_from(log_mu[order], method, discard_fraction)
    effect = influence(log_mu, method, discard_fraction, order)
    inflation = shared_inflation(effect, used, near.neighbour, value)
    return value, value * independent_error(effect) * float(np.sqrt(inflation))


def _searched(points: Points, frame: Frame, first: np.ndarray, members: np.ndarray, how: Blocks) -> Neighbours:
    block = points.select(members)
    if _distinct(first[members]):
        part = replace(frame, squared_norm=frame.squared_norm[members])
        found = search(block, part, 2, "auto", None, _no_tick)
        return Neighbours(distance_from_euclidean(found.distance, how.metric), found.neighbour)
    graph = nearest_neighbours(block, 2, duplicates=how.duplicates, progress=False)
    return Neighbours(distance_from_euclidean(graph["distance"].values, how.metric), neighbours_of(graph))


def _no_tick(_share: float) -> None:
    return
