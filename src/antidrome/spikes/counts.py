r"""The posterior over the number of spikes in one frame: a hurdle at zero, then one plus a Poisson.

:math:`P(n=0) = 1-p` and :math:`P(n) = p\,\lambda^{n-1} e^{-\lambda}/(n-1)!` for :math:`n \ge 1`. Two numbers a frame
hold what matters: whether there was a spike, and how many more; the count has no upper limit. Mean
:math:`p(1+\lambda)`.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, Int, PRNGKeyArray, Real


class CountPosterior(NamedTuple):
    """Hurdle–Poisson distribution of the spike count of every frame.

    Parameters
    ----------
    logit
        log odds of at least one spike.
    extra
        λ, expected number of further spikes given one.
    """

    logit: Float[Array, "..."]
    extra: Float[Array, "..."]

    @property
    def probability(self) -> Float[Array, "..."]:
        """P(at least one spike)."""
        return jax.nn.sigmoid(self.logit)

    @property
    def mean(self) -> Float[Array, "..."]:
        """Expected number of spikes."""
        return self.probability * (1 + self.extra)

    @property
    def variance(self) -> Float[Array, "..."]:
        """Variance of the number of spikes."""
        p = self.probability
        return p * self.extra + p * (1 - p) * (1 + self.extra) ** 2

    def log_prob(self, count: Real[Array, "..."]) -> Float[Array, "..."]:
        """Log probability of `count` (natural log)."""
        further = jnp.maximum(count - 1, 0)
        some = -jax.nn.softplus(-self.logit) + further * jnp.log(self.extra) - self.extra - gammaln(further + 1)
        return jnp.where(count > 0, some, -jax.nn.softplus(self.logit))

    def sample(self, key: PRNGKeyArray, n_samples: int) -> Int[Array, "sample ..."]:
        """Draw counts, independent over frames."""
        at_least_one, further = jax.random.split(key)
        shape = (n_samples, *self.logit.shape)
        hit = jax.random.bernoulli(at_least_one, self.probability, shape)
        return jnp.where(hit, 1 + jax.random.poisson(further, self.extra, shape), 0)
