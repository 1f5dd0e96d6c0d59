"""Simulated recordings like the user's: their responses, their rates, and their own residuals as noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from antidrome.spikes.adaptation.cells import Cells
from antidrome.spikes.conditioning import condition
from antidrome.spikes.counts import CountPosterior
from antidrome.spikes.generative import AbstractGenerativeModel, LinearModel, SCDFModel
from antidrome.spikes.observation import LEAD_S, fine_grid, frame_average, simulate_fluorescence
from antidrome.spikes.simulate import simulate
from antidrome.spikes.spike_trains import SpikeTrainRanges, random_spike_trains

FRAMES = 512
JITTER = {"amplitude": 0.25, "decay_s": 0.2, "rise_s": 0.3}
SIMULATED_FRAMES = 2048
MakeModel = Callable[[Cells], AbstractGenerativeModel]


class Examples(NamedTuple):
    """Windows of `FRAMES` frames with one row each; what a gradient step sees."""

    channels: np.ndarray  # (window, frame, channel) float32
    summary: np.ndarray  # (window, summary) float32
    counts: np.ndarray  # (window, frame) float32, spikes per frame
    inside: np.ndarray  # (window, frame) float32, 1 where the count is known
    frame_rate_hz: np.ndarray  # (window,) float32
    observed: np.ndarray  # (window, frame) float32, 1 where the start's answer counts
    logit: np.ndarray  # (window, frame) float32, the start's answer
    extra: np.ndarray  # (window, frame) float32

    def take(self, rows: np.ndarray) -> Examples:
        """The windows at `rows`."""
        return Examples(*(a[rows] for a in self))


def join(parts: list[Examples]) -> Examples:
    """All windows of several lots."""
    return Examples(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def cut_examples(
    traces: np.ndarray, counts: np.ndarray, known: np.ndarray, frame_rate_hz: float, answer: CountPosterior | None
) -> Examples:
    """Cut traces into windows; each knows the summary of its whole trace. The last window is padded.

    Parameters
    ----------
    traces, counts
        (row, time) ΔF/F with NaN where missing, spikes per frame.
    known
        (row, time) True where counts are known.
    answer
        (row, time) what the network said at the start; None where it does not count.
    """
    channels, summary = condition(traces, frame_rate_hz)
    n_rows, n_frames = traces.shape
    per_row = -(-n_frames // FRAMES)
    pad = per_row * FRAMES - n_frames

    def cut(x: np.ndarray) -> np.ndarray:
        x = np.pad(np.asarray(x, np.float32), ((0, 0), (0, pad), *((0, 0),) * (np.ndim(x) - 2)))
        return x.reshape(n_rows * per_row, FRAMES, *x.shape[2:])

    return Examples(
        cut(channels),
        np.repeat(summary, per_row, axis=0),
        cut(np.where(known, counts, 0)),
        cut(known),
        np.full(n_rows * per_row, frame_rate_hz, np.float32),
        cut(np.isfinite(traces) & (answer is not None)),
        cut(np.zeros_like(traces) if answer is None else answer.logit),
        cut(np.zeros_like(traces) if answer is None else answer.extra),
    )


def matched_traces(
    generator: np.random.Generator,
    cells: Cells,
    residuals: np.ndarray,
    frame_rate_hz: float,
    n: int,
    make: MakeModel | None,
    delay_s: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate `n` cells like those described: traces (n, time) with NaN where the residual has it, and true counts.

    Parameters
    ----------
    residuals
        (neuron, time) what the reconstruction left of the real traces; a cell's own are its noise, from a random place.
    delay_s
        How late the cells answer their spikes; negative is early.
    make
        Generative model of the cells; by default a linear indicator for some, SCDF (facilitation, saturation) for the
        others.
    """
    which = generator.choice(np.flatnonzero(cells.responding), n)
    n_frames = min(max(residuals.shape[1], 2), SIMULATED_FRAMES)
    (per_frame, step_s), lead = fine_grid(frame_rate_hz), round(LEAD_S * frame_rate_hz)
    drawn = _jittered(generator, Cells(*(values[which] for values in cells)))
    spikes = _spikes(generator, drawn.rate_hz, (n_frames + lead) * per_frame, step_s)
    models = [make(drawn)] if make else [_linear(drawn), _scdf(generator, drawn)]
    answered = _shifted(spikes, round(delay_s / step_s))
    fine = [simulate_fluorescence(model, answered, step_s) for model in models]
    chosen = generator.integers(0, len(fine), n)
    frames = frame_average(np.choose(chosen[None], fine), per_frame)[lead:].T - drawn.baseline[:, None] * bool(make)
    counts = spikes.reshape(-1, per_frame, n).sum(axis=1)[lead:].T
    offset = generator.integers(0, residuals.shape[1], n)
    place = (np.arange(n_frames)[None] + offset[:, None]) % residuals.shape[1]
    noise = residuals[which[:, None], place]
    return (frames[:, :n_frames] + noise).astype(np.float32), counts[:, :n_frames].astype(np.float32)


def wide_traces(seed: int, frame_rate_hz: float, n: int, n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells drawn from the wide ranges of the first training: traces (n, time) and true counts."""
    half = max(1, n // 2)
    n_frames = min(max(n_frames, FRAMES), SIMULATED_FRAMES)
    seconds = (n_frames + 0.5) / frame_rate_hz
    parts = [
        simulate(k, seconds, frame_rate_hz, seed + i, indicator="any", generative=generative)
        for i, (k, generative) in enumerate(((half, "linear"), (max(1, n - half), "scdf")))
    ]
    traces = np.concatenate([part["dff"].values.T for part in parts])
    return traces[:, :n_frames], np.concatenate([part["spike_count"].values.T for part in parts])[:, :n_frames]


def _jittered(generator: np.random.Generator, cells: Cells) -> Cells:
    changed = {
        name: getattr(cells, name) * generator.lognormal(0, sd, len(cells.amplitude)) for name, sd in JITTER.items()
    }
    changed["rise_s"] = np.minimum(np.maximum(changed["rise_s"], 0.003), 0.6 * changed["decay_s"])
    return cells._replace(**changed)


def _spikes(generator: np.random.Generator, rate_hz: np.ndarray, n_steps: int, step_s: float) -> np.ndarray:
    """Trains at about the inferred rates: wandering, some with bursts; (step, cell)."""
    low, high = np.quantile(rate_hz, (0.1, 0.9))
    ranges = SpikeTrainRanges(rate_hz=(low / 2, high * 1.5), fast_share=0.0, modulation_sd=(0.2, 1.6))
    return random_spike_trains(generator, n_steps, np.zeros(len(rate_hz), bool), step_s, ranges)


def _shifted(spikes: np.ndarray, steps: int) -> np.ndarray:
    """Trains that many grid steps later; nothing comes in from beyond the ends."""
    out = np.zeros_like(spikes)
    if steps >= 0:
        out[steps:] = spikes[: len(spikes) - steps]
    else:
        out[:steps] = spikes[-steps:]
    return out


def _linear(cells: Cells) -> LinearModel:
    values = (cells.amplitude, cells.decay_s, cells.rise_s, np.zeros_like(cells.baseline))
    return LinearModel(*(jnp.asarray(x, jnp.float32) for x in values))


def _scdf(generator: np.random.Generator, cells: Cells) -> SCDFModel:
    calcium = np.clip(cells.rise_s, 0.01, 0.8 * cells.decay_s)
    saturation = np.exp(generator.uniform(np.log(8), np.log(60), len(calcium)))
    hill = generator.uniform(1.0, 2.0, len(calcium))
    values = (cells.amplitude, calcium, cells.decay_s, 1 / (calcium * saturation), hill, saturation, 0 * calcium)
    return SCDFModel(*(jnp.asarray(x, jnp.float32) for x in values))
