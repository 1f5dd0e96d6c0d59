"""Current-clamp series of NWB files, with their stimuli."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import pynwb
import xarray as xr
from pynwb.icephys import CurrentClampSeries, CurrentClampStimulusSeries

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings.current_clamp.alignment import Sampling, current_at_response
from antidrome.recordings.current_clamp.sweeps import current_clamp_from_array, find_sweeps
from antidrome.recordings.nwb import open_nwb
from antidrome.recordings.options import ReadOptions


def read_nwb_sweeps(
    path: Path,
    asked: Mapping[str, Any],
    area_cm2: float | None,
    sweeps: Any,
    *,
    allow_external: bool,
    max_bytes: int,
) -> xr.Dataset:
    """Read every ``CurrentClampSeries`` with the ``CurrentClampStimulusSeries`` that belongs to it, or those named.

    They are matched by the table of intracellular recordings, else by sweep number, else by starting time, else by
    order where there are as many of the one as of the other. A stimulus is aligned with its response in time.

    Raises
    ------
    FileFormatError
        If there is no current-clamp series or stimulus, no sweep of a name, or stimuli cannot be matched.
    InputError
        If sweeps differ in their sampling, or a stimulus and its response do not overlap.
    """
    with open_nwb(path, ReadOptions(allow_external=allow_external, max_bytes=max_bytes)) as nwbfile:
        responses = [s for s in nwbfile.objects.values() if type(s) is CurrentClampSeries]
        stimuli = [s for s in nwbfile.objects.values() if isinstance(s, CurrentClampStimulusSeries)]
        if not responses:
            raise FileFormatError(f"{path} has no CurrentClampSeries; expected one in acquisition.")
        responses.sort(key=_order)
        stimuli.sort(key=_order)
        if not stimuli:
            raise FileFormatError(
                f"{path} has no CurrentClampStimulusSeries, and a model needs the current that was injected; expected"
                " one in stimulus for each sweep."
            )
        pairs = _match(nwbfile, responses, stimuli, path)
        timed = _tell_time([pairs[s.name] for s in responses])
        labels = _labels(responses)
        chosen = find_sweeps(labels, sweeps, str(path))
        labels, responses = [labels[i] for i in chosen], [responses[i] for i in chosen]
        rate = _common_rate([_rate(s, path) for s in responses], labels, asked["sampling_rate_hz"], path)
        read = [_read_sweep(s, pairs[s.name], path, timed=timed) for s in responses]
        session = nwbfile.session_id
    length = min(len(voltage) for voltage, _, _ in read)
    notes = [note for _, _, notes in read for note in notes]
    if any(len(voltage) != length for voltage, _, _ in read):
        notes.append(f"sweeps are cut to {length} samples")
    units = {"voltage": asked["voltage_unit"] or "V", "current": asked["current_unit"] or "A"}
    notes += [f"{name} taken to be in {unit}, as asked" for name, unit in units.items() if asked[f"{name}_unit"]]
    return current_clamp_from_array(
        np.stack([voltage[:length] for voltage, _, _ in read]),
        np.stack([current[:length] for _, current, _ in read]),
        rate,
        voltage_unit=units["voltage"],
        current_unit=units["current"],
        sweep=labels,
        area_cm2=area_cm2,
        attrs={"source": str(path), "source_format": "nwb", "session_id": session or path.stem},
        notes=list(dict.fromkeys(notes)),
    )


def _labels(responses: list) -> list[Any]:
    """Sweep numbers where they tell the sweeps apart, else names."""
    labels = [s.name if s.sweep_number is None else int(s.sweep_number) for s in responses]
    return labels if len(set(labels)) == len(labels) else [s.name for s in responses]


def _common_rate(rates: list[float], labels: list[Any], asked: float | None, path: Path) -> float:
    if max(rates) - min(rates) > 0.01 * min(rates):
        by_rate: dict[str, list[Any]] = {}
        for rate, label in zip(rates, labels, strict=True):
            by_rate.setdefault(f"at {rate:g} Hz", []).append(label)
        found = [f"{rate} ({shorten(', '.join(map(str, of_it)), 60)})" for rate, of_it in by_rate.items()]
        raise InputError(
            f"{path} has sweeps sampled {' and '.join(found)}; name sweeps of one rate, for example"
            f" sweeps={labels[:1]!r} or --sweep {labels[0]}."
        )
    if asked and abs(asked - rates[0]) > 0.01 * rates[0]:
        raise InputError(f"{path} is sampled at {rates[0]:g} Hz, not at {asked:g} Hz.")
    return rates[0]


def _tell_time(stimuli: list) -> bool:
    """Whether starting times say when the stimuli were given: not if all are 0, nor if one serves several responses."""
    return any(_start(s) != 0 for s in stimuli) and len({id(s) for s in stimuli}) == len(stimuli)


def _read_sweep(response: Any, stimulus: Any, path: Path, *, timed: bool) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Voltage (V), current (A) at its samples, and notes."""
    voltage, values = _values(response, path), _values(stimulus, path)
    current, notes = current_at_response(
        values,
        Sampling(_start(stimulus), _rate(stimulus, path), len(values)),
        Sampling(_start(response), _rate(response, path), len(voltage)),
        timed=timed,
        where=f"{path}, {stimulus.name!r} and {response.name!r}",
    )
    return voltage, current, notes


def _order(series: Any) -> tuple[Any, ...]:
    number = series.sweep_number
    return (0, int(number), series.name) if number is not None else (1, _start(series), series.name)


def _match(nwbfile: pynwb.NWBFile, responses: list, stimuli: list, path: Path) -> dict[str, Any]:
    """Stimulus of each response, by the response's name."""
    table = nwbfile.intracellular_recordings
    if table is not None:
        found = {}
        for row in range(len(table)):
            response = _whole(table["responses"]["response"][row], path)
            found[response.name] = _whole(table["stimuli"]["stimulus"][row], path)
        if all(isinstance(found.get(s.name), CurrentClampStimulusSeries) for s in responses):
            return found
    for key in (lambda s: s.sweep_number, _start):
        by_key = {key(s): s for s in stimuli}
        unique = len(by_key) == len(stimuli) and None not in by_key
        if unique and len({key(s) for s in responses}) == len(responses) and all(key(s) in by_key for s in responses):
            return {s.name: by_key[key(s)] for s in responses}
    if len(responses) == len(stimuli):
        return {r.name: s for r, s in zip(responses, stimuli, strict=True)}
    raise FileFormatError(
        f"{path} has {len(responses)} current-clamp series and {len(stimuli)} stimuli that cannot be matched: neither"
        " a table of intracellular recordings, nor sweep numbers, nor starting times pair them."
    )


def _whole(reference: Any, path: Path) -> Any:
    """The series that a row of the table names; a row that names a part of it is refused."""
    series = reference.timeseries
    part = reference.idx_start > 0 or 0 <= reference.count < len(series.data)
    if part and isinstance(series, CurrentClampSeries | CurrentClampStimulusSeries):
        raise InputError(
            f"{path}: the table of intracellular recordings names samples {reference.idx_start} to"
            f" {reference.idx_start + reference.count} of {series.name!r}, and sweeps are read whole. Write each sweep"
            " as a series of its own."
        )
    return series


def _start(series: Any) -> float:
    """When a series starts, s, by its starting time or its first timestamp."""
    if series.rate is not None or not len(series.timestamps):
        return float(series.starting_time or 0.0)
    return float(series.timestamps[0])


def _rate(series: Any, path: Path) -> float:
    if series.rate is not None:
        if not 0 < series.rate < np.inf:
            raise FileFormatError(f"{path}: {series.name!r} has a sampling rate of {series.rate:g} Hz.")
        return float(series.rate)
    times = np.asarray(series.timestamps[:], np.float64)
    steps = np.diff(times)
    if not len(steps) or not np.isfinite(times).all() or steps.min() <= 0 or steps.max() > 1.01 * steps.min():
        raise InputError(f"{path}: the timestamps of {series.name!r} are not evenly spaced; resample it first.")
    return (len(times) - 1) / (times[-1] - times[0])


def _values(series: Any, path: Path) -> np.ndarray:
    values = np.asarray(series.data[:])
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        raise FileFormatError(f"{path}: {series.name!r} has shape {values.shape} and type {values.dtype}, not (time,).")
    return values.astype(np.float64) * float(series.conversion or 1.0) + float(series.offset or 0.0)
