"""From noiseless fluorescence on a fine grid to recorded frames: drift, neuropil, frame averaging, noise.

`draw_cells` draws indicators over wide ranges; `observe` records them. Both feed the simulated recordings that users
ask for and the windows on which the recognition network is trained.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from scipy.signal import lfilter

from antidrome.spikes.generative import AbstractGenerativeModel, LinearModel, SCDFModel
from antidrome.spikes.spike_trains import log_uniform

GRID_HZ = 240.0
LEAD_S = 4.0
"""What is simulated before the first frame, so that recordings begin in the middle of things."""


@dataclass(frozen=True, kw_only=True)
class IndicatorRanges:
    """Ranges of indicator properties; log-uniform unless said otherwise.

    Parameters
    ----------
    amplitude
        ΔF/F at the peak after one spike (fraction).
    decay_s, rise_s
        Time constants of the response to one spike, seconds.
    hill
        Uniform exponent of facilitation (SCDF).
    saturation_spikes
        How many spikes at once bring the dye near its ceiling (SCDF).
    noise_ratio
        SD of the frame noise at 30 Hz over ``amplitude``.
    drift_ratio
        SD of the slow baseline drift over ``amplitude``, drawn from 0 or this range.
    """

    amplitude: tuple[float, float] = (0.02, 0.6)
    decay_s: tuple[float, float] = (0.08, 2.5)
    rise_s: tuple[float, float] = (0.003, 0.25)
    hill: tuple[float, float] = (1.0, 2.6)
    saturation_spikes: tuple[float, float] = (3.0, 60.0)
    noise_ratio: tuple[float, float] = (0.06, 3.0)
    drift_ratio: tuple[float, float] = (0.05, 2.0)


def draw_linear(generator: np.random.Generator, n_neurons: int, ranges: IndicatorRanges) -> LinearModel:
    """Draw linear indicators: a third AR(1), the others AR(2) with a rise shorter than 0.6 of the decay."""
    decay = log_uniform(generator, ranges.decay_s, n_neurons)
    rise = np.minimum(log_uniform(generator, ranges.rise_s, n_neurons), 0.6 * decay)
    rise = np.where(generator.random(n_neurons) < 1 / 3, 0.0, rise)
    amplitude = log_uniform(generator, ranges.amplitude, n_neurons)
    return LinearModel(*map(_float32, (amplitude, decay, rise, np.zeros(n_neurons))))


def draw_scdf(generator: np.random.Generator, n_neurons: int, ranges: IndicatorRanges) -> SCDFModel:
    """Draw SCDF indicators; the dye's decay follows ``decay_s``, calcium decays faster and sets the rise."""
    dye_decay = log_uniform(generator, ranges.decay_s, n_neurons)
    calcium_decay = np.minimum(log_uniform(generator, (0.01, 0.2), n_neurons), 0.8 * dye_decay)
    saturation = log_uniform(generator, ranges.saturation_spikes, n_neurons)
    return SCDFModel(
        amplitude=_float32(log_uniform(generator, ranges.amplitude, n_neurons)),
        calcium_decay_s=_float32(calcium_decay),
        dye_decay_s=_float32(dye_decay),
        binding_rate_hz=_float32(1.0 / (calcium_decay * saturation)),
        hill=_float32(generator.uniform(*ranges.hill, n_neurons)),
        saturation=_float32(saturation),
        baseline=_float32(np.zeros(n_neurons)),
    )


def simulate_fluorescence(model: AbstractGenerativeModel, spikes: np.ndarray, step_s: float) -> np.ndarray:
    """Noiseless ΔF/F of every cell on the grid of `spikes`, shape (time, neuron), float32.

    Simulated a little beyond the end, so that recordings of many lengths share few compiled programs.
    """
    n = len(spikes)
    grain = max(256, 1 << max(0, n.bit_length() - 3))
    padded = np.pad(spikes, ((0, -n % grain), (0, 0)))
    return np.asarray(model.fluorescence(jnp.asarray(padded, jnp.float32), step_s))[:n]


def fine_grid(frame_rate_hz: float) -> tuple[int, float]:
    """Steps per frame of the grid that is simulated on, two at least, and the length of a step in seconds."""
    per_frame = max(2, round(GRID_HZ / frame_rate_hz))
    return per_frame, 1 / (frame_rate_hz * per_frame)


def frame_average(x: np.ndarray, steps_per_frame: int) -> np.ndarray:
    """Mean over the grid steps of each frame; (time, neuron) → (frame, neuron), a last partial frame is cut."""
    n_frames = len(x) // steps_per_frame
    return x[: n_frames * steps_per_frame].reshape(n_frames, steps_per_frame, -1).mean(axis=1)


def add_contamination(
    generator: np.random.Generator,
    frames: np.ndarray,
    frame_rate_hz: float,
    amplitude: np.ndarray,
    ranges: IndicatorRanges,
) -> np.ndarray:
    """Add baseline drift and the remains of neuropil, each in a share of the cells."""
    n_frames, n_neurons = frames.shape
    out = frames.astype(np.float32, copy=True)
    for share, tau, scale in ((0.6, (5.0, 60.0), 1.0), (0.4, (0.3, 3.0), 0.4)):
        size = log_uniform(generator, ranges.drift_ratio, n_neurons) * scale * amplitude
        size *= generator.random(n_neurons) < share
        decay = np.exp(-1 / (frame_rate_hz * log_uniform(generator, tau, n_neurons)))
        for i in np.flatnonzero(size):
            noise = generator.standard_normal(n_frames) * np.sqrt(1 - decay[i] ** 2)
            out[:, i] += size[i] * lfilter([1.0], [1.0, -decay[i]], noise)
    return out


def add_noise(
    generator: np.random.Generator,
    frames: np.ndarray,
    frame_rate_hz: float,
    noise_sd: np.ndarray,
    shot_share: np.ndarray,
) -> np.ndarray:
    """Gaussian noise of SD `noise_sd` at 30 Hz, scaled with the root of the rate and growing with brightness."""
    sd = noise_sd * np.sqrt(frame_rate_hz / 30.0)
    brightness = np.sqrt(np.maximum(1 + shot_share * frames, 0.2))
    return (frames + sd * brightness * generator.standard_normal(frames.shape)).astype(np.float32)


def _float32(x: np.ndarray) -> jnp.ndarray:
    return jnp.asarray(x, jnp.float32)
