"""Linear recurrences over time with their own adjoint: only the output is kept for the gradient."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

UNROLL = 8


def decay_filter(
    x: Real[Array, "time *samples neuron"], factor: Float[Array, " neuron"]
) -> Float[Array, "time *samples neuron"]:
    r""":math:`y_t = \gamma y_{t-1} + x_t` from :math:`y_{-1} = 0`; γ of every neuron.

    The adjoint is the same recurrence backwards in time, :math:`\bar x_t = \bar y_t + \gamma \bar x_{t+1}`, and
    :math:`\bar\gamma = \sum_t \bar x_t y_{t-1}`.
    """
    return _filter(x.astype(factor.dtype), factor)


@jax.custom_vjp
def _filter(x: Array, factor: Array) -> Array:
    return _recur(x, factor)


def _recur(x: Array, factor: Array, *, reverse: bool = False) -> Array:
    def step(state: Array, now: Array) -> tuple[Array, Array]:
        state = factor * state + now
        return state, state

    return jax.lax.scan(step, jnp.zeros_like(x[0]), x, reverse=reverse, unroll=UNROLL)[1]


def _forward(x: Array, factor: Array) -> tuple[Array, tuple[Array, Array]]:
    y = _recur(x, factor)
    return y, (y, factor)


def _backward(saved: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    y, factor = saved
    adjoint = _recur(cotangent, factor, reverse=True)
    return adjoint, jnp.sum(adjoint[1:] * y[:-1], axis=tuple(range(y.ndim - 1)))


_filter.defvjp(_forward, _backward)


def two_sided_average(
    x: Float[Array, "time *samples neuron"], observed: Float[Array, "time neuron"], width_steps: float
) -> Float[Array, "time *samples neuron"]:
    r"""Average over time with weights :math:`e^{-|t-t'|/width}`, over observed steps only.

    Away from the ends this is the least-squares solution of a drift with a penalty on its steps,
    :math:`\min_b \sum_t (x_t - b_t)^2 + \lambda \sum_t (b_t - b_{t-1})^2`, with
    :math:`\lambda = \rho/(1-\rho)^2` and :math:`\rho = e^{-1/width}`.
    """
    factor = jnp.full(x.shape[-1], jnp.exp(-1.0 / width_steps), x.dtype)
    while observed.ndim < x.ndim:
        observed = observed[:, None]
    observed = observed.astype(x.dtype)

    def both_ways(y: Array) -> Array:
        return decay_filter(y, factor) + decay_filter(y[::-1], factor)[::-1] - y

    return both_ways(x * observed) / jnp.maximum(both_ways(observed), 1e-6)
