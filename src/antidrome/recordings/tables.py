"""What users hold beside plain arrays: tables of pandas with names and times of their own, lists, tensors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings.axes import TIME_NAMES


class Table(NamedTuple):
    """Values as an array, with the labels and the times that came along; None where there are none."""

    values: Any
    labels: np.ndarray | None = None
    times: xr.DataArray | None = None


def opened_table(values: Any, what: str = "the recording") -> Table:
    """An array, and of a DataFrame or Series also its names (unless just counted) and its times.

    The index holds times where it is of dates, durations or fractional numbers; whole numbers count frames.

    Raises
    ------
    InputError
        If the values are no array and cannot become one, or a column holds the times.
    """
    if hasattr(values, "to_numpy") and hasattr(values, "index"):
        columns = values.columns if hasattr(values, "columns") and not numbered_columns(values) else None
        for place, name in enumerate(() if columns is None else columns):
            column = values.iloc[:, place]
            grows = column.is_monotonic_increasing and column.is_unique and len(column) > 1
            if str(name).lower() in TIME_NAMES and grows:
                raise InputError(
                    f"{what} has a column {name!r} that only grows and would be a neuron: make it the index with"
                    f" set_index({name!r}), or leave it out"
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


def index_times(index: Any) -> xr.DataArray | None:
    """What the index holds where it holds times; those of a time zone as universal time."""
    if index.dtype.kind not in "fMm":
        return None
    if index.dtype.kind == "M" and getattr(index, "tz", None) is not None:
        index = index.tz_convert(None)
    return xr.DataArray(index.to_numpy(float) if index.dtype.kind == "f" else index.to_numpy(), dims="time")


def _plain_values(table: Any) -> np.ndarray:
    """Values as an array; numbers that may lack (Float64 and the like) as floats with NaN."""
    values = table.to_numpy()
    kinds = {dtype.kind for dtype in (table.dtypes if hasattr(table, "columns") else [table.dtype])}
    return table.to_numpy(float, na_value=np.nan) if values.dtype.kind == "O" and kinds <= set("iufb") else values
