"""Neighbours within the blocks of every split of the points, from one pass over the distances of all pairs.

A band of rows meets the other points once, by a matrix product; every number of blocks then takes from the band what
lies within a block. Nothing is kept but the nearest candidates of each row, and a pair that is near in several splits
is measured once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from antidrome.dimension.certificate import refine
from antidrome.dimension.engines import TREE_COLUMNS, spare
from antidrome.dimension.points import Points
from antidrome.dimension.preparation import Frame
from antidrome.dimension.products import BAND_ROWS, MOST, RESIDENT_BYTES, TILE_ROWS, all_products, share_uncertain
from antidrome.dimension.selection import Candidates
from antidrome.dimension.squares import (
    augmented,
    block_of,
    chunk_columns,
    left_rows,
    one_thread_each,
    padded,
    safe_norms,
)

FEW, MANY = 2**13, 2**15
"""Up to so many points, of few dimensions or of many, one pass over all pairs is faster than searches in blocks."""
Squares = Callable[[np.ndarray, int, int], np.ndarray]


class BlockNeighbours(NamedTuple):
    """Of every row of every block of a split: the nearest in its block, as rows of the block, and if that is sure."""

    distance: Float[np.ndarray, "blocks rows k"]
    neighbour: Int[np.ndarray, "blocks rows k"]
    certified: Bool[np.ndarray, "blocks rows"]


def nearest_in_blocks(
    points: Points, frame: Frame, order: Int[np.ndarray, " points"], counts: list[int], k: int
) -> dict[int, BlockNeighbours]:
    """The k nearest within each of b blocks, of n // b of the points in the given order each, for every b of `counts`.

    Nothing where single searches are faster, or where rounding would spoil most rows.
    """
    n = points.n_points
    n_kept = k + spare(points.n_dimensions)
    squares = _squares(points, frame, order, min(n_kept, n - 1), k) if counts else None
    if squares is None:
        return {}
    first = np.cumsum([0, *(n // b * b for b in counts)])
    candidates = Candidates(int(first[-1]), min(n_kept, n // max(counts) - 1), np.float32)

    def band(start: int) -> None:
        rows = np.arange(start, min(start + BAND_ROWS, n))
        inside = [(at, low, size) for at, b in zip(first, counts, strict=False) for low, size in _blocks(rows, n, b)]
        if not inside:
            return
        begin, end = min(low for _, low, _ in inside), max(low + size for _, low, size in inside)
        block = squares(rows, begin, end)
        own = np.flatnonzero(rows < end)  # the last rows may be in no block
        block[own, rows[own] - begin] = np.inf
        for at, low, size in inside:
            some = slice(max(start, low), min(rows[-1] + 1, low + size))
            part = block[some.start - start : some.stop - start, low - begin : low + size - begin]
            value, where = _smallest(part, candidates.n_kept)
            candidates.value[at + some.start : at + some.stop] = value
            candidates.neighbour[at + some.start : at + some.stop] = where + low

    with one_thread_each() as pool:
        list(pool.map(band, range(0, n, BAND_ROWS)))
    return _refined(points, frame, order, counts, candidates, k)


def _squares(points: Points, frame: Frame, order: np.ndarray, n_kept: int, k: int) -> Squares | None:
    """Squared distances of some rows to a range of others, all by their place in the order; padded."""
    n, d = points.n_points, points.n_dimensions
    if 4 * n * (d + 2) <= RESIDENT_BYTES and n <= (MANY if d > TREE_COLUMNS else FEW):
        ordered = replace(frame, squared_norm=frame.squared_norm[order])
        right, chunk = augmented(points.view(order), ordered), chunk_columns(d)
        if share_uncertain(right, ordered, n_kept, k) > MOST:
            return None
        return lambda rows, begin, end: block_of(left_rows(right, rows), right, begin, end, chunk)
    if n > TILE_ROWS:
        return None
    norms, products = safe_norms(frame)[0][order], all_products(points, frame)

    def squares(rows: np.ndarray, begin: int, end: int) -> np.ndarray:
        block = padded((rows.size, end - begin))
        inner = block[: rows.size, : end - begin]
        np.multiply(products[order[rows, None], order[begin:end]], np.float32(-2), out=inner)
        inner += norms[begin:end]
        inner += norms[rows, None]
        return block

    return squares


def _blocks(rows: np.ndarray, n: int, b: int) -> list[tuple[int, int]]:
    """First row and length of those of b blocks that some consecutive rows are in."""
    size = n // b
    return [(i * size, size) for i in range(rows[0] // size, min(rows[-1] // size, b - 1) + 1)]


def _smallest(block: Float[np.ndarray, "rows columns"], n_kept: int) -> tuple[np.ndarray, np.ndarray]:
    """The smallest numbers of each row, rising, and where they are: few passes of `argmin` beat any partition."""
    rows = np.arange(len(block))
    value, where = np.empty((len(block), n_kept), np.float32), np.empty((len(block), n_kept), np.int64)
    for j in range(n_kept):
        where[:, j] = block.argmin(axis=1)
        value[:, j] = block[rows, where[:, j]]
        block[rows, where[:, j]] = np.inf
    block[rows[:, None], where] = value
    return value, where


def _refined(
    points: Points, frame: Frame, order: np.ndarray, counts: list[int], candidates: Candidates, k: int
) -> dict[int, BlockNeighbours]:
    """Exact distances of all splits together."""
    n = points.n_points
    own = np.concatenate([order[: n // b * b] for b in counts])
    candidates.neighbour = order[candidates.neighbour]
    distance, neighbour, certified = refine(points, frame, candidates, k, own)
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    found, start = {}, 0
    for b in counts:
        size = n // b
        rows, start = slice(start, start + b * size), start + b * size
        inside = place[neighbour[rows]].reshape(b, size, k) - size * np.arange(b)[:, None, None]
        found[b] = BlockNeighbours(distance[rows].reshape(b, size, k), inside, certified[rows].reshape(b, size))
    return found
