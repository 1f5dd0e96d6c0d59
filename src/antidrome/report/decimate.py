"""Fewer points for the page, without hiding what the trace does.

A screen is about two thousand pixels wide; a recording can be a million frames long. Traces keep the smallest and the
largest value of each bin (in their order in time), so that no transient disappears. Counts are summed, and because the
posterior is independent between frames their variances are summed too.
"""

import numpy as np
from numpy.typing import NDArray

from antidrome.recordings.clock import clock_rate_hz

Floats = NDArray[np.floating]
MAX_POINTS = 4000
"""Points of a single trace; longer ones are drawn by the extremes of bins."""


def evenly_spread(n: int, most: int) -> NDArray[np.int64]:
    """Places of at most so many of `n` things, from the first to the last."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))


def bin_factor(n_frames: int, max_bins: int) -> int:
    """Smallest number of frames a bin such that at most `max_bins` bins hold `n_frames`."""
    return max(1, -(-n_frames // max(1, max_bins)))


def in_bins(values: Floats, factor: int) -> Floats:
    """Reshape ``(n_rows, n_frames)`` to ``(n_rows, n_bins, factor)``; the last bin is filled with NaN."""
    n_rows, n_frames = values.shape
    n_bins = -(-n_frames // factor)
    padded = np.full((n_rows, n_bins * factor), np.nan, dtype=np.float32)
    padded[:, :n_frames] = values
    return padded.reshape(n_rows, n_bins, factor)


def min_max(values: Floats, factor: int) -> tuple[Floats, Floats]:
    """First and second extreme of each bin, in their order in time.

    Parameters
    ----------
    values
        Traces, shape ``(n_rows, n_frames)``; NaN where a sample is missing.
    factor
        Frames a bin.

    Returns
    -------
    first, second
        Shape ``(n_rows, n_bins)``. NaN where a whole bin is missing. With ``factor`` 1 both are the trace itself.
    """
    bins = in_bins(values, factor)
    low_at = np.argmin(np.where(np.isnan(bins), np.inf, bins), axis=2)
    high_at = np.argmax(np.where(np.isnan(bins), -np.inf, bins), axis=2)
    low = np.take_along_axis(bins, low_at[..., None], axis=2)[..., 0]
    high = np.take_along_axis(bins, high_at[..., None], axis=2)[..., 0]
    low_first = low_at <= high_at
    return np.where(low_first, low, high), np.where(low_first, high, low)


def sum_bins(values: Floats, factor: int) -> Floats:
    """Sum of each bin, shape ``(n_rows, n_bins)``; missing samples count nothing, a wholly missing bin is NaN."""
    bins = in_bins(values, factor)
    total = np.nansum(bins, axis=2, dtype=np.float64)
    return np.where(np.isnan(bins).all(axis=2), np.nan, total)


def max_bins(values: Floats, factor: int) -> Floats:
    """Largest value of each bin, shape ``(n_rows, n_bins)``; NaN where the whole bin is missing."""
    bins = in_bins(values, factor)
    largest = np.where(np.isnan(bins), -np.inf, bins).max(axis=2)
    return np.where(np.isneginf(largest), np.nan, largest)


def bin_times(time_s: Floats, factor: int) -> tuple[Floats, Floats]:
    """Centre and duration of each bin in seconds.

    A frame lasts one period of the clock, whatever gaps lie between frames; a bin lasts as many as it has frames.

    Parameters
    ----------
    time_s
        Centres of the frames, shape ``(n_frames,)``.
    factor
        Frames a bin.
    """
    time_s = np.asarray(time_s, dtype=np.float64)
    interval = 1.0 / (clock_rate_hz(time_s) or 1.0)
    starts = np.arange(0, time_s.size, factor)
    ends = np.minimum(starts + factor, time_s.size) - 1
    return (time_s[starts] + time_s[ends]) / 2, interval * (ends - starts + 1)


def thinned(time: Floats, values: Floats) -> tuple[Floats, Floats]:
    """A trace by the extremes of bins, in their order, so that no spike is lost; short ones as they are."""
    n = len(values)
    if n <= MAX_POINTS:
        return time, values
    width = -(-2 * n // MAX_POINTS)
    whole = n // width * width
    blocks = values[:whole].reshape(-1, width)
    first = np.arange(len(blocks)) * width
    lowest = first + np.where(np.isnan(blocks), np.inf, blocks).argmin(axis=1)
    highest = first + np.where(np.isnan(blocks), -np.inf, blocks).argmax(axis=1)
    rows = np.unique(np.concatenate([lowest, highest, np.arange(whole, n)]))
    return time[rows], values[rows]
