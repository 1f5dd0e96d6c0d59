"""The response of every cell to one spike, read off a trace and its inferred spikes: amplitude, decay, baseline."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.signal import lfilter

from antidrome.spikes.drift import drift_frames, without_drift

DECAYS_S = np.geomspace(0.06, 3.0, 10)


class Response(NamedTuple):
    """One value per cell; NaN where nothing could be fitted (no spikes, no observed frames)."""

    amplitude: np.ndarray
    decay_s: np.ndarray
    baseline: np.ndarray


def fit_response(traces: np.ndarray, expected_spikes: np.ndarray, frame_rate_hz: float) -> Response:
    """Least squares of each trace on its expected spikes, decaying exponentially, for a grid of decays.

    Parameters
    ----------
    traces
        (neuron, time) ΔF/F; NaN where missing.
    expected_spikes
        (neuron, time) spikes per frame.
    frame_rate_hz
        Frames per second.

    Returns
    -------
    Response of amplitude (ΔF/F per spike), decay (s, of the grid `DECAYS_S`) and baseline (ΔF/F without spikes), in the
    AR(1) model F = amplitude · (exp(-t/decay) * spikes) + baseline, both sides without drifts slower than 30 s.
    """
    observed = np.isfinite(traces)
    count = np.maximum(observed.sum(axis=1, keepdims=True), 1)
    filled = np.where(observed, traces, np.where(observed, traces, 0).sum(axis=1, keepdims=True) / count)
    width = drift_frames(frame_rate_hz)
    target = np.where(observed, without_drift(filled, width), 0)
    fits = [
        _fit(filled, target, observed, expected_spikes, np.exp(-1 / (decay * frame_rate_hz)), width)
        for decay in DECAYS_S
    ]
    gain, amplitude, offset = (np.stack(column) for column in zip(*fits, strict=True))
    best = gain.argmax(axis=0)
    cells = np.arange(len(traces))
    amplitude, offset = amplitude[best, cells], offset[best, cells]
    known = (gain.max(axis=0) > 0) & (amplitude > 0)
    nan = np.full(len(traces), np.nan)
    return Response(
        np.where(known, amplitude, nan),
        np.where(known, DECAYS_S[best], nan),
        np.where(observed.any(axis=1), offset, nan),
    )


def _fit(
    filled: np.ndarray, target: np.ndarray, observed: np.ndarray, spikes: np.ndarray, factor: float, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Explained sum of squares, slope and baseline of every cell for one decay."""
    calcium = lfilter([1.0], [1.0, -factor], spikes, axis=1).astype(np.float32)
    regressor = np.where(observed, without_drift(calcium, width), 0)
    power = np.einsum("nt,nt->n", regressor, regressor)
    product = np.einsum("nt,nt->n", regressor, target)
    slope = np.where(power > 0, product / np.maximum(power, 1e-20), 0)
    residual = np.where(observed, filled - slope[:, None] * calcium, np.nan)
    baseline = np.nan_to_num(residual).sum(axis=1) / np.maximum(observed.sum(axis=1), 1)
    return np.where(product > 0, slope * product, 0), slope, baseline
