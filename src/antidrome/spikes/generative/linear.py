"""Linear indicators: AR(1) and AR(2).

References
----------
Speiser et al. (2017), Fast amortized inference of neural activity from calcium imaging data with variational
autoencoders, NeurIPS 30; Vogelstein et al. (2010), J Neurophysiol 104 (AR models).
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from antidrome.spikes.generative.base import AbstractGenerativeModel, parameter
from antidrome.spikes.generative.filters import decay_filter


class LinearModel(AbstractGenerativeModel):
    r"""Linear indicator: AR(1) decay, or AR(2) with a rise (difference of two exponentials).

    With :math:`\gamma = e^{-\Delta/\tau}`: :math:`c_t = \gamma_d c_{t-1} + \gamma_d^{1/2} s_t`,
    :math:`r_t = \gamma_r r_{t-1} + \gamma_r^{1/2} s_t` and :math:`F_t = \alpha (c_t - r_t)/p + \beta`, where :math:`p`
    is the peak of the difference for one spike, so that one spike raises the trace by ``amplitude`` at its peak. Spikes
    come half way through their step: at its end nothing would show of them. ``rise_s = 0`` gives AR(1),
    :math:`F_t = \alpha c_t + \beta` with :math:`c_t = \gamma_d c_{t-1} + s_t` (Speiser et al. 2017, "FOOPSI").

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

    amplitude: Float[Array, " neuron"] = parameter("positive")
    decay_s: Float[Array, " neuron"] = parameter("positive")
    rise_s: Float[Array, " neuron"] = parameter("positive")
    baseline: Float[Array, " neuron"] = parameter()

    def fluorescence(
        self, spikes: Real[Array, "time *samples neuron"], step_s: float
    ) -> Float[Array, "time *samples neuron"]:
        """See `AbstractGenerativeModel.fluorescence`."""
        rises = self.rise_s > 0
        half_decay = jnp.exp(-0.5 * step_s / self.decay_s)
        half_rise = jnp.where(rises, jnp.exp(-0.5 * step_s / jnp.where(rises, self.rise_s, 1.0)), 0.0)
        spikes = spikes.astype(self.decay_s.dtype)
        decaying = jnp.where(rises, half_decay, 1.0) * decay_filter(spikes, half_decay**2)
        response = decaying - half_rise * decay_filter(spikes, half_rise**2)
        return self.amplitude / self._peak() * response + self.baseline

    def _peak(self) -> Float[Array, " neuron"]:
        """Peak of the unscaled response to one spike."""
        decay, rise = self.decay_s, jnp.clip(self.rise_s, 1e-6, 0.99 * self.decay_s)
        time = jnp.log(decay / rise) * decay * rise / (decay - rise)
        peak = jnp.exp(-time / decay) - jnp.exp(-time / rise)
        return jnp.where(self.rise_s > 0, peak, 1.0)
