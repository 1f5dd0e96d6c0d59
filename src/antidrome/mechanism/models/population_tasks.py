"""Two models of populations from the benchmark: an epidemic, and predators with their prey."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

SIR_STEPS_A_DAY = 4
SIR_POPULATION = 1e6
LOTKA_VOLTERRA_STEP_DAYS = 0.01


def sir(theta: Float[Array, "2"], key: PRNGKeyArray) -> Float[Array, "10"]:
    r"""Susceptible, infected, recovered: how many of 1000 tested people are infected, on days 0, 17, …, 153.

    :math:`\dot S = -\beta S I/N,\; \dot I = \beta S I/N - \gamma I`, N = 10⁶, one infected at first, and
    :math:`x_i \sim \mathrm{Binomial}(1000, I(t_i)/N)`; β ~ LogNormal(log 0.4, 0.5), γ ~ LogNormal(log 0.125, 0.2).
    Solved by the classical Runge–Kutta scheme with steps of a quarter day, in shares of N.
    """
    beta, gamma = theta[0], theta[1]

    def slope(state: Array) -> Array:
        new = beta * state[0] * state[1]
        return jnp.stack([-new, new - gamma * state[1]])

    start = jnp.array([1 - 1 / SIR_POPULATION, 1 / SIR_POPULATION])
    infected = _solve(slope, start, 1 / SIR_STEPS_A_DAY, 17 * SIR_STEPS_A_DAY)[:, 1]
    return jax.random.binomial(key, 1000.0, jnp.clip(infected, 0.0, 1.0), dtype=jnp.float32)


def lotka_volterra(theta: Float[Array, "4"], key: PRNGKeyArray) -> Float[Array, "20"]:
    r"""Prey x and predators y at ten times (every 2.1 days from 0), with log-normal noise; first all x, then all y.

    :math:`\dot x = \alpha x - \beta x y,\; \dot y = -\gamma y + \delta x y`, from (30, 1); observed values are
    LogNormal(log u, 0.1) with u clipped to [10⁻¹⁰, 10⁴]; α, γ ~ LogNormal(-0.125, 0.5), β, δ ~ LogNormal(-3, 0.5).
    Solved in log u by the classical Runge–Kutta scheme with steps of 0.01 days.
    """
    alpha, beta, gamma, delta = theta

    def slope(log_u: Array) -> Array:
        x, y = jnp.exp(log_u)
        return jnp.stack([alpha - beta * y, -gamma + delta * x])

    log_u = _solve(slope, jnp.log(jnp.array([30.0, 1.0])), LOTKA_VOLTERRA_STEP_DAYS, 210)
    noisy = jnp.clip(log_u, jnp.log(1e-10), jnp.log(1e4)) + 0.1 * jax.random.normal(key, log_u.shape)
    return jnp.exp(noisy).T.reshape(20)


def _solve(slope: Callable[[Array], Array], start: Array, step: float, every: int) -> Float[Array, "10 d"]:
    """Ten values, the first at the start, each ``every`` Runge–Kutta steps after the one before."""

    def one(_: Array | int, state: Array) -> Array:
        k1 = slope(state)
        k2 = slope(state + step / 2 * k1)
        k3 = slope(state + step / 2 * k2)
        k4 = slope(state + step * k3)
        return state + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    def interval(state: Array, _: None) -> tuple[Array, Array]:
        state = jax.lax.fori_loop(0, every, one, state)
        return state, state

    _, later = jax.lax.scan(interval, start, None, length=9)
    return jnp.concatenate([start[None], later])
