"""ΔF/F of blocks of neurons, as arrays: what is divided by which F0, and what is masked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from antidrome.recordings.running_baseline import maximin, running_percentile

BLOCK_VALUES = 8_000_000
"""Samples worked on at once (neurons × frames); bounds the memory of a call."""

LOWEST_SHARE_OF_BRIGHTNESS = 0.05
"""F0 at or below this share of the neuron's own brightness does not divide."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `delta_f_over_f` was asked for, resolved to numbers."""

    baseline: str
    percentile: float
    window_s: float
    smoothing_s: float
    neuropil_factor: float
    frame_rate_hz: float


@dataclass
class Counts:
    """What a call masked or replaced, summed over blocks of neurons."""

    missing: int = 0
    unusable_frames: int = 0
    uncorrected_f0: int = 0
    unusable_neurons: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def dff_in_blocks(fluorescence, neuropil, time: np.ndarray, settings: Settings) -> tuple[object, Counts]:
    """ΔF/F and counts; eager for NumPy input, lazy (counts eager) if either input is dask-backed."""
    n_frames, n_neurons = fluorescence.shape
    per_block = max(1, min(n_neurons, BLOCK_VALUES // n_frames))
    blocks = [slice(start, min(start + per_block, n_neurons)) for start in range(0, n_neurons, per_block)]
    lazy = any(hasattr(array, "dask") for array in (fluorescence, neuropil))
    out = None if lazy else np.empty((n_frames, n_neurons), dtype=_float_dtype(fluorescence.dtype))
    counts = Counts()
    for block in blocks:
        corner = None if neuropil is None else np.asarray(neuropil[:, block])
        dff, block_counts = _dff_of_block(np.asarray(fluorescence[:, block]), corner, time, settings)
        counts += block_counts
        if out is not None:
            out[:, block] = dff
    return (out if out is not None else _lazily(fluorescence, neuropil, time, settings, per_block)), counts


def _lazily(fluorescence, neuropil, time: np.ndarray, settings: Settings, per_block: int):
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
    values: np.ndarray, neuropil: np.ndarray | None, time: np.ndarray, settings: Settings
) -> tuple[np.ndarray, Counts]:
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
    counts = Counts(
        missing=int(missing.sum()),
        unusable_frames=int(unusable[:, ~neuron_is_lost].sum()),
        uncorrected_f0=int((replaced & ~neuron_is_lost).sum()),
        unusable_neurons=int(neuron_is_lost.sum()),
    )
    return dff, counts


def _baseline(traces: np.ndarray, time: np.ndarray, settings: Settings) -> np.ndarray:
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
    f0: np.ndarray, brightness: np.ndarray, has_neuropil: bool, time: np.ndarray, settings: Settings
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
