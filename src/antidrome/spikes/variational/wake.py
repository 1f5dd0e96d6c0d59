"""Wake steps: spikes drawn for real traces raise the bound on log p(fluorescence)."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from antidrome.spikes.draws import OneOrEach, split_in
from antidrome.spikes.generative import Observation, take_cells
from antidrome.spikes.variational.bound import importance_weighted_bound, local_loss, vimco_loss
from antidrome.spikes.variational.config import FitConfig
from antidrome.spikes.variational.levels import count_log_prob
from antidrome.spikes.variational.priors import binomial_count_log_prob, poisson_log_prob
from antidrome.spikes.variational.problem import (
    Learned,
    Problem,
    generative,
    network_inputs,
    prior_penalty,
    rates,
)
from antidrome.spikes.variational.windows import Windows

LOCAL_HORIZON_DECAYS = 2.0


class Weights(NamedTuple):
    """Terms of every sample inside the buffers: per step or frame, and in total."""

    log_likelihood: Float[Array, "time sample batch"]
    log_prior: Float[Array, "step sample batch"]
    log_q: Float[Array, "step sample batch"]
    log_gain_ratio: Float[Array, "sample batch"]
    log_weight: Float[Array, "sample batch"]


def wake_loss(learned: Learned, batch: Windows, key: PRNGKeyArray, problem: Problem, config: FitConfig) -> Array:
    """Minus the bound per frame, with the priors of the parameters and the log probability of known spikes.

    Its value is that of the objective; its gradient moves generative parameters fully and the network by
    ``config.wake_posterior``.
    """
    network = _scale_gradient(learned.posterior, config.wake_posterior)
    learned = eqx.tree_at(lambda x: x.posterior, learned, network)
    first, second = jax.random.split(key)
    inputs = network_inputs(problem, batch.trace, batch.cell)
    if config.objective == "relaxed":
        bound = _relaxed_loss(learned, batch, inputs, first, problem, config)
        spikes = None
    else:
        spikes, weights = draw_weights(learned, batch, inputs, first, problem, config)
        bound = _discrete_loss(weights, problem, batch, config)
    n_frames = config.window_frames - config.buffer_before - config.buffer_after
    total = (bound + prior_penalty(learned, problem, config)) / n_frames
    if config.supervised:
        total = total + config.supervised * _known_loss(learned, batch, inputs, spikes, second, problem, config)
    return total


def draw_weights(
    learned: Learned,
    batch: Windows,
    inputs: Float[Array, "batch time channel"],
    key: OneOrEach,
    problem: Problem,
    config: FitConfig,
) -> tuple[Float[Array, "step sample batch"], Weights]:
    """Sample spikes (and the amplitude factor) and weigh every sample."""
    for_spikes, for_gain = split_in(key, 2)
    draw = learned.posterior.draw(inputs, config.samples, key=for_spikes)
    observation, rate_hz = _of_cells(learned, batch, problem, config)
    gain, log_ratio = _draw_gain(learned, inputs, for_gain, config)
    log_likelihood = observation.log_prob(counted(batch.trace, config).T, draw.spikes, problem.frame_rate_hz, gain)
    expected = rate_hz / (problem.frame_rate_hz * config.posterior.superresolution)
    log_prior = poisson_log_prob(draw.spikes, expected)
    frames, steps = _inside(config)
    log_likelihood, log_prior, log_q = log_likelihood[frames], log_prior[steps], draw.log_prob[steps]
    prior = jnp.sum(log_prior, axis=0)
    if config.prior == "count":
        most = config.posterior.max_count
        total = jnp.sum(draw.spikes[steps], axis=0)
        prior = binomial_count_log_prob(total, log_prior.shape[0] * most, expected / most)
    log_weight = jnp.sum(log_likelihood, axis=0) + prior - jnp.sum(log_q, axis=0) + log_ratio
    return draw.spikes, Weights(log_likelihood, log_prior, log_q, log_ratio, log_weight)


def window_bounds(
    learned: Learned, batch: Windows, key: OneOrEach, problem: Problem, config: FitConfig
) -> Float[Array, " batch"]:
    """Importance-weighted bound of every window, nats per frame."""
    inputs = network_inputs(problem, batch.trace, batch.cell)
    _, weights = draw_weights(learned, batch, inputs, key, problem, config)
    n_frames = config.window_frames - config.buffer_before - config.buffer_after
    return importance_weighted_bound(weights.log_weight) / n_frames


def _discrete_loss(weights: Weights, problem: Problem, batch: Windows, config: FitConfig) -> Array:
    if config.objective == "vimco":
        return vimco_loss(weights.log_weight, jnp.sum(weights.log_q, axis=0))
    steps = config.posterior.superresolution
    shape = (-1, steps, *weights.log_q.shape[1:])
    # a frame's likelihood counts at its last step: every spike of the frame is part of it
    likelihood = jnp.zeros_like(weights.log_q).reshape(shape).at[:, -1].set(weights.log_likelihood)
    per_step = likelihood.reshape(weights.log_q.shape) + weights.log_prior - weights.log_q
    per_step = per_step.at[0].add(weights.log_gain_ratio)
    horizon = LOCAL_HORIZON_DECAYS * jnp.mean(problem.decay_s[batch.cell]) * problem.frame_rate_hz * steps
    return local_loss(per_step, weights.log_q, horizon)


def _relaxed_loss(
    learned: Learned,
    batch: Windows,
    inputs: Float[Array, "batch time channel"],
    key: PRNGKeyArray,
    problem: Problem,
    config: FitConfig,
) -> Array:
    """Minus the evidence lower bound of concrete spikes."""
    draw = learned.posterior.draw(inputs, config.samples, key=key, temperature=config.temperature)
    spikes, log_q = draw.spikes, draw.log_prob
    gain, log_ratio = _draw_gain(learned, inputs, jax.random.fold_in(key, 1), config)
    observation, rate_hz = _of_cells(learned, batch, problem, config)
    log_likelihood = observation.log_prob(counted(batch.trace, config).T, spikes, problem.frame_rate_hz, gain)
    expected = rate_hz / (problem.frame_rate_hz * config.posterior.superresolution)
    frames, steps = _inside(config)
    total = jnp.sum(log_likelihood[frames], axis=0) + log_ratio
    total = total + jnp.sum((poisson_log_prob(spikes, expected) - log_q)[steps], axis=0)
    return -jnp.mean(total)


def _known_loss(
    learned: Learned,
    batch: Windows,
    inputs: Float[Array, "batch time channel"],
    spikes: Float[Array, "step sample batch"] | None,
    key: PRNGKeyArray,
    problem: Problem,
    config: FitConfig,
) -> Array:
    """Minus log q of the known spikes, and minus log p(trace | spikes) where a whole window is known, per frame."""
    frames, steps = _inside(config)
    known = batch.known.T
    given = jnp.isfinite(known)
    drawn = learned.posterior.draw(inputs, 1, key=key).spikes[:, 0] if spikes is None else spikes[:, 0]
    train = jnp.where(given, known, drawn)
    log_q = count_log_prob(learned.posterior.logits_given(inputs, train[:, None])[:, 0], train)
    log_q = jnp.sum(jnp.where(given, log_q, 0.0)[steps], axis=0)
    observation, _ = _of_cells(learned, batch, problem, config)
    log_likelihood = jnp.sum(
        observation.log_prob(counted(batch.trace, config).T, train, problem.frame_rate_hz)[frames], axis=0
    )
    whole = jnp.all(given[: steps.stop] | ~jnp.repeat(jnp.isfinite(batch.trace.T), _steps(config), 0)[: steps.stop], 0)
    whole = whole & jnp.any(given, axis=0)
    return -jnp.mean(log_q + jnp.where(whole, log_likelihood, 0.0)) / (frames.stop - frames.start)


def _draw_gain(
    learned: Learned, inputs: Float[Array, "batch time channel"], key: OneOrEach, config: FitConfig
) -> tuple[Float[Array, "sample batch"] | None, Float[Array, "sample batch"]]:
    """Amplitude factors and their log prior less log posterior; none and 0 where amplitudes are not inferred."""
    if learned.gain is None:
        return None, jnp.zeros((config.samples, inputs.shape[0]))
    gains = learned.gain.draw(inputs, config.samples, key=key)
    return jnp.exp(gains.log_gain), gains.log_ratio


def _of_cells(
    learned: Learned, batch: Windows, problem: Problem, config: FitConfig
) -> tuple[Observation, Float[Array, " batch"]]:
    observation = take_cells(generative(learned, problem, config), batch.cell)
    return observation, rates(learned, problem, config)[batch.cell]


def counted(trace: Float[Array, "batch time"], config: FitConfig) -> Float[Array, "batch time"]:
    """The trace between the buffers, NaN outside: what a window does not know of the past is not taken for drift."""
    frames, _ = _inside(config)
    return jnp.full_like(trace, jnp.nan).at[:, frames].set(trace[:, frames])


def _inside(config: FitConfig) -> tuple[slice, slice]:
    """Frames and steps between the buffers."""
    first, last = config.buffer_before, config.window_frames - config.buffer_after
    steps = _steps(config)
    return slice(first, last), slice(first * steps, last * steps)


def _steps(config: FitConfig) -> int:
    return config.posterior.superresolution


def _scale_gradient(tree: eqx.Module, factor: float) -> eqx.Module:
    """The same values, gradients times `factor`."""
    if factor == 1:
        return tree
    stop = jax.lax.stop_gradient
    if factor == 0:
        return jax.tree.map(lambda x: stop(x) if eqx.is_inexact_array(x) else x, tree)
    return jax.tree.map(lambda x: factor * x + stop((1 - factor) * x) if eqx.is_inexact_array(x) else x, tree)
