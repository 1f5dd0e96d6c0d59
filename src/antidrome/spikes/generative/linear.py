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

    amplitude: Float[Array, " neuron"] = parameter("positive")
    decay_s: Float[Array, " neuron"] = parameter("positive")
    rise_s: Float[Array, " neuron"] = parameter("positive")
    baseline: Float[Array, " neuron"] = parameter()

    def fluorescence(
        self, spikes: Real[Array, "time *samples neuron"], step_s: float
    ) -> Float[Array, "time *samples neuron"]:
        """See `AbstractGenerativeModel.fluorescence`."""
        rising = (self.rise_s > 0).astype(self.decay_s.dtype)
        rise = rising * jnp.exp(-step_s / jnp.where(self.rise_s > 0, self.rise_s, 1.0))
        spikes = spikes.astype(self.decay_s.dtype)
        response = decay_filter(spikes, jnp.exp(-step_s / self.decay_s)) - rising * decay_filter(spikes, rise)
        return self.amplitude / self._peak() * response + self.baseline

    def _peak(self) -> Float[Array, " neuron"]:
        """Peak of the unscaled response to one spike."""
        decay, rise = self.decay_s, jnp.clip(self.rise_s, 1e-6, 0.99 * self.decay_s)
        time = jnp.log(decay / rise) * decay * rise / (decay - rise)
        peak = jnp.exp(-time / decay) - jnp.exp(-time / rise)
        return jnp.where(self.rise_s > 0, peak, 1.0)
