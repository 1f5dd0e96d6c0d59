"""Squared distances by float32 matrix products: the rows that are multiplied, blocks of results, one thread a core."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

from antidrome.core.cores import n_threads
from antidrome.dimension.points import Points
from antidrome.dimension.preparation import FAR, Frame
from antidrome.dimension.scratch import scratch
from antidrome.dimension.selection import GROUP

CHUNK = 1024
"""Columns per matrix product: bounds the rounding error of a sum at any D."""

Tick = Callable[[float], None]


def chunk_columns(n_dimensions: int) -> int:
    """Columns per product; without a short rest."""
    n_chunks = max(1, round(n_dimensions / CHUNK))
    return -(-n_dimensions // n_chunks)


@contextmanager
def one_thread_each() -> Iterator[ThreadPoolExecutor]:
    """A thread per core, with single-threaded products inside: selection then uses all cores too.

    Inside another such block of the same thread, its pool is used again.
    """
    outer = getattr(_open, "pool", None)
    if outer is not None:
        yield outer
        return
    with _blas().limit(limits=1, user_api="blas"), ThreadPoolExecutor(n_threads()) as pool:
        _open.pool = pool
        try:
            yield pool
        finally:
            _open.pool = None


_open = threading.local()


@functools.cache
def _blas() -> Any:
    """The BLAS libraries of this process, looked up once: a look takes as long as a small search."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def augmented(points: Points, frame: Frame) -> np.ndarray:
    """Rows [x, 1, |x|²] in float32, so that one product with [−2 x, |x|², 1] gives the squared distances."""
    n, d = points.n_points, points.n_dimensions
    out = np.empty((n, d + 2), np.float32)
    norms, far = safe_norms(frame)
    for start, stop in points.blocks():
        with np.errstate(over="ignore", under="ignore"):
            out[start:stop, :d] = frame.transform(points.rows(start, stop), slice(0, d), np.float32)
    out[far, :d] = 0
    out[:, d], out[:, d + 1] = 1, norms
    return out


def safe_norms(frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Squared norms in float32; rows too far away to be squared in it are put at zero with a huge norm."""
    far = frame.squared_norm > FAR**2
    return np.where(far, FAR**2, frame.squared_norm).astype(np.float32), far


def left_rows(right: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows [−2 x, |x|², 1], which multiply rows [x, 1, |x|²] to squared distances."""
    left = right[rows]
    left[:, :-2] *= -2
    left[:, [-2, -1]] = left[:, [-1, -2]]
    return left


def block_of(left: np.ndarray, right: np.ndarray, a: int, b: int, chunk: int) -> np.ndarray:
    """Squared distances of the rows of `left` and rows a…b of `right`, as `padded` gives blocks."""
    squares = padded((left.shape[0], b - a))
    inner = squares[: left.shape[0], : b - a]
    edges = (
        [*range(0, left.shape[1] - chunk, chunk), left.shape[1]] if left.shape[1] > chunk + 2 else [0, left.shape[1]]
    )
    for start, stop in itertools.pairwise(edges):
        if start == 0:
            np.matmul(left[:, :stop], right[a:b, :stop].T, out=inner)
        else:
            part = scratch("part", inner.shape, np.float32)
            inner += np.matmul(left[:, start:stop], right[a:b, start:stop].T, out=part)
    return squares


def padded(shape: tuple[int, int]) -> np.ndarray:
    """A float32 block for that many rows and columns, with sides of multiples of GROUP, inf outside.

    It is the thread's own, until it asks for the next one.
    """
    height, width = (-(-length // GROUP) * GROUP for length in shape)
    block = scratch("block", (height, width), np.float32)
    block[shape[0] :] = np.inf
    block[:, shape[1] :] = np.inf
    return block
