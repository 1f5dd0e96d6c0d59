"""One look at all points before the search: a centre, a scale, norms, and what kind of numbers they are.

The centre and the scale only serve the candidate search in float32; the distances that are returned always come from
differences of the points as given.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from antidrome.core.cores import n_threads
from antidrome.dimension.points import Points, spread_rows
from antidrome.errors import InputError

CENTRE_ROWS = 31
"""Rows whose median is the centre: a median, so that a few huge values do not ruin everyone's precision."""
FAR = 2.0**40
"""A row this many times the typical norm away is left to float64."""
CACHED_NUMBERS, NORM_COLUMNS = 2**16, 1024
UNIT_ROUNDOFF_32 = 2.0**-24
UNIT_ROUNDOFF_64 = 2.0**-53


@dataclass(frozen=True)
class Frame:
    """Where the candidate search looks from: x → (x − centre) · scale, and the squared norms in it."""

    centre: np.ndarray
    scale: float
    squared_norm: Float[np.ndarray, " points"]
    whole: bool
    """Every number of the points is an integer, so that products of small ones have no rounding."""

    def transform(self, block: np.ndarray, columns: slice, dtype: type, into: np.ndarray | None = None) -> np.ndarray:
        """A block of points in this frame; each number is rounded at most twice (the scale is a power of two)."""
        exact_in_32 = block.dtype.kind == "f" and block.dtype.itemsize <= 4
        wide = np.float32 if exact_in_32 and dtype is np.float32 else np.float64
        out = np.subtract(block, self.centre[columns].astype(wide), dtype=wide, out=into if wide is dtype else None)
        out *= wide(self.scale)
        return out if out.dtype == dtype else out.astype(dtype)


def survey(points: Points) -> Frame:
    """Centre, scale and norms of the points.

    Raises
    ------
    InputError
        If a number is NaN or infinite (the first such row is named), or all are too small to have their digits.
    """
    n = points.n_points
    rows = spread_rows(n, CENTRE_ROWS)
    sample = points.take(rows)
    _require_finite(sample, rows)
    whole = points.dtype.kind in "biu" or bool(np.all(sample == np.rint(sample)))
    centre = _medians(sample, points.dtype, whole)
    with np.errstate(over="ignore", under="ignore"):
        spread = np.abs(sample.astype(np.float64) - centre).max(axis=1)
    typical = float(np.median(spread[spread > 0])) if (spread > 0).any() else 1.0
    scale = 2.0 ** -float(np.clip(np.floor(np.log2(typical)), -1000, 1000))
    if whole and typical < 2.0**20:
        scale = 1.0
    norms = np.empty(n)
    frame = Frame(centre, scale, norms, whole)

    def look(block_range: tuple[int, int]) -> bool:
        start, stop = block_range
        block = points.rows(start, stop)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            norms[start:stop] = _squared_norms(frame, block, _fast(block.dtype))
            if not np.isfinite(norms[start:stop]).all():
                _require_finite(block, np.arange(start, stop))
                norms[start:stop] = _squared_norms(frame, block, np.float64)
        return points.dtype.kind != "f" or (whole and bool(np.all(block == np.rint(block))))

    with ThreadPoolExecutor(n_threads()) as pool:
        all_whole = all(list(pool.map(look, points.blocks())))
    _require_normal(norms, scale, _fast(points.dtype))
    return Frame(centre, scale, norms, whole and all_whole)


def _fast(dtype: np.dtype) -> type:
    return np.float32 if dtype.itemsize <= 4 and dtype.kind == "f" else np.float64


def _squared_norms(frame: Frame, block: np.ndarray, dtype: type) -> Float[np.ndarray, " rows"]:
    """Squared norms of rows in the frame: sums over 1,024 columns in this type, of these in float64.

    A few rows at a time, so that what is moved into the frame stays in a core's cache.
    """
    n, d = block.shape
    total = np.zeros(n)
    step = max(1, CACHED_NUMBERS // min(d, NORM_COLUMNS))
    for low in range(0, d, NORM_COLUMNS):
        columns = slice(low, min(low + NORM_COLUMNS, d))
        for start in range(0, n, step):
            moved = frame.transform(block[start : start + step, columns], columns, dtype)
            total[start : start + step] += np.einsum("ij,ij->i", moved, moved)
    return total


def in_float64(points: Points, frame: Frame) -> Frame:
    """The frame with norms of full precision, as float64 products need them."""
    if points.dtype.itemsize > 4 or points.dtype.kind != "f":
        return frame
    norms = np.empty(points.n_points)

    def look(block_range: tuple[int, int]) -> None:
        start, stop = block_range
        norms[start:stop] = _squared_norms(frame, points.rows(start, stop), np.float64)

    with ThreadPoolExecutor(n_threads()) as pool:
        list(pool.map(look, points.blocks()))
    return replace(frame, squared_norm=norms)


def relative_error(frame: Frame, n_dimensions: int, chunk: int, dtype: type) -> float:
    """Bound e of the error of a squared distance from a matrix product: |computed − true| ≤ e (|x| + |y|)².

    Rigorous (Higham 2002, eq. 3.5, whatever the order of the sums), not the usual √D: a sum over `chunk` columns with
    D/chunk sums of sums, the rounding of each coordinate, and that of the norms. Zero where all is integer and small.
    """
    unit = UNIT_ROUNDOFF_32 if dtype is np.float32 else UNIT_ROUNDOFF_64
    largest = 4 * float(frame.squared_norm.max(initial=0.0))
    if frame.whole and frame.scale == 1.0 and largest < 1 / unit:
        return 0.0
    terms = min(chunk, n_dimensions) + -(-n_dimensions // chunk) + 12
    return terms * unit / (1 - terms * unit)


def _medians(sample: np.ndarray, dtype: np.dtype, whole: bool) -> np.ndarray:
    """Column medians that are numbers of the points' own type, so that float32 points are centred with one rounding."""
    middle = np.partition(sample, sample.shape[0] // 2, axis=0)[sample.shape[0] // 2]
    middle = middle.astype(np.float64)
    if whole:
        return np.rint(middle)
    return middle.astype(np.float32).astype(np.float64) if dtype.itemsize <= 4 else middle


def _require_normal(norms: np.ndarray, scale: float, dtype: type) -> None:
    largest = float(np.sqrt(norms.max())) / scale
    if 0 < largest < np.finfo(dtype).tiny:
        raise InputError(
            f"All points lie within {largest:.1e} of their middle, where numbers of their type have few digits left;"
            " multiply them by a constant first: the dimension does not depend on it."
        )


def _require_finite(block: np.ndarray, rows: np.ndarray) -> None:
    if block.dtype.kind != "f":
        return
    bad = np.argwhere(~np.isfinite(block))
    if bad.size:
        raise InputError(
            f"Point {rows[bad[0][0]]} has the value {block[tuple(bad[0])]} in column {bad[0][1]}; distances need finite"
            " numbers. Drop such points, or the column, first."
        )
