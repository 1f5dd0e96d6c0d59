"""ΔF/F from raw fluorescence and neuropil: (F − F0) / F0 with a running baseline F0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings.axes import positive_rate
from antidrome.recordings.clock import require_agreement
from antidrome.recordings.masked import require_known_shape, unmasked
from antidrome.recordings.recording import as_recording
from antidrome.recordings.running_baseline import maximin, running_percentile
from antidrome.recordings.segments import frame_rate_of, split_at_gaps, times_s

BLOCK_VALUES = 8_000_000
"""Samples worked on at once (neurons × frames); bounds the memory of a call."""

LOWEST_SHARE_OF_BRIGHTNESS = 0.05
"""F0 at or below this share of the neuron's own brightness does not divide."""

MAXIMIN_SMOOTHING_FRAMES = 10.0
"""suite2p's default SD of the Gaussian, in frames."""


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """What `delta_f_over_f` was asked for, resolved to numbers."""

    baseline: str
    percentile: float
    window_s: float
    smoothing_s: float
    neuropil_factor: float
    frame_rate_hz: float


@dataclass
class _Counts:
    """What a call masked or replaced, summed over blocks of neurons."""

    missing: int = 0
    unusable_frames: int = 0
    uncorrected_f0: int = 0
    unusable_neurons: int = 0

    def __add__(self, other: _Counts) -> _Counts:
        return _Counts(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


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

    F0(t) follows slow drift: a percentile in a moving window, or suite2p's maximin. Missing samples (NaN, infinite)
    stay missing and do not enter F0; the window is in seconds of the recording's own clock, so dropped frames and
    irregular timestamps are allowed, and a gap longer than half the window starts a new stretch with its own F0.

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
    settings = _Settings(
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
    values, counts = _blockwise(fluorescence.data, surround, time, settings)
    if counts.unusable_neurons == fluorescence.sizes["neuron"]:
        raise InputError(
            f"None of the {counts.unusable_neurons} neurons has a positive baseline, so ΔF/F cannot be formed; "
            "expected raw fluorescence. If the traces are ΔF/F, detrended or z-scored already, use them as they are "
            '(quantity="dff"); if neuropil was subtracted twice, lower neuropil_factor.'
        )
    result = fluorescence.copy(data=values).rename("dff")
    n_stretches = len(split_at_gaps(time, window_s / 2))
    made = _notes(settings, counts, _name_of(neuropil), n_stretches)
    notes = [*recording.attrs.get("notes", []), *masked, *made]
    result.attrs = {**recording.attrs, "quantity": "dff", "units": "1", "frame_rate_hz": rate, "notes": notes}
    return result


def _labelled(recording: xr.DataArray | np.ndarray, frame_rate_hz: float | None) -> xr.DataArray:
    """The recording with its frame rate; a plain array becomes a recording."""
    if not isinstance(recording, xr.DataArray):
        return as_recording(recording, frame_rate_hz)
    if frame_rate_hz is None:
        return recording
    rate, time = positive_rate(frame_rate_hz), times_s(recording)
    if time is not None:
        require_agreement(rate, time)
    return recording.assign_attrs(frame_rate_hz=rate)


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
        if not low <= value <= high:
            raise InputError(f"{name}={value} is out of range; expected {low} to {high}.")


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
        neuropil = neuropil.transpose("time", "neuron")
        for name in ("time", "neuron"):
            both = name in neuropil.coords and name in fluorescence.coords
            if both and not np.array_equal(neuropil.coords[name].values, fluorescence.coords[name].values):
                raise InputError(
                    f"Fluorescence and neuropil differ in their {name} coordinate; expected the same {name}s."
                )
        neuropil = neuropil.data
    require_known_shape(neuropil, "the neuropil")
    neuropil = unmasked(neuropil, notes, "samples of the neuropil")
    if neuropil.shape != fluorescence.shape:
        raise InputError(
            f"Neuropil has shape {tuple(neuropil.shape)}, fluorescence {fluorescence.shape} (time, neuron); "
            "expected the same shape."
        )
    return neuropil


def _blockwise(fluorescence, neuropil, time: np.ndarray, settings: _Settings) -> tuple[object, _Counts]:
    """ΔF/F and counts; eager for NumPy input, lazy (counts eager) if either input is dask-backed."""
    n_frames, n_neurons = fluorescence.shape
    per_block = max(1, min(n_neurons, BLOCK_VALUES // n_frames))
    blocks = [slice(start, min(start + per_block, n_neurons)) for start in range(0, n_neurons, per_block)]
    lazy = any(hasattr(array, "dask") for array in (fluorescence, neuropil))
    out = None if lazy else np.empty((n_frames, n_neurons), dtype=_float_dtype(fluorescence.dtype))
    counts = _Counts()
    for block in blocks:
        corner = None if neuropil is None else np.asarray(neuropil[:, block])
        dff, block_counts = _dff_of_block(np.asarray(fluorescence[:, block]), corner, time, settings)
        counts += block_counts
        if out is not None:
            out[:, block] = dff
    return (out if out is not None else _lazily(fluorescence, neuropil, time, settings, per_block)), counts


def _lazily(fluorescence, neuropil, time: np.ndarray, settings: _Settings, per_block: int):
    import dask.array as da

    chunks = (-1, per_block)
    arrays = [da.asarray(array).rechunk(chunks) for array in (fluorescence, neuropil) if array is not None]

    def dff(values, surround=None):
        return _dff_of_block(values, surround, time, settings)[0]

    dtype = _float_dtype(fluorescence.dtype)
    return da.map_blocks(dff, *arrays, dtype=dtype, meta=np.empty((0, 0), dtype=dtype))


def _float_dtype(dtype: np.dtype) -> np.dtype:
    """float64 stays float64; everything else is worked on in float32."""
    return np.dtype(np.float64 if dtype.kind == "f" and dtype.itemsize == 8 else np.float32)


def _dff_of_block(
    values: np.ndarray, neuropil: np.ndarray | None, time: np.ndarray, settings: _Settings
) -> tuple[np.ndarray, _Counts]:
    """ΔF/F of a block (time, neuron) and what was masked or replaced in it."""
    dtype = _float_dtype(values.dtype)
    brightness = values.astype(dtype)
    corrected = brightness if neuropil is None else brightness - dtype.type(settings.neuropil_factor) * neuropil
    corrected = np.where(np.isfinite(corrected), corrected, dtype.type(np.nan)).astype(dtype, copy=False)
    missing = np.isnan(corrected)
    f0 = _baseline(corrected, time, settings)
    divisor, replaced = _positive_divisor(f0, brightness, neuropil is not None, time, settings)
    with np.errstate(invalid="ignore", divide="ignore"):
        dff = (corrected - f0) / divisor
    unusable = np.isnan(divisor) & ~missing
    neuron_is_lost = (unusable | missing).all(axis=0) & unusable.any(axis=0)
    counts = _Counts(
        missing=int(missing.sum()),
        unusable_frames=int(unusable[:, ~neuron_is_lost].sum()),
        uncorrected_f0=int((replaced & ~neuron_is_lost).sum()),
        unusable_neurons=int(neuron_is_lost.sum()),
    )
    return dff, counts


def _baseline(traces: np.ndarray, time: np.ndarray, settings: _Settings) -> np.ndarray:
    if settings.baseline == "percentile":
        return running_percentile(traces, time, window_s=settings.window_s, percentile=settings.percentile)
    return maximin(
        traces,
        time,
        frame_rate_hz=settings.frame_rate_hz,
        window_s=settings.window_s,
        smoothing_s=settings.smoothing_s,
    )


def _positive_divisor(
    f0: np.ndarray, brightness: np.ndarray, has_neuropil: bool, time: np.ndarray, settings: _Settings
) -> tuple[np.ndarray, np.ndarray]:
    """F0 to divide by, NaN where none is usable, and which neurons fell back to their uncorrected F0."""
    if has_neuropil:
        suspects = np.flatnonzero(
            ~(np.nanmin(_nan_safe(f0), axis=0) > LOWEST_SHARE_OF_BRIGHTNESS * _typical(brightness, settings.percentile))
        )
    else:
        suspects = np.array([], dtype=int)
    divisor = f0.copy()
    divisor[:, suspects] = _baseline(brightness[:, suspects], time, settings) if suspects.size else 0
    floor = LOWEST_SHARE_OF_BRIGHTNESS * np.nanmedian(_nan_safe(_thinned(divisor)), axis=0)
    divisor[~(divisor > np.maximum(floor, 0))] = np.nan
    replaced = np.zeros(f0.shape[1], dtype=bool)
    replaced[suspects] = True
    return divisor, replaced


def _typical(brightness: np.ndarray, percentile: float) -> np.ndarray:
    """A single percentile of each whole trace: the scale of its uncorrected baseline."""
    frames = _thinned(brightness)
    frames = np.where(np.isfinite(frames), frames, np.nan)
    return np.nanpercentile(_nan_safe(frames), percentile, axis=0)


def _thinned(traces: np.ndarray) -> np.ndarray:
    """About 2,000 evenly spaced frames: enough for the scale of a trace."""
    return traces[:: max(1, traces.shape[0] // 2000)]


def _nan_safe(traces: np.ndarray) -> np.ndarray:
    """Traces with columns of NaN alone turned to zero, so that NaN-aware reductions stay silent."""
    empty = np.isnan(traces).all(axis=0)
    return np.where(empty, np.zeros((), dtype=traces.dtype), traces) if empty.any() else traces


def _notes(settings: _Settings, counts: _Counts, neuropil: str | None, n_stretches: int) -> list[str]:
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
        "missing": "samples missing in the fluorescence stay missing (NaN).",
        "uncorrected_f0": "neurons with F0 near or below zero after neuropil subtraction were divided by the F0 of "
        "their uncorrected fluorescence.",
        "unusable_frames": "samples with F0 near or below zero were masked (NaN).",
        "unusable_neurons": "neurons have no positive F0 and were masked whole (NaN).",
    }
    return notes + [f"{getattr(counts, name)} {text}" for name, text in said.items() if getattr(counts, name)]
