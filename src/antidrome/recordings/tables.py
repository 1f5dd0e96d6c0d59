"""What users hold beside plain arrays: tables of pandas with names and times of their own, lists, tensors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from antidrome.errors import InputError


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
        If the values are no array and cannot become one.
    """
    if hasattr(values, "to_numpy") and hasattr(values, "index"):
        columns = values.columns if hasattr(values, "columns") else None
        counted = type(columns).__name__ == "RangeIndex"
        index = values.index
        timed = index.dtype.kind in "fMm"
        return Table(
            values.to_numpy(),
            None if columns is None or counted else np.array([str(name) for name in columns]),
            xr.DataArray(index.to_numpy(), dims="time") if timed else None,
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
