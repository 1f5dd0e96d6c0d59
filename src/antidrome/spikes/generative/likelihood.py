"""What a trace says about spikes: Gaussian noise around the model's frames, with or without a drifting baseline."""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from antidrome.spikes.generative.base import AbstractGenerativeModel, parameter
from antidrome.spikes.generative.filters import over_samples, random_walk

Exposure = Literal["frame", "instant"]


class Observation(eqx.Module):
    r"""p(fluorescence | spikes): any generative model, recorded in frames with noise.

    Without drift a frame is :math:`\mathcal N(F_t, \sigma^2)`. With ``drift_s`` the baseline wanders: a random walk
    :math:`b` with penalty :math:`\lambda \sum (b_t - b_{t-1})^2` is fitted to the residual :math:`r = f - F` by least
    squares for every spike train, which also integrates it out: the quadratic form of the marginal Gaussian is
    :math:`r^\top (r - b)/\sigma^2`, and its normalisation does not depend on the spikes.

    Parameters
    ----------
    model
        From spikes to noiseless ΔF/F.
    noise_sd
        (neuron,) SD of a frame's noise, ΔF/F.
    superresolution
        Grid steps of the spikes per frame; a frame is the mean over its steps.
    drift_s
        Time over which the baseline is averaged, seconds; 0 for a constant baseline.
    exposure
        "instant": steps are read at their ends. "frame": light is collected during the whole frame, so that a step is
        the mean of its beginning and its end, and a spike, which comes half way in the mean, shows half in its own.
    """

    model: AbstractGenerativeModel
    noise_sd: Float[Array, " neuron"] = parameter("positive")
    superresolution: int = eqx.field(static=True, default=1)
    drift_s: float = eqx.field(static=True, default=0.0)
    exposure: Exposure = eqx.field(static=True, default="instant")

    def frames(
        self,
        spikes: Real[Array, "step *samples neuron"],
        frame_rate_hz: float,
        gain: Float[Array, "*samples neuron"] | None = None,
    ) -> Float[Array, "time *samples neuron"]:
        """Noiseless ΔF/F of every frame; `gain` multiplies what the spikes add (an inferred amplitude)."""
        steps = self.superresolution
        step_s = 1 / (frame_rate_hz * steps)
        fine = self.model.fluorescence(spikes, step_s)
        if gain is not None:
            silent = self.model.fluorescence(jnp.zeros((spikes.shape[0], spikes.shape[-1])), step_s)
            silent = over_samples(silent, fine)
            fine = silent + gain * (fine - silent)
        if self.exposure == "frame":
            fine = (fine + jnp.concatenate([fine[:1], fine[:-1]])) / 2
        if steps == 1:
            return fine
        return jnp.mean(fine.reshape(fine.shape[0] // steps, steps, *fine.shape[1:]), axis=1)

    def baseline(
        self,
        fluorescence: Float[Array, "time neuron"],
        frames: Float[Array, "time *samples neuron"],
        observed: Bool[Array, "time neuron"],
        frame_rate_hz: float,
    ) -> Float[Array, "time *samples neuron"]:
        """What drift adds to `frames`: zero without drift."""
        if not self.drift_s:
            return jnp.zeros_like(frames)
        residual = over_samples(jnp.where(observed, fluorescence, 0.0), frames) - frames
        return random_walk(residual, observed, self.drift_s * frame_rate_hz)

    def log_prob(
        self,
        fluorescence: Float[Array, "time neuron"],
        spikes: Real[Array, "step *samples neuron"],
        frame_rate_hz: float,
        gain: Float[Array, "*samples neuron"] | None = None,
    ) -> Float[Array, "time *samples neuron"]:
        """Log density of every frame; NaN frames contribute 0. Sum over time for that of the trace.

        Parameters
        ----------
        fluorescence
            ΔF/F, NaN where missing.
        spikes
            Counts on the grid of `superresolution` steps a frame; axes between time and neuron are samples.
        gain
            See `frames`.
        """
        frames = self.frames(spikes, frame_rate_hz, gain)
        observed = jnp.isfinite(fluorescence)
        drift = self.baseline(fluorescence, frames, observed, frame_rate_hz)
        residual = over_samples(jnp.where(observed, fluorescence, 0.0), frames) - frames
        square = residual * (residual - drift) / self.noise_sd**2
        density = -0.5 * square - jnp.log(self.noise_sd) - 0.5 * jnp.log(2 * jnp.pi)
        return jnp.where(over_samples(observed, frames), density, 0.0)
