"""Whether a first line of whole numbers above decimals names the columns of a text table, or is its first frame."""

from collections.abc import Sequence
from enum import Enum

import numpy as np

from antidrome.recordings.clock import clock_rate_hz
from antidrome.recordings.csv_times import are_even

_NEARER_A_FRAME = 0.75
"""Of a frame period: a first step that is longer is nearer to a whole one than to half of one."""
_MOST_DIGITS = 17
"""Digits of a float64 that no fewer give back."""


class FirstLine(Enum):
    """What a first line of numbers is."""

    NAMES = "names"
    FRAME = "frame"
    UNTOLD = "untold"
    """Whole numbers above decimals which may be both."""


def whole_above_decimals(names: Sequence[str], columns: Sequence[Sequence[str]], mark: str) -> FirstLine:
    """What different whole numbers are that stand above columns in which every number has decimals.

    A run of numbers (0, 1, 2, … or 1, 2, …) counts the columns. Others are names, as pandas writes those of some
    columns of a table, if one of them is no value that its column might have, or if the numbers below are so written
    that a whole one would have decimals as well.

    Parameters
    ----------
    names
        Cells of the first line.
    columns
        Cells below each, without missing ones.
    mark
        What stands between whole numbers and decimals.

    Returns
    -------
    FirstLine
        A frame as well where the line is nothing of the kind, or its first number begins even times.
    """
    if len(set(names)) < len(names) or not all(map(str.isdecimal, names)):
        return FirstLine.FRAME
    if not all(column and all(mark in cell or "e" in cell.lower() for cell in column) for column in columns):
        return FirstLine.FRAME
    texts = [[cell.strip('"').replace(mark, ".") for cell in column] for column in columns]
    values = [np.array([_number(text) for text in column]) for column in texts]
    if begins_times(names[0], values[0]):
        return FirstLine.FRAME
    runs = len(names) > 1 and any(list(names) == [str(i + start) for i in range(len(names))] for start in (0, 1))
    possible = all(may_hold(float(name), column) for name, column in zip(names, values, strict=True))
    if runs or not possible or any(map(_gives_whole_numbers_decimals, texts)):
        return FirstLine.NAMES
    return FirstLine.UNTOLD


def begins_times(cell: str, column: np.ndarray) -> bool:
    """Whether a number is the first of a column of even times: a whole frame before the next, not half of one."""
    first = float(cell.strip('"'))
    if not are_even(np.append(first, column)):
        return False
    rate = clock_rate_hz(column)
    return rate is None or bool(column[0] - first > _NEARER_A_FRAME / rate)


def may_hold(number: float, column: np.ndarray) -> bool:
    """Whether a number is no further from the values of a column than these are from one another."""
    spread = np.ptp(column)
    return bool(column.min() - spread <= number <= column.max() + spread)


def _gives_whole_numbers_decimals(texts: Sequence[str]) -> bool:
    """Whether 0 would have been written as 0.0: whole numbers among those of a column are, or Python wrote them.

    Python writes the shortest number that gives back the same float64; other programs need 17 digits for some.
    """
    if any("." in text and "e" not in text.lower() and float(text).is_integer() for text in texts):
        return True
    return max(map(_n_digits, texts)) >= _MOST_DIGITS and all(text == str(float(text)) for text in texts)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # a clock time
        return np.nan


def _n_digits(text: str) -> int:
    """Digits of a number but for zeros before it."""
    return len(text.lower().partition("e")[0].lstrip("+-").replace(".", "").lstrip("0"))
