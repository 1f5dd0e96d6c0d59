"""Spikes and expected spikes in bins of equal width, whatever the frames' times are."""

from __future__ import annotations

import numpy as np

from antidrome.errors import InputError
from antidrome.recordings.arguments import counted
from antidrome.recordings.segments import neighbours


def bin_frames(values: np.ndarray, n_frames: int) -> np.ndarray:
    """Sum of each group of `n_frames` frames along the first axis; a last partial group is cut, NaN stays NaN."""
    values = np.asarray(values, float)
    if n_frames < 1:
        raise InputError(f"{counted(n_frames, 'frame')} per bin; expected at least 1.")
    whole = len(values) // n_frames
    return values[: whole * n_frames].reshape(whole, n_frames, *values.shape[1:]).sum(axis=1)


def bin_expected(
    expected: np.ndarray,
    time_s: np.ndarray,
    frame_rate_hz: float,
    bin_s: float = 0.04,
    start_s: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Integrate expected spikes per frame into bins of `bin_s` seconds.

    A frame's expected spikes are spread evenly over the frame: half way to the frames before and after it, and half a
    frame period from its centre at a gap and at the ends.

    Parameters
    ----------
    expected
        (time,) spikes per frame; NaN where nothing was inferred.
    time_s
        (time,) centre of each frame, increasing.
    bin_s
        Width of the bins.
    start_s
        Left edge of the first bin; the start of the first frame when not given.

    Returns
    -------
    expected
        (bin,) spikes per bin; NaN where more than a thousandth of a bin lies outside the frames with a value.
    edges
        (bin + 1,) seconds.

    Raises
    ------
    InputError
        Not one-dimensional, of different lengths, times not increasing, or shorter than one bin.
    """
    expected, time_s = np.asarray(expected, float), np.asarray(time_s, float)
    if expected.ndim != 1 or expected.shape != time_s.shape:
        raise InputError(
            f"Expected spikes have shape {expected.shape} and times {time_s.shape}; expected two equal one-dimensional"
            " arrays, one value a frame."
        )
    if len(time_s) > 1 and np.min(np.diff(time_s)) <= 0:
        frame = int(np.argmin(np.diff(time_s)))
        raise InputError(f"Frame times do not increase between frames {frame} and {frame + 1}; sort them first.")
    left, right = _borders(time_s, frame_rate_hz)
    edges = np.arange(left[0] if start_s is None else start_s, right[-1] + 1e-9, bin_s)
    if len(edges) < 2:
        raise InputError(f"{len(time_s)} frames at {frame_rate_hz} Hz are shorter than one bin of {bin_s} s.")
    observed = np.isfinite(expected)
    at = np.column_stack([left, right]).ravel()
    covered = np.diff(np.interp(edges, at, _cumulative(observed * (right - left))))
    binned = np.diff(np.interp(edges, at, _cumulative(np.where(observed, expected, 0.0))))
    return np.where(covered > (1 - 1e-3) * bin_s, binned, np.nan), edges


def bin_spike_times(spike_times_s: np.ndarray, edges_s: np.ndarray) -> np.ndarray:
    """(bin,) number of spikes between consecutive edges, seconds."""
    spike_times_s = np.asarray(spike_times_s, float)
    if not np.isfinite(spike_times_s).all():
        raise InputError(f"{int((~np.isfinite(spike_times_s)).sum())} spike times are not finite; leave them out.")
    return np.histogram(spike_times_s, edges_s)[0].astype(float)


def _borders(time_s: np.ndarray, frame_rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Left and right border of every frame; frames without a gap between them share one, however uneven the clock."""
    left, right = time_s - 0.5 / frame_rate_hz, time_s + 0.5 / frame_rate_hz
    middle = (time_s[1:] + time_s[:-1]) / 2
    joined = neighbours(time_s, frame_rate_hz, len(time_s)) | (np.diff(time_s) < 1 / frame_rate_hz)
    left[1:] = np.where(joined, middle, left[1:])
    right[:-1] = np.where(joined, middle, right[:-1])
    return left, right


def _cumulative(per_frame: np.ndarray) -> np.ndarray:
    """Running sum at the left and right edge of every frame, interleaved."""
    total = np.cumsum(per_frame)
    return np.column_stack([total - per_frame, total]).ravel()
