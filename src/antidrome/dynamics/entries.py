"""What users hold, one recording a session: its values as they are stored, with labels, times, trials and units."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from antidrome.dynamics.data import is_dask
from antidrome.errors import InputError
from antidrome.recordings.arguments import listing
from antidrome.recordings.axes import (
    named_by_number,
    neuron_labels,
    standard_dims,
    time_in_seconds,
    without_levels,
)
from antidrome.recordings.checks.matching import HOW_TO_NAME
from antidrome.recordings.headings import names_group
from antidrome.recordings.masked import require_known_shape, unmasked
from antidrome.recordings.recording import of_frames
from antidrome.recordings.tables import (
    as_frame,
    index_times,
    is_table,
    names_times,
    numbered_columns,
    opened_table,
    without_index,
)
from antidrome.recordings.units import stated_units


def entries_of(recordings: Any, sessions: Any, neuron: Any) -> dict[str, dict[str, Any]]:
    """Session id → values, labels, times, trials, units and notes of each; see `as_population` for what may be given.

    Raises
    ------
    InputError
        What is given is no recording, or its labels, times or session ids are not right.
    """
    if isinstance(recordings, Mapping) and not isinstance(recordings, xr.Dataset):
        if sessions is not None:
            raise InputError("sessions= belongs to one matrix; a mapping of recordings has its session ids already.")
        given = [(str(name), value) for name, value in recordings.items()]
    elif isinstance(recordings, list) or (isinstance(recordings, tuple) and not _is_pair(recordings)):
        given = [(_own_name(value) or str(i), value) for i, value in enumerate(recordings)]
        if len({name for name, _ in given}) < len(given):
            given = [(str(i), value) for i, value in enumerate(recordings)]
    else:
        return _split_matrix(_entry(recordings, neuron, "the recording"), sessions)
    if len({name for name, _ in given}) < len(given):
        raise InputError(f"Session ids must differ as text; got {listing(name for name, _ in given)}.")
    return {name: _entry(value, neuron, f"session {name!r}") for name, value in given}


def matching_notes(entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What to know where neurons of several sessions are the same because of their number alone."""
    numbered = [name for name, entry in entries.items() if entry["numbered"]]
    if len(entries) < 2 or not numbered:
        return []
    return [
        f"Nobody named the neurons of {listing(numbered, 4)}: neurons of equal number are taken for the same cells."
        f" {HOW_TO_NAME}"
    ]


def _entry(value: Any, neuron: Any, where: str) -> dict[str, Any]:
    """Values, labels, times, trial numbers and rate of one recording."""
    value, notes = _opened(value, where), list[str]()
    if isinstance(value, xr.Dataset):
        first = next(iter(value.data_vars), "dff")
        raise InputError(
            f"{where} is a Dataset with variables {listing(value.data_vars)}: pick one, dataset[{first!r}]."
        )
    if isinstance(value, xr.DataArray):
        entry = _of_array(value, neuron)
    elif is_table(value) and hasattr(value, "columns"):
        entry = _of_table(value, neuron, where)
        notes += _unheeded_levels(value.index, where)
    else:
        values, labels = value if _is_pair(value) else (value, neuron)
        entry = {"values": values, "labels": labels}
    values = entry["values"]
    if not (hasattr(values, "shape") and hasattr(values, "dtype") and hasattr(values, "__getitem__")):
        values = np.asarray(values)
    if hasattr(values, "tocsr"):
        values = values.tocsr()
        if not values.has_canonical_format:  # several entries of one place are their sum
            values = values.copy()
            values.sum_duplicates()
    require_known_shape(values, where)
    values = unmasked(values, notes, f"entries of {where}")
    if np.dtype(values.dtype).kind not in "iufb":
        raise InputError(f"{where} holds values of type {values.dtype}, expected real numbers.")
    if len(values.shape) != 2 or 0 in values.shape:
        raise InputError(f"{where} has shape {tuple(values.shape)}, expected (frames, neurons), none of them 0.")
    labels = entry["labels"]
    if labels is not None:
        try:
            labels = neuron_labels(_whole(labels), values.shape[1], values.shape[0])
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
    unknown = {"session": None, "trial": None, "time": None, "rate": None, "units": None, "along": {}}
    return {**unknown, "numbered": labels is None, "notes": notes, **entry, "values": values, "labels": labels}


def _of_array(recording: xr.DataArray, neuron: Any) -> dict[str, Any]:
    array, _ = standard_dims(recording)
    levels = _levels_of(array.indexes["time"]) if "time" in array.indexes else {}
    array = without_levels(array, "time")
    told = {
        str(name): coord.values for name, coord in array.coords.items() if coord.dims == ("time",) and name != "time"
    }
    labels = array["neuron"].values if "neuron" in array.coords else neuron
    return {
        "values": array.data if is_dask(array.data) else array.values,
        "labels": labels,
        "numbered": labels is None or named_by_number(array),
        "time": time_in_seconds(array["time"]) if "time" in array.coords else levels.get("time"),
        "rate": array.attrs.get("frame_rate_hz"),
        "units": stated_units(array.attrs),
        "along": {str(name): values for name, (_, values) in of_frames(array).items()},
        **{group: values for name, values in reversed(told.items()) if (group := names_group(name))},  # the first holds
    }


def _of_table(table: Any, neuron: Any, where: str) -> dict[str, Any]:
    _require_neurons(table.columns, where)
    levels, numbered = _levels_of(table.index), numbered_columns(table)
    opened = opened_table(without_index(table) if levels else table, where)
    return {
        "values": opened.values,
        "labels": neuron if numbered and neuron is not None else np.asarray(table.columns),
        "numbered": numbered and neuron is None,
        "time": None if opened.times is None else time_in_seconds(opened.times),
        "along": {name: values for name, values in levels.items() if name != "time"},
        **levels,
    }


def _levels_of(index: Any) -> dict[str, Any]:
    """Sessions, trials and times of frames whose index has levels of these names, or is the only one."""
    levels = {name: index.get_level_values(name) for name in index.names if name is not None}
    found = {group: level.to_numpy() for name, level in levels.items() if (group := names_group(str(name)))}
    timed = [level for name, level in levels.items() if names_times(name)]
    times = index_times(timed[0]) if len(timed) == 1 else None
    return found if times is None else {**found, "time": time_in_seconds(times)}


def _unheeded_levels(index: Any, where: str) -> list[str]:
    """What to know of an index that tells more of the frames than their sessions, trials and times."""
    unheeded = [
        "one without a name" if name is None else repr(name)
        for place, name in enumerate(index.names)
        if not (names_group(str(name)) or names_times(name))
        and (name is not None or index.get_level_values(place).dtype.kind not in "iu")
    ]
    if index.nlevels < 2 or not unheeded:
        return []
    return [
        f"Of the index of {where} a level is not heeded ({', '.join(unheeded)}): call it 'session' or 'trial' if frames"
        " of different values are not neighbours."
    ]


def _require_neurons(columns: Any, where: str) -> None:
    """Raise InputError if a column of a table says to which session or trial its frames belong."""
    for name in columns:
        if names_group(str(name)):
            raise InputError(
                f"{where} has a column {name!r} that would be a neuron: make it a level of the index with"
                f" set_index({name!r}, append=True), or leave it out."
            )


def _whole(labels: Any) -> Any:
    """Labels as they are, but whole numbers kept as floats (as tables with gaps have them) as whole numbers."""
    values = np.asarray(labels)
    if values.dtype.kind == "f" and np.isfinite(values).all() and (values == np.round(values)).all():
        return values.astype(np.int64)
    return labels


def _opened(value: Any, where: str) -> Any:
    """What a path holds; everything else as it is."""
    if value is None:
        raise InputError(f"{where} is None, expected an array of shape (frames, neurons).")
    if isinstance(value, str | os.PathLike):
        from antidrome.recordings import read

        return read(value)
    return as_frame(value)


def _split_matrix(entry: dict[str, Any], sessions: Any) -> dict[str, dict[str, Any]]:
    """One matrix with session ids becomes one entry a session; a session that comes back later is a new stretch."""
    ids = entry["session"] if sessions is None else np.asarray(sessions)
    if ids is None:
        return {"0": entry}
    n_frames = entry["values"].shape[0]
    if ids.shape != (n_frames,):
        raise InputError(f"sessions has shape {ids.shape}, expected one id for each of the {n_frames} frames.")
    none = [one is None for one in ids] if ids.dtype.kind == "O" else False
    missing = np.flatnonzero((ids != ids) | none)  # NaN and NaT alone differ from themselves
    if missing.size:
        raise InputError(f"sessions has no id for frame {missing[0]} ({missing.size} of {n_frames} frames have none).")
    if ids.dtype == "M8[ns]":  # whose tolist() counts nanoseconds
        ids = ids.astype("M8[us]") if (ids == ids.astype("M8[us]")).all() else ids.astype(str)
    names = dict.fromkeys(ids.tolist())
    if len(set(map(str, names))) < len(names):
        raise InputError(f"Session ids must differ as text; got {listing(map(str, names))}.")
    result = {}
    for name in names:
        frames = np.flatnonzero(ids == name)
        together = frames[-1] - frames[0] + 1 == len(frames)
        chosen = slice(int(frames[0]), int(frames[-1]) + 1) if together else frames
        stretch = np.concatenate([[0], np.cumsum(np.diff(frames) > 1)])
        part = {key: None if entry[key] is None else entry[key][chosen] for key in ("time", "trial")}
        part["along"] = {key: values[chosen] for key, values in entry["along"].items()}
        result[str(name)] = {**entry, **part, "numbered": False, "values": entry["values"][chosen], "stretch": stretch}
    return result


def _is_pair(value: Any) -> bool:
    if not isinstance(value, tuple) or len(value) != 2 or not hasattr(value[0], "shape"):
        return False
    return len(np.shape(value[1])) == 1 and len(value[0].shape) == 2


def _own_name(value: Any) -> str:
    return str(value.attrs.get("session_id") or "") if isinstance(value, xr.DataArray) else ""
