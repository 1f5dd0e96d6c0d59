"""Current-clamp series of NWB files, with their stimuli."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pynwb
import xarray as xr
from pynwb.icephys import CurrentClampSeries, CurrentClampStimulusSeries

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings.current_clamp.sweeps import current_clamp_from_array
from antidrome.recordings.nwb import open_nwb
from antidrome.recordings.options import ReadOptions


def read_nwb_sweeps(
    path: Path, asked: Mapping[str, Any], area_cm2: float | None, *, allow_external: bool, max_bytes: int
) -> xr.Dataset:
    """Read every ``CurrentClampSeries`` with the ``CurrentClampStimulusSeries`` that belongs to it.

    They are matched by the table of intracellular recordings, else by sweep number, else by starting time, else by
    order where there are as many of the one as of the other.

    Raises
    ------
    FileFormatError
        If there is no current-clamp series, or stimuli cannot be matched.
    InputError
        If sweeps differ in their sampling.
    """
    with open_nwb(path, ReadOptions(allow_external=allow_external, max_bytes=max_bytes)) as nwbfile:
        responses = [s for s in nwbfile.objects.values() if type(s) is CurrentClampSeries]
        stimuli = [s for s in nwbfile.objects.values() if isinstance(s, CurrentClampStimulusSeries)]
        if not responses:
            raise FileFormatError(f"{path} has no CurrentClampSeries; expected one in acquisition.")
        responses.sort(key=_order)
        stimuli.sort(key=_order)
        pairs = _match(nwbfile, responses, stimuli, path)
        rates = [_rate(s, path) for s in responses]
        if max(rates) - min(rates) > 0.01 * min(rates):
            raise InputError(
                f"{path} has sweeps sampled at {min(rates):g} and at {max(rates):g} Hz; name sweeps of one."
            )
        if asked["sampling_rate_hz"] and abs(asked["sampling_rate_hz"] - rates[0]) > 0.01 * rates[0]:
            raise InputError(f"{path} is sampled at {rates[0]:g} Hz, not at {asked['sampling_rate_hz']:g} Hz.")
        voltage = [_values(s, path) for s in responses]
        current = [_values(pairs[s.name], path) for s in responses]
        labels = [s.name if s.sweep_number is None else int(s.sweep_number) for s in responses]
        session = nwbfile.session_id
    length = min(map(len, [*voltage, *current]))
    notes = [] if all(len(x) == length for x in [*voltage, *current]) else [f"sweeps are cut to {length} samples"]
    labels = labels if len(set(labels)) == len(labels) else [s.name for s in responses]
    return current_clamp_from_array(
        np.stack([v[:length] for v in voltage]),
        np.stack([c[:length] for c in current]),
        rates[0],
        voltage_unit="V",
        current_unit="A",
        sweep=labels,
        area_cm2=area_cm2,
        attrs={"source": str(path), "source_format": "nwb", "session_id": session or path.stem},
        notes=notes,
    )


def _order(series: Any) -> tuple[Any, ...]:
    number = series.sweep_number
    return (0, int(number), series.name) if number is not None else (1, float(series.starting_time or 0.0), series.name)


def _match(nwbfile: pynwb.NWBFile, responses: list, stimuli: list, path: Path) -> dict[str, Any]:
    """Stimulus of each response, by the response's name."""
    table = nwbfile.intracellular_recordings
    if table is not None:
        found = {}
        for row in range(len(table)):
            response = table["responses"]["response"][row].timeseries
            stimulus = table["stimuli"]["stimulus"][row].timeseries
            found[response.name] = stimulus
        if all(isinstance(found.get(s.name), CurrentClampStimulusSeries) for s in responses):
            return found
    for key in (lambda s: s.sweep_number, lambda s: s.starting_time):
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


def _rate(series: Any, path: Path) -> float:
    if series.rate:
        return float(series.rate)
    times = np.asarray(series.timestamps[:], np.float64)
    steps = np.diff(times)
    if len(times) < 2 or steps.min() <= 0 or steps.max() > 1.01 * steps.min():
        raise InputError(f"{path}: the timestamps of {series.name!r} are not evenly spaced; resample it first.")
    return (len(times) - 1) / (times[-1] - times[0])


def _values(series: Any, path: Path) -> np.ndarray:
    values = np.asarray(series.data[:])
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        raise FileFormatError(f"{path}: {series.name!r} has shape {values.shape} and type {values.dtype}, not (time,).")
    return values.astype(np.float64) * float(series.conversion or 1.0) + float(series.offset or 0.0)
