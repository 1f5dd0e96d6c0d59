"""The inferred amplitude: a factor on the cell's own, drawn for every window and every sample."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from antidrome.spikes.draws import OneOrEach, draw_rows
from antidrome.spikes.recognition import Dense

HIDDEN = 16
PRIOR_SD = 0.3
"""SD of the log factor (Speiser et al. 2017 use 0.3)."""


class GainDraw(NamedTuple):
    """Log factor of every sample, and log prior minus log posterior of it."""

    log_gain: Float[Array, "sample batch"]
    log_ratio: Float[Array, "sample batch"]


class AmplitudePosterior(eqx.Module):
    """Normal posterior of the log factor, from the mean, spread and extremes of what the spike network reads."""

    hidden: Dense
    head: Dense

    def __init__(self, n_channels: int, *, key: PRNGKeyArray):
        first, second = jax.random.split(key)
        self.hidden = Dense(4 * n_channels, HIDDEN, key=first)
        self.head = eqx.tree_at(lambda d: d.bias, Dense(HIDDEN, 2, key=second, scale=0.1), jnp.array([0.0, -1.2]))

    def moments(self, inputs: Float[Array, "batch time channel"]) -> tuple[Array, Array]:
        """Mean and SD of the log factor, (batch,)."""
        summary = (jnp.mean(inputs, 1), jnp.std(inputs, 1), jnp.max(inputs, 1), jnp.min(inputs, 1))
        summary = jnp.concatenate([jnp.arcsinh(x) for x in summary], axis=-1)
        mean, spread = jnp.moveaxis(self.head(jax.nn.silu(self.hidden(summary))), -1, 0)
        return mean, jax.nn.softplus(spread) + 0.01

    def draw(self, inputs: Float[Array, "batch time channel"], n_samples: int, *, key: OneOrEach) -> GainDraw:
        """Reparameterised samples."""
        mean, sd = self.moments(inputs)
        noise = draw_rows(jax.random.normal, key, (n_samples, mean.shape[0]), mean.dtype, axis=1)
        log_gain = mean + sd * noise
        prior = -0.5 * (log_gain / PRIOR_SD) ** 2 - jnp.log(PRIOR_SD)
        return GainDraw(log_gain, prior - (-0.5 * noise**2 - jnp.log(sd)))

    def log_prob(
        self, inputs: Float[Array, "batch time channel"], log_gain: Float[Array, " batch"]
    ) -> Float[Array, " batch"]:
        """Log density of a known log factor."""
        mean, sd = self.moments(inputs)
        return -0.5 * ((log_gain - mean) / sd) ** 2 - jnp.log(sd) - 0.5 * jnp.log(2 * jnp.pi)
