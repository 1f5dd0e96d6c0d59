"""What the checks look at: a bounded part of the recording in memory, and the few statistics that they share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from antidrome.recordings.arguments import agreeing, counted
from antidrome.recordings.clock import clock_rate_hz
from antidrome.recordings.noise import median_absolute_step, nan_median
from antidrome.recordings.segments import neighbours, times_s
from antidrome.recordings.units import is_percent

MAX_VALUES = 16_000_000
"""Samples that are looked at; a larger recording is sampled so that memory stays bounded (about 0.25 GB in all)."""

READ_FACTOR = 4
"""Of a dask-backed recording, whose blocks are read whole, so many times as many samples are read at most."""

STRETCHES = 3
MIN_STRETCH_FRAMES = 2048
NEURON_GROUPS = 16
NOISE_FRAMES = 8192


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordingView:
    """A recording, or an evenly spread sample of it, as the checks see it.

    Attributes
    ----------
    values : (frames looked at, neurons looked at) float, as stored
    time_s : times of these frames in seconds, or None
    all_time_s : times of all frames, or None
    labels : labels of the neurons looked at; `all_labels` of all
    n_frames, n_neurons : of the whole recording
    attrs : attributes of the recording
    stored_dtype : dtype before conversion to float
    """

    values: np.ndarray
    time_s: np.ndarray | None
    all_time_s: np.ndarray | None
    labels: tuple[str, ...]
    all_labels: tuple[str, ...]
    n_frames: int
    n_neurons: int
    attrs: dict[Any, Any]
    stored_dtype: np.dtype

    @property
    def is_sampled(self) -> bool:
        """Whether only a part of the recording was looked at."""
        return self.values.shape != (self.n_frames, self.n_neurons)

    @property
    def scope(self) -> str:
        """What was looked at, for messages; empty when it was everything."""
        if not self.is_sampled:
            return ""
        frames, neurons = self.values.shape
        return (
            f" (sampled: {counted(frames, 'frame', of=self.n_frames)}, {counted(neurons, 'neuron', of=self.n_neurons)})"
        )

    @property
    def is_fluorescence(self) -> bool:
        """Whether the recording says that it is raw fluorescence."""
        return self.attrs.get("quantity") == "fluorescence"

    @cached_property
    def frame_rate_hz(self) -> float | None:
        """Declared frame rate, else that of the timestamps; None when unknown."""
        declared = self.attrs.get("frame_rate_hz")
        try:
            rate = clock_rate_hz(self.all_time_s) if declared is None else float(declared)
        except (TypeError, ValueError):
            return None
        return rate if rate is not None and np.isfinite(rate) and rate > 0 else None

    @cached_property
    def adjacent(self) -> np.ndarray:
        """True (frames looked at − 1,) where two frames follow one another without a gap."""
        return neighbours(self.time_s, self.frame_rate_hz or 1.0, self.values.shape[0])

    @cached_property
    def present(self) -> np.ndarray:
        """Finite samples, (time, neuron)."""
        return np.isfinite(self.values)

    @cached_property
    def range(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest present sample of each neuron; NaN where none is."""
        low = np.min(self.values, axis=0, where=self.present, initial=np.inf)
        high = np.max(self.values, axis=0, where=self.present, initial=-np.inf)
        empty = ~self.present.any(axis=0)
        return np.where(empty, np.nan, low), np.where(empty, np.nan, high)

    @cached_property
    def is_flat(self) -> np.ndarray:
        """Neurons whose present samples are all equal (and those without any)."""
        low, high = self.range
        return ~(high > low)

    @cached_property
    def dff(self) -> np.ndarray:
        """The samples as a fraction: percent divided by 100, declared raw fluorescence over its 8th percentile."""
        if is_percent(self.attrs):
            return self.values / 100
        if not self.is_fluorescence:
            return self.values
        f0 = self.quantiles((8.0,), of_dff=False)[0]
        with np.errstate(invalid="ignore", divide="ignore"):
            return (self.values - f0) / np.where(f0 > 0, f0, np.nan).astype(self.values.dtype)

    def quantiles(self, percentiles: tuple[float, ...], *, of_dff: bool = True) -> np.ndarray:
        """Percentiles (percentile, neuron) of each trace over about 4,000 evenly spaced frames; NaN left out."""
        values = self.dff if of_dff else self.values
        thinned = np.ascontiguousarray(values[:: max(1, values.shape[0] // 4000)].T)
        result = np.full((len(percentiles), thinned.shape[0]), np.nan)
        complete = np.isfinite(thinned).all(axis=1)
        if complete.any():
            result[:, complete] = np.percentile(thinned[complete], percentiles, axis=1)
        for i in np.flatnonzero(~complete):
            present = thinned[i][np.isfinite(thinned[i])]
            if present.size:
                result[:, i] = np.percentile(present, percentiles)
        return result

    @cached_property
    def _noise_part(self) -> tuple[np.ndarray, np.ndarray]:
        """About 8,000 frames of ΔF/F from beginning, middle and end, and which of them follow one another."""
        runs = _spread(self.values.shape[0], NOISE_FRAMES, STRETCHES)
        rows = np.concatenate([np.arange(run.start, run.stop) for run in runs])
        adjacent = np.concatenate([[False], self.adjacent])[rows[1:]] & (np.diff(rows) == 1)
        return self.dff[rows], adjacent

    @cached_property
    def noise_level(self) -> np.ndarray:
        """Standardised noise level of each neuron, % Hz^-1/2; NaN when the frame rate is unknown."""
        scale = 100 / np.sqrt(self.frame_rate_hz) if self.frame_rate_hz else np.nan
        return median_absolute_step(*self._noise_part) * scale

    @cached_property
    def fast_noise_level(self) -> np.ndarray:
        """As `noise_level`, from x(t) − (x(t−1) + x(t+1))/2, scaled to agree with it for white noise.

        What is smooth on the scale of a frame (decays of a denoised trace, filtered noise) nearly cancels here.
        """
        dff, adjacent = self._noise_part
        both = adjacent[1:] & adjacent[:-1]
        residual = np.abs(dff[1:-1] - (dff[2:] + dff[:-2]) / 2)
        scale = 100 / np.sqrt(self.frame_rate_hz) if self.frame_rate_hz else np.nan
        return nan_median(residual[both].T) * np.sqrt(4 / 3) * scale

    def named(self, mask: np.ndarray) -> tuple[str, ...]:
        """Labels of the neurons looked at where `mask` is True."""
        return tuple(self.labels[i] for i in np.flatnonzero(mask))

    def share(self, mask: np.ndarray, verb: str) -> str:
        """ "3 of 120 neurons have", with what was looked at if that is a part."""
        n = int(mask.sum())
        return f"{counted(n, 'neuron', of=mask.size)}{self.scope} {agreeing(n, verb)}"


def view_of(recording: xr.DataArray, *, max_values: int = MAX_VALUES) -> RecordingView:
    """Read what the checks look at.

    A recording of more than `max_values` samples is sampled: stretches of consecutive frames at its beginning,
    middle and end, and, if need be, evenly spread groups of neurons. Of a dask-backed recording only so many blocks are
    read as hold about four times as much (but one at least), each of them once.
    """
    traces = recording.transpose("time", "neuron")
    n_frames, n_neurons = traces.shape
    data = traces.data
    frames, neurons = _sample(n_frames, n_neurons, max_values, getattr(data, "chunks", None))
    parts = [_floats(_rows_of(data[:, columns], frames)) for columns in neurons]
    if "neuron" in traces.coords:
        all_labels = tuple(str(label) for label in traces.coords["neuron"].values)
    else:
        all_labels = tuple(str(i) for i in range(n_neurons))
    time = times_s(traces)
    return RecordingView(
        values=parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1),
        time_s=None if time is None else np.concatenate([time[rows] for rows in frames]),
        all_time_s=time,
        labels=tuple(label for columns in neurons for label in all_labels[columns]),
        all_labels=all_labels,
        n_frames=n_frames,
        n_neurons=n_neurons,
        attrs=dict(recording.attrs),
        stored_dtype=np.dtype(traces.dtype),
    )


def _rows_of(data: Any, frames: list[slice]) -> Any:
    """These frames below one another; of a dask array in one graph, so that a block serves all of them."""
    if len(frames) == 1:
        return data[frames[0]]
    if isinstance(data, np.ndarray):
        return np.concatenate([data[rows] for rows in frames])
    import dask.array as da

    return da.concatenate([data[rows] for rows in frames])


def _sample(
    n_frames: int, n_neurons: int, max_values: int, chunks: tuple[tuple[int, ...], ...] | None
) -> tuple[list[slice], list[slice]]:
    """Slices of frames and of neurons whose product has about `max_values` samples.

    `chunks`: numbers of frames and of neurons in the blocks of a dask array.
    """
    if n_frames * n_neurons <= max_values:
        return [slice(0, n_frames)], [slice(0, n_neurons)]
    wanted_frames = min(n_frames, max(max_values // n_neurons, STRETCHES * MIN_STRETCH_FRAMES))
    opened = _opened(wanted_frames, chunks, READ_FACTOR * max_values) if chunks else None
    if opened is None:
        wanted_neurons = min(n_neurons, max(1, max_values // wanted_frames))
        return _spread(n_frames, wanted_frames, STRETCHES), _spread(n_neurons, wanted_neurons, NEURON_GROUPS)
    each = max(1, max_values // wanted_frames // len(opened))
    neurons = [slice(block.start, min(block.stop, block.start + each)) for block in opened]
    return _spread(n_frames, wanted_frames, STRETCHES), neurons


def _opened(wanted_frames: int, chunks: tuple[tuple[int, ...], ...], max_read: int) -> list[slice] | None:
    """Evenly spread blocks of neurons of which about `max_read` samples are read; None if all may be."""
    of_frames, of_neurons = chunks
    frames_read = min(sum(of_frames), wanted_frames + STRETCHES * max(of_frames))
    affordable = max(1, max_read // (frames_read * max(of_neurons)))
    if affordable >= len(of_neurons):
        return None
    ends = np.cumsum(of_neurons)
    chosen = np.unique(np.linspace(0, len(of_neurons) - 1, affordable).astype(int))
    return [slice(int(ends[i] - of_neurons[i]), int(ends[i])) for i in chosen]


def _spread(total: int, wanted: int, pieces: int) -> list[slice]:
    """`wanted` of `total` positions as evenly spread runs, first and last position among them."""
    if wanted >= total:
        return [slice(0, total)]
    pieces = min(pieces, wanted)
    length = wanted // pieces
    starts = np.linspace(0, total - length, pieces).astype(int)
    return [slice(int(start), int(start) + length) for start in starts]


def _floats(block: Any) -> np.ndarray:
    """A block in memory, float32 or (for float64 and integers of more than 16 bits) float64."""
    values = np.asarray(block)
    wide = values.dtype.kind not in "fiub" or values.dtype.itemsize > (4 if values.dtype.kind == "f" else 2)
    return values.astype(np.float64 if wide else np.float32, copy=False)
