"""ΔF/F from raw fluorescence and neuropil: (F − F0) / F0 with a running baseline F0."""

from __future__ import annotations

import numbers
from typing import Literal

import numpy as np
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings.arguments import counted
from antidrome.recordings.axes import named_by_number, positive_rate, standard_dims, time_in_seconds
from antidrome.recordings.clock import GAP_FRAMES, require_agreement
from antidrome.recordings.dff_blocks import Counts, Settings, dff_in_blocks
from antidrome.recordings.masked import require_known_shape, unmasked
from antidrome.recordings.recording import as_notes, as_recording
from antidrome.recordings.segments import frame_rate_of, split_at_gaps, times_s
from antidrome.recordings.tables import opened_table

MAXIMIN_SMOOTHING_FRAMES = 10.0
"""suite2p's default SD of the Gaussian, in frames."""


def delta_f_over_f(
    recording: xr.DataArray | np.ndarray,
    frame_rate_hz: float | None = None,
    *,
    neuropil: xr.DataArray | np.ndarray | None = None,
    neuropil_factor: float = 0.7,
    baseline: Literal["percentile", "maximin"] = "percentile",
    percentile: float = 8.0,
    window_s: float = 60.0,
    smoothing_s: float | None = None,
) -> xr.DataArray:
    """ΔF/F as a fraction: (F − F0) / F0, with F the fluorescence minus `neuropil_factor` times the neuropil.

    F0(t) follows slow drift: a percentile in a moving window (ten centres a window, linear in between), or suite2p's
    maximin. Missing samples (NaN, infinite) stay missing and do not enter F0; the window is in seconds of the
    recording's own clock, so dropped frames and irregular timestamps are allowed, and a gap longer than half the window
    starts a new stretch with its own F0.

    F0 must be positive to divide by. Where, in a neuron, the F0 left after neuropil subtraction falls to 5 % of the
    neuron's brightness (median F0 of its uncorrected fluorescence) or below, that neuron is divided by the F0 of its
    uncorrected fluorescence instead; frames where this too is that low become NaN. Both are counted in
    ``attrs["notes"]``.

    Parameters
    ----------
    recording : DataArray (time, neuron), or array of that shape
        Raw fluorescence. Dask-backed recordings give a dask-backed result: blocks of neurons are read once here (for
        the counts) and once when the result is computed; the whole is never in memory.
    frame_rate_hz : float, optional
        Frames per second, for plain arrays and recordings that do not state it.
    neuropil : DataArray or array (time, neuron), optional
        Neuropil fluorescence of the same frames and neurons.
    neuropil_factor : float
        0.7 is suite2p's default; 0 to about 1.
    baseline : "percentile" or "maximin"
    percentile : float
        For "percentile": 0–100. A low one lies below the mean of the noise, so quiet ΔF/F sits a little above 0.
    window_s : float
        Length of the moving window, in seconds.
    smoothing_s : float, optional
        For "maximin": SD of the Gaussian, in seconds; default 10 frames as in suite2p.

    Returns
    -------
    DataArray (time, neuron)
        Named "dff", float32 (float64 for float64 input), attrs ``quantity="dff"``, ``units="1"`` and notes.

    Raises
    ------
    InputError
        If the recording is ΔF/F already, an argument is out of range, the neuropil does not match, timestamps do not
        increase, or no neuron has a positive baseline.
    """
    recording = _labelled(recording, frame_rate_hz)
    _refuse_bad_arguments(recording, neuropil_factor, baseline, percentile, window_s, smoothing_s)
    fluorescence = recording.transpose("time", "neuron")
    rate = frame_rate_of(fluorescence)
    if window_s * rate < 2:
        raise InputError(
            f"A window of {window_s:g} s does not hold two frames at {rate:g} Hz, and ΔF/F would be 0 in every frame: "
            "expected a longer window_s, or times in seconds (others need their units, for instance "
            'recording["time"].attrs["units"] = "ms").'
        )
    settings = Settings(
        baseline=baseline,
        percentile=percentile,
        window_s=window_s,
        smoothing_s=MAXIMIN_SMOOTHING_FRAMES / rate if smoothing_s is None else smoothing_s,
        neuropil_factor=neuropil_factor,
        frame_rate_hz=rate,
    )
    time = _increasing_times(fluorescence, rate)
    masked: list[str] = []
    surround = None if neuropil is None else _matching_neuropil(fluorescence, neuropil, masked)
    values, counts = dff_in_blocks(fluorescence.data, surround, time, settings)
    if counts.unusable_neurons == fluorescence.sizes["neuron"]:
        raise InputError(
            f"None of {counted(counts.unusable_neurons, 'neuron')} has a positive baseline, so ΔF/F cannot be formed;"
            " expected raw fluorescence. If the traces are ΔF/F, detrended or z-scored already, use them as they are "
            '(quantity="dff"); if neuropil was subtracted twice, lower neuropil_factor.'
        )
    result = fluorescence.copy(data=values).rename("dff")
    n_stretches = len(split_at_gaps(time, window_s / 2))
    made = _notes(settings, counts, _name_of(neuropil), n_stretches)
    notes = [*as_notes(recording.attrs.get("notes")), *masked, *made]
    result.attrs = {**recording.attrs, "quantity": "dff", "units": "1", "frame_rate_hz": rate, "notes": notes}
    return result


def _labelled(recording: xr.DataArray | np.ndarray, frame_rate_hz: float | None) -> xr.DataArray:
    """The recording with its frame rate and dims "time" and "neuron"; a plain array becomes a recording."""
    if not isinstance(recording, xr.DataArray):
        return as_recording(recording, frame_rate_hz)
    recording = _standard(recording)
    if frame_rate_hz is None:
        return recording
    rate, time = positive_rate(frame_rate_hz), times_s(recording)
    if time is not None:
        require_agreement(rate, time)
    return recording.assign_attrs(frame_rate_hz=rate)


def _standard(recording: xr.DataArray) -> xr.DataArray:
    """Dims "time" and "neuron", what was renamed in the notes."""
    if set(recording.dims) == {"time", "neuron"}:
        return recording
    renamed, notes = standard_dims(recording)
    return renamed.assign_attrs(notes=[*as_notes(renamed.attrs.get("notes")), *notes])


def _refuse_bad_arguments(
    recording: xr.DataArray,
    neuropil_factor: float,
    baseline: str,
    percentile: float,
    window_s: float,
    smoothing_s: float | None,
) -> None:
    if recording.attrs.get("quantity") == "dff":
        raise InputError(
            'The recording is marked as ΔF/F already (attrs["quantity"] == "dff"); expected raw fluorescence. '
            'Use it as it is, or read it with quantity="fluorescence" if the mark is wrong.'
        )
    if set(recording.dims) != {"time", "neuron"} or 0 in recording.shape:
        raise InputError(f"Expected non-empty dims (time, neuron), got {dict(recording.sizes)}.")
    if baseline not in ("percentile", "maximin"):
        raise InputError(f'baseline={baseline!r} is unknown; expected "percentile" or "maximin".')
    ranges = {
        "neuropil_factor": (neuropil_factor, 0, 10),
        "percentile": (percentile, 0, 100),
        "window_s": (window_s, 1e-3, np.inf),
        "smoothing_s": (1.0 if smoothing_s is None else smoothing_s, 1e-6, np.inf),
    }
    for name, (value, low, high) in ranges.items():
        if not isinstance(value, numbers.Real) or not low <= value <= high:
            raise InputError(f"{name}={value!r} is out of range; expected a number from {low} to {high}.")


def _increasing_times(fluorescence: xr.DataArray, rate: float) -> np.ndarray:
    time = times_s(fluorescence)
    if time is None:
        return np.arange(fluorescence.sizes["time"]) / rate
    wrong = np.flatnonzero(~(np.diff(time) > 0))
    if wrong.size:
        frame = int(wrong[0]) + 1
        raise InputError(
            f"Timestamps do not increase at {wrong.size} frame(s), first at frame {frame} ({time[frame - 1]} s then "
            f"{time[frame]} s); a baseline needs increasing times. Sort or drop these frames first."
        )
    return time


def _name_of(neuropil: xr.DataArray | np.ndarray | None) -> str | None:
    """What the notes call the neuropil: the series of the file that it was; None without neuropil."""
    if neuropil is None:
        return None
    series = neuropil.attrs.get("series") if isinstance(neuropil, xr.DataArray) else None
    return f"neuropil ({series})" if series else "neuropil"


def _matching_neuropil(fluorescence: xr.DataArray, neuropil: xr.DataArray | np.ndarray, notes: list[str]):
    """The neuropil as an array (time, neuron), checked against the fluorescence."""
    if isinstance(neuropil, xr.DataArray):
        neuropil = _standard(neuropil).transpose("time", "neuron")
        for name in ("time", "neuron"):
            both = name in neuropil.coords and name in fluorescence.coords
            ours, theirs = (one.coords[name].values for one in (fluorescence, neuropil)) if both else ([], [])
            if name == "neuron":  # labels are text, however they are kept
                ours, theirs = np.asarray(ours).astype(str), np.asarray(theirs).astype(str)
            if not np.array_equal(theirs, ours):
                raise InputError(
                    f"Fluorescence and neuropil differ in their {name} coordinate; expected the same {name}s."
                )
        neuropil = neuropil.data
    else:
        neuropil, labels, times = opened_table(neuropil, "the neuropil")
        _require_times(times, fluorescence)
        named = "neuron" in fluorescence.coords and not named_by_number(fluorescence)
        if labels is not None and named and not np.array_equal(labels, fluorescence["neuron"].values.astype(str)):
            raise InputError("Fluorescence and neuropil differ in their neurons' names; expected the same columns.")
    require_known_shape(neuropil, "the neuropil")
    neuropil = unmasked(neuropil, notes, "samples of the neuropil")
    if neuropil.shape != fluorescence.shape:
        raise InputError(
            f"Neuropil has shape {tuple(neuropil.shape)}, fluorescence {fluorescence.shape} (time, neuron); "
            "expected the same shape."
        )
    return neuropil


def _require_times(times: xr.DataArray | None, fluorescence: xr.DataArray) -> None:
    """Raise InputError where the times of a table are not those of the fluorescence; dates count from its first."""
    ours = times_s(fluorescence)
    if times is None or ours is None or times.shape != ours.shape:
        return
    theirs = time_in_seconds(times) + (ours[0] if times.dtype.kind == "M" else 0.0)
    if not np.abs(theirs - ours).max() * frame_rate_of(fluorescence) <= GAP_FRAMES:
        raise InputError("Fluorescence and neuropil differ in their time coordinate; expected the same times.")


def _notes(settings: Settings, counts: Counts, neuropil: str | None, n_stretches: int) -> list[str]:
    """What was done and what was masked, one sentence each."""
    if settings.baseline == "percentile":
        how = f"running {settings.percentile:g}th percentile in {settings.window_s:g} s"
    else:
        how = f"maximin in {settings.window_s:g} s after smoothing with SD {settings.smoothing_s:.3g} s"
    corrected = (
        f"{neuropil} subtracted with factor {settings.neuropil_factor:g}" if neuropil else "no neuropil subtracted"
    )
    notes = [f"dF/F = (F - F0) / F0; F0: {how}; {corrected}."]
    if n_stretches > 1:
        notes.append(f"Gaps longer than {settings.window_s / 2:g} s split the recording into {n_stretches} stretches.")
    said = {
        "missing": (
            "sample",
            f"missing in the fluorescence{' or its neuropil' if neuropil else ''}: missing here too (NaN).",
        ),
        "uncorrected_f0": (
            "neuron",
            "with F0 near or below zero after neuropil subtraction: divided by F0 of the uncorrected fluorescence.",
        ),
        "unusable_frames": ("sample", "with F0 near or below zero: masked (NaN)."),
        "unusable_neurons": ("neuron", "without a positive F0: masked whole (NaN)."),
    }
    found = {name: int(getattr(counts, name)) for name in said}
    return notes + [f"{counted(found[name], noun)} {text}" for name, (noun, text) in said.items() if found[name]]
