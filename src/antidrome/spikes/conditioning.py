"""What the recognition network is told about a trace: normalised channels and a summary of the whole recording.

The summary (noise, frame rate, quantiles, autocorrelation, shape of the rises) conditions the network, so that one
network serves every frame rate, noise level and indicator. Everything is invariant to the trace's offset, and to its
gain but for one weak hint.
"""

from __future__ import annotations

import numpy as np

QUANTILES = (0.01, 0.05, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.995)
LAGS_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
RISES_S = (0.035, 0.07, 0.12, 0.25)
RISE_QUANTILES = (0.01, 0.1, 0.9, 0.99)
ONSET_S = 0.1
ONSET_SHARE = 0.01
OFFSETS_S = (-0.4, -0.2, -0.1, -0.067, -0.033, 0.0, 0.033, 0.067, 0.1, 0.2, 0.4, 0.8, 1.6)
FEWEST_PAIRS = 0.1
MEDIAN_STEP = 0.6744898 * np.sqrt(2)
"""Median absolute difference of two independent normal values of SD 1."""
N_CHANNELS = 4
N_SUMMARY = len(QUANTILES) + len(LAGS_S) + len(RISES_S) * len(RISE_QUANTILES) + len(OFFSETS_S) + 1 + 3


def noise_sd(traces: np.ndarray) -> np.ndarray:
    """SD of the white noise from frame-to-frame differences, robust to spikes; (neuron, time) with NaN → (neuron,).

    Where hardly any frame is followed by another (planes that take turns), each is compared with the next that is
    there.
    """
    sd = _sd_of_steps(traces)
    observed = np.isfinite(traces)
    pairs = (observed[:, 1:] & observed[:, :-1]).sum(axis=1)
    sparse = np.flatnonzero(pairs < FEWEST_PAIRS * observed.sum(axis=1))
    first = np.argsort(~observed[sparse], axis=1, kind="stable")
    sd[sparse] = _sd_of_steps(np.take_along_axis(traces[sparse], first, axis=1))
    return sd


def _sd_of_steps(traces: np.ndarray) -> np.ndarray:
    return _nanquantile(np.abs(np.diff(traces, axis=1)), (0.5,))[:, 0] / MEDIAN_STEP


def condition(traces: np.ndarray, frame_rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Channels for every frame and a summary for every neuron.

    Parameters
    ----------
    traces
        (neuron, time) ΔF/F; NaN marks missing frames.
    frame_rate_hz
        Frames per second.

    Returns
    -------
    channels
        (neuron, time, 4) float32: trace in noise SDs (asinh), trace over its own range, slow part, 1 where observed.
    summary
        (neuron, N_SUMMARY) float32.
    """
    traces = np.asarray(traces, np.float32)
    observed = np.isfinite(traces)
    levels = _nanquantile(traces, (0.05, 0.5, 0.99))
    spread = np.maximum(levels[:, 2] - levels[:, 0], 1e-12)
    sd = np.maximum(noise_sd(traces), 1e-3 * spread)
    spread = np.maximum(spread, 3 * sd)
    centred = np.where(observed, traces - levels[:, 1:2], 0.0)
    z = centred / sd[:, None]
    channels = np.stack(
        [
            np.arcsinh(z / 3.0),
            centred / spread[:, None],
            _moving_average(z, round(2.0 * frame_rate_hz)) / 3.0,
            observed,
        ],
        axis=-1,
    ).astype(np.float32)
    summary = np.concatenate(
        [
            np.arcsinh(_nanquantile(np.where(observed, z, np.nan), QUANTILES)),
            _autocorrelation(z, observed, frame_rate_hz),
            np.arcsinh(_rise_quantiles(z, observed, frame_rate_hz)),
            _onset_profile(z, observed, frame_rate_hz),
            np.log(spread / sd)[:, None] / 2,
            np.log(np.maximum(sd, 1e-9) * 100 / np.sqrt(frame_rate_hz))[:, None] / 2,
            np.full((len(traces), 1), np.log(frame_rate_hz / 30.0)),
        ],
        axis=1,
    )
    channels[..., 2] = np.arcsinh(channels[..., 2])
    return channels, np.clip(np.nan_to_num(summary), -8, 8).astype(np.float32)


def _nanquantile(x: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
    """Quantiles along the last axis ignoring NaN, by one sort (NaN sorts last); all-NaN rows give 0."""
    ordered = np.sort(x, axis=-1)
    count = np.isfinite(ordered).sum(axis=-1)
    at = np.asarray(levels)[None] * np.maximum(count - 1, 0)[:, None]
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, np.maximum(count - 1, 0)[:, None])
    a, b = np.take_along_axis(ordered, low, -1), np.take_along_axis(ordered, high, -1)
    return np.where(count[:, None] > 0, a + (b - a) * (at - low), 0.0)


def _moving_average(x: np.ndarray, width: int) -> np.ndarray:
    """Centred mean over `width` frames (made odd), shorter at the ends."""
    half = max(1, min(width // 2, (x.shape[1] - 1) // 2))
    total = np.cumsum(np.pad(x.astype(np.float64), ((0, 0), (1, 0))), axis=1)
    last = np.minimum(np.arange(x.shape[1]) + half + 1, x.shape[1])
    first = np.maximum(np.arange(x.shape[1]) - half, 0)
    return (total[:, last] - total[:, first]) / (last - first)


def _autocorrelation(z: np.ndarray, observed: np.ndarray, frame_rate_hz: float) -> np.ndarray:
    """Autocovariance at `LAGS_S` over the variance that is not white noise (z has unit noise variance)."""
    mean = z.sum(axis=1, keepdims=True) / np.maximum(observed.sum(axis=1, keepdims=True), 1)
    deviation = np.where(observed, z - mean, 0.0)
    variance = (deviation**2).sum(axis=1) / np.maximum(observed.sum(axis=1), 1)
    signal = np.maximum(variance - 1.0, 0.1 * variance + 1e-9)

    def at(lag: int) -> np.ndarray:
        if lag >= z.shape[1]:
            return np.zeros(len(z))
        product = np.einsum("nt,nt->n", deviation[:, lag:], deviation[:, : z.shape[1] - lag])
        both = np.einsum(
            "nt,nt->n", observed[:, lag:].astype(np.float32), observed[:, : z.shape[1] - lag].astype(np.float32)
        )
        return product / np.maximum(both, 1)

    columns = []
    for lag_s in LAGS_S:
        exact = max(lag_s * frame_rate_hz, 1.0)
        low, share = int(exact), exact - int(exact)
        columns.append(((1 - share) * at(low) + share * at(low + 1)) / signal)
    return np.clip(np.stack(columns, axis=1), -1, 2)


def _rise_quantiles(z: np.ndarray, observed: np.ndarray, frame_rate_hz: float) -> np.ndarray:
    """Quantiles of the change over each of `RISES_S`, in noise SDs; (neuron, rises × quantiles)."""
    columns = []
    for rise_s in RISES_S:
        lag = max(1, min(round(rise_s * frame_rate_hz), z.shape[1] - 1))
        both = observed[:, lag:] & observed[:, :-lag]
        columns.append(_nanquantile(np.where(both, z[:, lag:] - z[:, :-lag], np.nan), RISE_QUANTILES))
    return np.concatenate(columns, axis=1)


def _onset_profile(z: np.ndarray, observed: np.ndarray, frame_rate_hz: float) -> np.ndarray:
    """Mean trace around the steepest rises at `OFFSETS_S`, over its own peak; then the peak (asinh, noise SDs).

    A spike's place within a rise depends on how fast the indicator answers, and the shape of the rise tells.
    """
    onsets = _steepest_rises(z, observed, max(1, round(ONSET_S * frame_rate_hz)))
    last = z.shape[1] - 1

    def at(frame: int) -> np.ndarray:
        return np.take_along_axis(z, np.clip(onsets + frame, 0, last), axis=1).mean(axis=1)

    columns = []
    for offset_s in OFFSETS_S:
        exact = offset_s * frame_rate_hz
        low = int(np.floor(exact))
        columns.append((1 - exact + low) * at(low) + (exact - low) * at(low + 1))
    profile = np.stack(columns, axis=1)
    profile -= profile[:, :1]
    peak = np.maximum(profile.max(axis=1, keepdims=True), 0.1)
    return np.concatenate([np.clip(profile / peak, -2, 2), np.arcsinh(peak)], axis=1)


def _steepest_rises(z: np.ndarray, observed: np.ndarray, width: int) -> np.ndarray:
    """Frames where the mean over the next `width` frames exceeds that before the most; `ONSET_SHARE` of all."""
    n_frames = z.shape[1]
    total = np.cumsum(np.pad(z.astype(np.float64), ((0, 0), (1, 0))), axis=1)
    frame = np.arange(n_frames)
    before, after = np.maximum(frame - width, 0), np.minimum(frame + width, n_frames)
    rise = (total[:, after] - 2 * total[:, frame] + total[:, before]).astype(np.float32)
    highest = np.ones_like(observed)
    highest[:, 1:] &= (rise[:, 1:] >= rise[:, :-1]) & observed[:, :-1]
    highest[:, :-1] &= rise[:, :-1] > rise[:, 1:]
    rise = np.where(highest & observed & (frame >= width) & (frame < n_frames - width), rise, -np.inf)
    n_onsets = max(1, round(ONSET_SHARE * n_frames))
    return np.argpartition(-rise, min(n_onsets, n_frames - 1), axis=1)[:, :n_onsets]
