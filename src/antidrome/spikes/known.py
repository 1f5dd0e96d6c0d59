"""True spikes that a user knows, for some cells or some frames, on the grid on which spikes are inferred."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings.axes import neuron_labels, standard_dims, time_in_seconds
from antidrome.recordings.clock import GAP_FRAMES
from antidrome.spikes.grid import FrameGrid, nearest_frames, notes_on_clock, within_frames
from antidrome.spikes.trains import trains_by_label

FAR = 1.0
"""Of a recording's length: as far behind it spikes are no longer those of an electrode that ran a little longer."""


Known = dict[str, np.ndarray] | xr.DataArray | None
"""(spike,) seconds by neuron label, or (time, neuron) spikes per frame."""


def opened_known(known: Any, recording: xr.DataArray) -> Known:
    """What a user gave, with labels as text; an array (time, neuron) also with the usual names of its axes.

    Raises
    ------
    InputError
        Neither spike trains nor an array, neurons that the recording does not have, or an array of other frames.
    """
    if known is None:
        return None
    if isinstance(known, np.ndarray) and known.ndim == 2 and known.dtype != object:
        raise InputError(
            f"known_spikes: got an array {known.shape}, which may be trains or counts; expected {{neuron label: times"
            " in seconds}, or a DataArray (time, neuron) of spikes per frame."
        )
    if not isinstance(known, xr.DataArray):
        labels = list(recording["neuron"].values.astype(str))
        return trains_by_label(known, labels, recording.sizes["time"], "known_spikes")
    try:
        known, _ = standard_dims(known)
        named = known["neuron"].values if "neuron" in known.coords else None
        labels = neuron_labels(named, known.sizes["neuron"], known.sizes["time"])
    except InputError as error:
        raise InputError(f"known_spikes: {error}") from error
    known = known.assign_coords(neuron=labels)
    _check_counts(known, recording)
    if "time" in known.coords:
        theirs, ours = time_in_seconds(known["time"]), recording["time"].values
        apart = float(np.abs(theirs - ours).max())
        if not apart * float(recording.attrs["frame_rate_hz"]) <= GAP_FRAMES:  # NaN included
            raise InputError(
                f"known_spikes has other times than the recording ({theirs[0]:g} to {theirs[-1]:g} s, not {ours[0]:g}"
                f" to {ours[-1]:g} s); expected counts of the same frames."
            )
    return known


def known_counts(
    known: Known, recording: xr.DataArray, chosen: np.ndarray, grid: FrameGrid, frame_rate_hz: float, steps: int
) -> np.ndarray | None:
    """(neuron, place · steps) true spikes per step of the chosen neurons, NaN where unknown; None without any.

    Parameters
    ----------
    known
        As `opened_known` gives it. Of neurons with a train all frames are known.
    chosen
        Indices of the neurons that are learned from.
    steps
        Steps per frame; counts per frame need 1.
    """
    if known is None:
        return None
    out = np.full((len(chosen), (int(grid.places[-1]) + 1) * steps), np.nan)
    row_of = {label: row for row, label in enumerate(recording["neuron"].values.astype(str)[chosen])}
    if isinstance(known, xr.DataArray):
        if steps != 1:
            raise InputError("With superresolution known spikes are given as times: {neuron label: seconds}.")
        for label in known["neuron"].values.astype(str):
            if label in row_of:
                out[row_of[label], grid.places] = known.sel(neuron=label).values
        return out
    for label, times_s in known.items():
        if label in row_of:
            out[row_of[label]] = _binned(times_s, label, recording["time"].values, grid, frame_rate_hz, steps)
    return out


def notes_on_known(known: Known, recording: xr.DataArray, frame_rate_hz: float) -> list[str]:
    """How many of the spikes that were given as times no frame can have seen, in a sentence."""
    if known is None or isinstance(known, xr.DataArray):
        return []
    return notes_on_clock(known.values(), recording["time"].values, frame_rate_hz)


def _check_counts(known: xr.DataArray, recording: xr.DataArray) -> None:
    if set(known.dims) != {"time", "neuron"} or known.sizes["time"] != recording.sizes["time"]:
        raise InputError(
            f"known_spikes has dimensions {dict(known.sizes)}; expected time and neuron with the recording's"
            f" {recording.sizes['time']} frames."
        )
    unknown = set(known["neuron"].values.astype(str)) - set(recording["neuron"].values.astype(str))
    if unknown:
        raise InputError(f"known_spikes: the recording has no neuron {str(sorted(unknown)[0])!r}.")
    if known.dtype.kind not in "iufb":
        raise InputError(f"known_spikes holds values of type {known.dtype}; expected spikes per frame.")
    if (known < 0).any() or np.isinf(known).any():
        raise InputError(
            "known_spikes holds negative or infinite counts; expected spikes per frame, NaN where unknown."
        )


def _binned(
    times_s: np.ndarray, label: str, time_s: np.ndarray, grid: FrameGrid, frame_rate_hz: float, steps: int
) -> np.ndarray:
    """Counts per step on the regular grid, unknown where no frame was recorded."""
    nearest = nearest_frames(times_s, time_s)
    offset = (times_s - time_s[nearest]) * frame_rate_hz + 0.5
    inside = within_frames(times_s, time_s, frame_rate_hz)
    length = time_s[-1] - time_s[0]
    if times_s.size > 1 and (times_s > time_s[-1] + FAR * length).all():
        raise InputError(
            f"known_spikes of neuron {label!r}: all of its {times_s.size} spikes ({times_s.min():g} to"
            f" {times_s.max():g}) lie far behind the recording ({time_s[0]:g} to {time_s[-1]:g} s). Are they in"
            " seconds?"
        )
    within = np.clip((offset[inside] * steps).astype(int), 0, steps - 1)  # intervals may be longer than a period
    step = grid.places[nearest[inside]] * steps + within
    counts = np.bincount(step, minlength=(int(grid.places[-1]) + 1) * steps).astype(float)
    recorded = np.zeros(len(counts), bool)
    recorded[(grid.places[:, None] * steps + np.arange(steps)).ravel()] = True
    return np.where(recorded, counts, np.nan)
