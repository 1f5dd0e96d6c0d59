"""The K best candidates of every point, kept while blocks of squared distances go by.

Looking at every number of a block with `argpartition` would cost more than the matrix product that made it. Instead a
block is reduced to minima over groups of a few numbers, in one vectorised pass in each direction; only groups whose
minimum beats the worst kept candidate of their point are opened, which soon are few.
"""

from __future__ import annotations

import threading

import numpy as np
from jaxtyping import Float, Int

GROUP = 16
HITS_AT_A_TIME = 2**17


class Candidates:
    """For each point the K smallest squared distances seen, with whose they are; everything unseen is not smaller."""

    def __init__(self, n_points: int, n_kept: int, dtype: type) -> None:
        self.value = np.full((n_points, n_kept), np.inf, dtype)
        self.neighbour = np.full((n_points, n_kept), -1, np.int64)
        self.worst = np.full(n_points, np.inf, dtype)
        self.n_kept = n_kept
        self._lock = threading.Lock()

    def offer(self, squares: np.ndarray, rows: Int[np.ndarray, " b"], columns: Int[np.ndarray, " c"]) -> None:
        """Offer a block to the points of its rows; `columns` are the points that are offered.

        The block, C order, may be larger than (b, c), with inf there, so that its sides are multiples of GROUP.
        Infinite numbers are never taken. No pair may be offered twice.
        """
        group = group_size(squares.shape[1], self.n_kept)
        minima = np.minimum.reduce(squares.reshape(squares.shape[0], group, -1), axis=1)[: rows.size]
        bar = self.worst[rows]
        fresh = np.isinf(bar)
        if fresh.any():
            self._fill(squares, minima, np.flatnonzero(fresh), group, rows, columns)
            bar[fresh] = -np.inf
        some, which = _where(minima < bar[:, None])
        if some.size:
            inside = which[:, None] + np.arange(group) * minima.shape[1]
            self._open(squares[some[:, None], inside], rows[some], _at(columns, inside))

    def offer_transposed(
        self, squares: np.ndarray, rows: Int[np.ndarray, " b"], columns: Int[np.ndarray, " c"]
    ) -> None:
        """Offer a block to the points of its columns; else as `offer`."""
        group = group_size(squares.shape[0], self.n_kept)
        minima = np.minimum.reduce(squares.reshape(-1, group, squares.shape[1]), axis=1)[:, : columns.size]
        bar = self.worst[columns]
        fresh = np.isinf(bar)
        if fresh.any():
            few = np.flatnonzero(fresh)
            self._fill_all(np.ascontiguousarray(squares[:, few].T), columns[few], rows)
            bar[fresh] = -np.inf
        which, some = _where(minima < bar)
        if some.size:
            inside = which[:, None] * group + np.arange(group)
            self._open(squares[inside, some[:, None]], columns[some], _at(rows, inside))

    def bound(self, rows: Int[np.ndarray, " b"], minima: np.ndarray, norms: np.ndarray, error: float) -> None:
        """Give points a bound that K of their squared distances are surely below, computed in whatever order.

        Parameters
        ----------
        rows
            The points.
        minima
            Squared distances of each to at least K different points.
        norms
            Their squared norms.
        error
            Relative error of squared distances.
        """
        worst = np.partition(minima, self.n_kept - 1, axis=1)[:, self.n_kept - 1]
        slack = 4 * error * (2 * np.sqrt(norms) + np.sqrt(np.maximum(worst, 0))) ** 2
        self.worst[rows] = np.nextafter(worst + slack, np.float32(np.inf), dtype=np.float32)

    def renumbered(self, number: Int[np.ndarray, " points"]) -> Candidates:
        """The same for points under other numbers: what is row i here is row `number[i]` there."""
        other = Candidates(len(self.value), self.n_kept, self.value.dtype.type)
        other.value[number], other.worst[number] = self.value, self.worst
        other.neighbour[number] = np.where(self.neighbour < 0, -1, number[self.neighbour])
        return other

    def _fill(
        self,
        squares: np.ndarray,
        minima: np.ndarray,
        few: np.ndarray,
        group: int,
        rows: np.ndarray,
        columns: np.ndarray,
    ) -> None:
        """Points without enough candidates yet: open the K best groups, which hold the K best numbers."""
        n_groups = minima.shape[1]
        if group == 1 or n_groups <= 2 * self.n_kept:
            self._fill_all(squares[few], rows[few], columns)
            return
        best = np.argpartition(minima[few], self.n_kept - 1, axis=1)[:, : self.n_kept]
        inside = (best[:, :, None] + np.arange(group) * n_groups).reshape(few.size, -1)
        self._merge(rows[few], squares[few[:, None], inside], _at(columns, inside))

    def _fill_all(self, opened: np.ndarray, points: np.ndarray, offered: np.ndarray) -> None:
        count = min(self.n_kept, opened.shape[1])
        best = np.argpartition(opened, count - 1, axis=1)[:, :count]
        self._merge(points, np.take_along_axis(opened, best, 1), _at(offered, best))

    def _open(self, values: Float[np.ndarray, "m g"], points: np.ndarray, offered: Int[np.ndarray, "m g"]) -> None:
        """Merge opened groups of single points."""
        some, where = _where(values < self.worst[points][:, None])
        self.take(values[some, where], points[some], offered[some, where])

    def take(self, values: Float[np.ndarray, " m"], points: np.ndarray, offered: Int[np.ndarray, " m"]) -> None:
        """Merge single numbers, as many as there are for a point."""
        better = values < self.worst[points]
        points, values, offered = points[better], values[better], offered[better]
        order = np.lexsort((values, points))
        points, values, offered = points[order], values[order], offered[order]
        distinct, start, count = np.unique(points, return_index=True, return_counts=True)
        rank = np.arange(points.size) - np.repeat(start, count)
        keep = rank < self.n_kept
        slot = np.repeat(np.arange(distinct.size), count)[keep], rank[keep]
        width = int(min(self.n_kept, count.max(initial=0)))
        dense = np.full((distinct.size, width), np.inf, values.dtype)
        whose = np.full((distinct.size, width), -1, np.int64)
        dense[slot], whose[slot] = values[keep], offered[keep]
        self._merge(distinct, dense, whose)

    def _merge(self, points: np.ndarray, values: np.ndarray, offered: np.ndarray) -> None:
        """Keep the K best of what is kept and what is offered; `points` are distinct."""
        offered = np.where(np.isinf(values), -1, offered)
        with self._lock:
            values = np.concatenate([self.value[points], values], axis=1)
            offered = np.concatenate([self.neighbour[points], offered], axis=1)
            best = np.argpartition(values, self.n_kept - 1, axis=1)[:, : self.n_kept]
            kept = np.take_along_axis(values, best, 1)
            self.value[points], self.neighbour[points] = kept, np.take_along_axis(offered, best, 1)
            self.worst[points] = np.minimum(self.worst[points], kept.max(axis=1))


class Hits:
    """Numbers below the bound of their points, gathered by one thread: merging many at a time costs less each.

    Every point needs a bound in `candidates.worst` that at least K numbers are below.
    """

    def __init__(self, candidates: Candidates) -> None:
        self.candidates = candidates
        self._found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._size = 0

    def offer(self, squares: np.ndarray, rows: Int[np.ndarray, " b"], columns: Int[np.ndarray, " c"]) -> None:
        """Offer a block to the points of its rows, as `Candidates.offer`."""
        minima = np.minimum.reduce(squares.reshape(squares.shape[0], GROUP, -1), axis=1)[: rows.size]
        some, which = _where(minima < self.candidates.worst[rows][:, None])
        if some.size:
            inside = which[:, None] + np.arange(GROUP) * minima.shape[1]
            self._gather(squares[some[:, None], inside], rows[some], columns, inside)

    def offer_transposed(
        self, squares: np.ndarray, rows: Int[np.ndarray, " b"], columns: Int[np.ndarray, " c"]
    ) -> None:
        """Offer a block to the points of its columns, as `Candidates.offer_transposed`."""
        minima = np.minimum.reduce(squares.reshape(-1, GROUP, squares.shape[1]), axis=1)[:, : columns.size]
        which, some = _where(minima < self.candidates.worst[columns])
        if some.size:
            inside = which[:, None] * GROUP + np.arange(GROUP)
            self._gather(squares[inside, some[:, None]], columns[some], rows, inside)

    def _gather(self, values: np.ndarray, points: np.ndarray, offered: np.ndarray, inside: np.ndarray) -> None:
        """What is below the bounds in opened groups."""
        opened, where = _where(values < self.candidates.worst[points][:, None])
        self._found.append((values[opened, where], points[opened], offered[inside[opened, where]]))
        self._size += opened.size
        if self._size > HITS_AT_A_TIME:
            self.merge()

    def merge(self) -> None:
        """Hand over what was gathered."""
        if self._found:
            self.candidates.take(*(np.concatenate(part) for part in zip(*self._found, strict=True)))
        self._found, self._size = [], 0


def _where(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`np.nonzero` of a matrix with few true values, faster."""
    places = np.flatnonzero(mask)
    rows = places // mask.shape[1]
    return rows, places - rows * mask.shape[1]


def _at(numbers: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Numbers of the points at places of a padded block; whatever for the padding, whose values are infinite."""
    return numbers[np.minimum(inside, numbers.size - 1)]


def group_minima(squares: np.ndarray, n_rows: int, n_kept: int) -> Float[np.ndarray, "rows groups"]:
    """For each row of a block minima over groups of columns, at least 2 K where there are so many columns."""
    group = group_size(squares.shape[1], n_kept)
    return np.minimum.reduce(squares.reshape(len(squares), group, -1), axis=1)[:n_rows]


def group_size(length: int, n_kept: int) -> int:
    """Largest power of two up to GROUP that divides `length` and leaves at least 2 K groups."""
    group = GROUP
    while group > 1 and (length % group or length // group < 2 * n_kept):
        group //= 2
    return group
