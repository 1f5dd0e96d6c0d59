"""What is learned and what is given: the network, the generative parameters as offsets from their start, the rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from antidrome.spikes.generative import (
    AbstractGenerativeModel,
    Observation,
    from_unconstrained,
    map_parameters,
    to_unconstrained,
)
from antidrome.spikes.generative.filters import two_sided_average
from antidrome.spikes.variational.amplitude import AmplitudePosterior
from antidrome.spikes.variational.calibration import Calibration
from antidrome.spikes.variational.config import FitConfig
from antidrome.spikes.variational.posterior import AbstractPosterior, make_posterior

N_CHANNELS = 5
LARGEST_INPUT = 30.0


class Problem(eqx.Module):
    """What stays as it is while learning.

    Parameters
    ----------
    start
        Unconstrained parameters at the start.
    unit
        By how much a parameter changes when its offset changes by 1: 1 on a logarithmic scale, the cell's noise SD for
        ΔF/F.
    prior_sd
        SD of every offset's normal prior.
    log_rate
        (neuron,) log of the initial rates.
    amplitude, decay_s, baseline, noise_sd
        (neuron,) initial values; the network is told of them.
    n_windows
        Windows that are learned from.
    """

    start: Observation
    unit: Observation
    prior_sd: Observation
    log_rate: Float[Array, " neuron"]
    amplitude: Float[Array, " neuron"]
    decay_s: Float[Array, " neuron"]
    baseline: Float[Array, " neuron"]
    noise_sd: Float[Array, " neuron"]
    frame_rate_hz: float = eqx.field(static=True)
    n_windows: int = eqx.field(static=True)

    @classmethod
    def of(
        cls, start: Observation, calibration: Calibration, frame_rate_hz: float, config: FitConfig, n_windows: int
    ) -> Problem:
        """From the model at the start and the calibration that the network is conditioned on."""
        noise = jnp.asarray(calibration.noise_sd, jnp.float32)
        free = to_unconstrained(start)

        def unit(x: Array, field: Mapping[str, Any]) -> Array:
            real = field.get("support", "real") == "real" and not field.get("shared")
            return jnp.broadcast_to(noise, x.shape) if real else jnp.ones_like(x)

        def sd(x: Array, field: Mapping[str, Any]) -> Array:
            return jnp.full_like(x, 3.0 if field.get("support", "real") == "real" else config.parameter_sd)

        prior = map_parameters(start, sd)
        prior = eqx.tree_at(lambda o: o.noise_sd, prior, jnp.full_like(prior.noise_sd, config.noise_sd))
        given = (jnp.asarray(x, jnp.float32) for x in calibration[:4])
        amplitude, decay_s, baseline, noise_sd = given
        return cls(
            free,
            map_parameters(start, unit),
            prior,
            jnp.log(jnp.asarray(calibration.rate_hz, jnp.float32)),
            amplitude,
            decay_s,
            baseline,
            noise_sd,
            float(frame_rate_hz),
            int(n_windows),
        )


def in_frames(model: AbstractGenerativeModel, noise_sd: np.ndarray, config: FitConfig, drift_s: float) -> Observation:
    """A generative model as the fit records it: in frames, with the cells' noise."""
    noise = jnp.asarray(noise_sd, jnp.float32)
    return Observation(model, noise, config.posterior.superresolution, drift_s, config.exposure)


class Learned(eqx.Module):
    """All that gradients change.

    Parameters
    ----------
    posterior
        The recognition network, shared by all cells.
    offset
        Offsets of the generative parameters, divided by the ratio of the two learning rates.
    log_rate
        (neuron,) the same for the rates.
    gain
        Network of the inferred amplitude, where there is one.
    """

    posterior: AbstractPosterior
    offset: Observation
    log_rate: Float[Array, " neuron"]
    gain: AmplitudePosterior | None

    @classmethod
    def start(cls, problem: Problem, config: FitConfig, *, key: PRNGKeyArray) -> Learned:
        """A fresh network, parameters at their start."""
        first, second = jax.random.split(key)
        network = make_posterior(config.posterior, N_CHANNELS, key=first)
        gain = AmplitudePosterior(N_CHANNELS, key=second) if config.posterior.infer_amplitude else None
        zeros = jax.tree.map(jnp.zeros_like, problem.start)
        return cls(network, zeros, jnp.zeros_like(problem.log_rate), gain)


def free_parameters(learned: Learned, problem: Problem, config: FitConfig) -> Observation:
    """The generative parameters on their unconstrained scale."""
    ratio = config.generative_learning_rate / config.learning_rate
    return jax.tree.map(lambda a, u, x: a + ratio * u * x, problem.start, problem.unit, learned.offset)


def generative(learned: Learned, problem: Problem, config: FitConfig) -> Observation:
    """The generative parameters in physical units."""
    return from_unconstrained(free_parameters(learned, problem, config))


def rates(learned: Learned, problem: Problem, config: FitConfig) -> Float[Array, " neuron"]:
    """Spikes/s of every cell, as the prior has it."""
    ratio = config.generative_learning_rate / config.learning_rate
    return jnp.exp(jnp.clip(problem.log_rate + ratio * learned.log_rate, -6.0, 6.0))


def prior_penalty(learned: Learned, problem: Problem, config: FitConfig) -> Float[Array, ""]:
    """Minus the log prior of all parameters, per window."""
    ratio = config.generative_learning_rate / config.learning_rate
    squares = jax.tree.map(lambda x, sd: jnp.sum((ratio * x / sd) ** 2), learned.offset, problem.prior_sd)
    total = sum(jax.tree.leaves(squares)) + jnp.sum((ratio * learned.log_rate / config.rate_sd) ** 2)
    return 0.5 * total / problem.n_windows


def network_inputs(
    problem: Problem, trace: Float[Array, "batch time"], cell: Int[Array, " batch"]
) -> Float[Array, "batch time channel"]:
    """What the network is told: the trace in spikes and in noise SDs, the cell's signal to noise and decay, holes."""
    amplitude, noise = problem.amplitude[cell][:, None], problem.noise_sd[cell][:, None]
    observed = jnp.isfinite(trace)
    level = jnp.where(observed, trace, 0.0) - problem.baseline[cell][:, None]
    drift_s = problem.start.drift_s
    if drift_s:
        width = drift_s * problem.frame_rate_hz
        slow = two_sided_average(jnp.where(observed, level, 0.0).T, observed.T.astype(trace.dtype), width)
        level = level - slow.T
    level = jnp.where(observed, level, 0.0)

    def constant(x: Array) -> Array:
        return jnp.broadcast_to(x, trace.shape)

    channels = [
        jnp.clip(level / amplitude, -LARGEST_INPUT, LARGEST_INPUT),
        jnp.arcsinh(level / (3 * noise)),
        constant(jnp.log(amplitude / noise) / 2),
        constant(jnp.log(problem.decay_s[cell][:, None] * problem.frame_rate_hz) / 3),
        observed.astype(trace.dtype),
    ]
    return jnp.stack(channels, axis=-1)
