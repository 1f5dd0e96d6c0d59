"""Amortised inference over whole recordings: cut into overlapping windows, run through the network, put together again.

Windows have few fixed shapes, so that little is compiled; memory is bounded by the batch, whatever the recording's length.
Recordings faster than the network was trained for are averaged over groups of frames, once for every phase, so that every
frame still has its own value.
"""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import numpy as np

from antidrome.spikes.conditioning import condition
from antidrome.spikes.counts import CountPosterior
from antidrome.spikes.recognition import RecognitionNetwork

FASTEST_HZ = 64.0
WINDOW = 2048
MARGIN = 192
FRAMES_PER_CALL = 16 * WINDOW


@eqx.filter_jit
def _apply(network: RecognitionNetwork, channels: jax.Array, summary: jax.Array) -> CountPosterior:
    return network(channels, summary)


def infer_counts(
    network: RecognitionNetwork, traces: np.ndarray, frame_rate_hz: float, tick: Callable[[int], object] | None = None
) -> CountPosterior:
    """Posterior over the spike count of every frame of every neuron.

    Parameters
    ----------
    network : recognition network.
    traces : (neuron, time) ΔF/F, NaN where missing.
    frame_rate_hz : frames per second, any value; above 64 Hz frames are averaged in groups (see `group_size`).
    tick : called with the number of finished frames × neurons.

    Returns
    -------
    CountPosterior of numpy arrays (neuron, time). With groups of m frames a frame holds one m-th of the expected count of
    the m frames around it.
    """
    group = group_size(frame_rate_hz)
    if group == 1:
        return _infer_direct(network, traces, frame_rate_hz, tick)
    padded = np.pad(traces, ((0, 0), (group // 2, group)), mode="edge")
    logit = np.empty(traces.shape, np.float32)
    extra = np.empty(traces.shape, np.float32)
    for phase in range(group):
        n = len(range(phase, traces.shape[1], group))
        grouped = np.nanmean(padded[:, phase : phase + n * group].reshape(len(traces), n, group), axis=2)
        posterior = _infer_direct(network, grouped, frame_rate_hz / group, tick)
        logit[:, phase::group], extra[:, phase::group] = _share_out(posterior, group)
    return CountPosterior(logit, extra)


def group_size(frame_rate_hz: float) -> int:
    """How many frames are averaged before inference; 1 up to 64 Hz, then the smallest that stays below it."""
    return max(1, int(np.ceil(frame_rate_hz / FASTEST_HZ)))


def _share_out(posterior: CountPosterior, group: int) -> tuple[np.ndarray, np.ndarray]:
    """One frame's share of a group's count: the same expected number per time, at most one frame's worth of the hurdle."""
    probability = 1 / (1 + np.exp(-posterior.logit))
    share = 1 - (1 - probability) ** (1 / group)
    mean = probability * (1 + posterior.extra) / group
    share = np.clip(np.minimum(share, mean / 1.001), 1e-6, 1 - 1e-6)
    return np.log(share / (1 - share)), np.maximum(mean / share - 1, 1e-3)


def _infer_direct(
    network: RecognitionNetwork, traces: np.ndarray, frame_rate_hz: float, tick: Callable[[int], object] | None
) -> CountPosterior:
    n_neurons, n_frames = traces.shape
    window, starts = _windows(n_frames)
    logit, extra = np.empty((2, n_neurons, n_frames), np.float32)
    batch = max(1, FRAMES_PER_CALL // window)
    jobs = [(neuron, start) for neuron in range(n_neurons) for start in starts]
    block = max(1, batch // len(starts)) * 4
    for first in range(0, n_neurons, block):
        channels, summary = condition(traces[first : first + block], frame_rate_hz)
        jobs = [(i, s) for i in range(len(channels)) for s in starts]
        for at in range(0, len(jobs), batch):
            part = jobs[at : at + batch]
            inputs = np.zeros((batch, window, channels.shape[2]), np.float32)
            given = np.zeros((batch, summary.shape[1]), np.float32)
            for row, (i, s) in enumerate(part):
                piece = channels[i, s : s + window]
                inputs[row, : len(piece)] = piece
                given[row] = summary[i]
            posterior = _apply(network, inputs, given)
            a, b = np.asarray(posterior.logit), np.asarray(posterior.extra)
            for row, (i, s) in enumerate(part):
                low = s if s == 0 else s + MARGIN
                high = min(s + window, n_frames)
                logit[first + i, low:high] = a[row, low - s : high - s]
                extra[first + i, low:high] = b[row, low - s : high - s]
        if tick is not None:
            tick(len(channels) * n_frames)
    return CountPosterior(logit, extra)


def _windows(n_frames: int) -> tuple[int, list[int]]:
    """Length of a window (a power of two, at least 256, at most WINDOW) and the first frame of each."""
    window = 256
    while window < min(n_frames, WINDOW):
        window *= 2
    stride = window - 2 * MARGIN
    count = 1 if n_frames <= window else 1 + -(-(n_frames - window) // stride)
    return window, [i * stride for i in range(count)]
