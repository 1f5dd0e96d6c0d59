"""Tables of parameter sets whose columns have names: of xarray with a dimension "parameter", of pandas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from antidrome.errors import InputError


def labelled(values: Any) -> tuple[tuple[str, ...], Any]:
    """Names of the columns, () where they have none, and the table (n, column) without them."""
    if getattr(values, "ndim", 0) != 2:
        return (), values
    if "parameter" in getattr(values, "dims", ()) and "parameter" in values.coords:
        labels, columns = values["parameter"].values, values.transpose(..., "parameter").values
    elif getattr(getattr(values, "columns", None), "dtype", None) is not None:
        labels, columns = values.columns, values.to_numpy()
    else:
        return (), values
    return (tuple(str(label) for label in labels) if all(isinstance(label, str) for label in labels) else ()), columns


def in_order_of(values: Any, names: Sequence[str]) -> Any:
    """A table with as many columns as there are names, in their order if its columns have names; others unchanged.

    Raises
    ------
    InputError
        The columns have other names.
    """
    given, columns = labelled(values)
    if len(given) != len(names):
        return columns
    if sorted(given) != sorted(names):
        raise InputError(
            f"The columns are {', '.join(given)}; expected those of the parameters {', '.join(names)}."
            " Name them so, or give a plain array in that order."
        )
    return columns[:, [given.index(name) for name in names]]
