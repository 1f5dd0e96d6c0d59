"""What users hold beside plain arrays: tables with names and times of their own, lists, tensors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings.arguments import listing
from antidrome.recordings.axes import TIME_NAMES
from antidrome.recordings.csv_dialect import CLOCK
from antidrome.recordings.headings import names_counter, names_group, names_nothing, says_unit, time_unit_s

MOST_TURNS = 0.25
"""Share of the changes of times, or numbers of rows, that may go the other way: where trials begin again."""


class Table(NamedTuple):
    """Values as an array, with the labels and the times that came along; None where there are none."""

    values: Any
    labels: np.ndarray | None = None
    times: xr.DataArray | None = None


def opened_table(values: Any, what: str = "the recording") -> Table:
    """An array, and of a table (pandas, polars, Arrow) also its names (unless just counted) and its times.

    The index holds times where it is of dates, durations or fractional numbers, in seconds unless its name tells
    another unit ("time_ms"); whole numbers without a unit count frames.

    Raises
    ------
    InputError
        If the values are no array and cannot become one, a column holds the times, or the index holds what is neither
        read as times nor counts frames.
    """
    values = as_frame(values)
    if is_table(values):
        labels = _labels(values, what)
        if values.index.nlevels > 1:
            raise InputError(
                f"the index of {what} is a MultiIndex of {listing(values.index.names)}, expected one of times in"
                " seconds: take one trial, or make an index of the times of all frames"
            )
        return Table(_plain_values(values), labels, index_times(values.index))
    if hasattr(values, "tocsr"):
        raise InputError(f"{what} is a sparse matrix, expected a dense array: call its toarray() first")
    if isinstance(getattr(values, "dtype", None), np.dtype) and hasattr(values, "ndim"):
        return Table(values)
    try:
        return Table(np.asarray(values))
    except (TypeError, ValueError, RuntimeError) as error:
        kind = type(values).__name__
        raise InputError(
            f"{what} is a {kind} that cannot be made an array of shape (frames, neurons): {error}"
        ) from error


def as_frame(values: Any) -> Any:
    """A table of polars or Arrow as a DataFrame of pandas; everything else as it is."""
    if hasattr(values, "index") or not hasattr(values, "__array__"):
        return values
    names = getattr(values, "column_names", getattr(values, "columns", None))
    return pd.DataFrame({name: values[name].to_numpy() for name in names}) if isinstance(names, list) else values


def is_table(values: Any) -> bool:
    """Whether this is a DataFrame or Series of pandas."""
    return hasattr(values, "to_numpy") and hasattr(values, "index") and not hasattr(values, "dims")


def without_index(values: Any) -> Any:
    """A table whose rows are points, whatever names they have; everything else as it is."""
    values = as_frame(values)
    return values.reset_index(drop=True) if is_table(values) else values


def numbered_columns(table: Any) -> bool:
    """Whether pandas counted the columns, from 0, since nobody named them."""
    columns = table.columns
    return type(columns).__name__ == "RangeIndex" and columns.start == 0 and columns.step == 1


def index_times(index: Any) -> xr.DataArray | None:
    """What the index holds where it holds times, in the unit of its name; those of a time zone as universal time.

    Raises
    ------
    InputError
        It holds dates or times that are text or periods.
    """
    if index.dtype.kind in "Mm":
        index = index.tz_convert(None) if getattr(index, "tz", None) is not None else index
        return xr.DataArray(index.to_numpy(), dims="time")
    name = "" if index.name is None else str(index.name)
    if index.dtype.kind == "f" or (index.dtype.kind in "iu" and says_unit(name) and names_times(name)):
        return xr.DataArray(index.to_numpy(float) * (time_unit_s(name, loosely=True) or 1.0), dims="time")
    if len(index) and CLOCK.fullmatch(str(index[0])):
        raise InputError(
            f"the index holds dates or times as {index.inferred_type} (first: {index[0]}): make it one of times"
            " with pandas.to_datetime, to_timedelta or to_timestamp, or drop it with reset_index(drop=True)"
        )
    return None


def names_times(name: Any) -> bool:
    """Whether a column or level of this name holds times: "time", "Time (ms)", "timestamps" …"""
    return str(name).lower() in TIME_NAMES or time_unit_s(str(name)) is not None


def _labels(table: Any, what: str) -> np.ndarray | None:
    """Names of the columns as text, None where nobody gave any; a column that tells of the rows is refused."""
    if not hasattr(table, "columns") or numbered_columns(table):
        return None
    for place, name in enumerate(table.columns):
        if _names_rows(str(name)) and _runs_on(table.iloc[:, place]):
            raise InputError(
                f"{what} has a column {name!r} that tells of its rows and would be taken for data: make it the index"
                f" (in pandas with set_index({name!r})), or leave it out"
            )
    return np.array([str(name) for name in table.columns])


def _names_rows(name: str) -> bool:
    """Whether a heading is that of times, a number or the trial of each row, or pandas' for a column without one."""
    return names_times(name) or names_counter(name) or bool(names_group(name)) or names_nothing(name)


def _runs_on(column: Any) -> bool:
    """Whether nearly all changes from row to row go the same way, as times and numbers of rows do."""
    try:
        codes = pd.factorize(column, sort=True)[0]
    except TypeError:  # values that cannot be compared
        return False
    steps = np.diff(codes[codes >= 0])
    up, down = int((steps > 0).sum()), int((steps < 0).sum())
    return up + down > 0 and min(up, down) <= MOST_TURNS * (up + down)


def _plain_values(table: Any) -> np.ndarray:
    """Values as an array; numbers that may lack (Float64 and the like) as floats with NaN."""
    values = table.to_numpy()
    dtypes = table.dtypes if hasattr(table, "columns") else [table.dtype]
    kinds = {getattr(dtype, "kind", "") for dtype in dtypes}
    return table.to_numpy(float, na_value=np.nan) if values.dtype.kind == "O" and kinds <= set("iufb") else values
