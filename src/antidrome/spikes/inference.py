"""Amortised inference over whole recordings: cut into overlapping windows, run through the network, put together again.

Windows have few fixed shapes, so that little is compiled; memory is bounded by the batch, whatever the recording's
length. Recordings faster than the network was trained for, and traces of which frames are missing throughout, are
averaged over groups of frames, once for every phase, so that every frame still has its own value.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np

from antidrome.core.cores import n_threads
from antidrome.spikes.conditioning import condition
from antidrome.spikes.counts import CountPosterior
from antidrome.spikes.recognition import RecognitionNetwork

FASTEST_HZ, SLOWEST_HZ = 64.0, 2.0
WINDOW = 4096
MARGIN = 192
FRAMES_PER_CALL = 8 * WINDOW
MOST_THREADS = 8
OWN = 3
MOSTLY = 0.75
"""A trace of which more is there is taken as it is."""


@eqx.filter_jit
def _apply(network: RecognitionNetwork, channels: jax.Array, summary: jax.Array) -> CountPosterior:
    return network(channels, summary)


class SummaryPrior(NamedTuple):
    """What cells of one preparation share: their mean summary, and the weight that it has in the summary of each.

    Noise, signal to noise and frame rate (the last three values) stay each trace's own.
    """

    mean: np.ndarray
    share: float

    def blend(self, summary: np.ndarray) -> np.ndarray:
        """(neuron, N_SUMMARY) own summaries drawn towards the mean."""
        out = summary.copy()
        out[:, :-OWN] = (1 - self.share) * summary[:, :-OWN] + self.share * self.mean[None, :-OWN]
        return out


def infer_counts(
    network: RecognitionNetwork, traces: np.ndarray, frame_rate_hz: float, prior: SummaryPrior | None = None
) -> CountPosterior:
    """Posterior over the spike count of every frame of every neuron.

    Parameters
    ----------
    network
        Recognition network.
    traces
        (neuron, time) ΔF/F, NaN where missing.
    frame_rate_hz
        Frames per second, any value; above 64 Hz, and where frames are missing throughout, they are averaged in groups
        (see `group_size` and `spacing`).
    prior
        What is known of the preparation that the traces come from.

    Returns
    -------
    CountPosterior of numpy arrays (neuron, time). With groups of m frames a frame holds one m-th of the expected count
    of the m frames around it; where m is even, the mean over the two groups that lie half a frame to either side.
    """
    slowest = max(1, min(int(frame_rate_hz / SLOWEST_HZ), traces.shape[1] // 2))  # two groups of frames at least
    groups = np.maximum(group_size(frame_rate_hz), np.minimum(spacing(traces), slowest))
    logit, extra = np.empty((2, *traces.shape), np.float32)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        logit[rows], extra[rows] = _infer_grouped(network, traces[rows], frame_rate_hz, int(group), prior)
    return CountPosterior(logit, extra)


def _infer_grouped(
    network: RecognitionNetwork, traces: np.ndarray, frame_rate_hz: float, group: int, prior: SummaryPrior | None
) -> CountPosterior:
    if group == 1:
        return _infer_direct(network, traces, frame_rate_hz, prior)
    n_groups = traces.shape[1] + (group + 1) % 2  # where m is even, groups lie between frames: one more than these
    padded = np.pad(traces, ((0, 0), (group // 2, group)), mode="edge")
    probability, mean = np.empty((2, len(traces), n_groups), np.float32)
    for phase in range(group):
        n = len(range(phase, n_groups, group))
        grouped = _mean_of_observed(padded[:, phase : phase + n * group].reshape(len(traces), n, group))
        posterior = _infer_direct(network, grouped, frame_rate_hz / group, prior)
        probability[:, phase::group], mean[:, phase::group] = _share_out(posterior, group)
    if group % 2 == 0:
        probability, mean = ((x[:, :-1] + x[:, 1:]) / 2 for x in (probability, mean))
    return CountPosterior(np.log(probability / (1 - probability)), np.maximum(mean / probability - 1, 1e-3))


def group_size(frame_rate_hz: float) -> int:
    """How many frames are averaged before inference; 1 up to 64 Hz, then the smallest that stays below it."""
    return max(1, int(np.ceil(frame_rate_hz / FASTEST_HZ)))


def spacing(traces: np.ndarray) -> np.ndarray:
    """(neuron,) frames from an observed one to the next, for most of them.

    More than 1 where frames are missing throughout, as where imaging planes take turns on one clock.
    """
    observed = np.isfinite(traces)
    n_observed = observed.sum(axis=1)
    if (n_observed > MOSTLY * traces.shape[1]).all():
        return np.ones(len(traces), int)
    frame = np.where(observed, np.arange(traces.shape[1], dtype=np.float32), np.nan)
    steps = np.diff(np.sort(frame, axis=1), axis=1)  # NaN sorts last
    place = (MOSTLY * np.maximum(n_observed - 1, 0)).astype(int)
    most = np.take_along_axis(np.sort(steps, axis=1), place[:, None].clip(max=max(steps.shape[1] - 1, 0)), axis=1)[:, 0]
    most = np.nan_to_num(most, nan=1.0).clip(1, traces.shape[1]).astype(int)
    return np.where(n_observed > MOSTLY * traces.shape[1], 1, most)


def _mean_of_observed(x: np.ndarray) -> np.ndarray:
    """Mean over the last axis without NaN; NaN where nothing was observed."""
    observed = np.isfinite(x)
    total = np.where(observed, x, 0).sum(axis=-1)
    count = observed.sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _share_out(posterior: CountPosterior, group: int) -> tuple[np.ndarray, np.ndarray]:
    """One frame's share of a group's count, probability and mean: the same expected number of spikes per time."""
    probability = 1 / (1 + np.exp(-posterior.logit))
    share = 1 - (1 - probability) ** (1 / group)
    mean = probability * (1 + posterior.extra) / group
    return np.clip(np.minimum(share, mean / 1.001), 1e-6, 1 - 1e-6), mean


def _infer_direct(
    network: RecognitionNetwork, traces: np.ndarray, frame_rate_hz: float, prior: SummaryPrior | None
) -> CountPosterior:
    n_neurons, n_frames = traces.shape
    plan = WindowPlan.of(n_frames)
    logit, extra = np.empty((2, n_neurons, n_frames), np.float32)
    block = max(1, 4 * FRAMES_PER_CALL // (plan.window * plan.count))

    def infer_rows(first: int) -> None:
        rows = slice(first, first + block)
        channels, summary = condition(traces[rows], frame_rate_hz)
        summary = summary if prior is None else prior.blend(summary)
        posterior = _infer_windows(network, plan.cut(channels), np.repeat(summary, plan.count, axis=0))
        logit[rows], extra[rows] = plan.join(posterior.logit), plan.join(posterior.extra)

    alone = threading.current_thread() is threading.main_thread()  # else others work beside it, as under Dask
    with ThreadPoolExecutor(min(n_threads(), MOST_THREADS) if alone else 1) as pool:
        list(pool.map(infer_rows, range(0, n_neurons, block)))
    return CountPosterior(logit, extra)


def _infer_windows(network: RecognitionNetwork, windows: np.ndarray, summaries: np.ndarray) -> CountPosterior:
    """Run (window, time, channel) through the network in batches of at most `FRAMES_PER_CALL` frames."""
    n, length = windows.shape[:2]
    batch = min(max(1, FRAMES_PER_CALL // length), _power_of_two(n))
    logit, extra = np.empty((2, n, length), np.float32)
    for at in range(0, n, batch):
        rows = slice(at, min(at + batch, n))
        missing = batch - (rows.stop - rows.start)
        inputs = np.pad(windows[rows], ((0, missing), (0, 0), (0, 0)))
        posterior = _apply(network, inputs, np.pad(summaries[rows], ((0, missing), (0, 0))))
        logit[rows] = np.asarray(posterior.logit)[: batch - missing]
        extra[rows] = np.asarray(posterior.extra)[: batch - missing]
    return CountPosterior(logit, extra)


@dataclass(frozen=True)
class WindowPlan:
    """How a recording of `n_frames` is cut: `count` windows of `window` frames that overlap by two margins."""

    n_frames: int
    window: int
    count: int

    @classmethod
    def of(cls, n_frames: int) -> WindowPlan:
        """A window is a power of two, at least 256 and at most `WINDOW`; short recordings fit into one."""
        window = min(max(256, _power_of_two(n_frames)), WINDOW)
        further = -(-(n_frames - window) // (window - 2 * MARGIN)) if n_frames > window else 0
        return cls(n_frames, window, 1 + further)

    @property
    def stride(self) -> int:
        """Frames between the starts of two windows."""
        return max(1, self.window - 2 * MARGIN)

    def cut(self, x: np.ndarray) -> np.ndarray:
        """(neuron, n_frames, channel) → (neuron · count, window, channel), zeros behind the end."""
        total = self.window + (self.count - 1) * self.stride
        padded = np.pad(x, ((0, 0), (0, total - self.n_frames), (0, 0)))
        views = np.lib.stride_tricks.sliding_window_view(padded, self.window, axis=1)[:, :: self.stride]
        return np.moveaxis(views, -1, 2).reshape(-1, self.window, x.shape[2])

    def join(self, x: np.ndarray) -> np.ndarray:
        """(neuron · count, window) → (neuron, n_frames): every frame from the window in which it lies deepest."""
        frame = np.arange(self.n_frames)
        which = np.clip((frame - MARGIN) // self.stride, 0, self.count - 1)
        return x.reshape(-1, self.count, self.window)[:, which, frame - which * self.stride]


def _power_of_two(n: int) -> int:
    """The smallest power of two that is not below n."""
    return 1 << max(0, n - 1).bit_length()
