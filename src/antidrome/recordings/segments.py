"""Where a recording is continuous: gaps, and the stretches between them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings.axes import time_in_seconds
from antidrome.recordings.clock import clock_rate_hz, longest_step_s, require_agreement


def times_s(recording: xr.DataArray | xr.Dataset) -> np.ndarray | None:
    """Frame times in seconds as float64 (time,), whatever unit they are in, or None when the recording carries none."""
    if "time" not in recording.coords:
        return None
    return time_in_seconds(recording.coords["time"])


def frame_rate_of(recording: xr.DataArray | xr.Dataset) -> float:
    """Frame rate in hertz: the attribute `frame_rate_hz`, else that of its times.

    Raises
    ------
    InputError
        If the recording has neither, the attribute is not a positive number, or it contradicts the times.
    """
    declared = recording.attrs.get("frame_rate_hz")
    time = times_s(recording)
    rate = clock_rate_hz(time) if declared is None else float(declared)
    if rate is None or not np.isfinite(rate) or rate <= 0:
        raise InputError(
            f"The frame rate of the recording is {'missing' if rate is None else rate}, expected a positive number of "
            "frames per second; pass frame_rate_hz when reading the file or give the recording a `time` coordinate in "
            "seconds."
        )
    if time is not None:
        require_agreement(rate, time)
    return rate


def neighbours(time: np.ndarray | None, frame_rate_hz: float, n_frames: int) -> np.ndarray:
    """True (n_frames − 1,) where frames i and i+1 follow one another without a gap, a repeat or a step back."""
    if time is None:
        return np.ones(max(n_frames - 1, 0), dtype=bool)
    steps = np.diff(time)
    return (steps > 0) & (steps <= longest_step_s(time, frame_rate_hz))


def borders(told: np.ndarray) -> np.ndarray:
    """True (n_frames − 1,) where another trial begins, of the trial (frame,); frames of none (NaN, None) are alike."""
    return np.diff(pd.factorize(told)[0]) != 0


def split_at_gaps(time: np.ndarray, max_gap_s: float) -> list[slice]:
    """Stretches of frames between gaps longer than `max_gap_s` seconds, in order and without a hole."""
    cuts = np.flatnonzero(np.diff(time) > max_gap_s) + 1
    edges = [0, *cuts.tolist(), time.size]
    return [slice(start, stop) for start, stop in pairwise(edges) if stop > start]
