"""What simulators return, as one vector of named features: arrays, numbers, dicts, xarray, pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from antidrome.errors import InputError
from antidrome.recordings.arguments import counted

MAX_FEATURES = 100_000


def to_vector(output: Any, what: str = "simulator's output") -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray]:
    """Names, units and values (k,) of one simulation's output.

    Parameters
    ----------
    output
        A number, an array (of any shape), a mapping of names to these, an xarray DataArray or Dataset, a labelled
        Series or a DataFrame with named columns of pandas. None stands for a missing feature, as NaN does. Entries of
        an array are named ``name[i]`` or ``name[i,j]``; labels of an xarray dimension or of a Series are used where
        there are any. Units come from the attribute ``units`` of xarray objects.
    what
        What to call it in messages.

    Raises
    ------
    InputError
        If something in it is no number.

    Examples
    --------
    >>> to_vector({"rate": 3.0, "isi": [1, 2]})[0]
    ('rate', 'isi[0]', 'isi[1]')
    """
    names: list[str] = []
    units: list[str] = []
    values: list[np.ndarray] = []
    for name, part, unit in _parts(output.iloc[0] if _has_named_columns(output) and len(output) == 1 else output):
        array = _numbers(part, name, what)
        labels = _labels(name, part, array)
        names += labels
        units += [unit] * len(labels)
        values.append(array.ravel())
    vector = np.concatenate(values) if values else np.zeros(0)
    if not len(vector):
        raise InputError(f"The {what} holds no feature at all; expected at least one number.")
    if len(vector) > MAX_FEATURES:
        raise InputError(f"The {what} holds {len(vector):,} numbers; give features=… that summarise them.")
    return tuple(names), tuple(units), vector


def to_rows(output: Any, n: int) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray]:
    """Names, units and values (n, k) of what a batched simulator returned for n simulations (first axis).

    Raises
    ------
    InputError
        If a part of it does not have n rows.
    """
    names: list[str] = []
    units: list[str] = []
    columns: list[np.ndarray] = []
    for name, part, unit in _parts(output):
        array = _numbers(part, name)
        if array.ndim == 0 or len(array) != n:
            raise InputError(
                f"A batched simulator returned {name or 'an output'} of shape {array.shape} for {n} simulations;"
                f" expected {n} rows."
            )
        labels = _labels(name, _first_row(part), np.asarray(array[0]))
        names += labels
        units += [unit] * len(labels)
        columns.append(array.reshape(n, -1))
    if not names:
        raise InputError("The simulator returned no feature at all; expected at least one number.")
    return tuple(names), tuple(units), np.concatenate(columns, axis=1)


def as_observation(observation: Any, feature_names: Sequence[str]) -> np.ndarray:
    """A measurement as the vector of features that a simulator gives: (k,) float64, NaN where missing.

    Mappings, labelled pandas Series, one-row DataFrames and xarray are matched by name (a name that is left out is
    missing); plain arrays by position.

    Raises
    ------
    InputError
        Another number of features, unknown names, a name twice, nothing but gaps, or infinite values.
    """
    values = _in_order_of(observation, feature_names)
    if np.isinf(values).any():
        raise InputError(f"Feature {feature_names[int(np.argmax(np.isinf(values)))]!r} of the observation is infinite.")
    if np.isnan(values).all():
        raise InputError("Every feature of the observation is missing; nothing can be inferred from it.")
    return values


def _in_order_of(observation: Any, feature_names: Sequence[str]) -> np.ndarray:
    """A measurement (k,) in the order of the names."""
    names, _, values = to_vector(observation, "observation")
    named = _says_names(observation) or not is_unnamed(names)
    if not named and len(feature_names) == len(values):
        return values
    if named:
        given = set(feature_names)
        unknown = [name for name in names if name not in given]
        if unknown:
            raise InputError(
                f"The observation has a feature {unknown[0]!r} that the simulator does not give; it gives"
                f" {', '.join(feature_names)}."
            )
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"The observation has the feature {twice!r} twice; keep the value that holds.")
        found = dict(zip(names, values, strict=True))
        return np.array([found.get(name, np.nan) for name in feature_names])
    in_rows = all(name.startswith("x[") and "," in name for name in feature_names)
    raise InputError(
        f"The observation has {counted(len(values), 'value')}, the simulator gives"
        f" {counted(len(feature_names), 'feature')}:"
        f" {', '.join(feature_names[:8])}{' …' if len(feature_names) > 8 else '.'}"
        + (" If it takes many parameter sets at once, say so: PythonSimulator(…, batched=True)." if in_rows else "")
    )


def are_rows(names: Sequence[str], n: int) -> bool:
    """Whether these are the features of one unnamed array of n rows, (n, k)."""
    return len(names) % n == 0 and tuple(names) == tuple(
        f"x[{i},{j}]" for i in range(n) for j in range(len(names) // n)
    )


def in_order(names: tuple[str, ...], values: np.ndarray, expected: tuple[str, ...]) -> np.ndarray | None:
    """Values (k,) of named features in the expected order; NaN where a simulation left a feature out, as a whole.

    None if it has others, one twice, or an array of another length.
    """
    if names == expected:
        return values
    if len(set(names)) < len(names):
        return None
    parts = {part_of(name) for name in names}
    if is_unnamed(names) or set(names) != {name for name in expected if part_of(name) in parts}:
        return None
    found = dict(zip(names, values, strict=True))
    return np.array([found.get(name, np.nan) for name in expected])


def part_of(name: str) -> str:
    """What of an output a feature belongs to: "isi" of "isi[2]"."""
    return name.partition("[")[0]


def default_names(k: int) -> tuple[str, ...]:
    """Names for features that nobody named."""
    return tuple(f"x[{i}]" for i in range(k)) if k != 1 else ("x",)


def default_parameter_names(d: int) -> tuple[str, ...]:
    """Names for parameters that nobody named."""
    return tuple(f"theta[{i}]" for i in range(d))


def _is_labelled_series(output: Any) -> bool:
    """Whether this is a pandas Series whose index says which value is which."""
    return hasattr(output, "tolist") and _are_labels(getattr(output, "index", None))


def _has_named_columns(output: Any) -> bool:
    """Whether this is a pandas DataFrame whose columns have names."""
    return hasattr(output, "iloc") and _are_labels(getattr(output, "columns", None))


def _are_labels(index: Any) -> bool:
    """Whether an index of pandas holds more than positions."""
    return hasattr(index, "dtype") and index.dtype.kind not in "iuf"


def _says_names(output: Any) -> bool:
    labelled = _is_labelled_series(output) or _has_named_columns(output)
    return labelled or isinstance(output, Mapping) or hasattr(output, "data_vars")


def _first_row(part: Any) -> Any:
    """The first of many simulations' outputs, with its labels, if it has any."""
    if _has_named_columns(part):
        return part.iloc[0]
    return part.isel({part.dims[0]: 0}) if hasattr(part, "isel") else None


def is_unnamed(names: Sequence[str]) -> bool:
    """Whether these are the names of features that nobody named."""
    return tuple(names) == default_names(len(names))


def _parts(output: Any) -> list[tuple[str, Any, str]]:
    """(name, value, unit) of every part of an output."""
    if hasattr(output, "data_vars"):
        output = {str(name): output[name] for name in output.data_vars}
    if isinstance(output, Mapping):
        return [(str(name), part, str(getattr(part, "attrs", {}).get("units", ""))) for name, part in output.items()]
    name = getattr(output, "name", None) if hasattr(output, "dims") else None
    unit = getattr(output, "attrs", {}).get("units", "") if hasattr(output, "dims") else ""
    return [(str(name or "x"), output, str(unit))]


def _numbers(part: Any, name: str, what: str = "simulator's output") -> np.ndarray:
    if part is None:
        return np.array(np.nan)
    if _is_labelled_series(part):  # of a table's row, whose cells may be of several types
        part = part.astype(object).where(part.notna(), None).tolist()
    if isinstance(part, (list, tuple)):
        part = [np.nan if item is None else item for item in part]
    if isinstance(part, np.ma.MaskedArray):
        part = part.astype(float).filled(np.nan)
    if hasattr(part, "detach"):  # a tensor of torch
        part = part.detach().cpu()
    try:
        array = np.asarray(part.values if hasattr(part, "dims") else part)
        if array.dtype.kind in "biuf":
            return array.astype(np.float64)
        found = array.dtype
    except (ValueError, TypeError) as error:
        found = error
    raise InputError(f"{name!r} in the {what} is no array of real numbers ({found}).")


def _labels(name: str, part: Any, array: np.ndarray) -> list[str]:
    if array.ndim == 0:
        return [name]
    labels = None
    if array.ndim == 1 and hasattr(part, "dims") and part.dims[0] in part.coords:
        labels = [str(label) for label in np.asarray(part.coords[part.dims[0]].values).tolist()]
    elif _is_labelled_series(part):
        labels = [str(label) for label in part.index]
    if labels is not None:
        return labels if name == "x" else [f"{name}[{label}]" for label in labels]
    if _has_named_columns(part):
        return [f"{name}[{row},{label}]" for row in range(len(part)) for label in part.columns]
    if array.shape == (1,) and name == "x":
        return [name]
    return [f"{name}[{','.join(map(str, index))}]" for index in np.ndindex(array.shape)]
