"""From what users have to a population: mappings of recordings, one matrix with session ids, trials, gaps, NaN."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from antidrome.core.whole import whole_numbers
from antidrome.dynamics.data import column_statistics, is_dask
from antidrome.dynamics.population import Population, Session
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
from antidrome.recordings.clock import clock_rate_hz, rate_agrees
from antidrome.recordings.headings import names_group
from antidrome.recordings.masked import require_known_shape, unmasked
from antidrome.recordings.segments import neighbours
from antidrome.recordings.tables import (
    as_frame,
    index_times,
    is_table,
    names_times,
    numbered_columns,
    opened_table,
    without_index,
)
from antidrome.recordings.units import spelled, stated_units

Segments = Mapping[str, Sequence[tuple[int, int]]]
HOW_TO_SEGMENT = "expected session id → (first, last + 1) frames, for example {'monday': [(0, 700), (700, 1400)]}."

MOST_RESTARTS = 4
"""Clocks that start again at every trial run backwards in at most one of so many steps."""


def as_population(
    recordings: Any,
    *,
    sessions: Any = None,
    neuron: Any = None,
    segments: Segments | None = None,
    frame_rate_hz: float | None = None,
) -> Population:
    """Match sessions by neuron label.

    Parameters
    ----------
    recordings
        Mapping of session id to recording, a list of recordings, or one recording. A recording is a DataArray (time,
        neuron), or any array of that shape (numpy, memmap, HDF5, Zarr, dask, scipy.sparse), or a pair
        (array, labels), or a DataFrame whose columns are neurons and whose index may hold times (dates, durations or
        fractional numbers of seconds, or of the unit in its name, "time_ms"), or levels "session", "trial" and
        "time", or the path of a recording. NaN marks what was not observed. Recordings that state their units become
        those of the others: percent beside fractions, "spikes/s" beside "spikes per frame".
    sessions
        For one matrix: the session id of each frame, (frame,); or the coordinate "session" along time.
    neuron
        Labels of the columns, for plain arrays; default their numbers.
    segments
        Session id → (first, last + 1) frames of uninterrupted stretches (trials); frames outside are left out. A
        DataArray may carry them as a coordinate "trial" along time. Gaps in its times interrupt as well.
    frame_rate_hz
        Frames per second, for plain arrays.

    Raises
    ------
    InputError
        If something cannot be matched, or units that differ be converted; the message names the session.
    """
    if isinstance(recordings, Population):
        return recordings
    if segments is not None and not isinstance(segments, Mapping):
        raise InputError(f"segments is of type {type(segments).__name__}, {HOW_TO_SEGMENT}")
    entries = _entries(recordings, sessions, neuron)
    if not entries:
        raise InputError("No recording was given; expected a mapping of session id to recording.")
    notes = _matching_notes(entries) + list(dict.fromkeys(said for e in entries.values() for said in e["notes"]))
    unlabelled = {entry["values"].shape[1] for entry in entries.values() if entry["labels"] is None}
    if len(unlabelled) > 1:
        raise InputError(
            f"The sessions have {' and '.join(map(str, sorted(unlabelled)))} columns and no neuron labels, so that"
            " nobody can tell which neurons they share. Give DataArrays with neuron labels, pairs (array, labels), or"
            " one matrix with NaN for what a session did not see."
        )
    places: dict[str, int] = {}
    made = [_session(name, entry, places, segments, frame_rate_hz, notes) for name, entry in entries.items()]
    if segments is not None and (unknown := sorted(set(map(str, segments)) - set(entries))):
        raise InputError(f"segments names the session {unknown[0]!r}; the sessions are {listing(entries)}.")
    rate = _rate(entries, frame_rate_hz)
    kept = [session for session in made if session is not None]
    if not kept:
        raise InputError(
            "No session has two neighbouring frames with an observed, varying neuron, the least that a fit, or a use of"
            " one, can work on."
        )
    population = Population(np.array(list(places), dtype=str), tuple(kept), rate, tuple(notes))
    return _of_one_unit(population)


def _of_one_unit(population: Population) -> Population:
    """Fractions where some sessions say that they are fractions and others percent, counts where others are rates."""
    rate, wanted = population.frame_rate_hz, population.units
    converted = tuple(session.in_units(wanted, rate) for session in population.sessions)
    changed = [old.name for old, new in zip(population.sessions, converted, strict=True) if new is not old]
    if not changed:
        return population
    note = f"Taken in the units of the other sessions ({spelled(wanted)}): {listing(changed, 4)}."
    return dataclasses.replace(population, sessions=converted, notes=(*population.notes, note))


def _entries(recordings: Any, sessions: Any, neuron: Any) -> dict[str, dict[str, Any]]:
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


def _matching_notes(entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
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
        array, _ = standard_dims(value)
        levels = _levels_of(array.indexes["time"]) if "time" in array.indexes else {}
        array = without_levels(array, "time")
        labels = array["neuron"].values if "neuron" in array.coords else neuron
        along = {name: array[name].values for name in ("session", "trial") if name in array.coords}
        along = {name: column for name, column in along.items() if column.ndim == 1 and array[name].dims == ("time",)}
        time = time_in_seconds(array["time"]) if "time" in array.coords else levels.get("time")
        data = array.data if is_dask(array.data) else array.values
        entry = {"values": data, "time": time, "rate": array.attrs.get("frame_rate_hz"), **along}
        entry["units"] = stated_units(array.attrs)
        entry["numbered"] = labels is None or named_by_number(array)
    elif is_table(value) and hasattr(value, "columns"):
        levels, numbered = _levels_of(value.index), numbered_columns(value)
        _require_neurons(value.columns, where)
        table = opened_table(without_index(value) if levels else value, where)
        notes += _unheeded_levels(value.index, where)
        time = None if table.times is None else time_in_seconds(table.times)
        entry = {"values": table.values, "time": time, "rate": None, "numbered": numbered and neuron is None, **levels}
        labels = neuron if numbered and neuron is not None else np.asarray(value.columns)
    elif _is_pair(value):
        entry, labels = {"values": value[0], "time": None, "rate": None}, value[1]
    else:
        entry, labels = {"values": value, "time": None, "rate": None}, neuron
    values = entry["values"]
    if not (hasattr(values, "shape") and hasattr(values, "dtype") and hasattr(values, "__getitem__")):
        values = np.asarray(values)
    if hasattr(values, "tocsr"):
        values = values.tocsr()
    require_known_shape(values, where)
    values = unmasked(values, notes, f"entries of {where}")
    if np.dtype(values.dtype).kind not in "iufb":
        raise InputError(f"{where} holds values of type {values.dtype}, expected real numbers.")
    if len(values.shape) != 2 or 0 in values.shape:
        raise InputError(f"{where} has shape {tuple(values.shape)}, expected (frames, neurons), none of them 0.")
    if labels is not None:
        try:
            labels = neuron_labels(_whole(labels), values.shape[1], values.shape[0])
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
    known = {"session": None, "trial": None, "numbered": labels is None, "notes": notes}
    return {**known, **entry, "values": values, "labels": labels}


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
        result[str(name)] = {**entry, **part, "numbered": False, "values": entry["values"][chosen], "stretch": stretch}
    return result


def _session(
    name: str,
    entry: dict[str, Any],
    places: dict[str, int],
    segments: Segments | None,
    frame_rate_hz: float | None,
    notes: list[str],
) -> Session | None:
    values = entry["values"]
    labels = [str(i) for i in range(values.shape[1])] if entry["labels"] is None else entry["labels"].tolist()
    segment = _segment(name, entry, segments, frame_rate_hz)
    statistics = column_statistics(values, segment, name)
    n_infinite = int(statistics["n_infinite"].sum())
    if n_infinite:
        notes.append(f"Session {name!r}: {n_infinite} infinite entries taken as missing.")
    seen = statistics["n_observed"] > 0
    varying = seen & (statistics["variance"] > 0) & (statistics["n_observed"] > 1)
    if (seen & ~varying).any():
        which = [labels[i] for i in np.flatnonzero(seen & ~varying)]
        many = "1 neuron does not vary and is" if len(which) == 1 else f"{len(which)} neurons do not vary and are"
        notes.append(f"Session {name!r}: {many} left out: {listing(which)}.")
    columns = np.flatnonzero(varying)
    neighbouring = (segment[1:] >= 0) & (segment[1:] == segment[:-1])
    if columns.size == 0 or not neighbouring.any():
        lacking = "varying neuron" if columns.size == 0 else "two neighbouring frames"
        notes.append(f"Session {name!r} has no {lacking} and is left out.")
        return None
    rows = np.array([places.setdefault(labels[i], len(places)) for i in columns])
    kept = {name: statistics[name][columns] for name in ("mean", "variance", "n_observed", "least", "whole")}
    return Session(name, values, columns, rows, segment, **kept, time_s=entry["time"], units=entry.get("units"))


def _segment(name: str, entry: dict[str, Any], segments: Segments | None, frame_rate_hz: float | None) -> np.ndarray:
    """(frame,) number of the stretch, cut at time gaps, trial borders and given segments."""
    n_frames, time = entry["values"].shape[0], entry["time"]
    cut = np.zeros(n_frames, dtype=bool)
    for key in ("trial", "stretch"):
        if entry.get(key) is not None:
            cut[1:] |= entry[key][1:] != entry[key][:-1]
    if time is not None:
        _require_order(name, np.diff(time)[~cut[1:]])
        rate = entry["rate"] or frame_rate_hz or clock_rate_hz(time)
        cut[1:] |= ~neighbours(time, float(rate), n_frames) if rate else True  # without a rate they never increase
    segment = np.cumsum(cut).astype(np.int32)
    wanted = None if segments is None else {str(key): value for key, value in segments.items()}.get(name)
    if wanted is None:
        return segment
    given = np.full(n_frames, -1, dtype=np.int32)
    for index, (start, stop) in enumerate(_stretches_of(name, wanted)):
        if not 0 <= start < stop <= n_frames:
            raise InputError(f"Session {name!r}: segment ({start}, {stop}) is not within its {n_frames} frames.")
        if (given[start:stop] >= 0).any():
            raise InputError(f"Session {name!r}: segment ({start}, {stop}) overlaps an earlier one.")
        given[start:stop] = index
    return np.where(given < 0, -1, given * (int(segment[-1]) + 1) + segment).astype(np.int32)


def _require_order(name: str, steps: np.ndarray) -> None:
    """Raise InputError where times (steps, s, within trials) run backwards more often than clocks start again."""
    n_back = int((steps < 0).sum())
    if n_back > steps.size / MOST_RESTARTS:
        raise InputError(
            f"Session {name!r}: time runs backwards in {n_back} of {steps.size} steps from frame to frame: sort the"
            " frames by time, or tell the trials apart (a coordinate or level 'trial')."
        )


def _stretches_of(name: str, wanted: Any) -> list[tuple[int, int]]:
    """Segments of a session as pairs of whole numbers."""
    pairs = [whole_numbers(pair) or () for pair in wanted] if isinstance(wanted, Iterable) else [()]
    if any(len(pair) != 2 for pair in pairs):
        raise InputError(f"segments of session {name!r} are {wanted!r}, {HOW_TO_SEGMENT}")
    return [(pair[0], pair[1]) for pair in pairs]


def _rate(entries: dict[str, dict[str, Any]], frame_rate_hz: float | None) -> float | None:
    for name, entry in entries.items():
        if entry["rate"] and entry["time"] is not None and not rate_agrees(float(entry["rate"]), entry["time"]):
            raise InputError(
                f"Session {name!r} states {float(entry['rate']):g} Hz, but its times run at"
                f" {clock_rate_hz(entry['time']):g} Hz: correct the attribute 'frame_rate_hz' or the times (in seconds,"
                " or with their attribute 'units')."
            )
    told = [entry["rate"] or clock_rate_hz(entry["time"]) for entry in entries.values()]
    rates = {float(rate) for rate in told if rate}
    if frame_rate_hz is not None:
        rates = {float(frame_rate_hz), *rates}
    if rates and max(rates) > 1.02 * min(rates):
        raise InputError(
            f"The sessions run at {min(rates):g} to {max(rates):g} Hz; a lag of one frame means the same time only at"
            " one frame rate. Resample them first."
        )
    if frame_rate_hz is not None:
        return float(frame_rate_hz)
    return float(np.median(sorted(rates))) if rates else None


def _is_pair(value: Any) -> bool:
    if not isinstance(value, tuple) or len(value) != 2 or not hasattr(value[0], "shape"):
        return False
    return len(np.shape(value[1])) == 1 and len(value[0].shape) == 2


def _own_name(value: Any) -> str:
    return str(value.attrs.get("session_id") or "") if isinstance(value, xr.DataArray) else ""
