"""The SCDF model: spikes, calcium, dye, fluorescence; facilitation and saturation."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from antidrome.spikes.generative.base import AbstractGenerativeModel, parameter
from antidrome.spikes.generative.dye import Bind, dye_per_spike

LONGEST_STEP_S = 0.02
"""Up to here binding goes by calcium at the beginning of a step; in longer ones calcium decays while the dye binds."""


class SCDFModel(AbstractGenerativeModel):
    r"""Spikes → calcium → dye → fluorescence: facilitation at few spikes, saturation at many.

    :math:`C_t = e^{-\Delta/\tau_C} C_{t-1} + s_t`,
    :math:`D_t = \Delta\,k\,C_t^{h}\,(D_{max} - \min(D_{t-1}, D_{max})) + e^{-\Delta/\tau_D} \min(D_{t-1}, D_{max})`,
    :math:`F_t = \alpha D_t / D_1 + \beta` (Speiser et al. 2017, the SCDF model, with its step made explicit).
    :math:`D_1` is the peak for one spike, so that ``amplitude`` keeps its meaning; the min() keeps the recurrence from
    overshooting. In steps longer than 20 ms the dye binds :math:`1 - e^{-b}` of what is free, where
    :math:`b = k\,C_t^{h}\,\tau_C / h\,(1 - e^{-h \Delta/\tau_C})` is the binding while calcium decays.

    Parameters
    ----------
    amplitude
        (neuron,) ΔF/F at the peak after one isolated spike.
    calcium_decay_s, dye_decay_s
        (neuron,) time constants, seconds.
    binding_rate_hz
        (neuron,) k, bindings per second at one spike's calcium.
    hill
        (neuron,) h, exponent; above 1 means facilitation.
    saturation
        (neuron,) D_max in units of bound dye.
    baseline
        (neuron,) ΔF/F without spikes.
    """

    amplitude: Float[Array, " neuron"] = parameter("positive")
    calcium_decay_s: Float[Array, " neuron"] = parameter("positive")
    dye_decay_s: Float[Array, " neuron"] = parameter("positive")
    binding_rate_hz: Float[Array, " neuron"] = parameter("positive")
    hill: Float[Array, " neuron"] = parameter("above one")
    saturation: Float[Array, " neuron"] = parameter("positive")
    baseline: Float[Array, " neuron"] = parameter()

    def fluorescence(
        self, spikes: Real[Array, "time *samples neuron"], step_s: float
    ) -> Float[Array, "time *samples neuron"]:
        """See `AbstractGenerativeModel.fluorescence`."""
        dye = dye_per_spike(self._binding(step_s), spikes.astype(self.amplitude.dtype), step_s)
        return self.amplitude * dye + self.baseline

    def _binding(self, step_s: float) -> Bind:
        calcium_factor = jnp.exp(-step_s / self.calcium_decay_s)
        dye_factor = jnp.exp(-step_s / self.dye_decay_s)
        short = jnp.asarray(step_s <= LONGEST_STEP_S)
        decay_s = self.calcium_decay_s / self.hill  # of calcium to the power of h
        binding_s = jnp.where(short, step_s, -decay_s * jnp.expm1(-step_s / decay_s))
        return eqx.Partial(
            _bind, calcium_factor, dye_factor, binding_s * self.binding_rate_hz, short, self.hill, self.saturation
        )


def _bind(
    calcium_factor: Array,
    dye_factor: Array,
    binding_per_step: Array,
    short: Array,
    hill: Array,
    saturation: Array,
    state: Array,
    spike: Array,
) -> tuple[Array, Array]:
    calcium = calcium_factor * state[0] + spike
    dye = jnp.minimum(state[1], saturation)
    power = jnp.where(calcium > 0, jnp.exp(hill * jnp.log(jnp.maximum(calcium, 1e-12))), 0.0)
    binding = binding_per_step * power
    binding = jnp.where(short, jnp.minimum(binding, 1.0), -jnp.expm1(-binding))
    dye = binding * (saturation - dye) + dye_factor * dye
    return jnp.stack([calcium, dye]), dye
