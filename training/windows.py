"""Training windows: stretches of 512 frames with the recording's summary, from simulations and from ground truth.

A window holds what the network is given (channels, summary) and what it should say (spike counts), at frame rates from
3 to 64 Hz. Ground truth is brought to many rates by area averaging, stretched in time (faster and slower indicators),
made noisier, and given missing frames.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from antidrome.spikes.conditioning import condition, noise_sd
from antidrome.spikes.generative import AbstractGenerativeModel, LinearModel
from antidrome.spikes.observation import (
    LEAD_S,
    IndicatorRanges,
    add_contamination,
    add_noise,
    draw_linear,
    draw_scdf,
    fine_grid,
    frame_average,
    simulate_fluorescence,
)
from antidrome.spikes.spike_trains import SpikeTrainRanges, log_uniform, random_spike_trains
from training.ground_truth import Recording

FRAMES = 512
SLOWEST_HZ, FASTEST_HZ = 3.0, 64.0
LONGEST_DELAY_S = 0.08
FAST_SPIKING_AMPLITUDE = (0.08, 0.6)


class Windows(NamedTuple):
    """Arrays with one row a window."""

    channels: np.ndarray  # (window, FRAMES, channel) float32
    summary: np.ndarray  # (window, summary) float32
    counts: np.ndarray  # (window, FRAMES) float32, spikes per frame
    inside: np.ndarray  # (window, FRAMES) float32, 1 inside the recording
    frame_rate_hz: np.ndarray  # (window,)

    def take(self, rows: np.ndarray) -> Windows:
        """The windows at `rows`."""
        return Windows(*(a[rows] for a in self))


def concatenate(parts: list[Windows]) -> Windows:
    """All windows of several banks."""
    return Windows(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def simulated_windows(generator: np.random.Generator, n_groups: int, n_neurons: int = 128) -> Windows:
    """Windows of simulated cells; the cells of a group share the frame rate, everything else is each cell's own."""
    return concatenate([_simulated_group(generator, n_neurons) for _ in range(n_groups)])


def _simulated_group(generator: np.random.Generator, n_neurons: int) -> Windows:
    rate = 30.0 if generator.random() < 0.3 else float(log_uniform(generator, (SLOWEST_HZ, FASTEST_HZ), 1)[0])
    per_frame, step_s = fine_grid(rate)
    n_frames = int(generator.choice([FRAMES, 2 * FRAMES]))
    lead = round(LEAD_S * rate)
    ranges, spike_ranges = IndicatorRanges(), SpikeTrainRanges()
    fast = generator.random(n_neurons) < spike_ranges.fast_share
    spikes = random_spike_trains(generator, (n_frames + lead) * per_frame, fast, step_s, spike_ranges)
    draw = draw_linear if generator.random() < 0.4 else draw_scdf
    model = draw(generator, n_neurons, ranges)
    small = np.where(fast, log_uniform(generator, FAST_SPIKING_AMPLITUDE, n_neurons), 1.0)
    seen = delayed(generator, spikes, step_s, response_rise_s(model))
    frames = frame_average(small * simulate_fluorescence(model, seen, step_s), per_frame)[lead:]
    amplitude = np.asarray(model.amplitude)
    frames = add_contamination(generator, frames, rate, amplitude, ranges)
    noise = log_uniform(generator, ranges.noise_ratio, n_neurons) * amplitude
    traces = add_noise(generator, frames, rate, noise, generator.uniform(0, 1, n_neurons)).T
    counts = spikes.reshape(-1, per_frame, n_neurons).sum(axis=1)[lead:].T
    traces = _drop_frames(generator, traces)
    channels, summary = condition(traces, rate)
    starts = np.arange(0, n_frames, FRAMES)
    return concatenate(
        [
            Windows(
                channels[:, s : s + FRAMES],
                summary,
                counts[:, s : s + FRAMES].astype(np.float32),
                np.ones((n_neurons, FRAMES), np.float32),
                np.full(n_neurons, rate, np.float32),
            )
            for s in starts
        ]
    )


def response_rise_s(model: AbstractGenerativeModel) -> np.ndarray:
    """How long each cell's indicator takes to answer: the rise of AR(2) (0 for AR(1)), the calcium decay of SCDF."""
    return np.asarray(model.rise_s if isinstance(model, LinearModel) else model.calcium_decay_s)


def delayed(generator: np.random.Generator, spikes: np.ndarray, step_s: float, rise_s: np.ndarray) -> np.ndarray:
    """The spikes as the indicator answers them: half of the cells late, by up to their rise and at most 80 ms."""
    n = spikes.shape[1]
    longest = np.minimum(rise_s, LONGEST_DELAY_S)
    steps = np.where(generator.random(n) < 0.5, generator.uniform(0, longest) / step_s, 0).round().astype(int)
    source = np.arange(len(spikes))[:, None] - steps
    return np.where(source >= 0, np.take_along_axis(spikes, np.maximum(source, 0), axis=0), 0)


def ground_truth_windows(generator: np.random.Generator, recordings: list[Recording], n_windows: int) -> Windows:
    """Augmented windows of one set; recordings are drawn in proportion to the root of their length."""
    usable = [r for r in recordings if len(r.dff) >= 8 * r.frame_rate_hz]
    share = np.sqrt([len(r.dff) / r.frame_rate_hz for r in usable])
    rows: list[Windows] = []
    for index in generator.choice(len(usable), n_windows, p=share / share.sum()):
        rows.append(_augmented_window(generator, usable[index]))
    return concatenate(rows)


def _augmented_window(generator: np.random.Generator, recording: Recording) -> Windows:
    rate = target_rate(generator, recording.frame_rate_hz)
    seconds = min(len(recording.dff) / recording.frame_rate_hz, float(log_uniform(generator, (20.0, 150.0), 1)[0]))
    first = generator.uniform(0, len(recording.dff) / recording.frame_rate_hz - seconds)
    trace, counts = cut(recording, first, seconds, rate)
    stretch = float(np.clip(generator.lognormal(0, 0.15), 0.7, 1.4)) if generator.random() < 0.5 else 1.0
    trace = trace * generator.lognormal(0, 0.3)
    if generator.random() < 0.35:
        noise = noise_sd(trace[None])[0] * generator.uniform(0.2, 1.5)
        trace = trace + (noise * generator.standard_normal(len(trace))).astype(np.float32)
    channels, summary = condition(_drop_frames(generator, trace[None]), rate * stretch)
    start = int(generator.integers(0, max(1, len(trace) - FRAMES + 1)))
    part = slice(start, start + FRAMES)
    pad = max(0, FRAMES - len(trace))
    return Windows(
        np.pad(channels[:, part], ((0, 0), (0, pad), (0, 0))),
        summary,
        np.pad(counts[None, part], ((0, 0), (0, pad))).astype(np.float32),
        np.pad(np.ones((1, min(FRAMES, len(trace))), np.float32), ((0, 0), (0, pad))),
        np.full(1, rate * stretch, np.float32),
    )


def target_rate(generator: np.random.Generator, native_hz: float) -> float:
    """A frame rate to train at: 30 Hz (native, where slower) for two fifths, else log-uniform up to the native rate."""
    highest = min(native_hz, FASTEST_HZ)
    if generator.random() < 0.4:
        return min(native_hz, 30.0) if native_hz > 31.5 else native_hz
    return float(log_uniform(generator, (min(SLOWEST_HZ, highest), highest), 1)[0])


def cut(recording: Recording, first_s: float, seconds: float, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """ΔF/F and spike counts of a stretch at another frame rate, by area averaging; both share their frame edges."""
    native = recording.frame_rate_hz
    edges = (np.arange(len(recording.dff) + 1) - 0.5) / native
    if rate >= native:
        low = int(first_s * native)
        new_edges = edges[low : low + int(seconds * native) + 1]
        trace = recording.dff[low : low + len(new_edges) - 1]
    else:
        new_edges = np.arange(edges[0] + first_s, edges[0] + first_s + seconds + 1e-9, 1 / rate)
        new_edges = new_edges[new_edges <= edges[-1]]
        cumulative = np.r_[0, np.cumsum(recording.dff, dtype=float)] / native
        trace = (np.diff(np.interp(new_edges, edges, cumulative)) * rate).astype(np.float32)
    return trace, np.histogram(recording.spikes_s, new_edges)[0].astype(np.float32)


def _drop_frames(generator: np.random.Generator, traces: np.ndarray) -> np.ndarray:
    """Make some frames missing (NaN) in a tenth of the cells: single frames or one gap."""
    out = traces.copy()
    for row in np.flatnonzero(generator.random(len(traces)) < 0.1):
        if generator.random() < 0.5:
            out[row, generator.random(traces.shape[1]) < generator.uniform(0.005, 0.1)] = np.nan
        else:
            start = generator.integers(0, traces.shape[1])
            out[row, start : start + generator.integers(2, 40)] = np.nan
    return out
