"""The supervised objective of the recognition network: likelihood of the true counts, and correlation at two time
scales.

Maximising log q(true counts | trace) over simulated pairs is amortised inference in its plainest form (the inclusive
Kullback–Leibler divergence). The correlation terms sharpen what the likelihood leaves blurred: timing, and the relative
size of events within a cell.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from antidrome.spikes.counts import CountPosterior

SMOOTHING_S = (0.02, 0.2)
CORRELATION_WEIGHT = 1.0
SPIKE_SOFTENING = 4.0


def supervised_loss(
    posterior: CountPosterior,
    counts: Float[Array, "batch time"],
    inside: Float[Array, "batch time"],
    frame_rate_hz: Float[Array, " batch"],
) -> Float[Array, ""]:
    """Mean over the batch of negative log likelihood per spike minus the correlations of the smoothed traces.

    Parameters
    ----------
    posterior
        Of every frame.
    counts
        True spikes per frame.
    inside
        1 where the frame counts, 0 for padding.
    frame_rate_hz
        Of each sample; sets the widths of the smoothing.
    """
    n_spikes = jnp.sum(counts * inside, axis=1)
    likelihood = jnp.sum(posterior.log_prob(counts) * inside, axis=1)
    per_spike = likelihood / (n_spikes + SPIKE_SOFTENING)
    correlations = [
        _correlation(
            smooth(posterior.mean * inside, frame_rate_hz * width),
            smooth(counts * inside, frame_rate_hz * width),
            inside,
        )
        for width in SMOOTHING_S
    ]
    defined = (n_spikes > 0).astype(counts.dtype)
    agreement = sum(jnp.sum(r * defined) / (jnp.sum(defined) + 1.0) for r in correlations)
    return -jnp.mean(per_spike) - CORRELATION_WEIGHT * agreement


def smooth(x: Float[Array, "batch time"], width_frames: Float[Array, " batch"]) -> Float[Array, "batch time"]:
    """Gaussian smoothing, each sample with its own width (SD, frames), by the Fourier transform with padding."""
    n = x.shape[1]
    size = 2 * n
    frequency = jnp.fft.rfftfreq(size)
    response = jnp.exp(-2 * (jnp.pi * frequency[None] * width_frames[:, None]) ** 2)
    return jnp.fft.irfft(jnp.fft.rfft(x, size) * response, size)[:, :n]


def _correlation(
    a: Float[Array, "batch time"], b: Float[Array, "batch time"], inside: Float[Array, "batch time"]
) -> Float[Array, " batch"]:
    """Pearson correlation over the frames inside; 0 where one side is constant."""
    n = jnp.maximum(jnp.sum(inside, axis=1, keepdims=True), 1.0)
    a = (a - jnp.sum(a * inside, axis=1, keepdims=True) / n) * inside
    b = (b - jnp.sum(b * inside, axis=1, keepdims=True) / n) * inside
    norm = jnp.sqrt(jnp.sum(a**2, axis=1) * jnp.sum(b**2, axis=1) + 1e-10)
    return jnp.sum(a * b, axis=1) / norm
