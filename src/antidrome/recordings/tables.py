"""What users hold beside plain arrays: tables with names and times of their own, lists, tensors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings.axes import TIME_NAMES
from antidrome.recordings.csv_names import names_counter, says_unit, time_unit_s


class Table(NamedTuple):
    """Values as an array, with the labels and the times that came along; None where there are none."""

    values: Any
    labels: np.ndarray | None = None
    times: xr.DataArray | None = None


def opened_table(values: Any, what: str = "the recording") -> Table:
    """An array, and of a table (pandas, polars, Arrow) also its names (unless just counted) and its times.

    The index holds times where it is of dates, durations or fractional numbers, or its name has a unit of time; other
    whole numbers count frames.

    Raises
    ------
    InputError
        If the values are no array and cannot become one, or a column holds the times.
    """
    values = as_frame(values)
    if hasattr(values, "to_numpy") and hasattr(values, "index"):
        columns = values.columns if hasattr(values, "columns") and not numbered_columns(values) else None
        for place, name in enumerate(() if columns is None else columns):
            if _names_rows(str(name)) and _grows(values.iloc[:, place]):
                raise InputError(
                    f"{what} has a column {name!r} that only grows and would be a neuron: make it the index (in"
                    f" pandas with set_index({name!r})), or leave it out"
                )
        return Table(
            _plain_values(values),
            None if columns is None else np.array([str(name) for name in columns]),
            index_times(values.index),
        )
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


def numbered_columns(table: Any) -> bool:
    """Whether pandas counted the columns, from 0, since nobody named them."""
    columns = table.columns
    return type(columns).__name__ == "RangeIndex" and columns.start == 0 and columns.step == 1


def as_frame(values: Any) -> Any:
    """A table of polars or Arrow as a DataFrame of pandas; everything else as it is."""
    if hasattr(values, "index") or not hasattr(values, "__array__"):
        return values
    names = getattr(values, "column_names", getattr(values, "columns", None))
    return pd.DataFrame({name: values[name].to_numpy() for name in names}) if isinstance(names, list) else values


def index_times(index: Any) -> xr.DataArray | None:
    """What the index holds where it holds times, in the unit of its name; those of a time zone as universal time."""
    if index.dtype.kind in "Mm":
        index = index.tz_convert(None) if getattr(index, "tz", None) is not None else index
        return xr.DataArray(index.to_numpy(), dims="time")
    name = "" if index.name is None else str(index.name)
    unit_s = time_unit_s(name)
    if index.dtype.kind == "f" or (index.dtype.kind in "iu" and unit_s is not None and says_unit(name)):
        return xr.DataArray(index.to_numpy(float) * (unit_s or 1.0), dims="time")
    return None


def _names_rows(name: str) -> bool:
    """Whether a heading is that of times or of a number of each row, or what pandas calls a column without one."""
    of_rows = name.lower() in TIME_NAMES or names_counter(name) or time_unit_s(name) is not None
    return of_rows or name.startswith("Unnamed: ")


def _grows(column: Any) -> bool:
    return len(column) > 1 and column.is_monotonic_increasing and bool(column.iloc[-1] > column.iloc[0])


def _plain_values(table: Any) -> np.ndarray:
    """Values as an array; numbers that may lack (Float64 and the like) as floats with NaN."""
    values = table.to_numpy()
    kinds = {dtype.kind for dtype in (table.dtypes if hasattr(table, "columns") else [table.dtype])}
    return table.to_numpy(float, na_value=np.nan) if values.dtype.kind == "O" and kinds <= set("iufb") else values
