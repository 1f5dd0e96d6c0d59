r"""Bounds on log p(fluorescence) and gradients through discrete spikes; pure functions of log weights.

With :math:`f_k = \log p(f, s_k) - \log q(s_k | f)` for K samples the bound is :math:`\log \frac1K \sum_k e^{f_k}`
(Burda, Grosse and Salakhutdinov 2016). Every ``…_loss`` returns a number whose value is minus the bound and whose
gradient is the estimator's, so that it can be logged and differentiated alike.

References
----------
Mnih and Rezende (2016), Variational inference for Monte Carlo objectives, ICML; Speiser et al. (2017), NeurIPS 30.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def importance_weighted_bound(log_weight: Float[Array, "sample *batch"]) -> Float[Array, "*batch"]:
    """Log of the mean weight."""
    return jax.nn.logsumexp(log_weight, axis=0) - jnp.log(log_weight.shape[0])


def left_out_bound(log_weight: Float[Array, "sample *batch"]) -> Float[Array, "sample *batch"]:
    """The bound as seen without each sample: mean of the others' weights (as the code of Speiser et al. has it).

    Mnih and Rezende (2016) put the geometric mean of the others in the sample's place instead.
    """
    n = log_weight.shape[0]
    others = jnp.broadcast_to(log_weight[None], (n, *log_weight.shape))
    own = jnp.eye(n, dtype=bool).reshape(n, n, *(1,) * (log_weight.ndim - 1))
    return jax.nn.logsumexp(jnp.where(own, -jnp.inf, others), axis=1) - jnp.log(n - 1)


def vimco_loss(log_weight: Float[Array, "sample batch"], log_q: Float[Array, "sample batch"]) -> Float[Array, ""]:
    """Minus the importance-weighted bound, with the VIMCO gradient.

    Parameters
    ----------
    log_weight
        log p(f, s) − log q(s|f) of every sample; gradients flow into generative and network parameters.
    log_q
        log q(s|f) of the same samples.
    """
    bound = importance_weighted_bound(log_weight)
    signal = jax.lax.stop_gradient(bound - left_out_bound(log_weight))
    share = jax.lax.stop_gradient(jax.nn.softmax(log_weight, axis=0))
    return _with_value(-bound, -jnp.sum(share * log_weight + signal * log_q, axis=0))


def local_loss(
    log_weight: Float[Array, "step sample batch"],
    log_q: Float[Array, "step sample batch"],
    horizon_steps: float | Array,
) -> Float[Array, ""]:
    """Minus the evidence lower bound; the signal of a spike is what follows it, against the other samples' mean.

    What lies before a step does not depend on it, and what lies far behind hardly does: it is discounted by
    exp(−1/`horizon_steps`) per step. Without discount the gradient is unbiased.

    Parameters
    ----------
    log_weight
        Share of every step in log p(f, s) − log q(s|f).
    """
    discount = jnp.exp(-1.0 / horizon_steps)

    def step(total: Array, now: Array) -> tuple[Array, Array]:
        total = now + discount * total
        return total, total

    fixed = jax.lax.stop_gradient(log_weight)
    future = jax.lax.scan(step, jnp.zeros_like(fixed[0]), fixed, reverse=True)[1]
    n = future.shape[1]
    signal = (future - jnp.mean(future, axis=1, keepdims=True)) * (n / (n - 1))
    surrogate = -jnp.mean(jnp.sum(signal * log_q + log_weight, axis=0), axis=0)
    return _with_value(-jnp.mean(jnp.sum(fixed, axis=0), axis=0), surrogate)


def _with_value(value: Float[Array, " batch"], surrogate: Float[Array, " batch"]) -> Float[Array, ""]:
    """Mean over the batch: the number of `value`, the gradient of `surrogate`."""
    return jnp.mean(jax.lax.stop_gradient(value - surrogate) + surrogate)
