"""Priors on spikes: on the count of a window, or on the rate of a cell."""

from __future__ import annotations

import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, Real

SMALLEST_CHANCE = 1e-6


def binomial_count_log_prob(total: Real[Array, "..."], n_most: int, probability: float | Array) -> Float[Array, "..."]:
    """Binomial log probability of a window's spike count, whatever their places (the prior of Speiser et al. 2017).

    Weaker than one on every step: it says how many spikes there are, and nothing of where.

    Parameters
    ----------
    total
        Spikes of the window.
    n_most
        The most that it can hold.
    probability
        Of each of these, kept between 1e-6 and 1 - 1e-6.
    """
    total = jnp.minimum(jnp.asarray(total, float), n_most)
    probability = jnp.clip(probability, SMALLEST_CHANCE, 1 - SMALLEST_CHANCE)
    ways = gammaln(n_most + 1.0) - gammaln(total + 1) - gammaln(n_most - total + 1)
    return ways + total * jnp.log(probability) + (n_most - total) * jnp.log1p(-probability)


def poisson_log_prob(spikes: Real[Array, "..."], expected: Float[Array, "..."]) -> Float[Array, "..."]:
    """Poisson log probability of every step, `expected` spikes each."""
    return spikes * jnp.log(expected) - expected - gammaln(spikes + 1)
