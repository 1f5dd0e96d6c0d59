"""The public ground-truth layout: calcium imaging with the spikes of the same neuron recorded electrically.

``CAttached`` is a cell of structs, one a trial, with ``fluo_time`` (s), ``fluo_mean`` (ΔF/F, a fraction) and
``events_AP`` (spike times in units of 0.1 ms on the clock of ``fluo_time``), as published with Rupprecht et al.,
Nature Neuroscience 24, 1324 (2021).
"""

import os
from typing import Any

import numpy as np
import xarray as xr

from antidrome.errors import AntidromeError, FileFormatError
from antidrome.recordings.arguments import counted
from antidrome.recordings.mat_guard import load_mat
from antidrome.recordings.recording import from_array
from antidrome.recordings.safety import DEFAULT_MAX_BYTES, require_file

EVENT_UNIT_S = 1e-4


def read_ground_truth_mat(
    path: str | os.PathLike[str], *, max_bytes: int = DEFAULT_MAX_BYTES
) -> list[tuple[xr.DataArray, np.ndarray]]:
    """Read the trials of one neuron with their true spikes.

    Parameters
    ----------
    path
        A ``.mat`` file with the variable ``CAttached``.
    max_bytes
        Cap on the file and on what it expands to.

    Returns
    -------
    list of (recording, spike_times_s)
        One a trial that has fluorescence: the ΔF/F of one neuron (labelled by the file's name) on the file's own clock,
        and the spike times in seconds on the same clock, shape (spikes,), sorted. Frames whose time is missing are
        dropped and counted in ``notes``; a missing ΔF/F stays NaN; trials without fluorescence are left out and
        counted in the ``notes`` of every trial.

    Raises
    ------
    FileFormatError
        If the layout is another, or no trial has fluorescence.
    """
    path = require_file(path)
    content = load_mat(path, max_bytes, ["CAttached"])
    if "CAttached" not in content:
        raise FileFormatError(f"{path} has no variable CAttached, expected the ground-truth layout")
    trials = np.asarray(content["CAttached"]).ravel()
    read: list[tuple[xr.DataArray, np.ndarray]] = []
    empty = 0
    for index, trial in enumerate(trials):
        where = f"{path}, trial {index}"
        fields = {name: _field(trial, name, where) for name in ("fluo_time", "fluo_mean", "events_AP")}
        if fields["fluo_mean"].size < 2 or not np.isfinite(fields["fluo_mean"]).any():
            empty += 1
            continue
        read.append(_trial(fields, path.name.removesuffix(".mat"), index, where))
    if not read:
        raise FileFormatError(f"{path}: none of {counted(len(trials), 'trial')} has fluorescence")
    if empty:
        for recording, _ in read:
            recording.attrs["notes"].append(
                f"{counted(empty, 'trial', 'has', of=len(trials))} no fluorescence: left out"
            )
    return read


def _trial(fields: dict[str, np.ndarray], name: str, index: int, where: str) -> tuple[xr.DataArray, np.ndarray]:
    time, values = fields["fluo_time"], fields["fluo_mean"]
    if time.size != values.size:
        raise FileFormatError(f"{where}: {counted(time.size, 'time')} for {counted(values.size, 'value')} of ΔF/F")
    notes = []
    timed = np.isfinite(time)
    if not timed.all():
        notes.append(f"{counted((~timed).sum(), 'frame')} without a time dropped")
    try:
        recording = from_array(
            values[timed],
            time=time[timed],
            neuron=[name],
            quantity="dff",
            attrs={"source": where, "source_format": "mat", "session_id": f"{name}-{index}"},
            notes=notes,
        )
    except AntidromeError as error:
        raise FileFormatError(f"{where}: {error}") from error
    spikes = fields["events_AP"] * EVENT_UNIT_S
    return recording, np.sort(spikes[np.isfinite(spikes)])


def _field(trial: Any, name: str, where: str) -> np.ndarray:
    """A numeric field of a trial as float64, shape (values,), through MATLAB's nested 1 × 1 wrappings."""
    record = trial
    while isinstance(record, np.ndarray) and record.dtype.names is None and record.size == 1:
        record = record.ravel()[0]
    names = getattr(getattr(record, "dtype", None), "names", None)
    if not names or name not in names:
        raise FileFormatError(f"{where} has no field {name}; it has {list(names or ())}")
    value = record[name]
    while isinstance(value, np.ndarray) and value.dtype == object:
        if value.size != 1:
            raise FileFormatError(f"{where}: field {name} is a cell of {value.size}, expected numbers")
        value = value.ravel()[0]
    value = np.asarray(value)
    if value.dtype.kind not in "iufb":
        raise FileFormatError(f"{where}: field {name} is of type {value.dtype}, expected numbers")
    return value.ravel().astype(np.float64)
