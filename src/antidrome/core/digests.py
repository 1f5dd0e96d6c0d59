"""A number for every column of a recording that tells its trace from any other, summed in any order and any blocks.

Each value, as the whole number that its bytes spell, times a fixed odd weight of its frame, summed modulo 2⁶⁴: exact,
so that blocks, chunks, number types of the storage and machines do not count, and zero for zeros, so that events are
enough.
"""

from __future__ import annotations

import numpy as np


def frame_weights(start: int, stop: int) -> np.ndarray:
    """(frame,) odd pseudo-random whole numbers, of the number of the frame alone (SplitMix64)."""
    x = np.arange(start + 1, stop + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (x ^ (x >> np.uint64(31))) | np.uint64(1)


def spelled_out(values: np.ndarray) -> np.ndarray:
    """The bytes of every value as a whole number; all that is not finite is the same, and −0 is 0."""
    numbers = np.array(values, dtype=np.float64)
    numbers += 0.0
    if not (finite := np.isfinite(numbers)).all():
        numbers[~finite] = np.nan
    # from the other end, as the last bytes of round numbers are zeros
    return numbers.byteswap(inplace=True).view(np.uint64)


def column_digests(block: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(column,) digests of a block (frame, column), to be added to those of the others; `weights` (frame,)."""
    return np.einsum("tp,t->p", spelled_out(block), weights)
