"""What the columns of a text table are: times, counters of rows, neurons."""

import re
from collections.abc import Sequence

import numpy as np

from antidrome.errors import InputError
from antidrome.recordings.axes import listing

_TIME_HEADER = re.compile(
    r"^\s*(time|times|t|timestamps?|seconds|frame_times?)\s*[_\s(\[]*(s|sec|seconds|ms)?[)\]]*\s*$", re.I
)
_UNNAMED = re.compile(r"^\s*(unnamed.*)?$", re.I)
_COUNTER_HEADER = re.compile(r"^\s*(index|frames?|frame_?(no|nr|number|index|id)|samples?)\s*$", re.I)
_FEWEST_ROWS = 8


def split_columns(
    header: list[str] | None, values: np.ndarray, notes: list[str]
) -> tuple[np.ndarray | None, np.ndarray, list[str] | None]:
    """Take times and counters out of a table.

    Parameters
    ----------
    header
        Names of the columns, or None.
    values
        Shape (rows, columns).
    notes
        Gets a sentence for everything that was told from the values.

    Returns
    -------
    time, values, labels
        Times (s) or None; the columns left; their names, or None where nobody named them.

    Raises
    ------
    InputError
        If the first column has no name and rises, but is neither a counter nor even seconds.
    """
    if header is None:
        return _without_header(values, notes)
    kept = without_counters(header, values, notes)
    counted = any(_COUNTER_HEADER.match(name) for i, name in enumerate(header) if i not in kept)
    time, kept = _take_time(header, values, kept, notes)
    labels = [header[i] for i in kept]
    return time, values[:, kept], None if count_from_zero(labels) and not counted else labels


def count_from_zero(names: Sequence[str]) -> bool:
    """Whether the names are 0, 1, 2, …: what pandas writes where columns have none."""
    return list(names) == [str(i) for i in range(len(names))]


def are_even(column: np.ndarray) -> bool:
    """Whether the numbers rise in steps that differ by less than a tenth."""
    steps = np.diff(column)
    median = np.median(steps) if steps.size else 0.0
    return bool(np.isfinite(steps).all() and median > 0 and np.abs(steps - median).max() < 0.1 * median)


def rise(column: np.ndarray) -> bool:
    """Whether the numbers (three and more) rise at every step, as traces never do."""
    return bool(column.size > 2 and np.isfinite(column).all() and (np.diff(column) > 0).all())


def _count(column: np.ndarray) -> bool:
    """Whether the numbers are whole and each is one more than the one before."""
    if column.size < 2:
        return column.tolist() in ([0], [1])
    return _are_whole(column) and bool((np.diff(column) == 1).all())


def _are_whole(column: np.ndarray) -> bool:
    return bool((column == np.floor(column)).all())


def _without_header(values: np.ndarray, notes: list[str]) -> tuple[np.ndarray | None, np.ndarray, None]:
    n_rows, n_columns = values.shape
    if not (n_rows >= _FEWEST_ROWS and 2 <= n_columns <= n_rows and are_even(values[:, 0])):
        return None, values, None
    if _count(values[:, 0]):
        notes.append("the first column counts the rows and is left out")
        return None, values[:, 1:], None
    notes.append("the first column rises in even steps and is taken as time in seconds")
    return values[:, 0], values[:, 1:], None


def without_counters(header: list[str], values: np.ndarray, notes: list[str]) -> list[int]:
    """Places of the columns that do not number the rows; one at least. A header of numbers is noted."""
    if all(re.fullmatch(r"[-+.,\d]*", name) for name in header):
        notes.append(f"the first line holds numbers ({listing(header, 4)}) and is taken as a header")
    kept = list(range(len(header)))
    for place, name in enumerate(header):
        column = values[:, place]
        named = bool(_COUNTER_HEADER.match(name))
        if len(kept) == 1 or not (named or _UNNAMED.match(name)):
            continue
        if _count(column):
            notes.append(f"column {name or place + 1!r} counts the rows and is left out")
            kept.remove(place)
        elif named and rise(column) and _are_whole(column):
            notes.append(f"column {name!r} numbers the rows, not without gaps, and is left out")
            kept.remove(place)
    return kept


def _take_time(
    header: list[str], values: np.ndarray, kept: list[int], notes: list[str]
) -> tuple[np.ndarray | None, list[int]]:
    """Times (s) from the column that is called so, else from a first one without a name; the columns left."""
    if len(kept) == 1:
        return None, kept
    timed = [place for place in kept if _TIME_HEADER.match(header[place])]
    time = None
    if timed:
        time = values[:, timed[0]] * (1e-3 if "ms" in header[timed[0]].lower() else 1.0)
        kept = [place for place in kept if place != timed[0]]
    if kept[0] != 0 or len(kept) == 1 or not _UNNAMED.match(header[0]) or not rise(values[:, 0]):
        return time, kept
    if time is None:
        time = _unnamed_time(values[:, 0], notes)
    else:
        notes.append("the first column has no name, rises like an index and is left out")
    return time, kept[1:]


def _unnamed_time(column: np.ndarray, notes: list[str]) -> np.ndarray:
    """A first column without a name that rises, as seconds, if it can be nothing else."""
    if _are_whole(column) or not are_even(column):
        raise InputError(
            f"the first column has no name and rises ({', '.join(f'{value:g}' for value in column[:3])}, …), but is "
            "neither a counter nor even times in seconds: call it 'time' (s), 'time_ms' or 'frame', or remove it"
        )
    notes.append("the first column has no name, rises in even steps and is taken as time in seconds")
    return column
