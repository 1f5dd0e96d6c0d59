"""Simulated recordings with their ground truth: for demonstrations, tests, and studies of what can be inferred."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr

from antidrome.core.seeds import check_seed, generator
from antidrome.core.whole import whole_number
from antidrome.errors import InputError
from antidrome.recordings.arguments import counted, one_of
from antidrome.spikes.generative import LinearModel, SCDFModel
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
from antidrome.spikes.spike_trains import SpikeTrainRanges, log_uniform, random_spike_trains, shared_gain

Indicator = Literal["fast", "slow", "red", "dye", "any"]
INDICATORS: dict[str, IndicatorRanges] = {
    "fast": IndicatorRanges(amplitude=(0.1, 0.3), decay_s=(0.1, 0.4), rise_s=(0.005, 0.05), noise_ratio=(0.15, 0.6)),
    "slow": IndicatorRanges(amplitude=(0.15, 0.5), decay_s=(0.6, 1.8), rise_s=(0.04, 0.18), noise_ratio=(0.1, 0.5)),
    "red": IndicatorRanges(amplitude=(0.05, 0.2), decay_s=(0.3, 1.0), rise_s=(0.02, 0.1), noise_ratio=(0.3, 0.9)),
    "dye": IndicatorRanges(amplitude=(0.04, 0.12), decay_s=(0.4, 1.2), rise_s=(0.003, 0.02), noise_ratio=(0.3, 0.9)),
    "any": IndicatorRanges(),
}
ORDINARY = SpikeTrainRanges(rate_hz=(0.1, 1.5), fast_share=0.0, modulation_sd=(0.3, 1.2))


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What to simulate.

    Parameters
    ----------
    n_neurons, duration_s, frame_rate_hz, seed
        Size and seed of the recording.
    indicator
        "fast" (like GCaMP6f/8), "slow" (like GCaMP6s), "red" (like R-CaMP), "dye" (like OGB-1), or "any".
    generative
        Generative model, "linear" (AR(2)) or "scdf" (facilitation and saturation).
    n_factors
        Latent dimensions of what the neurons share; 0 for independent neurons.
    """

    n_neurons: int = 20
    duration_s: float = 120.0
    frame_rate_hz: float = 30.0
    seed: int = 0
    indicator: Indicator = "fast"
    generative: Literal["linear", "scdf"] = "linear"
    n_factors: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)
        whole_number("n_neurons", self.n_neurons, 1)
        if not 0.5 <= self.frame_rate_hz <= 1000:
            raise InputError(f"frame_rate_hz is {self.frame_rate_hz}; expected between 0.5 and 1000 frames per second.")
        if not 2 <= self.duration_s * self.frame_rate_hz < np.inf:
            raise InputError(f"duration_s is {self.duration_s}; expected at least two frames.")
        one_of("indicator", self.indicator, tuple(INDICATORS))
        one_of("generative", self.generative, ("linear", "scdf"))
        whole_number("n_factors", self.n_factors, 0)


def simulate(
    n_neurons: int = 20,
    duration_s: float = 120.0,
    frame_rate_hz: float = 30.0,
    seed: int = 0,
    *,
    indicator: Indicator = "fast",
    generative: Literal["linear", "scdf"] = "linear",
    n_factors: int = 0,
) -> xr.Dataset:
    """Simulate a recording; the arguments are those of `Simulation`.

    Returns
    -------
    Dataset with `dff` (time, neuron; ΔF/F as a fraction), `spike_count` (time, neuron; true spikes per frame), and per
    neuron the true `true_amplitude` (ΔF/F per spike), `true_decay_s` (s) and `true_noise_sd` (ΔF/F).

    Raises
    ------
    InputError
        Impossible sizes or an unknown indicator or generative model.
    """
    wanted = Simulation(
        n_neurons=n_neurons,
        duration_s=duration_s,
        frame_rate_hz=frame_rate_hz,
        seed=seed,
        indicator=indicator,
        generative=generative,
        n_factors=n_factors,
    )
    per_frame, step_s = fine_grid(frame_rate_hz)
    lead = round(LEAD_S * frame_rate_hz)
    n_frames = int(duration_s * frame_rate_hz * (1 + 1e-9))  # 8.2 s at 30 Hz are 245.99… in floats
    ranges, draw_cells = INDICATORS[indicator], generator(seed, "spikes/simulate/cells")
    cells = (draw_linear if generative == "linear" else draw_scdf)(draw_cells, n_neurons, ranges)
    amplitude = np.asarray(cells.amplitude)
    noise_sd = log_uniform(draw_cells, ranges.noise_ratio, n_neurons) * amplitude
    draw_spikes, n_steps = generator(seed, "spikes/simulate/spikes"), (n_frames + lead) * per_frame
    gain = None
    if n_factors:
        gain = shared_gain(generator(seed, "spikes/simulate/shared"), n_steps, n_neurons, step_s, n_factors)
    spikes = random_spike_trains(draw_spikes, n_steps, np.zeros(n_neurons, bool), step_s, ORDINARY, gain)
    frames = frame_average(simulate_fluorescence(cells, spikes, step_s), per_frame)[lead:]
    draw_noise = generator(seed, "spikes/simulate/noise")
    frames = add_contamination(draw_noise, frames, frame_rate_hz, 0.3 * amplitude, ranges)
    dff = add_noise(draw_noise, frames, frame_rate_hz, noise_sd, np.full(n_neurons, 0.5))
    counts = spikes.reshape(-1, per_frame, n_neurons).sum(axis=1)[lead:]
    return _labelled(wanted, dff, counts, amplitude, _decay(cells), noise_sd * np.sqrt(frame_rate_hz / 30))


def _decay(cells: LinearModel | SCDFModel) -> np.ndarray:
    return np.asarray(cells.decay_s if isinstance(cells, LinearModel) else cells.dye_decay_s)


def _labelled(
    wanted: Simulation,
    dff: np.ndarray,
    counts: np.ndarray,
    amplitude: np.ndarray,
    decay_s: np.ndarray,
    noise_sd: np.ndarray,
) -> xr.Dataset:
    frames, cells = ("time", "neuron"), ("neuron",)
    common = {"frame_rate_hz": float(wanted.frame_rate_hz), "source": "simulation", "source_format": "array"}
    described = (
        f"Simulated: {wanted.generative} model, indicator '{wanted.indicator}', {counted(wanted.n_neurons, 'neuron')},"
        f" {wanted.duration_s:g} s at {wanted.frame_rate_hz:g} Hz, seed {wanted.seed}."
    )
    session = f"simulated-{wanted.indicator}-{wanted.seed}"
    return xr.Dataset(
        {
            "dff": (
                frames,
                dff,
                {"quantity": "dff", "units": "1", "session_id": session, "notes": [described], **common},
            ),
            "spike_count": (frames, counts.astype(np.int16), {"units": "spikes per frame"}),
            "true_amplitude": (cells, amplitude, {"units": "ΔF/F per spike"}),
            "true_decay_s": (cells, decay_s, {"units": "s"}),
            "true_noise_sd": (cells, noise_sd, {"units": "ΔF/F"}),
        },
        coords={
            "time": ("time", (np.arange(len(dff)) + 0.5) / wanted.frame_rate_hz, {"units": "s"}),
            "neuron": [f"neuron-{i:03d}" for i in range(wanted.n_neurons)],
        },
        attrs={**common, "session_id": session},
    )
