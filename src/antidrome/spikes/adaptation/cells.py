"""Every cell's generative parameters given what is inferred now: response to one spike, baseline, noise, rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.signal import lfilter

from antidrome.spikes.conditioning import noise_sd as white_noise_sd
from antidrome.spikes.drift import drift_frames, without_drift
from antidrome.spikes.response import DECAYS_S

RISES_S = (0.0, 0.02, 0.05, 0.1, 0.18, 0.3)
SHAPES = tuple((rise, decay) for rise in RISES_S for decay in DECAYS_S if rise < 0.7 * decay)
"""Rise and decay of the responses that are tried, seconds."""
POOLING = 3.0
"""Weight of the population's evidence about the shape of the response, in cells."""
LEAST_NOISE = 1e-3
"""SD over the range of a trace, where the trace shows no noise."""
RATES_HZ = (0.01, 50.0)


class Cells(NamedTuple):
    """One value per cell: ΔF/F at the peak after one spike, seconds, seconds, ΔF/F, ΔF/F per frame, spikes/s.

    NaN amplitude where the trace says nothing (no spikes, no observed frames).
    """

    amplitude: np.ndarray
    decay_s: np.ndarray
    rise_s: np.ndarray
    baseline: np.ndarray
    noise_sd: np.ndarray
    rate_hz: np.ndarray

    @property
    def responding(self) -> np.ndarray:
        """(neuron,) where a response was found."""
        return np.isfinite(self.amplitude)

    def at(self, places: np.ndarray, others: Cells) -> Cells:
        """The cells at these places, and the others' values where the place is -1."""
        return Cells(*(np.where(places >= 0, own[places], new) for own, new in zip(self, others, strict=True)))


def places_of(labels: np.ndarray, described: Sequence[str]) -> np.ndarray:
    """(label,) where each stands among the cells that are described, -1 where it does not."""
    place = {label: i for i, label in enumerate(described)}
    return np.array([place.get(str(label), -1) for label in labels])


def describe_cells(traces: np.ndarray, expected: np.ndarray, frame_rate_hz: float) -> Cells:
    """Cells of one recording, which share an indicator; see `describe_in_population`."""
    return describe_in_population(traces, expected, frame_rate_hz)[0]


def describe_in_population(
    traces: np.ndarray, expected: np.ndarray, frame_rate_hz: float, population: np.ndarray | None = None
) -> tuple[Cells, np.ndarray]:
    """Least squares of each trace on its expected spikes, for a grid of rise and decay times.

    A shape is chosen for each cell by what it explains there and, with the weight of a few cells, by what it explains
    in the population.

    Parameters
    ----------
    traces
        (neuron, time) ΔF/F, NaN where missing.
    expected
        (neuron, time) spikes per frame.
    frame_rate_hz
        Frames per second.
    population
        (shape,) share of the power of a trace that each of `SHAPES` explains on average; that of these traces when not
        given.

    Returns
    -------
    The cells, and the population's evidence that they were described with.
    """
    observed = np.isfinite(traces)
    n_observed = np.maximum(observed.sum(axis=1), 1)
    centre = np.where(observed, traces, 0).sum(axis=1, keepdims=True) / n_observed[:, None]
    filled = np.where(observed, traces, centre)
    width = drift_frames(frame_rate_hz)
    target = np.where(observed, without_drift(filled, width), 0)
    power = np.maximum(np.einsum("nt,nt->n", target, target), 1e-20)
    gains, slopes = np.empty((2, len(SHAPES), len(traces)))
    for i, (rise, decay) in enumerate(SHAPES):
        calcium = respond(expected, np.full(len(traces), decay), np.full(len(traces), rise), frame_rate_hz)
        regressor = np.where(observed, without_drift(calcium, width), 0)
        own = np.einsum("nt,nt->n", regressor, regressor)
        slopes[i] = np.where(own > 0, np.einsum("nt,nt->n", regressor, target) / np.maximum(own, 1e-20), 0)
        gains[i] = np.where(slopes[i] > 0, slopes[i] ** 2 * own / power, 0)
    population = gains.mean(axis=1) if population is None else population
    shared = gains + POOLING * population[:, None]
    best, cells = shared.argmax(axis=0), np.arange(len(traces))
    amplitude = np.where(gains[best, cells] > 0, slopes[best, cells], np.nan)
    rise_s, decay_s = np.array([SHAPES[i][0] for i in best]), np.array([SHAPES[i][1] for i in best])
    found = Cells(amplitude, decay_s, rise_s, np.zeros(len(traces)), _noise_sd(traces), np.zeros(len(traces)))
    residual = np.where(observed, filled - reconstruct(found, expected, frame_rate_hz), 0)
    spikes = np.where(observed, expected, 0).sum(axis=1)
    rate_hz = np.clip(spikes * frame_rate_hz / n_observed, *RATES_HZ)
    return found._replace(baseline=residual.sum(axis=1) / n_observed, rate_hz=rate_hz), population


def _noise_sd(traces: np.ndarray) -> np.ndarray:
    """Of the traces; a share of the range of those that rest in most frames, as denoised ones do, and show none."""
    sd, observed = white_noise_sd(traces), np.isfinite(traces)
    low, high = np.where(observed, traces, np.inf).min(axis=1), np.where(observed, traces, -np.inf).max(axis=1)
    return np.where((sd == 0) & (high > low), LEAST_NOISE * (high - low), sd)


def respond(spikes: np.ndarray, decay_s: np.ndarray, rise_s: np.ndarray, frame_rate_hz: float) -> np.ndarray:
    """(neuron, time) response with peak 1 to every spike: the difference of two exponentials."""
    out = np.empty(spikes.shape)
    for i, (decay, rise) in enumerate(zip(decay_s, rise_s, strict=True)):
        slow = np.exp(-1 / (decay * frame_rate_hz))
        out[i] = lfilter([1.0], [1.0, -slow], spikes[i])
        if rise > 0:
            fast = np.exp(-1 / (rise * frame_rate_hz))
            out[i] -= lfilter([1.0], [1.0, -fast], spikes[i])
            frames = np.arange(1, max(2, round(8 * rise * frame_rate_hz)) + 1)
            out[i] /= (slow**frames - fast**frames).max()
    return out


def reconstruct(cells: Cells, spikes: np.ndarray, frame_rate_hz: float) -> np.ndarray:
    """(neuron, time) noiseless ΔF/F; the baseline alone where a cell's response is not known."""
    calcium = respond(spikes, cells.decay_s, cells.rise_s, frame_rate_hz)
    return np.nan_to_num(cells.amplitude)[:, None] * calcium + cells.baseline[:, None]
