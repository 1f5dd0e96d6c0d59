"""The two simulated data sets of Speiser et al. (2017), rebuilt: 100 cells, three traces each, 10,000 bins at 60 Hz."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.signal import lfilter

from antidrome.core.seeds import generator
from antidrome.spikes.generative import Observation, SCDFModel
from antidrome.spikes.variational import Calibration

FRAME_RATE_HZ = 60.0
RATES_HZ = (0.7, 1.0, 1.2)
N_CELLS, N_FRAMES, N_TRAINING = 100, 10_000, 30


class Simulated(NamedTuple):
    """One data set; rows are traces."""

    traces: np.ndarray  # (row, time) ΔF/F
    spikes: np.ndarray  # (row, time) 0 or 1
    cell: np.ndarray  # (row,)
    truth: dict[str, np.ndarray]  # (cell,) generative parameters in physical units


def logistic(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(−x))."""
    return 1 / (1 + np.exp(-x))


def softplus(x: np.ndarray | float) -> np.ndarray:
    """log(1 + exp(x))."""
    return np.log1p(np.exp(x))


def time_constant(factor: np.ndarray) -> np.ndarray:
    """Seconds after which a variable that is multiplied by `factor` every bin has fallen to 1/e."""
    return -1 / (FRAME_RATE_HZ * np.log(factor))


def linear_cells(seed: int, n_cells: int = N_CELLS, n_frames: int = N_FRAMES) -> Simulated:
    """Ex1: AR(1), logistic(γ) with γ in 2.75–4.6, softplus(α) with α in −1.25–−0.43, noise SD 0.07–0.15."""
    draw = generator(seed, "paper/linear")
    factor = logistic(draw.uniform(2.75, 4.6, n_cells))
    amplitude = softplus(draw.uniform(-1.25, -0.43, n_cells))
    noise_sd = draw.uniform(0.07, 0.15, n_cells)
    spikes, cell = _spikes(draw, n_cells, n_frames)
    calcium = np.stack([lfilter([1.0], [1.0, -factor[c]], row) for c, row in zip(cell, spikes, strict=True)])
    traces = amplitude[cell, None] * calcium - 0.3 + noise_sd[cell, None] * draw.standard_normal(calcium.shape)
    truth = {"amplitude": amplitude, "decay_s": time_constant(factor), "noise_sd": noise_sd}
    return Simulated(traces.astype(np.float32), spikes, cell, truth)


def scdf_cells(seed: int, n_cells: int = N_CELLS, n_frames: int = N_FRAMES) -> Simulated:
    """Ex2: calcium with γ in 2.5–3.5, dye with κ in 2–2.5, η in −5.9–−4.9, ζ in 0.5–1, D_max in 5.5–6.5."""
    draw = generator(seed, "paper/scdf")
    raw = {
        "gamma": draw.uniform(2.5, 3.5, n_cells),
        "alpha": draw.uniform(0.2, 0.5, n_cells),
        "kappa": draw.uniform(2.0, 2.5, n_cells),
        "eta": draw.uniform(-5.9, -4.9, n_cells),
        "zeta": draw.uniform(0.5, 1.0, n_cells),
        "d_max": draw.uniform(5.5, 6.5, n_cells),
    }
    noise_sd = draw.uniform(0.02, 0.05, n_cells)
    spikes, cell = _spikes(draw, n_cells, n_frames)
    model = scdf_model(**raw, beta=np.full(n_cells, -0.2))
    per_row = SCDFModel(*(getattr(model, name)[cell] for name in SCDF_FIELDS))
    frames = np.asarray(per_row.fluorescence(jnp.asarray(spikes.T), 1 / FRAME_RATE_HZ)).T
    traces = frames + noise_sd[cell, None] * draw.standard_normal(frames.shape)
    truth = {name: np.asarray(getattr(model, name)) for name in SCDF_FIELDS} | {"noise_sd": noise_sd}
    return Simulated(traces.astype(np.float32), spikes, cell, truth)


SCDF_FIELDS = ("amplitude", "calcium_decay_s", "dye_decay_s", "binding_rate_hz", "hill", "saturation", "baseline")


def scdf_model(
    gamma: np.ndarray,
    alpha: np.ndarray,
    kappa: np.ndarray,
    eta: np.ndarray,
    zeta: np.ndarray,
    d_max: np.ndarray,
    beta: np.ndarray,
) -> SCDFModel:
    """The paper's unconstrained parameters in physical units; its gain becomes the amplitude after one spike."""
    hill, per_bin = 1 + softplus(zeta), softplus(eta)
    calcium, dye, peak = np.ones_like(gamma), np.zeros_like(gamma), np.zeros_like(gamma)
    for _ in range(120):
        dye = per_bin * calcium**hill * (d_max - np.minimum(dye, d_max)) + logistic(kappa) * np.minimum(dye, d_max)
        peak = np.maximum(peak, dye)
        calcium = logistic(gamma) * calcium
    values = (
        softplus(alpha) * peak,
        time_constant(logistic(gamma)),
        time_constant(logistic(kappa)),
        per_bin * FRAME_RATE_HZ,
        hill,
        d_max,
        beta,
    )
    return SCDFModel(*(jnp.asarray(v, jnp.float32) for v in values))


def paper_start(calibration: Calibration) -> SCDFModel:
    """The initial values of the paper's Ex2 for every cell, with the calibrated baseline."""
    n = len(calibration.amplitude)
    raw = {"gamma": 3.0, "alpha": 0.7, "kappa": 2.0, "eta": -5.0, "zeta": 0.8, "d_max": 6.0}
    return scdf_model(**{k: np.full(n, v) for k, v in raw.items()}, beta=np.asarray(calibration.baseline))


def recovered(observation: Observation, truth: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Each parameter over the cells: correlation of the logarithms with the truth, and median ratio to it."""
    model = observation.model
    out = {}
    for name, true in truth.items():
        found = np.asarray(observation.noise_sd if name == "noise_sd" else getattr(model, name))
        if (true <= 0).any():
            continue
        a, b = np.log(found), np.log(true[: len(found)])
        r = float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else float("nan")
        out[name] = {"r": r, "ratio": float(np.median(np.exp(a - b)))}
    return out


def _spikes(draw: np.random.Generator, n_cells: int, n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """At most one spike a bin; a trace of every rate for every cell."""
    cell = np.repeat(np.arange(n_cells), len(RATES_HZ))
    chance = np.tile(RATES_HZ, n_cells)[:, None] / FRAME_RATE_HZ
    return (draw.random((len(cell), n_frames)) < chance).astype(np.float32), cell
