"""Products of near rows alone: of very many points in few dimensions, most pairs need not be looked at.

Median splits along the widest coordinate put the points into small boxes. Each box first meets those nearest to it.
Then, box by box, come all points elsewhere that are nearer to the box than to the last of their candidates: no other
can have a neighbour in it. The distance to a box is computed with less error than the products have, so that the
certificates hold.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from antidrome.dimension.preparation import FAR
from antidrome.dimension.selection import Candidates
from antidrome.dimension.squares import Tick, left_rows, one_thread_each, padded

FROM_POINTS = 2**16
UP_TO_COLUMNS = 64
BOX_POINTS = 256
FIRST_BOXES, BOXES_AT_A_TIME = 48, 16
ROWS_AT_A_TIME = 2048
COLUMNS_AT_A_TIME = 5
SPLIT_ROWS = 2048
PROBED_BOXES = 8
BEGINNING = 0.15
"""Share of the work before the second round, for the progress bar."""
WORTH = 0.45
"""Largest share of boxes that a point has to meet at which this is faster than products of all pairs."""


class Boxes(NamedTuple):
    """Points in the order of their boxes, where each box begins, and its lower and upper corners."""

    order: Int[np.ndarray, " points"]
    edges: Int[np.ndarray, " boxes_and_end"]
    low: Float[np.ndarray, "boxes columns"]
    high: Float[np.ndarray, "boxes columns"]

    def rows(self, box: int) -> Int[np.ndarray, " rows"]:
        """Places of its points in the order."""
        return np.arange(self.edges[box], self.edges[box + 1])

    def distances(self, box: int) -> Float[np.ndarray, " boxes"]:
        """Squared distances from one box to all."""
        gap = np.maximum(np.maximum(self.low - self.high[box], self.low[box] - self.high), 0)
        return np.einsum("ij,ij->i", gap, gap)


def near_candidates(right: Float[np.ndarray, "points columns"], n_kept: int, tick: Tick) -> Candidates | None:
    """The `n_kept` nearest candidates of every point; None where it is not worth it.

    Parameters
    ----------
    right
        As `squares.augmented` gives it.
    n_kept
        Candidates for each point.
    tick
        Gets fractions done.
    """
    n, d = right.shape[0], right.shape[1] - 2
    if n < FROM_POINTS or d > UP_TO_COLUMNS or right[:, -1].max() >= np.float32(FAR) ** 2:
        return None
    boxes = split(right[:, :d])
    right, n_boxes = right[boxes.order], len(boxes.low)
    columns, candidates = np.ascontiguousarray(right[:, :d].T), Candidates(n, n_kept, np.float32)
    met = np.empty((n_boxes, min(FIRST_BOXES, n_boxes)), np.int64)

    def begin(box: int) -> None:
        met[box] = _meet_nearest(right, boxes, candidates, box)

    with one_thread_each() as pool:
        probed = range(0, n_boxes, -(-n_boxes // PROBED_BOXES))
        list(pool.map(begin, probed))
        if np.mean([_share_to_meet(right, boxes, candidates, box) for box in probed]) > WORTH:
            return None
        list(pool.map(begin, [box for box in range(n_boxes) if box not in probed]))
        tick(BEGINNING)
        reach = np.maximum.reduceat(candidates.worst, boxes.edges[:-1])
        order = np.argsort(met, axis=None)
        who, begins = order // met.shape[1], np.searchsorted(met.ravel()[order], np.arange(n_boxes + 1))

        def finish(box: int) -> None:
            asking = boxes.distances(box) <= reach
            asking[who[begins[box] : begins[box + 1]]] = False  # they have met it
            rows = np.flatnonzero(np.repeat(asking, np.diff(boxes.edges)))
            near = _rows_near(columns, boxes.low[box], boxes.high[box], rows, candidates.worst[rows])
            _meet_box(right, boxes.rows(box), candidates, near)
            tick((1 - BEGINNING) / n_boxes)

        list(pool.map(finish, range(n_boxes)))
    return candidates.renumbered(boxes.order)


def split(coordinates: Float[np.ndarray, "points columns"]) -> Boxes:
    """Halve the points along their widest coordinate until at most `BOX_POINTS` are together."""
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
    return Boxes(order, np.array(edges), low, high)


def _meet_nearest(right: np.ndarray, boxes: Boxes, candidates: Candidates, box: int) -> Int[np.ndarray, " few"]:
    """Candidates of the points of one box from the boxes nearest to it, itself first; which these are."""
    rows, far = boxes.rows(box), boxes.distances(box)
    far[box] = -1
    nearest = np.argsort(far)[:FIRST_BOXES]
    left = left_rows(right, rows)
    for start in range(0, nearest.size, BOXES_AT_A_TIME):
        several = nearest[start : start + BOXES_AT_A_TIME]
        offered = np.concatenate([boxes.rows(int(other)) for other in several])
        squares = padded((rows.size, offered.size))
        np.matmul(left, right[offered].T, out=squares[: rows.size, : offered.size])
        if start == 0:
            squares[np.arange(rows.size), np.arange(rows.size)] = np.inf
        candidates.offer(squares, rows, offered)
    return nearest


def _share_to_meet(right: np.ndarray, boxes: Boxes, candidates: Candidates, box: int) -> float:
    """Share of all boxes that may hold a neighbour of the points of one, as far as is known."""
    rows = boxes.rows(box)
    total = np.zeros((rows.size, len(boxes.low)), np.float32)
    for value, low, high in zip(right[rows, :-2].T, boxes.low.T, boxes.high.T, strict=True):
        total += (np.clip(value[:, None], low, high) - value[:, None]) ** 2
    return float(np.mean(total <= candidates.worst[rows, None]))


def _rows_near(
    columns: Float[np.ndarray, "columns points"],
    low: Float[np.ndarray, " columns"],
    high: Float[np.ndarray, " columns"],
    rows: Int[np.ndarray, " rows"],
    worst: Float[np.ndarray, " rows"],
) -> Int[np.ndarray, " few"]:
    """Those rows whose squared distance to a box is not above a bound of their own; most are out after few columns."""
    total = np.zeros(rows.size, np.float32)
    for start in range(0, len(columns), COLUMNS_AT_A_TIME):
        for j in range(start, min(start + COLUMNS_AT_A_TIME, len(columns))):
            value = columns[j].take(rows)
            gap = np.maximum(value, low[j])
            np.minimum(gap, high[j], out=gap)
            gap -= value
            gap *= gap
            total += gap
        inside = total <= worst
        rows, total, worst = rows[inside], total[inside], worst[inside]
    return rows


def _meet_box(right: np.ndarray, offered: np.ndarray, candidates: Candidates, rows: Int[np.ndarray, " rows"]) -> None:
    """Offer the points of one box to rows, which are the columns of the products here: minima go along them faster."""
    left = left_rows(right, offered)
    for start in range(0, rows.size, ROWS_AT_A_TIME):
        some = rows[start : start + ROWS_AT_A_TIME]
        squares = padded((offered.size, some.size))
        np.matmul(left, right[some].T, out=squares[: offered.size, : some.size])
        candidates.offer_transposed(squares, offered, some)
