"""Priors on spikes: on the count of a window, or on the rate of a cell."""

from __future__ import annotations

import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, Real


def binomial_count_log_prob(total: Real[Array, "..."], n_steps: int, probability: float | Array) -> Float[Array, "..."]:
    """Binomial log probability of a window's spike count, whatever their places (the prior of Speiser et al. 2017).

    Weaker than one on every step: it says how many spikes there are, and nothing of where.
    """
    total = jnp.minimum(jnp.asarray(total, float), n_steps)
    ways = gammaln(n_steps + 1.0) - gammaln(total + 1) - gammaln(n_steps - total + 1)
    return ways + total * jnp.log(probability) + (n_steps - total) * jnp.log1p(-probability)


def poisson_log_prob(spikes: Real[Array, "..."], expected: Float[Array, "..."]) -> Float[Array, "..."]:
    """Poisson log probability of every step, `expected` spikes each."""
    return spikes * jnp.log(expected) - expected - gammaln(spikes + 1)
