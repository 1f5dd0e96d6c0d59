"""Where generative models start: every cell's response as the network at hand sees it, and the model built on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from antidrome.errors import InputError, did_you_mean
from antidrome.spikes.adaptation import Cells, working_rate
from antidrome.spikes.adaptation.cells import describe_in_population
from antidrome.spikes.generative import (
    AbstractGenerativeModel,
    LinearModel,
    NeuralModel,
    PhysiologicalModel,
    SCDFModel,
)
from antidrome.spikes.inference import infer_counts
from antidrome.spikes.recognition import RecognitionNetwork
from antidrome.spikes.variational import Calibration, autocalibrate

SAME_AMPLITUDE, LARGEST_FACTOR = 1.4, 4.0
"""Amplitudes that far apart are taken for the same; further apart is not tried."""

Generative = str | Callable[[Cells], AbstractGenerativeModel]


class Start(NamedTuple):
    """Cells, and the population's evidence on the shape of their responses; None where no network says anything."""

    cells: Cells
    population: np.ndarray | None


def start_cells(
    network: RecognitionNetwork | None,
    traces: np.ndarray,
    frame_rate_hz: float,
    population: np.ndarray | None = None,
) -> Start:
    """Describe cells by the network's spikes, or by cumulants of the traces where there is no network or it fails.

    Parameters
    ----------
    network
        None for a cold start.
    traces
        (neuron, time) ΔF/F with some variation, NaN where missing.
    population
        See `describe_in_population`; with it a cell's start does not depend on the others.
    """
    alone = autocalibrate(traces, frame_rate_hz)
    zeros = np.zeros(len(traces))
    cold = Cells(alone.amplitude, alone.decay_s, zeros, alone.baseline, alone.noise_sd, alone.rate_hz)
    if network is None:
        return Start(cold, None)
    slower, rate = working_rate(traces, frame_rate_hz)
    expected = np.asarray(infer_counts(network, slower, rate).mean)
    warm, population = describe_in_population(slower, expected, rate, population)
    strong = warm.responding & (np.nan_to_num(warm.amplitude) > 0.5 * alone.noise_sd)
    chosen = [np.where(strong, a, b) for a, b in zip(warm, cold, strict=True)]
    return Start(Cells(*chosen)._replace(noise_sd=alone.noise_sd), population)


def amplitude_starts(cells: Cells, traces: np.ndarray, frame_rate_hz: float) -> tuple[float, ...]:
    """Factors on the amplitudes to start from: 1, and what the traces' cumulants say where that is something else.

    A network that takes every spike for two finds amplitudes half as large, and a fit from there stays there.
    """
    alone = autocalibrate(traces, frame_rate_hz)
    ratio = (alone.amplitude / cells.amplitude)[~alone.guessed.astype(bool)]
    if not len(ratio):
        return (1.0,)
    factor = float(np.clip(np.median(ratio), 1 / LARGEST_FACTOR, LARGEST_FACTOR))
    return (1.0,) if 1 / SAME_AMPLITUDE <= factor <= SAME_AMPLITUDE else (1.0, float(f"{factor:.3g}"))


def calibration_of(cells: Cells) -> Calibration:
    """The values that variational networks are conditioned on."""
    guessed = np.zeros(len(cells.amplitude), bool)
    return Calibration(cells.amplitude, cells.decay_s, cells.baseline, cells.noise_sd, cells.rate_hz, guessed)


def started(cells: Cells, calibration: Calibration) -> Cells:
    """These cells with other values of what variational networks are conditioned on."""
    names = ("amplitude", "decay_s", "baseline", "noise_sd", "rate_hz")
    return cells._replace(**{name: getattr(calibration, name) for name in names})


def make_model(generative: Generative, cells: Cells) -> AbstractGenerativeModel:
    """The generative model of these cells, at its start.

    Raises
    ------
    InputError
        An unknown name, or a function that does not give a generative model.
    """
    if callable(generative):
        made = generative(cells)
    elif generative in STARTS:
        made = STARTS[generative](cells)
    else:
        raise InputError(
            f"generative is {generative!r}; expected one of {', '.join(STARTS)}, or a function from the cells' start"
            f" to a generative model.{did_you_mean(str(generative), STARTS)}"
        )
    if not isinstance(made, AbstractGenerativeModel):
        raise InputError(
            f"generative(start) gave {type(made).__name__}; expected an instance of"
            " antidrome.spikes.generative.AbstractGenerativeModel."
        )
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), made)


def _linear(cells: Cells) -> LinearModel:
    rise = np.minimum(cells.rise_s, 0.6 * cells.decay_s)
    return LinearModel(*_arrays(cells.amplitude, cells.decay_s, rise, cells.baseline))


def _ar1(cells: Cells) -> LinearModel:
    return LinearModel(*_arrays(cells.amplitude, cells.decay_s, 0 * cells.decay_s, cells.baseline))


def _scdf(cells: Cells) -> SCDFModel:
    calcium = np.clip(cells.rise_s, 0.02, 0.6 * cells.decay_s)
    full = np.full_like(calcium, 20.0)
    return SCDFModel(
        *_arrays(cells.amplitude, calcium, cells.decay_s, 1 / (calcium * full), 1.5 + 0 * full, full, cells.baseline)
    )


def _physiological(cells: Cells) -> PhysiologicalModel:
    one = np.ones_like(cells.decay_s)
    binding = np.clip(cells.rise_s, 0.01, 0.5 * cells.decay_s)
    return PhysiologicalModel(
        *_arrays(cells.amplitude, cells.decay_s, 0.8 * one, 1.8 * one, 0.02 * one, binding, cells.baseline)
    )


def _neural(cells: Cells) -> NeuralModel:
    return NeuralModel.around(_linear(cells), key=jax.random.key(0))


def _arrays(*values: Any) -> list[jax.Array]:
    return [jnp.asarray(np.asarray(x, np.float32)) for x in values]


STARTS: dict[str, Callable[[Cells], AbstractGenerativeModel]] = {
    "linear": _linear,
    "ar1": _ar1,
    "scdf": _scdf,
    "physiological": _physiological,
    "neural": _neural,
}
