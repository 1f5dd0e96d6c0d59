r"""Spike counts from 0 to M as a chain of levels: is there a first spike, then a second, …

:math:`P(n \ge k \mid n \ge k-1) = \sigma(\ell_k)` for :math:`k = 1 … M`. One level is the Bernoulli of the paper; more
levels give bursts within a step. Sampling, log probability and the relaxation to real numbers are all exact and cheap.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

LARGEST_LOGIT = 6.9067548
"""Probabilities stay within [0.001, 0.999] (Speiser et al. 2017)."""


def clip_logits(logits: Float[Array, "... level"]) -> Float[Array, "... level"]:
    """Bound the log odds, so that no spike train is impossible."""
    return jnp.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT)


def count_log_prob(logits: Float[Array, "*#all level"], count: Real[Array, "*all"]) -> Float[Array, "*all"]:
    """Log probability of whole counts; counts above the highest level count as that level.

    Axes of the log odds that have length 1 stand for all: what costs time is then computed once.
    """
    level = jnp.arange(logits.shape[-1])
    count = jnp.minimum(count, logits.shape[-1])[..., None]
    stop = -jax.nn.softplus(logits)
    # log σ(ℓ) = ℓ + log σ(−ℓ): a level that is passed has it besides
    terms = jnp.where(count >= level, stop, 0.0) + jnp.where(count > level, logits, 0.0)
    return jnp.sum(terms, axis=-1)


def count_mean(logits: Float[Array, "*all level"]) -> Float[Array, "*all"]:
    """Expected count."""
    return jnp.sum(jnp.cumprod(jax.nn.sigmoid(logits), axis=-1), axis=-1)


def count_variance(logits: Float[Array, "*all level"]) -> Float[Array, "*all"]:
    """Variance of the count."""
    reach = jnp.cumprod(jax.nn.sigmoid(logits), axis=-1)
    odd = 2 * jnp.arange(logits.shape[-1]) + 1
    return jnp.sum(odd * reach, axis=-1) - jnp.sum(reach, axis=-1) ** 2


def count_from_uniform(
    logits: Float[Array, "*#all level"], uniform: Float[Array, "*all level"]
) -> Float[Array, "*all"]:
    """The count that independent uniform numbers, one a level, choose; as float, without gradient."""
    passed = (uniform < jax.nn.sigmoid(logits)).astype(logits.dtype)
    return jax.lax.stop_gradient(jnp.sum(jnp.cumprod(passed, axis=-1), axis=-1))


def relaxed_count(
    logits: Float[Array, "*#all level"], uniform: Float[Array, "*all level"], temperature: float
) -> tuple[Float[Array, "*all"], Float[Array, "*all"]]:
    """Concrete relaxation: a real-valued count that follows the logits smoothly, and its relaxed log probability.

    Every level is a binary concrete variable (Maddison, Mnih and Teh 2017); with falling temperature both results tend
    to those of a whole count.
    """
    uniform = jnp.clip(uniform, 1e-6, 1 - 1e-6)
    noise = jnp.log(uniform) - jnp.log1p(-uniform)
    passed = jax.nn.sigmoid((logits - noise) / temperature)
    reach = jnp.cumprod(passed, axis=-1)
    before = jnp.concatenate([jnp.ones_like(reach[..., :1]), reach[..., :-1]], axis=-1)
    terms = reach * -jax.nn.softplus(-logits) + (before - reach) * -jax.nn.softplus(logits)
    return jnp.sum(reach, axis=-1), jnp.sum(terms, axis=-1)


def choose_count(
    logits: Float[Array, "*#all level"], uniform: Float[Array, "*all level"], temperature: float | None
) -> tuple[Float[Array, "*all"], Float[Array, "*all"]]:
    """Whole counts and their log probability, or relaxed ones where a temperature is given."""
    if temperature is not None:
        return relaxed_count(logits, uniform, temperature)
    count = count_from_uniform(logits, uniform)
    return count, count_log_prob(logits, count)
