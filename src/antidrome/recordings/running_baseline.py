"""Running baselines F0(t) of fluorescence traces: a percentile in a moving window, and suite2p's maximin.

Pure NumPy/SciPy on blocks (time, neuron); `baseline.py` turns them into ΔF/F of a recording.
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, minimum_filter1d

from antidrome.recordings.clock import whole_frames
from antidrome.recordings.segments import split_at_gaps

STEPS_PER_WINDOW = 10
"""The percentile is computed at this many centres a window and interpolated linearly between them."""


def running_percentile(values: np.ndarray, time: np.ndarray, *, window_s: float, percentile: float) -> np.ndarray:
    """Percentile of each trace in a window centred on each frame, NaN left out.

    The window [t − w/2, t + w/2] is cut at the ends of a stretch; gaps longer than w/2 end a stretch. The percentile
    is exact at centres spaced w/10 apart (and at both ends) and interpolated linearly between them, which changes a
    baseline that varies on the scale of the window by little (the tests compare it with the plain loop).

    Parameters
    ----------
    values : (time, neuron), NaN = missing
    time : (time,) seconds, increasing
    window_s, percentile : seconds, 0–100

    Returns
    -------
    (time, neuron) of the dtype of `values`; NaN where a whole window is missing.
    """
    baseline = np.empty_like(values)
    for stretch in split_at_gaps(time, window_s / 2):
        baseline[stretch] = _percentile_of_stretch(values[stretch], time[stretch], window_s, percentile)
    return baseline


def maximin(
    values: np.ndarray, time: np.ndarray, *, frame_rate_hz: float, window_s: float, smoothing_s: float
) -> np.ndarray:
    """Gaussian smoothing, then a minimum, then a maximum filter: suite2p's default baseline.

    Source: Pachitariu et al., bioRxiv 061507 (2017), the baseline "maximin" of suite2p. The filters run on a grid of
    one frame period; missing samples and missed frames weigh nothing in the smoothing and are passed over by the
    minimum and maximum. Gaps longer than half the window end a stretch.

    Parameters and result as in `running_percentile`; `smoothing_s` is the SD of the Gaussian.
    """
    baseline = np.empty_like(values)
    for stretch in split_at_gaps(time, window_s / 2):
        grid = np.r_[0, np.cumsum(whole_frames(time[stretch], frame_rate_hz))]
        traces = np.full((grid[-1] + 1, values.shape[1]), np.nan, dtype=values.dtype)
        traces[grid] = values[stretch]
        window = max(1, round(min(window_s * frame_rate_hz, 2 * len(traces))))  # longer ones change nothing
        smooth = _smooth_present(traces, smoothing_s * frame_rate_hz)
        present = np.isfinite(smooth)
        lowest = minimum_filter1d(np.where(present, smooth, np.inf), window, axis=0)
        highest = maximum_filter1d(np.where(np.isfinite(lowest), lowest, -np.inf), window, axis=0)
        baseline[stretch] = np.where(np.isfinite(highest), highest, np.nan)[grid]
    return baseline


def _smooth_present(traces: np.ndarray, sigma_frames: float) -> np.ndarray:
    """Gaussian smoothing along time in which missing samples weigh nothing; NaN where nothing is near."""
    present = np.isfinite(traces)
    if present.all():
        return gaussian_filter1d(traces, sigma_frames, axis=0)
    weight = gaussian_filter1d(present.astype(traces.dtype), sigma_frames, axis=0)
    total = gaussian_filter1d(np.where(present, traces, 0), sigma_frames, axis=0)
    return np.where(weight > 1e-3, total / np.maximum(weight, 1e-3), np.nan)


def _percentile_of_stretch(values: np.ndarray, time: np.ndarray, window_s: float, percentile: float) -> np.ndarray:
    """Running percentile of one continuous stretch (time, neuron)."""
    n_steps = max(1, int(np.ceil((time[-1] - time[0]) / (window_s / STEPS_PER_WINDOW))))
    centres = np.linspace(time[0], time[-1], n_steps + 1) if time[-1] > time[0] else time[:1]
    half = window_s / 2 * (1 + 1e-9)  # frames that sit on the edge belong to the window whatever the rounding
    first = np.searchsorted(time, centres - half, side="left")
    last = np.searchsorted(time, centres + half, side="right")
    rows = np.ascontiguousarray(values.T)
    at_centres = np.stack([_percentile_of_rows(rows[:, a:b], percentile) for a, b in zip(first, last, strict=True)])
    return _interpolate(at_centres, centres, time)


def _percentile_of_rows(rows: np.ndarray, percentile: float) -> np.ndarray:
    """Percentile of each row over its present samples, NaN for a row without any."""
    complete = np.isfinite(rows).all(axis=1)
    result = np.empty(rows.shape[0], dtype=rows.dtype)
    result[complete] = np.percentile(rows[complete], percentile, axis=1) if complete.any() else 0
    if not complete.all():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            partial = np.where(np.isfinite(rows[~complete]), rows[~complete], np.nan)
            result[~complete] = np.nanpercentile(partial, percentile, axis=1)
    return result


def _interpolate(at_centres: np.ndarray, centres: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Linear interpolation in time of (centre, neuron) to (time, neuron)."""
    if centres.size == 1:
        return np.repeat(at_centres, time.size, axis=0)
    left = np.clip(np.searchsorted(centres, time, side="right") - 1, 0, centres.size - 2)
    weight = ((time - centres[left]) / np.diff(centres)[left])[:, None].astype(at_centres.dtype)
    return _blend(at_centres[left], at_centres[left + 1], weight)


def _blend(before: np.ndarray, after: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(1 − weight)·before + weight·after, where a missing neighbour leaves the other one alone."""
    before, after = np.where(np.isnan(before), after, before), np.where(np.isnan(after), before, after)
    return before + weight * (after - before)
