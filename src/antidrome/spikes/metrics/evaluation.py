"""Scores of a whole result against true spike times, at lag 0 and at a lag learnt on the other neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings.arguments import counted
from antidrome.recordings.axes import time_in_seconds
from antidrome.recordings.segments import frame_rate_of
from antidrome.spikes.grid import nearest_frames, notes_on_clock, within_frames
from antidrome.spikes.metrics.agreement import (
    correlation,
    correlation_at_lags,
    error_and_bias,
    information_gain,
    learnt_lags,
    smoothed,
)
from antidrome.spikes.metrics.bins import bin_expected, bin_spike_times
from antidrome.spikes.metrics.calibration import coverage
from antidrome.spikes.metrics.events import match_spikes, place_spikes, spike_synchrony
from antidrome.spikes.results import opened_result
from antidrome.spikes.trains import trains_by_label

BIN_S = 0.04
LAGS = tuple(range(-6, 7))
EDGE_S = 1.12
FINE_S = 0.01
SMOOTHING_S = 0.2
TOLERANCE_S = 0.1
UNITS = {
    "r": ("1", "Pearson correlation in bins of 40 ms, lag 0"),
    "r_by_lag": ("1", "Pearson correlation in bins of 40 ms; a positive lag is a late prediction"),
    "r_learnt_lag": ("1", "Correlation at the lag that is best for the other neurons"),
    "learnt_lag_s": ("s", "Lag that is best for the other neurons"),
    "r_smooth": ("1", "Correlation of both rates smoothed by 0.2 s, lag 0"),
    "error": ("1", "Spurious plus missed spikes over true spikes, smoothed rates (CASCADE)"),
    "bias": ("1", "Spurious minus missed spikes over true spikes, smoothed rates (CASCADE)"),
    "count_ratio": ("1", "Expected spikes over true spikes"),
    "information_gain": ("bits per spike", "Poisson log likelihood beyond a constant rate, bins of 40 ms"),
    "precision": ("1", "Share of placed spikes within 0.1 s of a true one, one to one"),
    "recall": ("1", "Share of true spikes within 0.1 s of a placed one, one to one"),
    "f1": ("1", "Harmonic mean of precision and recall"),
    "synchrony": ("1", "SPIKE-synchrony of placed and true spikes"),
    "coverage": ("1", "Share of windows (window_s) whose true count lies in the 90 % credible interval"),
}


class Scores(NamedTuple):
    """Agreement of one neuron's expected spikes with its true ones."""

    r_by_lag: np.ndarray
    r_smooth: float
    error: float
    bias: float
    count_ratio: float
    information_gain: float
    precision: float
    recall: float
    f1: float
    synchrony: float

    @property
    def r(self) -> float:
        """Correlation at lag 0."""
        return float(self.r_by_lag[len(self.r_by_lag) // 2])


def score(
    expected: np.ndarray,
    spike_times_s: np.ndarray,
    frame_rate_hz: float,
    time_s: np.ndarray | None = None,
    *,
    start_s: float | None = None,
) -> Scores:
    """Score one recording of one neuron.

    Parameters
    ----------
    expected
        (time,) spikes per frame.
    spike_times_s
        (spike,) true times on the same clock.
    frame_rate_hz
        Frames per second.
    time_s
        (time,) centre of each frame; i / rate when not given, or starting half a frame after `start_s`.
    start_s
        Left edge of the first frame and of the first bin.

    Returns
    -------
    Scores. 1.12 s at both ends are left out of the correlations, so that methods with and without values at the ends
    compare; a recording too short for that has NaN. True spikes where there is no frame or no value are left out.
    """
    expected = np.asarray(expected, float)
    if time_s is None:
        first = 0.0 if start_s is None else start_s + 0.5 / frame_rate_hz
        time_s = first + np.arange(len(expected)) / frame_rate_hz
    binned, edges = bin_expected(expected, time_s, frame_rate_hz, BIN_S, start_s)
    true = bin_spike_times(spike_times_s, edges)
    edge = round(EDGE_S / BIN_S)
    enough = len(true) > 2 * edge + 44
    by_lag = correlation_at_lags(binned, true, LAGS, edge) if enough else np.full(len(LAGS), np.nan)
    smooth = _smoothed_rates(expected, spike_times_s, frame_rate_hz, time_s, start_s)
    edge = round(EDGE_S / FINE_S)
    r_smooth = float(correlation(*(x[edge : len(x) - edge] for x in smooth))) if enough else float("nan")
    error, bias = error_and_bias(*smooth)
    inside = np.asarray(spike_times_s, float)
    inside = inside[(inside >= edges[0]) & within_frames(inside, time_s, frame_rate_hz)]
    inside = inside[np.isfinite(expected[nearest_frames(inside, time_s)])]
    placed = place_spikes(expected, time_s, frame_rate_hz)
    matches = match_spikes(placed, inside, TOLERANCE_S)
    return Scores(
        by_lag,
        r_smooth,
        float(error),
        float(bias),
        float(np.nansum(expected) / len(inside)) if len(inside) else float("nan"),
        float(information_gain(binned, true)),
        matches.precision,
        matches.recall,
        matches.f1,
        spike_synchrony(placed, inside),
    )


def evaluate(
    result: xr.Dataset,
    spike_times_s: Mapping[str, np.ndarray] | Sequence[np.ndarray] | pd.Series,
    *,
    window_s: float = 1.0,
) -> xr.Dataset:
    """Score every neuron of a result of `ad.SpikeVAE` for which true spikes are known.

    Parameters
    ----------
    result
        With `expected_spikes` (time, neuron), and `samples` for the coverage of credible intervals.
    spike_times_s
        True spike times, seconds on the recording's clock: by neuron label (also a Series of trains that pandas
        grouped), or in the order of the neurons.
    window_s
        Length of the windows in which counts are compared with their 90 % credible interval.

    Returns
    -------
    Dataset over `neuron` (and `lag_s` for `r_by_lag`) with units; neurons without true spikes are left out and counted
    in the notes. Frames without a value (NaN) and gaps between frames are left out, with the true spikes in them.

    Raises
    ------
    InputError
        Labels that the result does not have, as many trains as there are not neurons, or counts instead of times.
    """
    result = opened_result(result)
    labels = [str(label) for label in result["neuron"].values]
    known = trains_by_label(spike_times_s, labels, result.sizes["time"], "The true spikes")
    if not known:
        raise InputError("There are no true spike times to compare with.")
    rate = frame_rate_of(result)
    time_s = time_in_seconds(result["time"])
    chosen = result.isel(neuron=[labels.index(name) for name in known])
    expected = np.asarray(chosen["expected_spikes"].transpose("time", "neuron").values, float)
    rows = [score(expected[:, i], times, rate, time_s) for i, times in enumerate(known.values())]
    by_lag = np.stack([row.r_by_lag for row in rows], axis=1)
    best = learnt_lags(by_lag)
    values: dict[str, tuple] = {
        "r": ("neuron", [row.r for row in rows]),
        "r_by_lag": (("lag_s", "neuron"), by_lag),
        "r_learnt_lag": ("neuron", by_lag[best, np.arange(len(rows))]),
        "learnt_lag_s": ("neuron", np.asarray(LAGS)[best] * BIN_S),
    }
    values |= {name: ("neuron", [getattr(row, name) for row in rows]) for name in Scores._fields[1:]}
    if "samples" in result:
        true = np.stack([_count_per_frame(times, time_s, rate) for times in known.values()], axis=1)
        true = np.where(np.isfinite(expected), true, np.nan)
        covered = coverage(
            chosen["samples"].transpose("sample", "time", "neuron").values, true, max(1, round(window_s * rate))
        )
        values["coverage"] = ("neuron", covered.share)
    left_out = result.sizes["neuron"] - len(known)
    notes = [f"{counted(left_out, 'neuron', 'has')} no true spike times: left out."] if left_out else []
    notes += notes_on_clock(known.values(), time_s, rate) + _notes_on_missing(known, expected, time_s, rate)
    return xr.Dataset(
        {name: (*v, {"units": UNITS[name][0], "long_name": UNITS[name][1]}) for name, v in values.items()},
        coords={"neuron": list(known), "lag_s": ("lag_s", np.asarray(LAGS) * BIN_S, {"units": "s"})},
        attrs={"notes": notes, "window_s": window_s},
    )


def _notes_on_missing(
    known: Mapping[str, np.ndarray], expected: np.ndarray, time_s: np.ndarray, rate: float
) -> list[str]:
    """How many true spikes lie in frames of which nothing was inferred."""
    seen = [train[within_frames(train, time_s, rate)] for train in known.values()]
    missing = [np.isnan(row[nearest_frames(train, time_s)]) for train, row in zip(seen, expected.T, strict=True)]
    n = sum(int(of_one.sum()) for of_one in missing)
    return [f"{n} true spikes lie where nothing was inferred (NaN) and are left out."] if n else []


def _smoothed_rates(
    expected: np.ndarray, spike_times_s: np.ndarray, frame_rate_hz: float, time_s: np.ndarray, start_s: float | None
) -> list[np.ndarray]:
    """Expected and true spikes in fine bins, smoothed alike; NaN where nothing was inferred."""
    fine, edges = bin_expected(expected, time_s, frame_rate_hz, FINE_S, start_s)
    observed = np.isfinite(fine)
    both = (fine, bin_spike_times(spike_times_s, edges))
    return [np.where(observed, smoothed(np.where(observed, x, 0), FINE_S, SMOOTHING_S), np.nan) for x in both]


def _count_per_frame(spike_times_s: np.ndarray, time_s: np.ndarray, frame_rate_hz: float) -> np.ndarray:
    """(time,) spikes that are nearest to each frame; those in gaps between frames belong to none."""
    nearest = nearest_frames(spike_times_s, time_s)
    inside = within_frames(spike_times_s, time_s, frame_rate_hz)
    return np.bincount(nearest[inside], minlength=len(time_s)).astype(float)
