"""Columns of a text table that rise: counters of rows, times, and even times that were rounded when written."""

import numpy as np

FEWEST_ROWS = 8
"""Rows from which a column that rises at every step is no chance: one trace of noise in 40,000 would."""

_MOST_DECIMALS = 6
_WORTH_IT = 1e-3
"""Times are evened out where the median step, from which frame rates follow, is wrong by more than this share."""


def rise(column: np.ndarray) -> bool:
    """Whether the numbers (three and more) rise at every step, as traces never do."""
    return bool(column.size > 2 and np.isfinite(column).all() and (np.diff(column) > 0).all())


def climb(column: np.ndarray) -> bool:
    """Whether the numbers (three and more) rise and never fall, as times do that are written with few decimals."""
    return bool(
        column.size > 2 and np.isfinite(column).all() and (np.diff(column) >= 0).all() and column[-1] > column[0]
    )


def are_whole(column: np.ndarray) -> bool:
    """Whether all numbers are whole."""
    return bool((column == np.floor(column)).all())


def count(column: np.ndarray) -> bool:
    """Whether the numbers are whole and each is one more than the one before."""
    if column.size < 2:
        return column.tolist() in ([0], [1])
    return are_whole(column) and bool((np.diff(column) == 1).all())


def are_even(column: np.ndarray) -> bool:
    """Whether the numbers rise in even steps: to a tenth of a step, or as rounded numbers (eight and more) can."""
    steps = np.diff(column)
    median = np.median(steps) if steps.size else 0.0
    if not np.isfinite(steps).all() or median <= 0:
        return False
    return bool(np.abs(steps - median).max() < 0.1 * median) or _rounded_line(column) is not None


def even_out(column: np.ndarray, unit_s: float, name: str, notes: list[str]) -> np.ndarray:
    """Times (s) from a column; those that are even but for their rounding without it, noted.

    Rounded times spoil the median step: at 30 Hz and two decimals it is 0.03 s, or 33.3 Hz.
    """
    line = _rounded_line(column)
    if line is None or abs(np.median(np.diff(column)) - line[1]) <= _WORTH_IT * line[1]:
        return column * unit_s
    start, step, quantum = line
    notes.append(
        f"{name} is rounded to {quantum * unit_s:g} s, but for which its times are even: "
        f"they are taken as frames at {1 / (step * unit_s):.6g} Hz"
    )
    return (start + step * np.arange(column.size)) * unit_s


def _rounded_line(column: np.ndarray) -> tuple[float, float, float] | None:
    """First number, step and quantum of even numbers that were rounded to the quantum; None if they are no such."""
    if column.size < FEWEST_ROWS or not rise(column):
        return None
    quantum = _quantum(column)
    if quantum is None:
        return None
    place = np.arange(column.size) - (column.size - 1) / 2
    mean = float(column.mean())
    step = float(place @ (column - mean) / (place @ place))
    # each number lies within half a quantum of the true line, and the fitted line not far from it
    spread = float(np.ptp(column - mean - step * place))
    if spread > quantum * (1 + 2 / np.sqrt(column.size)):
        return None
    return mean + step * float(place[0]), step, quantum


def _quantum(column: np.ndarray) -> float | None:
    """The power of ten (1 to a millionth) of which all numbers are multiples, or None."""
    largest = float(np.abs(column).max())
    for decimals in range(_MOST_DECIMALS + 1):
        scaled = column * 10.0**decimals
        if np.spacing(largest) * 10.0**decimals > 1e-3:
            return None
        if (np.abs(scaled - np.rint(scaled)) < 1e-2).all():
            return 10.0**-decimals
    return None
