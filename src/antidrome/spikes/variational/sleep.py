"""Sleep steps: the network learns from traces that the generative models dream up, with spikes that are known."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from antidrome.spikes.generative import Observation, from_unconstrained, map_parameters, take_cells
from antidrome.spikes.variational.amplitude import PRIOR_SD
from antidrome.spikes.variational.config import FitConfig
from antidrome.spikes.variational.levels import count_log_prob
from antidrome.spikes.variational.problem import Learned, Problem, free_parameters, network_inputs, rates
from antidrome.spikes.variational.windows import Windows

RATE_SPREAD = 0.7
"""SD of the log rate over windows: a cell is not always equally active."""
EDGE = 20
"""Frames left out at both ends: spikes there are known, but the network sees only one side of them."""
LONGEST_BURST = 4
DRIFT_SD = 2.0
"""SD of a simulated drift, in noise SDs."""


def sleep_loss(learned: Learned, batch: Windows, key: PRNGKeyArray, problem: Problem, config: FitConfig) -> Array:
    """Minus log q(spikes | trace) per step, for traces simulated for the batch's cells; the very ends are left out.

    Generative parameters are given, not learned here; they are jittered for every window, so that the network does not
    rely on their being exact. Missing frames are those of the real windows.
    """
    spikes, trace, log_gain = dream(learned, batch, key, problem, config)
    inputs = network_inputs(problem, trace, batch.cell)
    logits = learned.posterior.logits_given(inputs, spikes[:, None])[:, 0]
    log_q = count_log_prob(logits, spikes)
    steps = config.posterior.superresolution
    first, last = min(EDGE, config.buffer_before), config.window_frames - min(EDGE, config.buffer_after)
    inside = slice(first * steps, last * steps)
    loss = -jnp.mean(log_q[inside])
    if learned.gain is not None:
        loss = loss - jnp.mean(learned.gain.log_prob(inputs, log_gain)) / (inside.stop - inside.start)
    return loss


def dream(
    learned: Learned, batch: Windows, key: PRNGKeyArray, problem: Problem, config: FitConfig
) -> tuple[Float[Array, "step batch"], Float[Array, "batch time"], Float[Array, " batch"]]:
    """Simulate one window for every window of the batch: spikes, trace, log amplitude factor; no gradient.

    The simulation starts a buffer earlier, so that windows begin in the middle of things as real ones do.
    """
    keys = jax.random.split(key, 6)
    steps = config.posterior.superresolution
    lead = config.buffer_before
    n_frames = lead + config.window_frames
    observation = _jittered(learned, batch, keys[0], problem, config)
    n = batch.cell.shape[0]
    rate_hz = jax.lax.stop_gradient(rates(learned, problem, config))[batch.cell]
    wander = jnp.exp(RATE_SPREAD * jax.random.normal(keys[1], (n,)) - RATE_SPREAD**2 / 2)
    expected = rate_hz * wander / (problem.frame_rate_hz * steps)
    shape = (n_frames * steps, n)
    events = expected / _spikes_per_event(config.burst)
    spikes = jax.random.poisson(keys[2], jnp.broadcast_to(events, shape)).astype(jnp.float32)
    spikes = jnp.minimum(_with_bursts(spikes, jax.random.fold_in(keys[2], 1), config.burst), config.posterior.max_count)
    log_gain = jnp.zeros(n) if learned.gain is None else PRIOR_SD * jax.random.normal(keys[3], (n,))
    frames = observation.frames(spikes, problem.frame_rate_hz, jnp.exp(log_gain))
    noise = observation.noise_sd * jax.random.normal(keys[4], frames.shape)
    trace = (frames + noise + _drift(observation, keys[5], frames.shape, problem))[lead:].T
    trace = jnp.where(jnp.isfinite(batch.trace), trace, jnp.nan)
    return spikes[lead * steps :], jax.lax.stop_gradient(trace), log_gain


def _spikes_per_event(burst: float) -> float:
    return sum(burst**k for k in range(LONGEST_BURST))


def _with_bursts(spikes: Float[Array, "step batch"], key: PRNGKeyArray, burst: float) -> Float[Array, "step batch"]:
    """Every event goes on with a further spike in the next step, and so on, with probability `burst`."""
    if not burst:
        return spikes
    going, out = (spikes > 0).astype(spikes.dtype), spikes
    for k in range(1, LONGEST_BURST):
        chance = jax.random.bernoulli(jax.random.fold_in(key, k), burst, spikes.shape)
        going = jnp.concatenate([jnp.zeros_like(going[:1]), going[:-1]]) * chance
        out = out + going
    return out


def _jittered(learned: Learned, batch: Windows, key: PRNGKeyArray, problem: Problem, config: FitConfig) -> Observation:
    """Every window's own parameters, around its cell's."""
    free = take_cells(jax.lax.stop_gradient(free_parameters(learned, problem, config)), batch.cell)
    noise = problem.noise_sd[batch.cell]
    counter = itertools.count()

    def jitter(x: Array, field: Mapping[str, Any]) -> Array:
        if field.get("shared"):
            return x
        real = field.get("support", "real") == "real"
        return x + config.parameter_jitter * jax.random.normal(jax.random.fold_in(key, next(counter)), x.shape) * (
            noise if real else 1.0
        )

    return from_unconstrained(map_parameters(free, jitter))


def _drift(observation: Observation, key: PRNGKeyArray, shape: tuple[int, ...], problem: Problem) -> Array:
    """A slow random walk where the observation allows for one."""
    if not observation.drift_s:
        return jnp.zeros(shape)
    factor = jnp.exp(-1 / (3 * observation.drift_s * problem.frame_rate_hz))
    size = DRIFT_SD * observation.noise_sd * jnp.sqrt(1 - factor**2)

    def step(state: Array, now: Array) -> tuple[Array, Array]:
        state = factor * state + size * now
        return state, state

    return jax.lax.scan(step, jnp.zeros(shape[1:]), jax.random.normal(key, shape))[1]
