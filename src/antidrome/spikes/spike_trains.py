"""Random spike trains over the wide ranges that neurons show: silent, bursting, regular, slowly modulated.

A rate that wanders (log-Gaussian Ornstein–Uhlenbeck) drives events; an event is one spike or a burst. The ranges are
those of pyramidal cells and interneurons in the recordings that calcium imaging sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

SHARED_SD = 1.4
"""SD of the logarithm of the rates that neurons share."""


@dataclass(frozen=True, kw_only=True)
class SpikeTrainRanges:
    """Ranges from which each cell draws its own statistics.

    Parameters
    ----------
    rate_hz
        Log-uniform mean rate of events, for ordinary cells.
    fast_rate_hz
        Log-uniform mean rate of events, for fast-spiking cells.
    fast_share
        Share of fast-spiking cells.
    modulation_s
        Log-uniform time constant of the wandering rate, seconds.
    modulation_sd
        Uniform SD of the log rate.
    burst_share
        Largest probability that an event is a burst.
    burst_spikes
        Uniform mean number of extra spikes in a burst.
    burst_interval_s
        Log-uniform interval inside bursts, seconds.
    """

    rate_hz: tuple[float, float] = (0.02, 4.0)
    fast_rate_hz: tuple[float, float] = (2.0, 40.0)
    fast_share: float = 0.15
    modulation_s: tuple[float, float] = (0.1, 20.0)
    modulation_sd: tuple[float, float] = (0.0, 2.0)
    burst_share: float = 0.7
    burst_spikes: tuple[float, float] = (1.0, 6.0)
    burst_interval_s: tuple[float, float] = (0.003, 0.02)


def log_uniform(generator: np.random.Generator, bounds: tuple[float, float], size: int) -> np.ndarray:
    """Draw `size` values, uniform in the logarithm between the two bounds."""
    return np.exp(generator.uniform(np.log(bounds[0]), np.log(bounds[1]), size))


def random_spike_trains(
    generator: np.random.Generator,
    n_steps: int,
    fast: np.ndarray,
    step_s: float,
    ranges: SpikeTrainRanges,
    gain: np.ndarray | None = None,
) -> np.ndarray:
    """Spike counts per grid step, shape (n_steps, neuron), int16; every neuron has its own statistics.

    Parameters
    ----------
    generator
        Source of all randomness.
    n_steps, step_s
        Length of the grid, and its step in seconds.
    fast
        (neuron,) True for fast-spiking cells.
    ranges
        From which each neuron's statistics are drawn.
    gain
        (n_steps, neuron) factor on every rate, such as what neurons share; none by default.
    """
    n_neurons = len(fast)
    slow_rate = log_uniform(generator, ranges.rate_hz, n_neurons)
    rate = np.where(fast, log_uniform(generator, ranges.fast_rate_hz, n_neurons), slow_rate)
    uniform = generator.random((n_steps, n_neurons))
    modulation = _modulation(generator, n_steps, n_neurons, step_s, ranges, fast)
    events = uniform < np.minimum(rate * step_s * modulation * (1.0 if gain is None else gain), 0.5)
    counts = events.astype(np.int16)
    time, neuron = np.nonzero(events)
    burst_share = generator.uniform(0, ranges.burst_share, n_neurons) * (generator.random(n_neurons) < 0.6)
    bursting = (generator.random(len(time)) < burst_share[neuron]) & ~fast[neuron]
    time, neuron = time[bursting], neuron[bursting]
    mean_extra = generator.uniform(*ranges.burst_spikes, n_neurons)
    extra = generator.geometric(1 / mean_extra[neuron])
    interval = log_uniform(generator, ranges.burst_interval_s, n_neurons)
    for index in range(1, int(extra.max(initial=0)) + 1):
        alive = extra >= index
        jitter = generator.uniform(0.7, 1.5, alive.sum())
        at = time[alive] + np.maximum(1, np.rint(index * interval[neuron[alive]] * jitter / step_s)).astype(int)
        inside = at < n_steps
        np.add.at(counts, (at[inside], neuron[alive][inside]), 1)
    return counts


def shared_gain(
    generator: np.random.Generator, n_steps: int, n_neurons: int, step_s: float, n_factors: int
) -> np.ndarray:
    """Rates that neurons share, (n_steps, neuron) with mean one: log-linear in damped rotations driven by noise.

    Parameters
    ----------
    generator
        Source of all randomness.
    n_steps, step_s
        Length of the grid, and its step in seconds.
    n_neurons
        Neurons; each has its own Gaussian loadings.
    n_factors
        Latent dimensions: pairs rotate (0.15 to 0.6 Hz) while they decay (1 to 3 s); an odd one decays only.
    """
    coarse = max(1, round(0.02 / step_s))
    n_coarse = -(-n_steps // coarse)
    n_pairs = (n_factors + 1) // 2
    decay = np.exp(-coarse * step_s / generator.uniform(1.0, 3.0, n_pairs))
    turn = 2 * np.pi * coarse * step_s * generator.uniform(0.15, 0.6, n_pairs)
    turn[n_factors // 2 :] = 0.0
    factors = []
    for pole in decay * np.exp(1j * turn):
        noise = (generator.standard_normal(n_coarse) + 1j * generator.standard_normal(n_coarse)) / np.sqrt(2)
        start = (generator.standard_normal() + 1j * generator.standard_normal()) / np.sqrt(2)
        path = lfilter([np.sqrt(1 - abs(pole) ** 2)], [1.0, -pole], noise, zi=[pole * start])[0]
        factors += [np.sqrt(2) * path.real, np.sqrt(2) * path.imag]
    loadings = generator.standard_normal((n_factors, n_neurons)) * (SHARED_SD / np.sqrt(n_factors))
    log_gain = np.stack(factors[:n_factors], axis=1) @ loadings
    return np.repeat(np.exp(log_gain - 0.5 * (loadings**2).sum(axis=0)), coarse, axis=0)[:n_steps]


def _modulation(
    generator: np.random.Generator,
    n_steps: int,
    n_neurons: int,
    step_s: float,
    ranges: SpikeTrainRanges,
    fast: np.ndarray,
) -> np.ndarray:
    """Multiplicative wandering of the rate with mean one: exp of an Ornstein–Uhlenbeck process, on a coarse grid."""
    coarse = max(1, round(0.05 / step_s))
    n_coarse = -(-n_steps // coarse)
    tau = log_uniform(generator, ranges.modulation_s, n_neurons)
    sd = generator.uniform(*ranges.modulation_sd, n_neurons) * np.where(fast, 0.7, 1.0)
    decay = np.exp(-coarse * step_s / tau)
    walk = np.empty((n_coarse, n_neurons), np.float32)
    for i in range(n_neurons):
        start = generator.standard_normal()
        noise = generator.standard_normal(n_coarse) * np.sqrt(1 - decay[i] ** 2)
        walk[:, i] = lfilter([1.0], [1.0, -decay[i]], noise, zi=[decay[i] * start])[0]
    return np.repeat(np.exp(walk * sd - 0.5 * sd**2), coarse, axis=0)[:n_steps]
