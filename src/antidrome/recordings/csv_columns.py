"""What the columns of a text table are: times, counters of rows, neurons."""

import re
from collections.abc import Sequence

import numpy as np

from antidrome.errors import InputError
from antidrome.recordings.arguments import listing
from antidrome.recordings.axes import choose_orientation
from antidrome.recordings.csv_layouts import one_measure, require_wide
from antidrome.recordings.csv_times import FEWEST_ROWS, are_even, are_whole, climb, count, never_falls, rise
from antidrome.recordings.headings import names_counter, names_group, names_nothing, says_unit, time_unit_s

_FEWEST_NEURONS = 3
"""Rows from which a first column of 0, 1, 2, … numbers neurons, and is no frame."""

_ADVICE = "call it 'time' (s), 'time_ms' or 'frame', or remove it"
_ADVICE_OF_ROW = "remove it and pass frame_rate_hz, or turn the table and call that column 'time' (s) or 'time_ms'"


def split_columns(
    header: list[str] | None,
    values: np.ndarray,
    notes: list[str],
    *,
    is_timed: bool = False,
    orientation: str | None = None,
) -> tuple[np.ndarray | None, np.ndarray, list[str] | None]:
    """Take times and counters out of a table: out of its columns, or out of the first row where rows are neurons.

    Parameters
    ----------
    header
        Names of the columns, or None.
    values
        Shape (rows, columns).
    notes
        Gets a sentence for everything that was told from the values.
    is_timed
        Whether the frame rate is known, so that a first column without a name whose times repeat is left out.
    orientation
        The orientation asked for, or None.

    Returns
    -------
    time, values, labels
        Times (s) or None; the table left; names of its columns, or None where nobody named them: 0, 1, 2, …, or
        1, 2, 3, … where the columns may be frames: those of a table that is wider than long, without times and numbers
        of rows, or of one whose rows are neurons, as asked for.

    Raises
    ------
    InputError
        If the first column or row rises at every step, as no neuron does, but is neither a counter nor surely the
        time; or neurons have no column each.
    """
    if header is None:
        rows_are_neurons = choose_orientation(values.shape, orientation, [], "the table") == "neuron,time"
        time, left = _without_header(values.T if rows_are_neurons else values, notes, rows_are_neurons, is_timed)
        if rows_are_neurons and left.shape == values.T.shape and _numbers_rows(values):
            notes.append(_counts("", 0))
            left = left[1:]
        return time, left.T if rows_are_neurons else left, None
    kept = without_counters(header, values, notes)
    counted = any(names_counter(name) for i, name in enumerate(header) if i not in kept)
    time, kept = _named_time(header, values, kept)
    while (found := _rising_first(header, values, kept, time, notes, is_timed=is_timed)) is not None:
        time, counted, kept = found[0], counted or found[1], kept[1:]
    if time is not None:
        kept = without_times(header, values, kept, notes)
    require_wide(header, values, kept)
    kept = one_measure(header, kept, notes)
    labels = [header[i] for i in kept]
    untold = orientation is None and time is None and not counted
    may_be_frames = orientation == "neuron,time" or (untold and len(kept) > len(values))
    if (count_from(0, labels) and not counted) or (count_from(1, labels) and may_be_frames):
        labels = None  # numbers of neurons, or of frames
    return time, values[:, kept], labels


def count_from(start: int, names: Sequence[str]) -> bool:
    """Whether the names are whole numbers one after the other: what pandas writes where columns have none, from 0."""
    return list(names) == [str(i + start) for i in range(len(names))]


def without_counters(header: list[str], values: np.ndarray, notes: list[str]) -> list[int]:
    """Places of the columns that do not number the rows; one at least. A header of numbers is noted."""
    if all(re.fullmatch(r"[-+.,\d]*", name) for name in header):
        notes.append(f"the first line holds numbers ({listing(header, 4)}) and is taken as a header")
    kept = list(range(len(header)))
    for place, name in enumerate(header):
        column = values[:, place]
        named = names_counter(name)
        if len(kept) == 1:
            continue
        if count(column) and (named or names_nothing(name) or _is_another_counter(place, name, column)):
            notes.append(_counts(name, place))
            kept.remove(place)
        elif named and rise(column) and are_whole(column):
            notes.append(f"column {name!r} numbers the rows, not without gaps, and is left out")
            kept.remove(place)
        elif group := names_group(name):
            notes.append(f"column {name!r} says to which {group} each row belongs and is left out")
            kept.remove(place)
    return kept


def without_times(header: list[str], values: np.ndarray, kept: Sequence[int], notes: list[str]) -> list[int]:
    """Places, among those kept, of the columns that are not both called some time and rising; one at least."""
    left = list(kept)
    for place in kept:
        if len(left) > 1 and time_unit_s(header[place], loosely=True) is not None and climb(values[:, place]):
            notes.append(f"column {header[place]!r} holds the times of the rows and is left out")
            left.remove(place)
    return left


def _is_another_counter(place: int, name: str, column: np.ndarray) -> bool:
    """Whether a column that counts, of any name, is no neuron: no first one, which may be the time."""
    return place > 0 and column.size >= FEWEST_ROWS and time_unit_s(name, loosely=True) is None


def _numbers_rows(values: np.ndarray) -> bool:
    """Whether the first column counts the rows, each a neuron: three and more, if few not among whole numbers alone."""
    column, others = values[:, 0], values[:, 1:]
    if column.size < _FEWEST_NEURONS or not count(column):
        return False
    if column.size >= FEWEST_ROWS:
        return True
    return column[0] in (0, 1) and others.size > 0 and not are_whole(others[np.isfinite(others)])


def _counts(name: str, place: int) -> str:
    return f"column {name or place + 1!r} counts the rows and is left out"


def _without_header(
    values: np.ndarray, notes: list[str], is_turned: bool, is_timed: bool
) -> tuple[np.ndarray | None, np.ndarray]:
    """Times (s) or None, and the traces left, of values (frames, columns), which are the rows of a turned table."""
    column = values[:, 0]
    if values.shape[1] < 2 or not never_falls(column):
        return None, values
    if count(column):
        what, others = ("row", "columns") if is_turned else ("column", "rows")
        notes.append(f"the first {what} counts the {others} and is left out")
        return None, values[:, 1:]
    return _nameless_time(column, notes, is_turned=is_turned, is_timed=is_timed), values[:, 1:]


def _named_time(header: list[str], values: np.ndarray, kept: list[int]) -> tuple[np.ndarray | None, list[int]]:
    """Times (s) from the first column that is called so; the columns left."""
    units = {place: unit for place in kept if (unit := time_unit_s(header[place])) is not None}
    if not units or len(kept) == 1:
        return None, kept
    place, unit = next(iter(units.items()))
    return values[:, place] * unit, [other for other in kept if other != place]


def _rising_first(
    header: list[str],
    values: np.ndarray,
    kept: list[int],
    time: np.ndarray | None,
    notes: list[str],
    *,
    is_timed: bool,
) -> tuple[np.ndarray | None, bool] | None:
    """Times (s) so far, and whether the first column left is a counter; None if it may be a neuron."""
    name, column = header[kept[0]], values[:, kept[0]]
    unnamed = names_nothing(name)
    unit = None if unnamed else time_unit_s(name, loosely=True)
    if unit:
        rises = climb(column)
    elif unnamed:
        rises = rise(column) or never_falls(column)
    else:
        rises = rise(column) and column.size >= FEWEST_ROWS
    if len(kept) == 1 or not rises:
        return None
    if time is not None:
        called = "has no name," if unnamed else repr(name)
        notes.append(f"the first column {called} rises like an index and is left out")
        return time, False
    if unit and (says_unit(name) or not are_whole(column)):
        notes.append(f"column {name!r} is taken as time (its unit is {unit:g} s)")
        return column * unit, False
    if count(column):
        notes.append(_counts(name, kept[0]))
        return None, True
    if unnamed:
        return _nameless_time(column, notes, is_timed=is_timed), False
    raise InputError(
        f"the first column {name!r} rises at every step ({_beginning(column)}), as no neuron does, but it neither "
        f"counts the frames nor says that it is the time, and in which unit: {_ADVICE}"
    )


def _nameless_time(
    column: np.ndarray, notes: list[str], *, is_turned: bool = False, is_timed: bool
) -> np.ndarray | None:
    """A first column (a row of a turned table) without a name that rises, as seconds, if it can be nothing else.

    None of times that repeat, as few digits make them, where better ones are known.
    """
    what, advice = ("first row", _ADVICE_OF_ROW) if is_turned else ("first column", _ADVICE)
    if are_whole(column) or not are_even(column):
        if is_timed and not rise(column):
            notes.append(f"the {what} has no name and never falls ({_beginning(column)}): it is left out")
            return None
        raise InputError(
            f"the {what} has no name and rises ({_beginning(column)}), but is "
            f"neither a counter nor even times in seconds: {advice}"
        )
    notes.append(f"the {what} has no name, rises in even steps and is taken as time in seconds")
    return column


def _beginning(column: np.ndarray) -> str:
    return ", ".join(f"{value:g}" for value in column[:3]) + ", …"
