"""Fit a variational autoencoder to unlabelled traces: a shared network, and every cell's own generative parameters.

`fit` is a pure function of traces, configuration and seed. It calibrates every cell on its own trace, lets the network
learn from simulations of the calibrated models (sleep), then learns the models' parameters from the traces, and the
network with them (wake). Nothing in it sees a true spike unless some are given as `known`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from antidrome.core.configuration import to_dict
from antidrome.core.seeds import generator, jax_key
from antidrome.core.training import TrainingConfig, TrainingHistory, train
from antidrome.errors import InputError
from antidrome.spikes.draws import keys_of
from antidrome.spikes.generative import (
    AbstractGenerativeModel,
    LinearModel,
    Observation,
    named_parameters,
    to_unconstrained,
)
from antidrome.spikes.generative.describing import describe_model, rounded
from antidrome.spikes.variational.calibration import Calibration, autocalibrate
from antidrome.spikes.variational.config import FitConfig
from antidrome.spikes.variational.problem import Learned, Problem, generative, in_frames, rates
from antidrome.spikes.variational.sanity import Sanity, judge
from antidrome.spikes.variational.sleep import sleep_loss
from antidrome.spikes.variational.wake import wake_loss, window_bounds
from antidrome.spikes.variational.windows import Windows, batches, cut_windows, split_windows

BOUND_SAMPLES = 32
TRIED_STEPS = 1024
"""On which a generative model is tried, without computing anything."""
NO_JAX = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)
MakeModel = Callable[[Calibration], AbstractGenerativeModel]


class Fit(NamedTuple):
    """A fitted autoencoder.

    Parameters
    ----------
    learned, problem, config
        All that inference needs.
    observation
        The generative parameters in physical units, one value per cell.
    rate_hz
        (neuron,) spikes/s of the prior.
    bound
        Importance-weighted bound of the held-out windows, nats per frame.
    sanity
        What was checked without any true spike.
    histories
        Losses on the way, by phase.
    """

    learned: Learned
    problem: Problem
    config: FitConfig
    observation: Observation
    rate_hz: np.ndarray
    bound: float
    sanity: Sanity
    histories: dict[str, TrainingHistory]


def linear_model(calibration: Calibration) -> LinearModel:
    """AR(1) at the calibrated values: what is fitted unless another model is given."""
    rise = np.zeros_like(calibration.amplitude)
    values = (calibration.amplitude, calibration.decay_s, rise, calibration.baseline)
    return LinearModel(*(jnp.asarray(x, jnp.float32) for x in values))


def fit(
    traces: np.ndarray,
    frame_rate_hz: float,
    config: FitConfig,
    *,
    model: MakeModel = linear_model,
    drift_s: float = 0.0,
    cell: np.ndarray | None = None,
    known: np.ndarray | None = None,
    calibration: Calibration | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: bool = True,
) -> Fit:
    """Learn network and generative parameters from traces.

    Parameters
    ----------
    traces
        (row, time) ΔF/F, NaN where missing.
    model
        From the calibration to the generative model at the start, one value per cell.
    drift_s
        Time over which a drifting baseline is averaged, seconds; 0 for none.
    cell
        (row,) cell of each row, where cells have several; every row its own cell when not given.
    known
        (row, time · superresolution) true spikes per step where they are known, NaN elsewhere.
    calibration
        Initial values; read off the traces when not given.
    checkpoint
        Folder for the state of both phases; the same call goes on from it, to the same result.

    Raises
    ------
    InputError
        Traces that cannot be used, or settings that do not go together.
    TrainingError
        A loss became non-finite.
    """
    if config.prior == "count" and config.objective != "vimco":
        raise InputError(
            f"prior is 'count', which weighs whole windows, and objective {config.objective!r} takes every step for"
            " itself: use objective='vimco', or prior='rate'."
        )
    if known is None:
        config = dataclasses.replace(config, supervised=0.0)
    windows = cut_windows(traces, config, cell, known)
    learn_from, held_out = split_windows(windows, config.held_out, generator(seed, "spikes/held-out"))
    if calibration is None:
        calibration = autocalibrate(traces, frame_rate_hz, cell, drift=bool(drift_s))
    start = in_frames(model(calibration), calibration.noise_sd, config, drift_s)
    _check_cells(start, len(calibration.noise_sd))
    _check_fluorescence(start.model, len(calibration.noise_sd))
    problem = Problem.of(start, calibration, frame_rate_hz, config, len(learn_from.cell))
    learned = Learned.start(problem, config, key=jax_key(seed, "spikes/posterior-init"))
    histories = {}
    described = describe_model(start.model, len(calibration.noise_sd))
    settings = {**to_dict(config), "model": described, "drift_s": drift_s, "frame_rate_hz": frame_rate_hz}
    settings |= {"starts": rounded(problem)}
    if checkpoint is not None:
        checkpoint.mkdir(parents=True, exist_ok=True)
    for phase in phases(config, problem):
        result = train(
            phase.loss,
            learned,
            learn_from,
            phase.training,
            held_out=held_out,
            seed=seed,
            settings=settings,
            checkpoint=None if checkpoint is None else checkpoint / f"{phase.name}.safetensors",
            progress=progress,
            name=phase.title,
        )
        learned, histories[phase.name] = result.parameters, result.history
    return finish(learned, problem, config, held_out, calibration, seed, histories)


def _check_cells(observation: Observation, n_cells: int) -> None:
    """Refuse a model whose parameters are not one value per cell, each within its support."""
    free = named_parameters(to_unconstrained(observation))
    for name, (values, shared) in named_parameters(observation).items():
        if not shared and values.shape[-1:] != (n_cells,):
            raise InputError(
                f"The model's parameter {name} has shape {values.shape} for {n_cells} cells; its last axis needs to be"
                " the cell, or declare it with parameter(…, shared=True)."
            )
        if np.isnan(values).any():
            raise InputError(
                f"The model's parameter {name} is NaN for {int(np.isnan(values).sum())} cells at the start."
            )
        if np.isnan(free[name][0]).any():
            raise InputError(
                f"The model's parameter {name} starts outside of what it was declared as with parameter(…): values from"
                f" {values.min():g} to {values.max():g}."
            )


def _check_fluorescence(model: AbstractGenerativeModel, n_cells: int) -> None:
    """Refuse a model that JAX cannot differentiate, or that gives anything but one value a step, sample and cell."""
    name = f"{type(model).__name__}.fluorescence"
    spikes = jax.ShapeDtypeStruct((TRIED_STEPS, 2, n_cells), jnp.float32)
    try:
        out = jax.eval_shape(lambda x: model.fluorescence(x, 0.01), spikes)
    except NO_JAX as error:
        raise InputError(
            f"JAX cannot differentiate {name} ({type(error).__name__}); use jax.numpy instead of numpy, and jnp.where"
            " instead of an if on values."
        ) from error
    shape = getattr(out, "shape", None)
    if shape != spikes.shape:
        raise InputError(
            f"{name} gave {type(out).__name__ if shape is None else f'shape {shape}'} for spikes of shape"
            f" {spikes.shape}; expected the same shape (time, sample, neuron)."
        )


class Phase(NamedTuple):
    """One run of the training loop."""

    name: str
    title: str
    loss: Callable
    training: TrainingConfig


def phases(config: FitConfig, problem: Problem) -> list[Phase]:
    """The phases that have any steps: sleep, then wake."""

    common = TrainingConfig(
        steps=1,
        batch=config.batch,
        learning_rate=config.learning_rate,
        clip=config.clip,
        weight_decay=0.0,
        averaging=0.99,
        evaluate_every=config.evaluate_every,
        patience=config.patience,
    )
    both = [
        ("sleep", "Learning from simulations", sleep_loss, config.sleep_steps),
        ("wake", "Learning from the recording", _awake, config.wake_steps),
    ]
    return [
        Phase(name, title, eqx.Partial(loss, problem=problem, config=config), dataclasses.replace(common, steps=steps))
        for name, title, loss, steps in both
        if steps > 0
    ]


def _awake(learned: Learned, batch: Windows, key: jax.Array, problem: Problem, config: FitConfig) -> jax.Array:
    first, second = jax.random.split(key)
    loss = wake_loss(learned, batch, first, problem, config)
    if config.sleep_in_wake:
        loss = loss + config.sleep_in_wake * sleep_loss(learned, batch, second, problem, config)
    return loss


def finish(
    learned: Learned,
    problem: Problem,
    config: FitConfig,
    held_out: Windows,
    calibration: Calibration,
    seed: int,
    histories: dict[str, TrainingHistory],
) -> Fit:
    """Judge what was learned on the held-out windows."""
    observation = generative(learned, problem, config)
    bound = held_out_bound(learned, held_out, problem, config, seed)
    rate_hz = np.asarray(rates(learned, problem, config))
    sanity = judge(learned, problem, config, held_out, calibration, seed)
    return Fit(learned, problem, config, observation, rate_hz, bound, sanity, histories)


def held_out_bound(learned: Learned, windows: Windows, problem: Problem, config: FitConfig, seed: int) -> float:
    """Mean importance-weighted bound (32 samples) of windows, nats per frame; a score that needs no true spikes."""
    return float(np.mean(bounds_of_windows(learned, windows, problem, config, seed)))


def bounds_of_windows(
    learned: Learned,
    windows: Windows,
    problem: Problem,
    config: FitConfig,
    seed: int,
    names: Sequence[str] | None = None,
) -> np.ndarray:
    """(window,) importance-weighted bound of every window, nats per frame.

    With names of the cells, what is drawn for a window depends on the seed, its cell's name and its place there alone.
    """
    config = dataclasses.replace(config, samples=BOUND_SAMPLES)
    bounds = jax.jit(lambda x, batch, key, problem: window_bounds(x, batch, key, problem, config))
    values = np.zeros(len(windows.cell))
    keys = None if names is None else _keys_of_windows(windows, names, seed)
    for rows in batches(len(windows.cell), config.batch):
        key = jax_key(seed, f"spikes/bound/{rows[0]}") if keys is None else keys[rows]
        values[rows] = np.asarray(bounds(learned, windows.take(rows), key, problem))
    return values


def _keys_of_windows(windows: Windows, names: Sequence[str], seed: int) -> jax.Array:
    """One key for each window, after the name of its cell and its number among the cell's."""
    place = np.arange(len(windows.cell)) - np.searchsorted(windows.cell, windows.cell)
    return jax.vmap(jax.random.fold_in)(keys_of(seed, "spikes/bound", names)[windows.cell], place)
