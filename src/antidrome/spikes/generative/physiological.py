"""The physiological model of MLspike: buffered calcium, a cooperative indicator with kinetics, and saturation."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from antidrome.spikes.generative.base import AbstractGenerativeModel, parameter
from antidrome.spikes.generative.dye import Bind, dye_per_spike


class PhysiologicalModel(AbstractGenerativeModel):
    r"""Spikes → calcium above rest → cooperative binding with its own speed → fluorescence.

    :math:`C_t = e^{-\Delta/\tau} C_{t-1} + s_t`, :math:`u_t = (c_0 + C_t)^\eta - c_0^\eta`,
    :math:`D_t = \min(1/\gamma,\; D_{t-1} \max(0, 1 - \tfrac{\Delta}{\kappa}(1 + \gamma u_t)) +
    \tfrac{\Delta}{\kappa} u_t)`, :math:`F_t = \alpha D_t / D_1 + \beta` (Deneux et al. 2016, Nature Communications 7;
    as in Speiser et al. 2017). :math:`D_1` is the peak for one spike. Where :math:`\Delta (1 + \gamma u) / \kappa`
    exceeds 1 the binding reaches its equilibrium :math:`u/(1 + \gamma u)` within the step instead of passing it.

    Parameters
    ----------
    amplitude
        (neuron,) ΔF/F at the peak after one isolated spike.
    decay_s
        (neuron,) decay of calcium, seconds.
    resting_calcium
        (neuron,) c₀, calcium at rest in units of one spike's.
    hill
        (neuron,) η, cooperativity of the indicator; above 1.
    saturation
        (neuron,) γ; the dye is bound by at most 1/γ.
    binding_s
        (neuron,) κ, time constant of the indicator at rest, seconds.
    baseline
        (neuron,) ΔF/F without spikes.
    """

    amplitude: Float[Array, " neuron"] = parameter("positive")
    decay_s: Float[Array, " neuron"] = parameter("positive")
    resting_calcium: Float[Array, " neuron"] = parameter("positive")
    hill: Float[Array, " neuron"] = parameter("above one")
    saturation: Float[Array, " neuron"] = parameter("positive")
    binding_s: Float[Array, " neuron"] = parameter("positive")
    baseline: Float[Array, " neuron"] = parameter()

    def fluorescence(
        self, spikes: Real[Array, "time *samples neuron"], step_s: float
    ) -> Float[Array, "time *samples neuron"]:
        """See `AbstractGenerativeModel.fluorescence`."""
        dye = dye_per_spike(self._binding(step_s), spikes.astype(self.amplitude.dtype), step_s)
        return self.amplitude * dye + self.baseline

    def _binding(self, step_s: float) -> Bind:
        factor = jnp.exp(-step_s / self.decay_s)
        at_rest = self.resting_calcium**self.hill
        speed = step_s / self.binding_s
        return eqx.Partial(_bind, factor, self.resting_calcium, at_rest, self.hill, speed, self.saturation)


def _bind(
    factor: Array,
    resting_calcium: Array,
    at_rest: Array,
    hill: Array,
    speed: Array,
    saturation: Array,
    state: Array,
    spike: Array,
) -> tuple[Array, Array]:
    calcium = factor * state[0] + spike
    drive = jnp.exp(hill * jnp.log(resting_calcium + calcium)) - at_rest
    share = jnp.minimum(speed * (1 + saturation * drive), 1.0)
    target = drive / (1 + saturation * drive)
    dye = jnp.minimum(state[1] + share * (target - state[1]), 1 / saturation)
    return jnp.stack([calcium, dye]), dye
