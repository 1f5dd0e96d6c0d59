"""The squared distances of all pairs in float32, kept: candidates of every block of a split, at one matrix product."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from antidrome.dimension.certificate import refine
from antidrome.dimension.engines import SPARE
from antidrome.dimension.points import Points
from antidrome.dimension.preparation import Frame
from antidrome.dimension.selection import Candidates
from antidrome.dimension.squares import augmented, one_thread_each, padded, squares_of

BAND_ROWS = 256


@dataclass(frozen=True)
class Table:
    """Points in the order in which they are split, and their squared distances; infinite to themselves."""

    points: Points
    frame: Frame
    squares: Float[np.ndarray, "points points"]


def square_table(points: Points, frame: Frame, order: Int[np.ndarray, " points"]) -> Table:
    """All squared distances of points in memory, taken in a given order."""
    points, frame = points.select(order), replace(frame, squared_norm=frame.squared_norm[order])
    right, n = augmented(points, frame), points.n_points
    squares = np.empty((n, n), np.float32)

    def band(start: int) -> None:
        rows = np.arange(start, min(start + BAND_ROWS, n))
        squares[rows[0] : rows[-1] + 1] = squares_of(right, rows)
        squares[rows, rows] = np.inf

    with one_thread_each() as pool:
        list(pool.map(band, range(0, n, BAND_ROWS)))
    return Table(points, frame, squares)


def from_table(table: Table, n_blocks: int, k: int) -> list[tuple[np.ndarray, np.ndarray] | None]:
    """Distances and neighbours (as rows of the block) in each of the first n // b · b points' b blocks.

    None for a block with a row that its certificate does not cover.
    """
    size = len(table.squares) // n_blocks
    n = size * n_blocks
    candidates = Candidates(n, min(k + SPARE, size - 1), np.float32)

    def band(where: tuple[int, int]) -> None:
        low, start = where
        rows, columns = np.arange(start, min(start + BAND_ROWS, low + size)), np.arange(low, low + size)
        squares = padded((rows.size, size))
        squares[: rows.size, :size] = table.squares[rows[0] : rows[-1] + 1, low : low + size]
        candidates.offer(squares, rows, columns)

    bands = [(low, start) for low in range(0, n, size) for start in range(low, low + size, BAND_ROWS)]
    with one_thread_each() as pool:
        list(pool.map(band, bands))
    frame = replace(table.frame, squared_norm=table.frame.squared_norm[:n])
    distance, neighbour, certified = refine(table.points, frame, candidates, k)
    return [
        (distance[low : low + size], neighbour[low : low + size] - low) if certified[low : low + size].all() else None
        for low in range(0, n, size)
    ]
