"""Spike trains compared spike by spike: matches within a tolerance, and SPIKE-synchrony."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from antidrome.errors import InputError


class Matches(NamedTuple):
    """Outcome of `match_spikes`; the three shares are NaN where they are not defined."""

    n_matched: int
    n_inferred: int
    n_true: int

    @property
    def precision(self) -> float:
        """Share of the inferred spikes that are true."""
        return self.n_matched / self.n_inferred if self.n_inferred else float("nan")

    @property
    def recall(self) -> float:
        """Share of the true spikes that were inferred."""
        return self.n_matched / self.n_true if self.n_true else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = self.n_inferred + self.n_true
        return 2 * self.n_matched / total if total else float("nan")


def match_spikes(inferred_s: np.ndarray, true_s: np.ndarray, tolerance_s: float = 0.05) -> Matches:
    """Largest one-to-one assignment of inferred to true spikes that are at most `tolerance_s` apart.

    For equal tolerances on a line the assignment in order of time is a largest one, so no search is needed.
    """
    inferred, true = _sorted(inferred_s, "inferred"), _sorted(true_s, "true")
    if tolerance_s < 0:
        raise InputError(f"tolerance_s is {tolerance_s}; expected 0 or more seconds.")
    i = j = matched = 0
    while i < len(inferred) and j < len(true):
        difference = inferred[i] - true[j]
        if abs(difference) <= tolerance_s:
            matched, i, j = matched + 1, i + 1, j + 1
        elif difference < 0:
            i += 1
        else:
            j += 1
    return Matches(matched, len(inferred), len(true))


def spike_synchrony(inferred_s: np.ndarray, true_s: np.ndarray) -> float:
    """SPIKE-synchrony: share of spikes with a coincident partner, by an adaptive window without any parameter.

    Two spikes coincide when they are nearer than half of the shortest of the four intervals around them (Kreuz,
    Mulansky and Bozanic 2015, J Neurophysiol 113). From 0 to 1; NaN when neither train has a spike.
    """
    inferred, true = _sorted(inferred_s, "inferred"), _sorted(true_s, "true")
    total = len(inferred) + len(true)
    if not total:
        return float("nan")
    if not len(inferred) or not len(true):
        return 0.0
    gaps = _shortest_interval(inferred), _shortest_interval(true)
    coincident = _coincident(inferred, true, *gaps) + _coincident(true, inferred, *gaps[::-1])
    return coincident / total


def place_spikes(expected: np.ndarray, time_s: np.ndarray, frame_rate_hz: float) -> np.ndarray:
    """Spike times from expected spikes: the k-th lies where the running total passes k − ½ (rounded total kept).

    Parameters
    ----------
    expected
        (time,) spikes per frame; NaN counts as none.
    time_s
        (time,) centre of the frames.

    Returns
    -------
    (spike,) seconds.
    """
    expected = np.nan_to_num(np.asarray(expected, float))
    total = np.cumsum(np.maximum(expected, 0))
    if not len(total):
        return np.zeros(0)
    target = np.arange(1, np.floor(total[-1] + 0.5) + 1) - 0.5
    frame = np.minimum(np.searchsorted(total, target), len(total) - 1)
    inside = (target - (total - np.maximum(expected, 0))[frame]) / np.maximum(expected[frame], 1e-300)
    return np.asarray(time_s, float)[frame] + (np.clip(inside, 0, 1) - 0.5) / frame_rate_hz


def _sorted(times_s: np.ndarray, name: str) -> np.ndarray:
    times = np.sort(np.asarray(times_s, float).ravel())
    if not np.isfinite(times).all():
        raise InputError(f"{int((~np.isfinite(times)).sum())} {name} spike times are not finite; leave them out.")
    return times


def _shortest_interval(times: np.ndarray) -> np.ndarray:
    """(spike,) the shorter of the intervals before and after; infinite for a single spike."""
    interval = np.r_[np.inf, np.diff(times), np.inf]
    return np.minimum(interval[:-1], interval[1:])


def _coincident(a: np.ndarray, b: np.ndarray, gap_a: np.ndarray, gap_b: np.ndarray) -> int:
    """How many spikes of `a` have a coincident one in `b`; only the two neighbours in time can be."""
    after = np.searchsorted(b, a)
    hit = np.zeros(len(a), bool)
    for neighbour in (np.clip(after - 1, 0, len(b) - 1), np.clip(after, 0, len(b) - 1)):
        window = np.minimum(gap_a, gap_b[neighbour]) / 2
        distance = np.abs(a - b[neighbour])
        hit |= (distance < window) | (distance == 0)
    return int(hit.sum())
