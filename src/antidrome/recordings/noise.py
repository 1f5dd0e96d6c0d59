"""The standardised noise level of ΔF/F traces: one number that compares recordings at any frame rate."""

from __future__ import annotations

import numpy as np
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings.axes import standard_dims
from antidrome.recordings.segments import frame_rate_of, neighbours, times_s
from antidrome.recordings.units import is_percent

BLOCK_VALUES = 16_000_000
"""Samples read at once; bounds the memory that a dask-backed recording needs."""


def noise_level(recording: xr.DataArray) -> xr.DataArray:
    """Standardised noise level of every neuron, in % Hz^-1/2.

    ``ν = median_t |ΔF/F(t+1) − ΔF/F(t)| · 100 / √(frame rate)``, the definition of Rupprecht et al.,
    Nature Neuroscience 24, 1324 (2021), Methods. Only pairs of frames that follow one another without
    a gap and are both present count, so dropped frames and NaN do not inflate it. Activity does, a
    little, in clean recordings at a high frame rate.

    Parameters
    ----------
    recording : DataArray (time, neuron)
        ΔF/F as a fraction, or in percent when ``attrs["units"] == "percent"``. Dask-backed recordings
        are read in blocks of neurons.

    Returns
    -------
    DataArray (neuron,)
        float64, NaN for a neuron without two present neighbouring frames.

    Raises
    ------
    InputError
        If it is no recording, holds raw fluorescence, or its frame rate is unknown.
    """
    if not isinstance(recording, xr.DataArray):
        raise InputError(
            f"The noise level is one of a recording, got a {type(recording).__name__}: make it one first, with"
            " antidrome.recordings.as_recording(values, frame_rate_hz)"
        )
    recording, _ = standard_dims(recording)
    if recording.attrs.get("quantity") == "fluorescence":
        raise InputError(
            "The noise level is defined for ΔF/F, but this recording holds raw fluorescence; convert it with "
            "antidrome.recordings.delta_f_over_f first."
        )
    rate = frame_rate_of(recording)
    traces = recording.transpose("time", "neuron")
    adjacent = neighbours(times_s(traces), rate, traces.sizes["time"])
    to_percent = 1.0 if is_percent(recording.attrs) else 100.0
    level = np.full(traces.sizes["neuron"], np.nan)
    per_block = max(1, BLOCK_VALUES // max(1, traces.sizes["time"]))
    for start in range(0, level.size, per_block):
        block = slice(start, start + per_block)
        values = np.asarray(traces[:, block].data)
        level[block] = median_absolute_step(values, adjacent) * to_percent / np.sqrt(rate)
    coords = {name: coord for name, coord in traces.coords.items() if coord.dims == ("neuron",)}
    attrs = {"units": "% Hz^-1/2", "long_name": "standardised noise level of dF/F"}
    return xr.DataArray(level, dims="neuron", coords=coords, name="noise_level", attrs=attrs)


def median_absolute_step(values: np.ndarray, adjacent: np.ndarray) -> np.ndarray:
    """Median |x(t+1) − x(t)| of each column of `values` (time, neuron) over the steps marked in `adjacent` (time − 1,).

    NaN and infinite samples take their steps out. Returns (neuron,), NaN where no step is left.
    """
    values = np.asarray(values, dtype=np.float32 if values.dtype.itemsize <= 4 else np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.abs(np.diff(values, axis=0))
    if not adjacent.all():
        steps = steps[adjacent]
    return nan_median(steps.T)


def nan_median(rows: np.ndarray) -> np.ndarray:
    """Median of each row over its finite values; NaN for a row without any, and without a warning."""
    rows = np.ascontiguousarray(rows)
    if rows.shape[1] == 0:
        return np.full(rows.shape[0], np.nan)
    if np.isfinite(rows).all():
        return np.median(rows, axis=1)
    return np.array([np.median(row[present]) if (present := np.isfinite(row)).any() else np.nan for row in rows])
