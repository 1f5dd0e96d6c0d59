"""A small neural observation model: linear calcium, then a nonlinearity that is learned from all cells together."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Real

from antidrome.spikes.generative.base import AbstractGenerativeModel, parameter
from antidrome.spikes.generative.linear import LinearModel

N_UNITS = 6
"""Of the network."""


class NeuralModel(AbstractGenerativeModel):
    r"""AR(2) calcium in units of one spike, passed through a monotone network shared by all cells.

    :math:`F = \alpha\, g(c)/g(1) + \beta` with :math:`g(c) = c + \sum_h e^{w_h} [\tanh(e^{v_h} c - b_h) + \tanh b_h]`:
    increasing and 0 at 0 whatever the weights are, close to linear at the start; bends either way (facilitation by
    units whose :math:`b_h` is positive, saturation by those where it is not).

    Parameters
    ----------
    calcium
        Linear response, its amplitude in ΔF/F.
    log_height, log_slope, threshold
        (unit,) w, v and b, shared by all cells.
    """

    calcium: LinearModel
    log_height: Float[Array, " unit"] = parameter(shared=True)
    log_slope: Float[Array, " unit"] = parameter(shared=True)
    threshold: Float[Array, " unit"] = parameter(shared=True)

    @classmethod
    def around(cls, calcium: LinearModel, *, key: PRNGKeyArray) -> NeuralModel:
        """Start close to the linear model."""
        dtype = calcium.amplitude.dtype
        return cls(
            calcium,
            jnp.full(N_UNITS, -3.0, dtype) + 0.1 * jax.random.normal(key, (N_UNITS,), dtype),
            jnp.linspace(-1.5, 1.0, N_UNITS).astype(dtype),
            jnp.where(jnp.arange(N_UNITS) % 2 == 0, 0.0, 1.5).astype(dtype),
        )

    def fluorescence(
        self, spikes: Real[Array, "time *samples neuron"], step_s: float
    ) -> Float[Array, "time *samples neuron"]:
        """See `AbstractGenerativeModel.fluorescence`."""
        linear = self.calcium.fluorescence(spikes, step_s) - self.calcium.baseline
        one = jnp.ones((), linear.dtype)
        bent = self._bend(linear / self.calcium.amplitude) / self._bend(one)
        return self.calcium.amplitude * bent + self.calcium.baseline

    def _bend(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        height, slope = jnp.exp(self.log_height), jnp.exp(self.log_slope)
        inputs = x
        for h in range(len(self.threshold)):
            x = x + height[h] * (jnp.tanh(slope[h] * inputs - self.threshold[h]) + jnp.tanh(self.threshold[h]))
        return x
