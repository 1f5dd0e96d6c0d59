"""Exact copies among points: which rows are equal, and the neighbours of all points from those of the distinct ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from antidrome.core.seeds import generator
from antidrome.dimension.found import Found
from antidrome.dimension.points import Points
from antidrome.errors import InputError
from antidrome.recordings.arguments import counted

NUMBERS_AT_A_TIME = 2**22


def copies(points: Points, squared_norm: Float[np.ndarray, " points"]) -> Int[np.ndarray, " points"]:
    """For each row the number of the first row that is equal to it (itself, if there is none before).

    Only rows whose norms agree within rounding, and whose bits give the same sum, are compared, number by number.
    """
    n = squared_norm.size
    first = np.arange(n)
    order = np.argsort(squared_norm, kind="stable")
    ordered = squared_norm[order]
    with np.errstate(invalid="ignore"):
        close = np.diff(ordered) <= (1e-6 if points.dtype.itemsize <= 4 else 1e-12) * ordered[1:]
    close |= ordered[1:] == ordered[:-1]
    suspects = np.zeros(n, bool)
    suspects[order[1:][close]] = suspects[order[:-1][close]] = True
    rows, leader = _with_equal_sums(points, np.flatnonzero(suspects))
    equal = np.empty(rows.size, bool)
    for start, stop in _steps(rows.size, points.n_dimensions):
        equal[start:stop] = (points.take(rows[start:stop]) == points.take(leader[start:stop])).all(axis=1)
    first[rows[equal]] = leader[equal]
    seen: dict[bytes, int] = {}
    for some, block in _canonical(points, rows[~equal]):  # different rows with the same sum: none, but by accident
        for row, values in zip(some, block, strict=True):
            first[row] = seen.setdefault(hashlib.blake2b(values.tobytes(), digest_size=16).digest(), int(row))
    return first


def with_copies(found: Found, first: Int[np.ndarray, " points"], k: int) -> Found:
    """The graph of all points from that of the distinct ones: each point and neighbour as often as it occurs.

    Parameters
    ----------
    found
        Neighbours of the distinct points, in the order of their first rows.
    first
        As `copies` gives it.
    k
        Neighbours wanted.

    Raises
    ------
    InputError
        If copies and neighbours together are fewer than k.
    """
    _, back, count = np.unique(first, return_inverse=True, return_counts=True)
    order = np.argsort(first, kind="stable")
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    place = np.empty(first.size, np.int64)
    place[order] = np.arange(first.size) - np.repeat(start, count)  # among the copies of the same point
    distance, neighbour = np.empty((first.size, k)), np.empty((first.size, k), np.int64)
    for a, b in _steps(first.size, k * found.distance.shape[1]):
        own, others = back[a:b], found.neighbour[back[a:b]]
        rank, n_own = np.arange(k), count[own][:, None] - 1
        upto = np.cumsum(count[others], axis=1)
        if (n_own[:, 0] + upto[:, -1] < k).any():
            raise InputError(
                f"Only {counted(count.size, 'point', 'is', of=first.size)} distinct: too few for {k} neighbours."
            )
        beyond = np.maximum(rank - n_own, 0)
        which = np.minimum((upto[:, None, :] <= beyond[:, :, None]).sum(axis=2), others.shape[1] - 1)
        before = np.take_along_axis(upto - count[others], which, 1)
        among_own = start[own][:, None] + rank + (rank >= place[a:b, None])
        among_others = start[np.take_along_axis(others, which, 1)] + beyond - before
        copy = rank < n_own
        distance[a:b] = np.where(copy, 0.0, np.take_along_axis(found.distance[own], which, 1))
        neighbour[a:b] = order[np.where(copy, among_own, among_others)]
    return found._replace(distance=distance, neighbour=neighbour)


def _steps(n: int, numbers_each: int) -> list[tuple[int, int]]:
    step = max(1, NUMBERS_AT_A_TIME // numbers_each)
    return [(start, min(start + step, n)) for start in range(0, n, step)]


def _canonical(points: Points, rows: Int[np.ndarray, " m"]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Numbers of rows, and the rows, in blocks, such that equal ones have equal bytes."""
    for start, stop in _steps(rows.size, points.n_dimensions):
        block = points.take(rows[start:stop])
        yield rows[start:stop], np.ascontiguousarray(block + 0.0 if block.dtype.kind == "f" else block)  # -0.0 is 0.0


def _with_equal_sums(
    points: Points, rows: Int[np.ndarray, " m"]
) -> tuple[Int[np.ndarray, " few"], Int[np.ndarray, " few"]]:
    """Rows of which another has the same sum of bits times random weights, modulo 2⁶⁴, and the first such row."""
    weights = generator(0, "dimension/copies").integers(0, 2**64, points.n_dimensions, np.uint64) | np.uint64(1)
    sums = np.empty(rows.size, np.uint64)
    done = 0
    for some, block in _canonical(points, rows):
        bits = block.view(f"u{block.dtype.itemsize}").astype(np.uint64)
        bits ^= bits >> np.uint64(29)  # the low bits of round numbers are all zero
        sums[done : done + some.size] = np.einsum("ij,j->i", bits, weights)
        done += some.size
    _, leader, which, count = np.unique(sums, return_index=True, return_inverse=True, return_counts=True)
    several = count[which] > 1
    return rows[several], rows[leader[which]][several]
