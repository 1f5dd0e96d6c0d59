"""Recordings with dropped frames or gaps on the regular grid that the network reads, and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings.axes import time_in_seconds
from antidrome.recordings.clock import whole_frames
from antidrome.recordings.masked import unmasked
from antidrome.recordings.segments import neighbours

LONGEST_GAP_S = 5.0


@dataclass(frozen=True)
class FrameGrid:
    """Where each recorded frame lies on a regular grid; grid places without a frame are missing.

    Parameters
    ----------
    places
        (frame,) strictly increasing grid index of each frame.
    n_missing
        Places without a frame (a gap longer than 5 s counts as 5 s).
    n_left_out
        Missing frames beyond the first 5 s of a gap, which have no place.
    """

    places: np.ndarray
    n_missing: int
    n_left_out: int

    @classmethod
    def of(cls, time_s: np.ndarray, frame_rate_hz: float) -> FrameGrid:
        """Round every interval to whole frames, at least one; jitter does not add up."""
        longest = max(1, round(LONGEST_GAP_S * frame_rate_hz))
        whole = whole_frames(time_s, frame_rate_hz)
        places = np.r_[0, np.cumsum(np.minimum(whole, longest))]
        return cls(places, int(places[-1] + 1 - len(places)), int(np.maximum(whole - longest, 0).sum()))

    def spread(self, traces: np.ndarray) -> np.ndarray:
        """(neuron, frame) → (neuron, place) with NaN where no frame was recorded."""
        if self.n_missing == 0:
            return traces
        out = np.full((len(traces), int(self.places[-1]) + 1), np.nan, traces.dtype)
        out[:, self.places] = traces
        return out

    def gather(self, values: np.ndarray) -> np.ndarray:
        """(neuron, place) → (neuron, frame)."""
        return values if self.n_missing == 0 else values[:, self.places]


def nearest_frames(times_s: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Index of the frame, of those at `time_s`, that is nearest to each time."""
    return np.searchsorted((time_s[1:] + time_s[:-1]) / 2, times_s)


def within_frames(times_s: np.ndarray, time_s: np.ndarray, frame_rate_hz: float) -> np.ndarray:
    """(spike,) whether the frames at `time_s` saw each time: not those before, behind, or in a gap between them."""
    near = np.abs(times_s - time_s[nearest_frames(times_s, time_s)]) <= 0.5 / frame_rate_hz * 1.01
    without_gap = np.r_[False, neighbours(time_s, frame_rate_hz, len(time_s)), False]
    return near | without_gap[np.searchsorted(time_s, times_s)]


def notes_on_clock(trains: Iterable[np.ndarray], time_s: np.ndarray, frame_rate_hz: float) -> list[str]:
    """How many true spikes (seconds) no frame can have seen, in a sentence; nothing where there are none."""
    times_s = np.concatenate([np.empty(0), *trains])
    n_outside = int((~within_frames(times_s, time_s, frame_rate_hz)).sum())
    if not n_outside:
        return []
    return [
        f"{n_outside} of {len(times_s)} true spikes lie before the first or after the last frame, or in a gap between"
        " frames, and are left out; times are taken for seconds on the recording's clock."
    ]


def spike_seconds(times: Any, n_frames: int, what: str) -> np.ndarray:
    """(spike,) times that a user gave for one neuron as float64 seconds; of durations and of what has units too.

    Dates are no times of a recording: its first frame may be at any date.

    Raises
    ------
    InputError
        No list of finite times, or counts: a whole number for each of the `n_frames` frames.
    """
    try:
        values = unmasked(times, []) if np.ma.isMaskedArray(times) else np.asarray(times)
        values = values.astype(float) if values.dtype.kind == "O" else values
        values = values.ravel() if values.ndim == 2 and min(values.shape) < 2 else values
        seconds = time_in_seconds(xr.DataArray(values, dims="spike", attrs=getattr(times, "attrs", {})))
    except (TypeError, ValueError, InputError):
        values = seconds = np.full(1, np.nan)
    if values.dtype.kind in "MSU" or not np.isfinite(seconds).all():
        raise InputError(f"{what}: expected a list of finite times in seconds, or of durations.")
    counts = len(seconds) == n_frames > 1 and (seconds == np.round(seconds)).all() and (np.diff(seconds) <= 0).any()
    if counts:
        raise InputError(
            f"{what}: a whole number for each of the {n_frames} frames looks like counts; expected times in seconds,"
            " np.repeat(recording['time'].values, counts)."
        )
    return seconds
