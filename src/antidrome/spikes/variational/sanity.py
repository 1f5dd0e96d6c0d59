"""Whether a fit makes sense, told without any true spike: amplitudes above the noise, counts near the expected ones."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import numpy as np

from antidrome.core.seeds import jax_key
from antidrome.spikes.generative import take_cells
from antidrome.spikes.variational.calibration import Calibration
from antidrome.spikes.variational.config import FitConfig
from antidrome.spikes.variational.problem import Learned, Problem, generative, network_inputs
from antidrome.spikes.variational.wake import counted, draw_weights
from antidrome.spikes.variational.windows import Windows, batches

COUNT_RANGE = (1 / 3, 3.0)
SMALLEST_STEP = 0.5
WORST_RESIDUAL = 1.5
SAMPLES = 16


class Sanity(NamedTuple):
    """Per cell; NaN where no window was held out.

    Parameters
    ----------
    count_ratio
        Inferred spikes over those that the trace's cumulants suggest.
    residual_ratio
        SD of what the mean reconstruction leaves, over the noise that the trace shows from frame to frame.
    explained_by_noise
        True where the inferred spikes' amplitude has fallen below half a noise SD: the collapse.
    """

    count_ratio: np.ndarray
    residual_ratio: np.ndarray
    explained_by_noise: np.ndarray

    @property
    def suspect(self) -> np.ndarray:
        """(neuron,) cells whose spikes should not be trusted."""
        count = (self.count_ratio < COUNT_RANGE[0]) | (self.count_ratio > COUNT_RANGE[1])
        return self.explained_by_noise | count | (self.residual_ratio > WORST_RESIDUAL)

    @property
    def share_suspect(self) -> float:
        """Share of suspect cells."""
        return float(np.mean(self.suspect))


def judge(
    learned: Learned, problem: Problem, config: FitConfig, windows: Windows, calibration: Calibration, seed: int
) -> Sanity:
    """Draw spikes for held-out windows and compare counts, residuals and amplitudes with the calibration."""
    config = dataclasses.replace(config, samples=SAMPLES)
    first, last = config.buffer_before, config.window_frames - config.buffer_after
    steps = config.posterior.superresolution

    @jax.jit
    def one(learned: Learned, problem: Problem, batch: Windows, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        inputs = network_inputs(problem, batch.trace, batch.cell)
        spikes, _ = draw_weights(learned, batch, inputs, key, problem, config)
        observation = take_cells(generative(learned, problem, config), batch.cell)
        # the mean over samples: one sample alone also leaves what the posterior does not know
        frames = observation.frames(spikes, problem.frame_rate_hz).mean(axis=1)
        seen = jax.numpy.isfinite(counted(batch.trace, config).T)
        drift = observation.baseline(batch.trace.T, frames, seen, problem.frame_rate_hz)
        square = jax.numpy.where(seen, (batch.trace.T - frames - drift) ** 2, 0.0)
        return spikes[first * steps : last * steps].sum(0).mean(0), square.sum(0)

    n_cells = len(calibration.amplitude)
    count, square, frames_seen = np.zeros(n_cells), np.zeros(n_cells), np.zeros(n_cells)
    for rows in batches(len(windows.cell), config.batch):
        batch = windows.take(rows)
        counts, squares = one(learned, problem, batch, jax_key(seed, f"spikes/sanity/{rows[0]}"))
        np.add.at(count, batch.cell, np.asarray(counts))
        np.add.at(square, batch.cell, np.asarray(squares))
        np.add.at(frames_seen, batch.cell, np.isfinite(batch.trace[:, first:last]).sum(axis=1))
    seen = np.where(frames_seen > 0, frames_seen, np.nan)
    expected = calibration.rate_hz * seen / problem.frame_rate_hz
    amplitude = one_spike_amplitude(learned, problem, config)
    return Sanity(
        (count + 0.5) / (expected + 0.5),
        np.sqrt(square / seen) / calibration.noise_sd,
        ~(amplitude >= SMALLEST_STEP * calibration.noise_sd),  # NaN included
    )


def one_spike_amplitude(learned: Learned, problem: Problem, config: FitConfig) -> np.ndarray:
    """(neuron,) largest ΔF/F after one spike in two seconds, whatever the model's parameters are called."""
    observation = generative(learned, problem, config)
    n = 2 * max(1, round(problem.frame_rate_hz)) * config.posterior.superresolution
    spikes = np.zeros((n, len(problem.log_rate)), np.float32)
    silent = np.asarray(observation.frames(jax.numpy.asarray(spikes), problem.frame_rate_hz))
    spikes[0] = 1
    one = np.asarray(observation.frames(jax.numpy.asarray(spikes), problem.frame_rate_hz))
    return (one - silent).max(axis=0)
