"""From float32 candidates to exact neighbours: float64 differences, a certificate per row, float64 where it fails.

A row is certified when every point that was not kept as a candidate is proved to be farther than the k-th neighbour:
its computed squared distance, less the largest error that rounding can have made, exceeds the exact r_k². Points with
a norm above |x| + r_k are farther by the triangle inequality, so that the error of the others is at most
e (2 |x| + r_k)²: one huge row does not spoil the certificates of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Bool, Float, Int

from antidrome.dimension.points import Points
from antidrome.dimension.preparation import Frame, relative_error
from antidrome.dimension.selection import GROUP, Candidates
from antidrome.dimension.squares import chunk_columns, one_thread_each

SCAN_BYTES = 64 * 2**20
CACHED_NUMBERS, CACHED_COLUMNS = 2**16, 2048
"""Numbers that are subtracted at a time: what stays in a core's cache takes a third of the time."""
READ_NUMBERS = 2**24
"""Numbers that are read at a time from points on disk."""
THREADED_NUMBERS = 2**20
SHARED_COLUMNS = 64
"""From so many columns on, a pair that is wanted from both its points is measured once."""
TINY = 2.0**-120
"""More than underflow can take from a float32 sum of the scaled coordinates."""


def pair_distances(
    points: Points, one: Int[np.ndarray, " m"], other: Int[np.ndarray, " m"], pool: ThreadPoolExecutor | None = None
) -> Float[np.ndarray, " m"]:
    """Euclidean distances of pairs of points from their float64 differences; no overflow, no underflow to zero.

    Points on disk are read once, some columns of all rows that are needed at a time.
    """
    squares = np.zeros(one.size)
    for held, left, right in _held(points, one, other):

        def add(part: slice, held: Points = held, left: np.ndarray = left, right: np.ndarray = right) -> None:
            squares[part] += _squared_differences(held, left[part], right[part])

        if pool is None:
            add(slice(0, one.size))
        else:
            step = max(1, min(one.size // 8, 2**18))
            list(pool.map(add, [slice(start, start + step) for start in range(0, one.size, step)]))
    out = np.sqrt(squares)
    for i in np.flatnonzero(~((squares > 1e-280) & (squares < 1e300))):
        difference = _differences(points, one[[i]], other[[i]], slice(0, points.n_dimensions))
        factor = np.abs(difference).max()
        out[i] = factor * np.sqrt(np.sum((difference / factor) ** 2)) if factor > 0 else 0.0
    return out


def _held(points: Points, one: np.ndarray, other: np.ndarray) -> Iterator[tuple[Points, np.ndarray, np.ndarray]]:
    """The points in memory, in parts of some columns if they are not, and the pairs as rows of them."""
    if points.in_memory or not one.size:
        yield points, one, other
        return
    rows, where = np.unique(np.concatenate([one, other]), return_inverse=True)
    width = max(1, READ_NUMBERS // rows.size)
    for low in range(0, points.n_dimensions, width):
        yield Points(points.take(rows, slice(low, low + width))), where[: one.size], where[one.size :]


def _squared_differences(points: Points, one: np.ndarray, other: np.ndarray) -> Float[np.ndarray, " m"]:
    squares, d = np.zeros(one.size), points.n_dimensions
    width = min(d, CACHED_COLUMNS)
    step = max(1, CACHED_NUMBERS // width)
    for start in range(0, one.size, step):
        pair = slice(start, start + step)
        for low in range(0, d, width):
            difference = _differences(points, one[pair], other[pair], slice(low, low + width))
            with np.errstate(over="ignore", under="ignore"):
                squares[pair] += np.einsum("ij,ij->i", difference, difference)
    return squares


def _differences(points: Points, one: np.ndarray, other: np.ndarray, columns: slice) -> np.ndarray:
    difference = points.take(one, columns).astype(np.float64, copy=False)
    with np.errstate(over="ignore"):
        difference -= points.take(other, columns)
    return difference


def refine(
    points: Points, frame: Frame, candidates: Candidates, k: int
) -> tuple[Float[np.ndarray, "n k"], Int[np.ndarray, "n k"], Bool[np.ndarray, " n"]]:
    """Exact distances of the k nearest candidates, in order, and for each row whether they are certified."""
    n, kept = candidates.value.shape
    order = np.argsort(candidates.value, axis=1)
    value = np.take_along_axis(candidates.value, order, 1).astype(np.float64)
    neighbour = np.take_along_axis(candidates.neighbour, order, 1)
    exact = np.full((n, kept), np.inf)
    everything = kept >= n - 1
    needed = np.zeros((n, kept), bool)
    needed[:, : kept if everything else k] = True
    _measure(points, exact, neighbour, needed)
    reach = np.max(exact[:, :k], axis=1) * frame.scale
    error = relative_error(frame, points.n_dimensions, chunk_columns(points.n_dimensions), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        slack = error * (2 * np.sqrt(frame.squared_norm) + reach) ** 2 + (TINY if error else 0.0)
        if not everything:
            needed = (value - slack[:, None] <= (reach**2)[:, None]) & np.isinf(exact)
            _measure(points, exact, neighbour, needed)
        rank = np.lexsort((neighbour, exact), axis=1)[:, :k]
        distance = np.take_along_axis(exact, rank, 1)
        square = (distance[:, -1] * frame.scale) ** 2
        bound = value[:, -1] - slack
        certified = np.full(n, everything) | (bound > square) | ((error == 0) & (bound >= np.rint(square)))
    return distance, np.take_along_axis(neighbour, rank, 1), certified


def _measure(points: Points, exact: np.ndarray, neighbour: np.ndarray, needed: np.ndarray) -> None:
    """Fill in the exact distances of the marked candidates, on all cores."""
    rows, slots = np.nonzero(needed)
    one, other, back = rows, neighbour[rows, slots], slice(None)
    if points.n_dimensions >= SHARED_COLUMNS:
        pairs = np.minimum(one, other) * points.n_points + np.maximum(one, other)
        pairs, back = np.unique(pairs, return_inverse=True)
        one, other = np.divmod(pairs, points.n_points)
    if one.size * points.n_dimensions < THREADED_NUMBERS:
        exact[rows, slots] = pair_distances(points, one, other)[back]
        return
    with one_thread_each() as pool:
        exact[rows, slots] = pair_distances(points, one, other, pool)[back]


def scan_rows(
    points: Points, frame: Frame, rows: Int[np.ndarray, " m"], k: int
) -> tuple[Float[np.ndarray, "m k"], Int[np.ndarray, "m k"]]:
    """The exact k nearest neighbours of some rows by float64 products over all points; certified by construction.

    The k best by the product give a first r_k from differences; every point whose computed squared distance is within
    rounding of it or below is then measured from differences too.
    """
    n, d = points.n_points, points.n_dimensions
    distance, neighbour = np.empty((rows.size, k)), np.empty((rows.size, k), np.int64)
    error = relative_error(frame, d, chunk_columns(d), np.float64)
    step = max(1, SCAN_BYTES // (8 * (n + GROUP)))
    for start in range(0, rows.size, step):
        some = rows[start : start + step]
        squares = _float64_squares(points, frame, some)
        best = Candidates(some.size, k, np.float64)
        best.offer(squares, np.arange(some.size), np.arange(n))
        pairs = np.repeat(some, k), np.maximum(best.neighbour.ravel(), 0)
        found = np.where(best.neighbour.ravel() < 0, np.inf, pair_distances(points, *pairs))
        with np.errstate(over="ignore", invalid="ignore"):
            reach = found.reshape(-1, k).max(axis=1) * frame.scale
            bar = reach**2 + error * (2 * np.sqrt(frame.squared_norm[some]) + reach) ** 2
            near = ~(squares[:, :n] > bar[:, None])
        near[np.arange(some.size), some] = False
        local, others = np.nonzero(near)
        exact = pair_distances(points, some[local], others)
        order = np.lexsort((others, exact, local))
        first = np.searchsorted(local[order], np.arange(some.size))[:, None] + np.arange(k)
        distance[start : start + step] = exact[order][first]
        neighbour[start : start + step] = others[order][first]
    return distance, neighbour


def _float64_squares(points: Points, frame: Frame, some: np.ndarray) -> Float[np.ndarray, "rows points"]:
    """Squared distances from some rows to all points, float64, padded with inf; inf to themselves."""
    n, d = points.n_points, points.n_dimensions
    chunk = chunk_columns(d)
    squares = np.full((some.size, -(-n // GROUP) * GROUP), np.inf)
    squares[:, :n] = frame.squared_norm + frame.squared_norm[some][:, None]
    segment = max(GROUP, SCAN_BYTES // (16 * chunk))
    for low in range(0, d, chunk):
        columns = slice(low, min(low + chunk, d))
        left = -2 * frame.transform(points.take(some, columns), columns, np.float64)
        for a in range(0, n, segment):
            b = min(a + segment, n)
            right = frame.transform(points.rows(a, b, columns), columns, np.float64)
            with np.errstate(over="ignore", invalid="ignore"):
                squares[:, a:b] += left @ right.T
    squares[np.arange(some.size), some] = np.inf
    return squares
