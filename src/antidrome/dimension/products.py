"""All squared distances by blocked float32 matrix products, each pair once, on all cores, in bounded memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from antidrome.core.cores import n_threads
from antidrome.dimension.boxes import near_candidates
from antidrome.dimension.points import Points, spread_rows
from antidrome.dimension.preparation import Frame, relative_error
from antidrome.dimension.scratch import scratch
from antidrome.dimension.selection import Candidates, Hits, group_minima
from antidrome.dimension.squares import (
    Tick,
    augmented,
    block_of,
    chunk_columns,
    left_rows,
    one_thread_each,
    padded,
    safe_norms,
)

RESIDENT_BYTES = 640 * 2**20
"""Points whose float32 copy is larger are read column chunk by column chunk, never held whole."""
BAND_ROWS = 256
SEGMENT_COLUMNS, FEWEST = 4096, 1024
WHOLE_ROWS_BELOW = 30_000
WHOLE_ROWS_COLUMNS = 128
"""So many points of so few dimensions are compared row by row, each pair twice: there is nothing to merge."""
TILE_ROWS = 4096
READ_ROWS, CACHED_ROWS = 512, 64
APART_BYTES = 2**28
"""Memory for products that threads sum apart."""
PROBED_NUMBERS, MOST = 2**22, 0.5


def collect_candidates(
    points: Points, frame: Frame, n_kept: int, k: int, tick: Tick, limit_s: float = np.inf
) -> Candidates | None:
    """The `n_kept` nearest candidates of every point by float32 squared distances; `tick` gets fractions done.

    None where a look at a few rows shows that rounding would spoil the k nearest of most, and where this would take
    longer than another way, which takes `limit_s` seconds on one core (less than products of all pairs).
    """
    resident = 4 * points.n_points * (points.n_dimensions + 2) <= RESIDENT_BYTES
    by_rows = points.n_points <= WHOLE_ROWS_BELOW and points.n_dimensions <= WHOLE_ROWS_COLUMNS
    right = None
    if resident and (by_rows or points.n_points > 2 * SEGMENT_COLUMNS):
        right = augmented(points, frame)
        uncertain = share_uncertain(right, frame, n_kept, k)
        again_s = uncertain * float64_seconds(points.n_points, points.n_dimensions)
        if uncertain > MOST or again_s > limit_s:
            return None
        near = near_candidates(right, n_kept, _error(frame, points.n_dimensions), limit_s - again_s, tick)
        if near is not None:
            return near
    if limit_s < np.inf:
        return None
    candidates = Candidates(points.n_points, n_kept, np.float32)
    if right is None:
        _in_tiles(points, frame, candidates, tick)
    elif by_rows:
        _by_rows(right, candidates, tick)
    else:
        _in_memory(right, candidates, _error(frame, points.n_dimensions), tick)
    return candidates


def share_uncertain(right: np.ndarray, frame: Frame, n_kept: int, k: int) -> float:
    """Of how many of a few rows the last candidate is not farther than the k-th by more than rounding."""
    n, width = right.shape
    rows = spread_rows(n, int(np.clip(PROBED_NUMBERS // n, 32, 128)))
    squares = np.partition(left_rows(right, rows) @ right.T, (k, n_kept), axis=1)
    norms = frame.squared_norm[rows]
    error = _error(frame, width - 2) * 4 * norms
    return float(np.mean(squares[:, n_kept] - squares[:, k] <= 2 * error)) if error.any() else 0.0


def float64_seconds(n_points: int, n_dimensions: int) -> float:
    """What float64 products of all pairs take on one core; only choices hang on it."""
    return n_points**2 * (1.5e-9 + 3e-11 * n_dimensions)


def _error(frame: Frame, n_dimensions: int) -> float:
    """Relative error of the squared distances here."""
    return relative_error(frame, n_dimensions, chunk_columns(n_dimensions), np.float32)


def _by_rows(right: np.ndarray, candidates: Candidates, tick: Tick) -> None:
    """Each row meets all others at once: every pair twice, but nothing to merge; faster where products are cheap."""
    n = len(right)
    columns = np.arange(n)
    step = max(16, min(BAND_ROWS, -(-n // (2 * n_threads()))))
    chunk = chunk_columns(right.shape[1] - 2)

    def band(start: int) -> None:
        rows = np.arange(start, min(start + step, n))
        squares = block_of(left_rows(right, rows), right, 0, n, chunk)
        squares[np.arange(rows.size), rows] = np.inf
        candidates.offer(squares, rows, columns)
        tick(rows.size / n)

    with one_thread_each() as pool:
        list(pool.map(band, range(0, n, step)))


def _in_memory(right: np.ndarray, candidates: Candidates, error: float, tick: Tick) -> None:
    """Row i meets the N/2 rows that follow it, cyclically: every pair once, every band the same work.

    Bounds from distances to a few points come first, so that little has to be merged.
    """
    n = len(right)
    chunk = chunk_columns(right.shape[1] - 2)
    few = spread_rows(n, max(FEWEST, n // 64, 4 * candidates.n_kept))
    to_few = right[few]

    def bound(start: int) -> None:
        rows = np.arange(start, min(start + BAND_ROWS, n))
        squares = block_of(left_rows(right, rows), to_few, 0, few.size, chunk)
        own = np.searchsorted(few, (start, rows[-1] + 1))
        squares[few[own[0] : own[1]] - start, np.arange(*own)] = np.inf
        minima = group_minima(squares, rows.size, candidates.n_kept)
        candidates.bound(rows, minima, right[rows, -1], error)

    def band(start: int) -> None:
        rows, hits = np.arange(start, min(start + BAND_ROWS, n)), Hits(candidates)
        left = left_rows(right, rows)
        reach = n // 2 + rows.size
        for offset in range(0, reach, SEGMENT_COLUMNS):
            low, high = start + offset, start + min(offset + SEGMENT_COLUMNS, reach)
            for a, b in _unwrapped(low, high, n):
                squares, columns = block_of(left, right, a, b, chunk), np.arange(a, b)
                _mask_pairs(squares[: rows.size, : b - a], rows, columns, n)
                hits.offer(squares, rows, columns)
                hits.offer_transposed(squares, rows, columns)
        hits.merge()
        tick(rows.size / n)

    with one_thread_each() as pool:
        list(pool.map(bound, range(0, n, BAND_ROWS)))
        list(pool.map(band, range(0, n, BAND_ROWS)))


def _unwrapped(low: int, high: int, n: int) -> list[tuple[int, int]]:
    """The cyclic range low…high as ranges inside 0…n."""
    if high <= n:
        return [(low, high)]
    return [(low - n, high - n)] if low >= n else [(low, n), (0, high - n)]


def _mask_pairs(squares: np.ndarray, rows: np.ndarray, columns: np.ndarray, n: int) -> None:
    """Leave each pair to one band: row i keeps the columns that follow it by 1…N/2, cyclically."""
    ahead = int(columns[0] - rows[0]) % n
    for part in (slice(0, max(0, rows.size - ahead)), slice(max(0, n // 2 - ahead), columns.size)):
        gap = columns[part].astype(np.int32) - rows[:, None].astype(np.int32)
        gap[gap < 0] += n
        foreign = (gap == 0) | (gap > n // 2)
        if n % 2 == 0:
            foreign |= (gap == n // 2) & (rows[:, None] >= n // 2)
        squares[:, part][foreign] = np.inf


def all_products(points: Points, frame: Frame) -> np.ndarray:
    """x·y of all pairs of at most TILE_ROWS points, float32, summed over column chunks."""
    n, far = points.n_points, safe_norms(frame)[1]
    with one_thread_each() as pool:
        product = _tile(points, frame, (0, n), (0, n), far, pool)
    for start in range(0, n, BAND_ROWS):
        product[start + BAND_ROWS :, start : start + BAND_ROWS] = product[
            start : start + BAND_ROWS, start + BAND_ROWS :
        ].T
    return product


def _in_tiles(points: Points, frame: Frame, candidates: Candidates, tick: Tick) -> None:
    """Tiles of TILE_ROWS × TILE_ROWS pairs, summed over column chunks that are read as they are needed."""
    n = points.n_points
    edges = [(start, min(start + TILE_ROWS, n)) for start in range(0, n, TILE_ROWS)]
    norms, far = safe_norms(frame)
    total = len(edges) * (len(edges) + 1) / 2
    with one_thread_each() as pool:
        for k, one in enumerate(edges):
            for other in edges[k:]:
                squares = _tile(points, frame, one, other, far, pool)
                _offer_tile(squares, norms, one, other, candidates, pool)
                tick(1 / total)


def _tile(
    points: Points,
    frame: Frame,
    one: tuple[int, int],
    other: tuple[int, int],
    far: np.ndarray,
    pool: ThreadPoolExecutor,
) -> np.ndarray:
    """x·y between two ranges of rows, float32; of a diagonal tile only what is right of its bands' first columns.

    Where column chunks are many, each thread sums chunks of its own, and none waits for another.
    """
    d = points.n_dimensions
    chunk = chunk_columns(d)
    chunks = [slice(start, min(start + chunk, d)) for start in range(0, d, chunk)]
    shape, n_workers = (one[1] - one[0], other[1] - other[0]), n_threads()
    if len(chunks) < 2 * n_workers or 4 * shape[0] * shape[1] * n_workers > APART_BYTES:
        return _sum_together(points, frame, one, other, far, chunks, pool)
    waiting = iter(chunks)

    def some(_: int) -> np.ndarray:
        product = np.zeros(shape, np.float32)
        for columns in waiting:
            left = _read(points, frame, one, columns, far, "left")
            right = left if one == other else _read(points, frame, other, columns, far, "right")
            for a in range(0, shape[0], BAND_ROWS):
                _add_products(product, left, right, a, one == other)
        return product

    product, *others = pool.map(some, range(n_workers))
    for more in others:
        product += more
    return product


def _sum_together(
    points: Points,
    frame: Frame,
    one: tuple[int, int],
    other: tuple[int, int],
    far: np.ndarray,
    chunks: list[slice],
    pool: ThreadPoolExecutor,
) -> np.ndarray:
    """The products of a tile, chunk after chunk, the bands of each on all threads."""
    shape = one[1] - one[0], other[1] - other[0]
    product = np.empty(shape, np.float32)

    def read(rows: tuple[int, int], columns: slice) -> np.ndarray:
        block = np.empty((rows[1] - rows[0], columns.stop - columns.start), np.float32)
        parts = [(a, min(a + READ_ROWS, rows[1])) for a in range(*rows, READ_ROWS)]
        into = [block[a - rows[0] : b - rows[0]] for a, b in parts]
        list(pool.map(lambda part, out: _transform(points, frame, part, columns, far, out), parts, into))
        return block

    for columns in chunks:
        left = read(one, columns)
        right = left if one == other else read(other, columns)

        def add(a: int, left: np.ndarray = left, right: np.ndarray = right, first: bool = columns.start == 0) -> None:
            _add_products(product, left, right, a, one == other, first=first)

        list(pool.map(add, range(0, shape[0], BAND_ROWS)))
    return product


def _add_products(
    product: np.ndarray, left: np.ndarray, right: np.ndarray, a: int, diagonal: bool, *, first: bool = False
) -> None:
    """Add what a chunk of columns contributes to the band of rows that begins at a."""
    b, low = min(a + BAND_ROWS, len(left)), a if diagonal else 0
    out = product[a:b, low:]
    if first:
        np.matmul(left[a:b], right[low:].T, out=out)
    else:
        out += np.matmul(left[a:b], right[low:].T, out=scratch("part", out.shape, np.float32))


def _read(
    points: Points, frame: Frame, rows: tuple[int, int], columns: slice, far: np.ndarray, name: str
) -> np.ndarray:
    """A chunk of columns of a range of rows, as the products need it, in the thread's own memory."""
    block = scratch(name, (rows[1] - rows[0], columns.stop - columns.start), np.float32)
    step = CACHED_ROWS if points.in_memory else READ_ROWS
    for a in range(*rows, step):
        b = min(a + step, rows[1])
        _transform(points, frame, (a, b), columns, far, block[a - rows[0] : b - rows[0]])
    return block


def _transform(
    points: Points, frame: Frame, rows: tuple[int, int], columns: slice, far: np.ndarray, out: np.ndarray
) -> None:
    with np.errstate(over="ignore", under="ignore"):
        out[:] = frame.transform(points.rows(*rows, columns), columns, np.float32)
    out[far[rows[0] : rows[1]]] = 0


def _offer_tile(
    product: np.ndarray,
    norms: np.ndarray,
    one: tuple[int, int],
    other: tuple[int, int],
    candidates: Candidates,
    pool: ThreadPoolExecutor,
) -> None:
    """Complete the squared distances of a tile, band by band, and offer each pair to both its points."""

    def band(start: int) -> None:
        stop = min(start + BAND_ROWS, product.shape[0])
        low = start if one == other else 0
        rows = np.arange(one[0] + start, one[0] + stop)
        columns = np.arange(other[0] + low, other[1])
        squares = padded((rows.size, columns.size))
        inner = squares[: rows.size, : columns.size]
        np.multiply(product[start:stop, low:], np.float32(-2), out=inner)
        inner += norms[columns]
        inner += norms[rows, None]
        if one == other:
            inner[np.tril_indices(inner.shape[0], m=inner.shape[1])] = np.inf
        candidates.offer(squares, rows, columns)
        candidates.offer_transposed(squares, rows, columns)

    list(pool.map(band, range(0, product.shape[0], BAND_ROWS)))
