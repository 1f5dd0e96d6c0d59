"""Fewer points for the page, without hiding what the trace does.

A screen is about two thousand pixels wide; a recording can be a million frames long. Traces keep the smallest and the
largest value of each bin (in their order in time), so that no transient disappears. Counts are summed, and because the
posterior is independent between frames their variances are summed too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from antidrome.recordings.clock import clock_rate_hz, whole_frames

Floats = NDArray[np.floating]
MAX_POINTS = 4000
"""Points of a single trace; longer ones are drawn by the extremes of bins."""


def evenly_spread(n: int, most: int) -> NDArray[np.int64]:
    """Places of at most so many of `n` things, from the first to the last."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))


@dataclass(frozen=True)
class Bins:
    """Which frames are drawn as one: bins of a few frame periods, none of which spans a longer pause.

    Attributes
    ----------
    factor
        Frame periods a bin; 1 when every frame is drawn.
    places
        Where each frame lies when every bin has `factor` places in a row, shape ``(n_frames,)``, increasing. Missing
        frames, and what a bin lacks before a pause, leave their places empty; no bin is empty.
    """

    factor: int
    places: NDArray[np.int64]

    @classmethod
    def at_most(cls, most: int, time_s: Floats) -> "Bins":
        """Bins of which at most so many hold all frames; `time_s` are the centres of the frames."""
        steps = whole_frames(time_s, clock_rate_hz(time_s) or 1.0)
        factor = bin_factor(time_s.size, most)
        bins = cls(factor, _places(steps, factor))
        while bins.count > max(1, most):  # pauses cost bins
            factor = max(factor + 1, factor * bins.count // max(1, most))
            bins = cls(factor, _places(steps, factor))
        return bins

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.places[-1]) // self.factor + 1

    def split(self, values: Floats) -> Floats:
        """Reshape ``(n_rows, n_frames)`` to ``(n_rows, n_bins, factor)``; empty places are NaN."""
        padded = np.full((len(values), self.count * self.factor), np.nan, dtype=np.float32)
        padded[:, self.places] = values
        return padded.reshape(len(values), self.count, self.factor)

    def times(self, time_s: Floats, interval_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Centre and duration of each bin in seconds; a bin lasts as many frame periods as it has frames."""
        time_s = np.asarray(time_s, dtype=np.float64)
        starts = np.flatnonzero(np.diff(self.places // self.factor, prepend=-1))
        ends = np.append(starts[1:], time_s.size) - 1
        return (time_s[starts] + time_s[ends]) / 2, interval_s * (ends - starts + 1).astype(np.float64)


def bin_factor(n_frames: int, max_bins: int) -> int:
    """Smallest number of frames a bin such that at most `max_bins` bins hold `n_frames`."""
    return max(1, -(-n_frames // max(1, max_bins)))


def _places(steps: NDArray[np.int64], factor: int) -> NDArray[np.int64]:
    """Places of frames that are so many periods apart; behind a pause longer than a bin the next bin begins."""
    opens = np.concatenate([[True], steps > factor])
    on_clock = np.concatenate([[0], np.cumsum(steps)])
    stretch, first = np.cumsum(opens) - 1, np.flatnonzero(opens)
    within = on_clock - on_clock[first][stretch]
    last = np.append(first[1:], len(opens)) - 1
    bins = within[last] // factor + 1
    return within + factor * (np.cumsum(bins) - bins)[stretch]


def min_max(values: Floats, bins: Bins) -> tuple[Floats, Floats]:
    """First and second extreme of each bin, in their order in time.

    Parameters
    ----------
    values
        Traces, shape ``(n_rows, n_frames)``; NaN where a sample is missing.
    bins
        The bins.

    Returns
    -------
    first, second
        Shape ``(n_rows, n_bins)``. NaN where a whole bin is missing. With ``factor`` 1 both are the trace itself.
    """
    split = bins.split(values)
    low_at = np.argmin(np.where(np.isnan(split), np.inf, split), axis=2)
    high_at = np.argmax(np.where(np.isnan(split), -np.inf, split), axis=2)
    low = np.take_along_axis(split, low_at[..., None], axis=2)[..., 0]
    high = np.take_along_axis(split, high_at[..., None], axis=2)[..., 0]
    low_first = low_at <= high_at
    return np.where(low_first, low, high), np.where(low_first, high, low)


def sum_bins(values: Floats, bins: Bins) -> Floats:
    """Sum of each bin, shape ``(n_rows, n_bins)``; missing samples count nothing, a wholly missing bin is NaN."""
    split = bins.split(values)
    total = np.nansum(split, axis=2, dtype=np.float64)
    return np.where(np.isnan(split).all(axis=2), np.nan, total)


def max_bins(values: Floats, bins: Bins) -> Floats:
    """Largest value of each bin, shape ``(n_rows, n_bins)``; NaN where the whole bin is missing."""
    split = bins.split(values)
    largest = np.where(np.isnan(split), -np.inf, split).max(axis=2)
    return np.where(np.isneginf(largest), np.nan, largest)


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
