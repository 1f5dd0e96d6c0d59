"""The gated unit of the autoregressive posterior: over a given drive, or drawing spikes as it goes."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from antidrome.spikes.recognition import Dense, gated_step
from antidrome.spikes.variational.levels import clip_logits


class GatedUnit(eqx.Module):
    """Gated recurrent unit whose input is mapped for all steps at once."""

    input_map: Dense
    recurrent: Float[Array, "unit gates"]

    def __init__(self, size_in: int, units: int, *, key: PRNGKeyArray):
        first, second = jax.random.split(key)
        self.input_map = Dense(size_in, 3 * units, key=first)
        self.recurrent = jax.random.normal(second, (units, 3 * units)) / jnp.sqrt(units)

    def step(
        self, state: Float[Array, "*lanes unit"], drive: Float[Array, "*lanes gates"]
    ) -> Float[Array, "*lanes unit"]:
        """The next state."""
        return gated_step(state, drive, self.recurrent)


def run(
    unit: GatedUnit, drive: Float[Array, "step *lanes gates"], *, reverse: bool = False
) -> Float[Array, "step *lanes unit"]:
    """States over a given drive."""
    start = jnp.zeros((*drive.shape[1:-1], unit.recurrent.shape[0]), drive.dtype)

    def step(state: Array, now: Array) -> tuple[Array, Array]:
        state = unit.step(state, now)
        return state, state

    return jax.lax.scan(step, start, drive, reverse=reverse)[1]


def run_sampling(
    unit: GatedUnit,
    spike_weight: Float[Array, " gates"],
    readout: Dense,
    gates: Float[Array, "step batch gates"],
    odds: Float[Array, "step batch level"],
    uniform: Float[Array, "step sample batch level"],
    choose: Callable[[Array, Array], tuple[Array, Array]],
) -> tuple[Array, Array, Array]:
    """Draw spikes step by step; every step sees the count drawn before it.

    Parameters
    ----------
    choose
        (log odds, uniform numbers) → counts and their log probability.

    Returns
    -------
    spikes and their log probability (step, sample, batch), and the log odds (…, level) they were drawn from.
    """
    lanes = uniform.shape[1:3]
    start = (jnp.zeros((*lanes, unit.recurrent.shape[0]), gates.dtype), jnp.zeros(lanes, gates.dtype))

    @jax.checkpoint
    def step(carry: tuple[Array, Array], now: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], tuple]:
        state, before = carry
        drive, bias, chance = now
        state = unit.step(state, drive + before[..., None] * spike_weight)
        logits = clip_logits(bias + readout(state))
        spikes, log_prob = choose(logits, chance)
        return (state, spikes), (spikes, log_prob, logits)

    return jax.lax.scan(step, start, (gates, odds, uniform))[1]
