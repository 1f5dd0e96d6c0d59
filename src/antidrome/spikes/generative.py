"""Generative models of fluorescence: what a spike train does to a calcium indicator.

Each model is an immutable module whose array fields hold one value per cell, in physical units, so that the same
parameters serve every frame rate. ``fluorescence(spikes, step_s)`` maps spike counts on a regular time grid to
noiseless ΔF/F on the same grid, for many cells at once.

References
----------
Speiser et al. (2017), Fast amortized inference of neural activity from calcium imaging data with variational
autoencoders, NeurIPS 30; Vogelstein et al. (2010), J Neurophysiol 104 (AR models); Deneux et al. (2016), Nat Commun 7.
"""

from __future__ import annotations

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real


class AbstractGenerativeModel(eqx.Module):
    """What turns spikes into fluorescence; one parameter value per cell."""

    @abstractmethod
    def fluorescence(self, spikes: Real[Array, "time neuron"], step_s: float) -> Float[Array, "time neuron"]:
        """Noiseless ΔF/F (fraction) at the end of each grid step of ``step_s`` seconds."""


class LinearModel(AbstractGenerativeModel):
    r"""Linear indicator: AR(1) decay, or AR(2) with a rise (difference of two exponentials).

    With :math:`\gamma = e^{-\Delta/\tau}`: :math:`c_t = \gamma_d c_{t-1} + s_t`, :math:`r_t = \gamma_r r_{t-1} + s_t`
    and :math:`F_t = \alpha (c_t - r_t)/p + \beta`, where :math:`p` is the peak of the difference for one spike, so that
    one spike raises the trace by ``amplitude`` at its peak. ``rise_s = 0`` gives AR(1) (Speiser et al. 2017, "FOOPSI").

    Parameters
    ----------
    amplitude
        (neuron,) ΔF/F at the peak after one spike.
    decay_s
        (neuron,) decay time constant, seconds.
    rise_s
        (neuron,) rise time constant, seconds; 0 means an instantaneous rise.
    baseline
        (neuron,) ΔF/F without spikes.
    """

    amplitude: Float[Array, " neuron"]
    decay_s: Float[Array, " neuron"]
    rise_s: Float[Array, " neuron"]
    baseline: Float[Array, " neuron"]

    def fluorescence(self, spikes: Real[Array, "time neuron"], step_s: float) -> Float[Array, "time neuron"]:
        """See `AbstractGenerativeModel.fluorescence`."""
        decay = jnp.exp(-step_s / self.decay_s)
        rise = jnp.where(self.rise_s > 0, jnp.exp(-step_s / jnp.maximum(self.rise_s, 1e-6)), 0.0)
        rising = (self.rise_s > 0).astype(decay.dtype)
        factors = jnp.stack([decay, rise])

        def step(state: Array, spike: Array) -> tuple[Array, Array]:
            state = factors * state + spike
            return state, state[0] - rising * state[1]

        _, response = jax.lax.scan(step, jnp.zeros_like(factors), spikes.astype(decay.dtype))
        return self.amplitude / self._peak() * response + self.baseline

    def _peak(self) -> Float[Array, " neuron"]:
        """Peak of the unscaled response to one spike."""
        decay, rise = self.decay_s, jnp.clip(self.rise_s, 1e-6, 0.99 * self.decay_s)
        time = jnp.log(decay / rise) * decay * rise / (decay - rise)
        peak = jnp.exp(-time / decay) - jnp.exp(-time / rise)
        return jnp.where(self.rise_s > 0, peak, 1.0)


class SCDFModel(AbstractGenerativeModel):
    r"""Spikes → calcium → dye → fluorescence: facilitation at few spikes, saturation at many.

    :math:`C_t = e^{-\Delta/\tau_C} C_{t-1} + s_t`,
    :math:`D_t = \Delta\,k\,C_t^{h}\,(D_{max} - \min(D_{t-1}, D_{max})) + e^{-\Delta/\tau_D} \min(D_{t-1}, D_{max})`,
    :math:`F_t = \alpha D_t / D_1 + \beta` (Speiser et al. 2017, the SCDF model, with its step made explicit).
    :math:`D_1` is the peak for one spike, so that ``amplitude`` keeps its meaning; the min() keeps the recurrence from
    overshooting.

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

    amplitude: Float[Array, " neuron"]
    calcium_decay_s: Float[Array, " neuron"]
    dye_decay_s: Float[Array, " neuron"]
    binding_rate_hz: Float[Array, " neuron"]
    hill: Float[Array, " neuron"]
    saturation: Float[Array, " neuron"]
    baseline: Float[Array, " neuron"]

    def fluorescence(self, spikes: Real[Array, "time neuron"], step_s: float) -> Float[Array, "time neuron"]:
        """See `AbstractGenerativeModel.fluorescence`."""
        steps = max(1, int(2.0 / step_s))
        single = jnp.zeros((steps, self.amplitude.shape[0]), self.amplitude.dtype).at[0].set(1.0)
        peak = jnp.max(self._bound_dye(single, step_s), axis=0)
        return self.amplitude / jnp.maximum(peak, 1e-9) * self._bound_dye(spikes, step_s) + self.baseline

    def _bound_dye(self, spikes: Real[Array, "time neuron"], step_s: float) -> Float[Array, "time neuron"]:
        calcium_factor = jnp.exp(-step_s / self.calcium_decay_s)
        dye_factor = jnp.exp(-step_s / self.dye_decay_s)

        def step(state: Array, spike: Array) -> tuple[Array, Array]:
            calcium = calcium_factor * state[0] + spike
            dye = jnp.minimum(state[1], self.saturation)
            binding = (
                step_s * self.binding_rate_hz * jnp.where(calcium > 0, jnp.maximum(calcium, 1e-12) ** self.hill, 0.0)
            )
            dye = jnp.minimum(binding, 1.0) * (self.saturation - dye) + dye_factor * dye
            return jnp.stack([calcium, dye]), dye

        start = jnp.zeros((2, self.amplitude.shape[0]), self.amplitude.dtype)
        _, dye = jax.lax.scan(step, start, spikes.astype(self.amplitude.dtype))
        return dye
