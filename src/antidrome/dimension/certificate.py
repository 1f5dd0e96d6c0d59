"""From float32 candidates to exact neighbours: float64 differences, a certificate per row, float64 where it fails.

A row is certified when every point that was not kept as a candidate is proved to be farther than the k-th neighbour:
its computed squared distance, less the largest error that rounding can have made, exceeds the exact r_k². Points with
a norm above |x| + r_k are farther by the triangle inequality, so that the error of the others is at most
e (2 |x| + r_k)²: one huge row does not spoil the certificates of all.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from antidrome.dimension.pairs import pair_distances
from antidrome.dimension.points import Points
from antidrome.dimension.preparation import Frame, relative_error
from antidrome.dimension.scratch import scratch
from antidrome.dimension.selection import GROUP, Candidates
from antidrome.dimension.squares import chunk_columns, one_thread_each

SCAN_BYTES, SEGMENT_NUMBERS = 32 * 2**20, 2**18
REFINED_ROWS = 2**17
THREADED_NUMBERS = 2**20
SHARED_COLUMNS = 64
"""From so many columns on, a pair that is wanted from both its points is measured once."""
TINY = 2.0**-120
"""More than underflow can take from a float32 sum of the scaled coordinates."""


def refine(
    points: Points, frame: Frame, candidates: Candidates, k: int, own: Int[np.ndarray, " n"] | None = None
) -> tuple[Float[np.ndarray, "n k"], Int[np.ndarray, "n k"], Bool[np.ndarray, " n"]]:
    """Exact distances of the k nearest candidates, in order, and for each row whether they are certified.

    `own` says which point each row of the candidates belongs to, if not row i to point i.
    """
    n = len(candidates.value)
    own = np.arange(n) if own is None else own
    parts = [
        _refine(points, frame, candidates.value[some], candidates.neighbour[some], k, own[some])
        for some in (slice(start, start + REFINED_ROWS) for start in range(0, n, REFINED_ROWS))
    ]
    distance, neighbour, certified = (np.concatenate(part) for part in zip(*parts, strict=True))
    return distance, neighbour, certified


def _refine(
    points: Points, frame: Frame, value: np.ndarray, neighbour: np.ndarray, k: int, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n, kept = value.shape
    order = np.argsort(value, axis=1)
    value = np.take_along_axis(value, order, 1).astype(np.float64)
    neighbour = np.take_along_axis(neighbour, order, 1)
    exact = np.full((n, kept), np.inf)
    everything = kept >= points.n_points - 1
    needed = np.zeros((n, kept), bool)
    needed[:, : kept if everything else k] = True
    _measure(points, exact, neighbour, needed, own)
    reach = np.max(exact[:, :k], axis=1) * frame.scale
    error = relative_error(frame, points.n_dimensions, chunk_columns(points.n_dimensions), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        slack = error * (2 * np.sqrt(frame.squared_norm[own]) + reach) ** 2 + (TINY if error else 0.0)
        if not everything:
            needed = (value - slack[:, None] <= (reach**2)[:, None]) & np.isinf(exact)
            _measure(points, exact, neighbour, needed, own)
        rank = np.lexsort((neighbour, exact), axis=1)[:, :k]
        distance = np.take_along_axis(exact, rank, 1)
        square = (distance[:, -1] * frame.scale) ** 2
        bound = np.where(np.isfinite(value[:, -1]), value[:, -1] - slack, -np.inf)
        certified = np.full(n, everything) | (bound > square) | ((error == 0) & (bound >= np.rint(square)))
    return distance, np.take_along_axis(neighbour, rank, 1), certified


def _measure(points: Points, exact: np.ndarray, neighbour: np.ndarray, needed: np.ndarray, own: np.ndarray) -> None:
    """Fill in the exact distances of the marked candidates, on all cores."""
    rows, slots = np.nonzero(needed)
    one, other, back = own[rows], neighbour[rows, slots], slice(None)
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
    squares = scratch("squares", (some.size, -(-n // GROUP) * GROUP), np.float64)
    squares[:, n:] = np.inf
    np.add(frame.squared_norm, frame.squared_norm[some][:, None], out=squares[:, :n])
    segment = max(GROUP, SEGMENT_NUMBERS // chunk)
    for low in range(0, d, chunk):
        columns = slice(low, min(low + chunk, d))
        left = -2 * frame.transform(points.take(some, columns), columns, np.float64)
        for a in range(0, n, segment):
            b = min(a + segment, n)
            into = scratch("segment", (b - a, left.shape[1]), np.float64)
            right = frame.transform(points.rows(a, b, columns), columns, np.float64, into)
            with np.errstate(over="ignore", invalid="ignore"):
                squares[:, a:b] += np.matmul(left, right.T, out=scratch("part", (some.size, b - a), np.float64))
    squares[np.arange(some.size), some] = np.inf
    return squares
