"""Products of near rows alone: of very many points in few dimensions, most pairs need not be looked at.

Median splits along the widest coordinate, after a rotation to the principal axes, put the points into small boxes. The
boxes nearest to each other give every point a bound on the distance to its last neighbour. Then, from groups of boxes
down to single ones, a box meets the points that are nearer to it than their bound: no other can have a neighbour in it.
The distance to a box is computed with less error than the products have, so that the certificates hold.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from antidrome.dimension.preparation import FAR
from antidrome.dimension.scratch import scratch
from antidrome.dimension.selection import Candidates, Hits, group_minima
from antidrome.dimension.squares import Tick, left_rows, one_thread_each, padded

FROM_POINTS = 2**15
UP_TO_COLUMNS, SPLIT_COLUMNS = 512, 32
"""Boxes are boxes in the leading columns: the distance to them is at least that in these."""
BOX_POINTS = 128
FIRST_BOXES, BOXES_AT_A_TIME = (12, 24, 48, 96), 32
"""Boxes that may give the bounds: as many as make the least work."""
BOXES_OF_A_GROUP, MANY_BOXES = 8, 512
"""More boxes than that are looked at in groups."""
ROWS_AT_A_TIME = 2048
TESTED_ROWS = 2**13
TESTED_SPREAD = 0.9
"""The leading columns with such a share of the squared spread tell the distance to a box nearly as well as all."""
SPLIT_ROWS, SAMPLED_ROWS = 2048, 2**14
PROBED_BOXES, PROBED_ROWS = 8, 32
SECONDS_EACH, SECONDS_A_COLUMN = 2e-5, 1.5e-7
"""What all else takes for each point, and more for each of its columns; only a choice hangs on it."""
BEGINNING = 0.15
"""Share of the work before the second round, for the progress bar."""
WORTH = 0.6
"""Largest share of boxes that a point has to meet at which this is faster than products of all pairs."""


class Boxes(NamedTuple):
    """Where each box, or group of boxes, begins in the order of the points, and its lower and upper corners."""

    edges: Int[np.ndarray, " boxes_and_end"]
    low: Float[np.ndarray, "boxes columns"]
    high: Float[np.ndarray, "boxes columns"]

    def rows(self, box: int) -> Int[np.ndarray, " rows"]:
        """Places of its points in the order."""
        return np.arange(self.edges[box], self.edges[box + 1])

    def groups(self) -> Boxes:
        """Several consecutive boxes as one."""
        first = np.arange(0, len(self.low), BOXES_OF_A_GROUP)
        low, high = np.minimum.reduceat(self.low, first, axis=0), np.maximum.reduceat(self.high, first, axis=0)
        return Boxes(np.append(self.edges[first], self.edges[-1]), low, high)


def near_candidates(
    right: Float[np.ndarray, "points columns"], n_kept: int, error: float, limit_s: float, tick: Tick
) -> Candidates | None:
    """The `n_kept` nearest candidates of every point; None where it is not worth it.

    Parameters
    ----------
    right
        As `squares.augmented` gives it; rotated in place.
    n_kept
        Candidates for each point.
    error
        As `relative_error` gives it.
    limit_s
        What another way would take, in seconds on one core.
    tick
        Gets fractions done.
    """
    n, d = right.shape[0], right.shape[1] - 2
    if n < FROM_POINTS or d > UP_TO_COLUMNS or 4 * n_kept > FIRST_BOXES[0] * BOX_POINTS:
        return None
    if right[:, -1].max() >= np.float32(FAR) ** 2:
        return None
    if error > 0:  # what is exact stays as it is
        rotate(right[:, :d])
    order, boxes = split(right[:, : min(d, SPLIT_COLUMNS)])
    right, n_boxes = right[order], len(boxes.low)
    candidates = Candidates(n, n_kept, np.float32)
    bounds = _Bounds(right, boxes, (boxes.low + boxes.high) / 2, candidates, error)
    with one_thread_each() as pool:
        share, n_first, seconds = bounds.probe()
        if share > WORTH or seconds > limit_s:
            return None
        list(pool.map(lambda box: bounds.begin(box, n_first), range(n_boxes)))
        tick(BEGINNING)
        levels = [boxes]
        while len(levels[0].low) > MANY_BOXES:
            levels.insert(0, levels[0].groups())
        tested = _leading(right[:, :d]) if error > 0 else SPLIT_COLUMNS
        tested = min(tested, boxes.low.shape[1])
        search = _Search(right, np.ascontiguousarray(right[:, :tested].T), levels, candidates)

        def finish(group: int) -> None:
            hits = Hits(candidates)
            search.descend(0, group, group + 1, None, hits)
            hits.merge()
            tick((1 - BEGINNING) / len(levels[0].low))

        list(pool.map(finish, range(len(levels[0].low))))
    return candidates.renumbered(order)


def split(coordinates: Float[np.ndarray, "points columns"]) -> tuple[Int[np.ndarray, " points"], Boxes]:
    """Halve the points along their widest coordinate until at most `BOX_POINTS` are together: their order, boxes."""
    order, edges = np.arange(len(coordinates)), [0]
    waiting = [(0, order.size)]
    while waiting:
        start, stop = waiting.pop()
        if stop - start <= BOX_POINTS:
            edges.append(stop)
            continue
        inside, middle = order[start:stop], (stop - start) // 2
        sample = coordinates[inside[:: max(1, inside.size // SPLIT_ROWS)]]
        column = int(np.argmax(sample.var(axis=0, dtype=np.float64)))
        order[start:stop] = inside[np.argpartition(coordinates[inside, column], middle)]
        waiting += [(start + middle, stop), (start, start + middle)]
    ordered = coordinates[order]
    low, high = (extreme.reduceat(ordered, edges[:-1], axis=0) for extreme in (np.minimum, np.maximum))
    return order, Boxes(np.array(edges), low, high)


def rotate(coordinates: Float[np.ndarray, "points columns"]) -> None:
    """Turn points to the principal axes, the widest first, in place; in float64, so that each number rounds once."""
    n = len(coordinates)
    sample = coordinates[:: max(1, n // SAMPLED_ROWS)].astype(np.float64)
    axes = np.linalg.eigh(np.atleast_2d(np.cov(sample.T)))[1][:, ::-1]
    for start in range(0, n, 2**15):
        some = slice(start, start + 2**15)
        coordinates[some] = coordinates[some].astype(np.float64) @ axes


def _leading(coordinates: Float[np.ndarray, "points columns"]) -> int:
    """How many of the columns, widest first, have nearly all of the spread; few huge values do not count."""
    sample = coordinates[:: max(1, len(coordinates) // SPLIT_ROWS)]
    spread = np.square(np.subtract(*np.percentile(sample, [75, 25], axis=0)))
    if not spread.any():
        return spread.size
    return int(np.searchsorted(np.cumsum(spread), TESTED_SPREAD * spread.sum())) + 1


class _Bounds(NamedTuple):
    """The first round: bounds that the last candidate of each point is surely below."""

    right: Float[np.ndarray, "points columns_and_two"]
    boxes: Boxes
    centre: Float[np.ndarray, "boxes columns"]
    candidates: Candidates
    error: float

    def begin(self, box: int, n_first: int) -> None:
        """Bounds for the points of a box from those of the boxes nearest to it.

        Minima of groups of squared distances are distances to different points.
        """
        far = np.einsum("ij,ij->i", self.centre - self.centre[box], self.centre - self.centre[box])
        far[box] = -1
        n_first = min(n_first, far.size)
        nearest = np.argpartition(far, n_first - 1)[:n_first]
        nearest = np.concatenate([[box], nearest[nearest != box]])
        rows = self.boxes.rows(box)
        left, minima, n_kept = left_rows(self.right, rows), [], self.candidates.n_kept
        for start in range(0, n_first, BOXES_AT_A_TIME):
            several = nearest[start : start + BOXES_AT_A_TIME]
            offered = np.concatenate([self.boxes.rows(int(other)) for other in several])
            others = scratch("others", (offered.size, left.shape[1]), np.float32)
            np.take(self.right, offered, axis=0, out=others, mode="clip")
            squares = padded((rows.size, offered.size))
            np.matmul(left, others.T, out=squares[: rows.size, : offered.size])
            if start == 0:
                squares[np.arange(rows.size), np.arange(rows.size)] = np.inf
            minima.append(group_minima(squares, rows.size, n_kept))
        self.candidates.bound(rows, np.concatenate(minima, axis=1), self.right[rows, -1], self.error)

    def probe(self) -> tuple[float, int, float]:
        """Share of all boxes that a point has to meet, boxes to begin with for the least work, seconds on one core."""
        n_boxes, n = len(self.boxes.low), len(self.right)
        probed = range(0, n_boxes, -(-n_boxes // PROBED_BOXES))
        best, rate = (np.inf, 0.0, 0), np.inf
        for n_first in FIRST_BOXES:
            for box in probed:
                started = time.perf_counter()
                self.begin(box, n_first)
                rate = min(
                    rate, (time.perf_counter() - started) / (n_first * BOX_POINTS * np.diff(self.boxes.edges)[box])
                )
            share = float(np.mean([self._share_to_meet(box) for box in probed]))
            best = min(best, (share + n_first / n_boxes, share, n_first))
        work, share, n_first = best
        each = SECONDS_EACH + SECONDS_A_COLUMN * (self.right.shape[1] - 2)
        return share, n_first, float(work * n**2 * rate) + each * n

    def _share_to_meet(self, box: int) -> float:
        """Share of all boxes that may hold a neighbour of points of one, as far as is known."""
        rows = self.boxes.rows(box)[:PROBED_ROWS]
        total = np.zeros((rows.size, len(self.boxes.low)), np.float32)
        for value, low, high in zip(self.right[rows].T, self.boxes.low.T, self.boxes.high.T, strict=False):
            total += (np.clip(value[:, None], low, high) - value[:, None]) ** 2
        return float(np.mean(total <= self.candidates.worst[rows, None]))


class _Search(NamedTuple):
    """From groups of boxes down to boxes: each looks only at the rows that are near what it is part of."""

    right: Float[np.ndarray, "points columns_and_two"]
    columns: Float[np.ndarray, "leading points"]
    levels: list[Boxes]
    candidates: Candidates

    def descend(self, level: int, first: int, last: int, rows: Int[np.ndarray, " rows"] | None, hits: Hits) -> None:
        """Let the boxes in some neighbouring groups meet those of some rows (all, if None) that are near."""
        for box, near in zip(range(first, last), self._near(level, first, last, rows), strict=True):
            if level == len(self.levels) - 1:
                self._meet(self.levels[level].rows(box), near, hits)
            elif near.size:
                inner = box * BOXES_OF_A_GROUP
                end = min(inner + BOXES_OF_A_GROUP, len(self.levels[level + 1].low))
                self.descend(level + 1, inner, end, near, hits)

    def _near(self, level: int, first: int, last: int, rows: np.ndarray | None) -> list[Int[np.ndarray, " few"]]:
        """For each box those rows whose squared distance to it, in the leading columns, is not above their bound."""
        n, leading = len(self.right) if rows is None else rows.size, len(self.columns)
        boxes, found = self.levels[level], [[] for _ in range(first, last)]
        for start in range(0, n, TESTED_ROWS):
            stop = min(start + TESTED_ROWS, n)
            if rows is None:
                some, points = np.arange(start, stop), self.columns[:, start:stop]
            else:
                some, points = rows[start:stop], scratch("tested", (leading, stop - start), np.float32)
                np.take(self.columns, some, axis=1, out=points, mode="clip")
            worst = self.candidates.worst.take(some)
            gap = scratch("gap", points.shape, np.float32)
            for box, near in zip(range(first, last), found, strict=True):
                np.clip(points, boxes.low[box, :leading, None], boxes.high[box, :leading, None], out=gap)
                gap -= points
                gap *= gap
                near.append(some[np.flatnonzero(np.add.reduce(gap, axis=0) <= worst)])
        return [np.concatenate(near) if near else np.empty(0, np.int64) for near in found]

    def _meet(self, offered: np.ndarray, rows: np.ndarray, hits: Hits) -> None:
        """Offer the points of one box to rows, which are the columns of the products: minima go along them faster."""
        left = left_rows(self.right, offered)
        own, end = np.searchsorted(rows, [offered[0], offered[-1] + 1])
        for start in range(0, rows.size, ROWS_AT_A_TIME):
            some = rows[start : start + ROWS_AT_A_TIME]
            others = scratch("others", (some.size, self.right.shape[1]), np.float32)
            np.take(self.right, some, axis=0, out=others, mode="clip")
            squares = padded((offered.size, some.size))
            np.matmul(left, others.T, out=squares[: offered.size, : some.size])
            mine = np.arange(max(own, start), min(end, start + some.size)) - start
            squares[some[mine] - offered[0], mine] = np.inf
            hits.offer_transposed(squares, offered, some)
