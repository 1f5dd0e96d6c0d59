"""Columns of a text table that rise: counters of rows, and times, also such as were rounded when written."""

import numpy as np

from antidrome.recordings.clock import clock_rate_hz, quantum_s

FEWEST_ROWS = 8
"""Rows from which a column that rises at every step is no chance: one trace of noise in 40,000 would."""


def rise(column: np.ndarray) -> bool:
    """Whether the numbers (three and more) rise at every step, as traces never do."""
    return bool(column.size > 2 and np.isfinite(column).all() and (np.diff(column) > 0).all())


def climb(column: np.ndarray) -> bool:
    """Whether the numbers (three and more) rise and never fall, as times do that are written with few decimals."""
    return bool(
        column.size > 2 and np.isfinite(column).all() and (np.diff(column) >= 0).all() and column[-1] > column[0]
    )


def never_falls(column: np.ndarray) -> bool:
    """Whether the numbers rise, eight different ones and more, and never fall: no trace, but times of few digits."""
    return climb(column) and np.unique(column).size >= FEWEST_ROWS


def are_whole(column: np.ndarray) -> bool:
    """Whether all numbers are whole."""
    return bool((column == np.floor(column)).all())


def count(column: np.ndarray) -> bool:
    """Whether the numbers are whole and each is one more than the one before."""
    if column.size < 2:
        return column.tolist() in ([0], [1])
    return are_whole(column) and bool((np.diff(column) == 1).all())


def are_even(column: np.ndarray) -> bool:
    """Whether the numbers rise in even steps: to a tenth of a step, or but for their rounding (eight and more)."""
    steps = np.diff(column)
    median = np.median(steps) if steps.size else 0.0
    if not np.isfinite(steps).all() or median <= 0:
        return False
    if np.abs(steps - median).max() < 0.1 * median:
        return True
    rate = clock_rate_hz(column)
    if column.size < FEWEST_ROWS or not rise(column) or rate is None:
        return False
    return bool(np.ptp(column - np.arange(column.size) / rate) <= 1.1 * quantum_s(column))
