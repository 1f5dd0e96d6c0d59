"""From what users have to a population: mappings of recordings, one matrix with session ids, trials, gaps, NaN."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from antidrome.core.whole import whole_numbers
from antidrome.dynamics.data import column_statistics
from antidrome.dynamics.entries import entries_of, matching_notes
from antidrome.dynamics.population import Population, Session
from antidrome.errors import InputError
from antidrome.recordings.arguments import counted, listing
from antidrome.recordings.clock import clock_rate_hz, rate_agrees
from antidrome.recordings.segments import borders, neighbours
from antidrome.recordings.units import spelled

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
    entries = entries_of(recordings, sessions, neuron)
    if not entries:
        raise InputError("No recording was given; expected a mapping of session id to recording.")
    notes = matching_notes(entries) + list(dict.fromkeys(said for e in entries.values() for said in e["notes"]))
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
        notes.append(f"Session {name!r}: {counted(n_infinite, 'infinite entry')} taken as missing.")
    seen = statistics["n_observed"] > 0
    varying = seen & statistics["varies"]
    if (seen & ~varying).any():
        which = [labels[i] for i in np.flatnonzero(seen & ~varying)]
        many = counted(len(which), "neuron", "is")
        notes.append(f"Session {name!r}: {many} left out, without variation: {listing(which)}.")
    columns = np.flatnonzero(varying)
    neighbouring = (segment[1:] >= 0) & (segment[1:] == segment[:-1])
    if columns.size == 0 or not neighbouring.any():
        lacking = "varying neuron" if columns.size == 0 else "two neighbouring frames"
        notes.append(f"Session {name!r} has no {lacking} and is left out.")
        return None
    rows = np.array([places.setdefault(labels[i], len(places)) for i in columns])
    kept = {key: statistics[key][columns] for key in ("mean", "variance", "n_observed", "least", "whole", "digest")}
    told = {"time_s": entry["time"], "units": entry["units"], "along": entry["along"]}
    return Session(name, values, columns, rows, segment, **kept, **told)


def _segment(name: str, entry: dict[str, Any], segments: Segments | None, frame_rate_hz: float | None) -> np.ndarray:
    """(frame,) number of the stretch, cut at time gaps, trial borders and given segments."""
    n_frames, time = entry["values"].shape[0], entry["time"]
    cut = np.r_[False, _told_borders(entry)]
    if time is not None:
        _require_order(name, np.diff(time)[~cut[1:]])
        rate = entry["rate"] or frame_rate_hz or clock_rate_hz(_clock(entry))
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


def _told_borders(entry: dict[str, Any]) -> np.ndarray:
    """(frame − 1,) where another trial begins, or a session that was left comes back."""
    told = [borders(entry[key]) for key in ("trial", "stretch") if entry.get(key) is not None]
    return np.logical_or.reduce([np.zeros(entry["values"].shape[0] - 1, dtype=bool), *told])


def _clock(entry: dict[str, Any]) -> np.ndarray | None:
    """Times (s) that tell the frame rate: trials of two frames and more, so far apart that none is the next frame."""
    time, told = entry["time"], _told_borders(entry)
    if time is None or not told.any():
        return time
    steps = np.diff(time)
    within = steps[~told & (steps > 0)]
    if not within.size:
        return None
    longest = 4 * max(within.max(), -steps.min())
    apart = 2.0 ** np.ceil(np.log2(longest))  # times stay as round as they are
    alone = np.r_[True, told] & np.r_[told, True]
    return (time + apart * np.r_[0, np.cumsum(told)])[~alone]


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
    clocks = {name: _clock(entry) for name, entry in entries.items()}
    for name, time in clocks.items():
        stated = entries[name]["rate"]
        if stated and time is not None and not rate_agrees(float(stated), time):
            raise InputError(
                f"Session {name!r} states {float(stated):g} Hz, but its times run at"
                f" {clock_rate_hz(time):g} Hz: correct the attribute 'frame_rate_hz' or the times (in seconds,"
                " or with their attribute 'units')."
            )
    told = [entry["rate"] or clock_rate_hz(clocks[name]) for name, entry in entries.items()]
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
