"""Linear recurrences over time with their own adjoint: only the output is kept for the gradient."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

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


@functools.partial(jax.jit, static_argnames="reverse")
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
    r"""Average over time with weights :math:`e^{-|t-t'|/width}`, over observed steps only."""
    factor = jnp.full(x.shape[-1], jnp.exp(-1.0 / width_steps), x.dtype)
    observed = over_samples(observed.astype(x.dtype), x)

    def both_ways(y: Array) -> Array:
        return decay_filter(y, factor) + decay_filter(y[::-1], factor)[::-1] - y

    return both_ways(x * observed) / jnp.maximum(both_ways(observed), 1e-6)


def random_walk(
    x: Float[Array, "time *samples neuron"], observed: Bool[Array, "time neuron"], width_steps: float
) -> Float[Array, "time *samples neuron"]:
    r"""The drift in observed steps of x, by least squares: with a penalty on its own steps, and none on its level.

    :math:`\min_b \sum_t m_t (x_t - b_t)^2 + \lambda \sum_t (b_t - b_{t-1})^2`, where :math:`m_t` is 1 where observed,
    else 0, :math:`\lambda = \rho/(1-\rho)^2` and :math:`\rho = e^{-1/width}`: far from the ends b averages x with
    weights :math:`\rho^{|t-t'|}`. The map is symmetric and :math:`\sum_t m_t x_t (x_t - b_t)` never negative.
    """
    rho = jnp.exp(-1.0 / width_steps)
    return _solve(x * over_samples(observed.astype(x.dtype), x), observed.astype(x.dtype), rho / (1 - rho) ** 2)


@jax.custom_vjp
@jax.jit
def _solve(x: Array, observed: Array, stiffness: Array) -> Array:
    r"""b of :math:`(M + \lambda L)\, b = x`, with the Laplacian L of a path; zero where nothing is observed.

    Elimination from both sides. What the past says of step t has the weight :math:`q_t = m_t + \lambda q_{t-1} /
    (\lambda + q_{t-1})`; written so, nothing large is subtracted.
    """

    def weigh(q: Array, m: Array) -> tuple[Array, Array]:
        q = m + stiffness * q / (stiffness + q)
        return q, q

    weight = jax.lax.scan(weigh, jnp.zeros_like(observed[0]), observed)[1]
    passed = stiffness / (stiffness + weight)

    def forwards(z: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        value, factor = now
        z = value + factor * z
        return z, z

    before = jnp.concatenate([jnp.zeros_like(passed[:1]), passed[:-1]])
    gathered = jax.lax.scan(forwards, jnp.zeros_like(x[0]), (x, before), unroll=UNROLL)[1]

    def backwards(b: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        z, factor = now
        b = factor * (z / stiffness + b)
        return b, b

    last = gathered[-1] / jnp.maximum(weight[-1], 1e-6)
    rest = jax.lax.scan(backwards, last, (gathered[:-1], passed[:-1]), reverse=True, unroll=UNROLL)[1]
    return jnp.concatenate([rest, last[None]])


def _solve_forward(x: Array, observed: Array, stiffness: Array) -> tuple[Array, tuple[Array, Array]]:
    return _solve(x, observed, stiffness), (observed, stiffness)


def _solve_backward(saved: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array, Array]:
    observed, stiffness = saved
    return _solve(cotangent, observed, stiffness), jnp.zeros_like(observed), jnp.zeros_like(stiffness)


_solve.defvjp(_solve_forward, _solve_backward)


def over_samples(x: Array, target: Array) -> Array:
    """(time, neuron) with sample axes between, to go with `target`."""
    return x.reshape(x.shape[0], *(1,) * (target.ndim - 2), x.shape[-1])
