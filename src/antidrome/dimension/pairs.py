"""Exact distances of pairs of points, from float64 differences of the points as given."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float, Int

from antidrome.dimension.points import Points
from antidrome.dimension.scratch import scratch

CACHED_NUMBERS, CACHED_COLUMNS = 2**16, 2048
"""Numbers that are subtracted at a time: what stays in a core's cache takes a third of the time."""
CONVERTED_NUMBERS = 2**21
"""Numbers of some columns that are held in float64, for pairs of wide points."""
PAIRS_AT_A_TIME = 2**14
READ_NUMBERS = 2**24
"""Numbers that are read at a time from points on disk."""


def pair_distances(
    points: Points, one: Int[np.ndarray, " m"], other: Int[np.ndarray, " m"], pool: ThreadPoolExecutor | None = None
) -> Float[np.ndarray, " m"]:
    """Euclidean distances of pairs of points from their float64 differences; no overflow, no underflow to zero.

    Points on disk are read once, some columns of all rows that are needed at a time. The sums are taken in the same
    order whatever the number of threads.
    """
    squares = np.zeros(one.size)
    for held, left, right in _held(points, one, other):
        with np.errstate(over="ignore", under="ignore"):
            for start in range(0, one.size, PAIRS_AT_A_TIME):
                some = slice(start, start + PAIRS_AT_A_TIME)
                squares[some] += _squared_differences(held, left[some], right[some], pool)
    out = np.sqrt(squares)
    for i in np.flatnonzero(~((squares > 1e-280) & (squares < 1e300))):
        difference = points.take(one[[i]]).astype(np.float64) - points.take(other[[i]])
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


def _squared_differences(
    points: Points, one: np.ndarray, other: np.ndarray, pool: ThreadPoolExecutor | None
) -> Float[np.ndarray, " m"]:
    """Of narrow points part of the pairs after part; of wide points some columns of all pairs after others."""
    each = map if pool is None else pool.map
    if points.n_dimensions <= CACHED_COLUMNS:
        step = max(1, one.size // 8)
        parts = [slice(start, start + step) for start in range(0, one.size, step)]
        return np.concatenate(list(each(lambda part: _narrow(points, one[part], other[part]), parts)))
    rows, where = np.unique(np.concatenate([one, other]), return_inverse=True)
    one, other = where[: one.size], where[one.size :]
    width = int(np.clip(CONVERTED_NUMBERS // rows.size, 128, CACHED_COLUMNS))
    columns = [slice(low, min(low + width, points.n_dimensions)) for low in range(0, points.n_dimensions, width)]
    squares = np.zeros(one.size)
    for part in each(lambda some: _wide(points, rows, some, one, other), columns):
        squares += part
    return squares


def _narrow(points: Points, one: np.ndarray, other: np.ndarray) -> Float[np.ndarray, " m"]:
    """Squared distances, whole rows at a time."""
    squares, d = np.empty(one.size), points.n_dimensions
    step = max(1, CACHED_NUMBERS // d)
    for start in range(0, one.size, step):
        pair = slice(start, start + step)
        left, right = points.take(one[pair]), points.take(other[pair])
        difference = scratch("difference", left.shape, np.float64)
        np.copyto(difference, left)
        difference -= _as_float64(right)
        np.vecdot(difference, difference, out=squares[pair])
    return squares


def _as_float64(block: np.ndarray) -> np.ndarray:
    """A block that numpy need not convert piece by piece while it subtracts."""
    if block.dtype == np.float64:
        return block
    out = scratch("converted", block.shape, np.float64)
    np.copyto(out, block)
    return out


def _wide(
    points: Points, rows: np.ndarray, columns: slice, one: np.ndarray, other: np.ndarray
) -> Float[np.ndarray, " m"]:
    """What some columns contribute to the squared distances of pairs of rows."""
    width = columns.stop - columns.start
    block = scratch("columns", (rows.size, width), np.float64)
    step = max(1, CACHED_NUMBERS // width)
    for start in range(0, rows.size, step):
        block[start : start + step] = points.take(rows[start : start + step], columns)
    squares = np.empty(one.size)
    left, right = scratch("left", (step, width), np.float64), scratch("right", (step, width), np.float64)
    for start in range(0, one.size, step):
        pair = slice(start, start + step)
        n = one[pair].size
        np.take(block, one[pair], axis=0, out=left[:n], mode="clip")
        np.take(block, other[pair], axis=0, out=right[:n], mode="clip")
        np.subtract(left[:n], right[:n], out=left[:n])
        np.vecdot(left[:n], left[:n], out=squares[pair])
    return squares
