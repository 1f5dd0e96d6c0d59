"""The dimension of disjoint blocks of the points, each searched for itself: one look at the points serves all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from antidrome.core.seeds import generator
from antidrome.dimension.certificate import scan_rows
from antidrome.dimension.copies import copies
from antidrome.dimension.engines import search
from antidrome.dimension.graph import Duplicates, nearest_neighbours
from antidrome.dimension.metrics import Metric, distance_from_euclidean, embed
from antidrome.dimension.points import Points
from antidrome.dimension.preparation import Frame, in_float64, survey
from antidrome.dimension.ratios import usable_ratios
from antidrome.dimension.splits import BlockNeighbours, nearest_in_blocks
from antidrome.dimension.squares import one_thread_each
from antidrome.dimension.two_nn import Method, estimate_from
from antidrome.dimension.uncertainty import independent_error, influence, neighbours_of, shared_inflation
from antidrome.errors import InputError

FEW_ROWS = 0.25
"""Up to such a share of a block's rows is searched again one by one where certificates fail; else all of it."""


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


class _Whole(NamedTuple):
    """All points, what one look at them told, and of which row each is the first copy (None: none has any)."""

    points: Points
    frame: Frame
    first: Int[np.ndarray, " points"] | None

    def distinct(self, members: Int[np.ndarray, " rows"]) -> bool:
        """Whether no two of these rows are equal."""
        return self.first is None or np.unique(self.first[members]).size == members.size

    def part(self, members: Int[np.ndarray, " rows"]) -> tuple[Points, Frame]:
        """Some rows, and the frame with their norms."""
        return self.points.select(members), replace(self.frame, squared_norm=self.frame.squared_norm[members])


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
    every = _Whole(embedded, frame, None if (first == np.arange(n)).all() else first)
    with one_thread_each():
        wanted = [b for b in counts if not (b == 1 and whole is not None)]
        together = nearest_in_blocks(embedded, frame, order, wanted, 2)
        for b in counts:
            found = []
            try:
                for number, members in enumerate(np.array_split(order[: n // b * b], b)):
                    if b == 1 and whole is not None:
                        near = Neighbours(whole["distance"].values[:, :2], neighbours_of(whole))
                    else:
                        near = _in_block(every, members, how, together.get(b), number)
                    found.append(measured(near, how.method, how.discard_fraction))
                    on_block()
            except InputError:
                if b == 1:
                    raise
                yield b, None
                continue
            yield b, np.array(found)


def _in_block(
    every: _Whole, members: np.ndarray, how: Blocks, together: BlockNeighbours | None, number: int
) -> Neighbours:
    """The neighbours within one block: found together with those of others, or searched."""
    if together is None or not every.distinct(members):
        return _searched(every, np.sort(members), how)
    distance, neighbour, certified = (part[number] for part in together)
    rows = np.flatnonzero(~certified)
    if rows.size > FEW_ROWS * members.size:
        return _searched(every, np.sort(members), how)
    if rows.size:
        block, frame = every.part(members)
        distance[rows], neighbour[rows] = scan_rows(block, in_float64(block, frame), rows, 2)
    return Neighbours(distance_from_euclidean(distance, how.metric), neighbour)


def measured(near: Neighbours, method: Method, discard_fraction: float) -> tuple[float, float]:
    """Estimate and standard error from two neighbours."""
    mu, used = usable_ratios(near.distance[:, 0], near.distance[:, 1])
    log_mu = np.log(mu)
    order = np.argsort(log_mu)
    value = estimate_from(log_mu[order], method, discard_fraction)
    effect = influence(log_mu, method, discard_fraction, order)
    inflation = shared_inflation(effect, used, near.neighbour, value)
    return value, value * independent_error(effect) * float(np.sqrt(inflation))


def _searched(every: _Whole, members: np.ndarray, how: Blocks) -> Neighbours:
    block, frame = every.part(members)
    if every.distinct(members):
        found = search(block, frame, 2, "auto", None, _no_tick)
        return Neighbours(distance_from_euclidean(found.distance, how.metric), found.neighbour)
    graph = nearest_neighbours(block, 2, duplicates=how.duplicates, progress=False)
    return Neighbours(distance_from_euclidean(graph["distance"].values, how.metric), neighbours_of(graph))


def _no_tick(_share: float) -> None:
    return
