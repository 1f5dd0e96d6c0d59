"""Tables of parameter sets, or of what belongs to them, whose columns or rows have names: of pandas, xarray, polars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from antidrome.errors import InputError, did_you_mean
from antidrome.recordings.tables import as_frame


def labelled(values: Any) -> tuple[tuple[Any, ...], Any]:
    """Labels of the columns, () where they have none, and the table (n, column) without them.

    The columns of xarray are the dimension "parameter" where there is one, else the second.
    """
    values = as_frame(values)
    if getattr(values, "ndim", 0) != 2:
        return (), values
    if hasattr(values, "dims"):
        dim = "parameter" if "parameter" in values.dims else values.dims[1]
        labels = values[dim].values.tolist() if dim in values.coords else ()
        return tuple(labels), values.transpose(..., dim).values
    if hasattr(values, "columns"):
        return tuple(values.columns), values.to_numpy()
    return (), values


def named(values: Any) -> tuple[tuple[str, ...], Any]:
    """The same, where the labels are text; numbers just count the columns."""
    labels, columns = labelled(values)
    return (labels if all(isinstance(label, str) for label in labels) else ()), columns


def in_rows(values: Any) -> Any:
    """One parameter set (d,) as a table of one row, its labels as those of the columns; tables unchanged."""
    values = as_frame(values)
    if np.ndim(values) != 1:
        return values
    if hasattr(values, "dims"):
        return values.expand_dims("sample")
    return values.to_frame().T if hasattr(values, "to_frame") and hasattr(values, "index") else np.asarray(values)[None]


def in_columns_of(values: Any, names: Sequence[str]) -> Any:
    """A table with as many columns as there are names, in their order if its columns have names; others unchanged.

    A mapping of all names to a value, or to values (n,), is such a table too.

    Raises
    ------
    InputError
        The columns have other names.
    """
    if isinstance(values, Mapping):
        return _columns_in(values, names)
    given, columns = named(values)
    if len(given) != len(names):
        return columns
    if sorted(given) != sorted(names):
        raise InputError(
            f"The columns are {', '.join(given)}; expected those of the parameters {', '.join(names)}."
            " Name them so, or give a plain array in that order."
        )
    return columns[:, [given.index(name) for name in names]]


def _columns_in(values: Mapping[Any, Any], names: Sequence[str]) -> np.ndarray:
    """The columns of a mapping, (n, column)."""
    unknown = [str(name) for name in values if name not in names]
    if unknown:
        raise InputError(
            f"There is no parameter {unknown[0]!r}.{did_you_mean(unknown[0], names)} There are: {', '.join(names)}."
        )
    absent = [name for name in names if name not in values]
    if absent:
        raise InputError(f"The parameter sets lack {', '.join(absent)}; give a value for each of {', '.join(names)}.")
    columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(values[name], float)) for name in names))
    return np.stack(columns, axis=-1)


def in_rows_of(theta: Any, values: Any) -> Any:
    """Features or log densities in the order of the parameters' rows, where both have labels that tell it.

    Raises
    ------
    InputError
        The labels of one are not those of the other.
    """
    here, there = _rows_of(theta), _rows_of(values)
    if here is None or there is None or len(here) != len(there) or here.equals(there):
        return values
    if here.is_unique and there.is_unique and here.isin(there).all():
        order = there.get_indexer(here)
        return values.iloc[order] if hasattr(values, "iloc") else values.isel({_row_dimension(values): order})
    raise InputError(
        f"The rows of parameters and of what belongs to them have different labels ({', '.join(map(str, here[:3]))} …"
        f" and {', '.join(map(str, there[:3]))} …). Give both the same, or, if they are in the same order, none:"
        " reset_index(drop=True), of xarray drop_vars."
    )


def _rows_of(table: Any) -> Any:
    """Labels of the rows of a table of pandas or xarray, as an index of pandas; None where it has none."""
    if hasattr(table, "dims"):
        return table.indexes.get(_row_dimension(table))
    index = getattr(table, "index", None)
    return index if hasattr(index, "get_indexer") else None


def _row_dimension(table: Any) -> Any:
    """What an object of xarray calls its rows."""
    return next((name for name in table.dims if name != "parameter"), None)
