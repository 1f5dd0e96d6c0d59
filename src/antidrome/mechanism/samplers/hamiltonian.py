"""Hamiltonian Monte Carlo for models whose log likelihood JAX can differentiate."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from antidrome.core.seeds import jax_key
from antidrome.core.whole import whole_number
from antidrome.errors import InputError
from antidrome.mechanism.samplers.metropolis import McmcResult, split_r_hat

TARGET_ACCEPTANCE = 0.8
ENOUGH_STATES = 20
"""Fewer states of the chains tell nothing of the variances: then all masses stay 1."""


def hamiltonian_monte_carlo(
    log_density: Callable[[Float[Array, " d"]], Float[Array, ""]],
    start: np.ndarray,
    *,
    n_samples: int = 1000,
    burn_in: int = 500,
    n_leapfrog_steps: int = 10,
    seed: int = 0,
) -> McmcResult:
    """Sample a differentiable log density on all of R^d (Neal 2011), one chain for each starting point.

    During burn-in the step size follows the acceptance rate (towards 0.8), and halfway through the masses are set to
    the inverse variances of the chains, if there are enough states for these. The number of leapfrog steps is drawn
    anew each time, between half and all of ``n_leapfrog_steps``.

    Parameters
    ----------
    log_density
        Of one point (d,), up to a constant.
    start
        (chain, d) starting points.

    Raises
    ------
    InputError
        If the density is not finite at a starting point, or a number of samples or steps is none.
    """
    n_samples, burn_in = whole_number("n_samples", n_samples, 1), whole_number("burn_in", burn_in, 0)
    n_leapfrog_steps = whole_number("n_leapfrog_steps", n_leapfrog_steps, 1)
    points = jnp.asarray(start, jnp.float32)
    if points.ndim != 2 or not np.isfinite(np.asarray(jax.vmap(log_density)(points))).all():
        raise InputError(
            f"Starting points of shape {points.shape}: expected (chain, d), with a finite log density at each."
        )
    value_and_gradient = jax.vmap(jax.value_and_grad(log_density))

    def transition(state: tuple, key: Array) -> tuple:
        q, log_step, scale = state
        key_p, key_n, key_u = jax.random.split(key, 3)
        step = jnp.exp(log_step) * scale
        n_steps = jax.random.randint(key_n, (), (n_leapfrog_steps + 1) // 2, n_leapfrog_steps + 1)
        p = jax.random.normal(key_p, q.shape)
        value, gradient = value_and_gradient(q)

        def leapfrog(_: Array | int, now: tuple) -> tuple:
            q, p, gradient, _ = now
            p = p + 0.5 * step * gradient
            q = q + step * p
            value, gradient = value_and_gradient(q)
            return q, p + 0.5 * step * gradient, gradient, value

        q_new, p_new, _, value_new = jax.lax.fori_loop(0, n_steps, leapfrog, (q, p, gradient, value))
        log_ratio = value_new - value + 0.5 * jnp.sum(p**2 - p_new**2, axis=1)
        chance = jnp.where(jnp.isfinite(log_ratio), jnp.exp(jnp.minimum(log_ratio, 0.0)), 0.0)
        accepted = jax.random.uniform(key_u, chance.shape) < chance
        return jnp.where(accepted[:, None], q_new, q), chance.mean()

    def adapt(state: tuple, now: tuple) -> tuple[tuple, Array]:
        key, rate = now
        q, chance = transition(state, key)
        return (q, state[1] + rate * (chance - TARGET_ACCEPTANCE), state[2]), q

    def keep(state: tuple, key: Array) -> tuple[tuple, tuple]:
        q, chance = transition(state, key)
        return (q, *state[1:]), (q, chance)

    half = max(1, burn_in // 2)
    keys = jax.random.split(jax_key(seed, "mechanism/hamiltonian"), 2 * half + n_samples)
    rates = 0.5 / jnp.sqrt(jnp.arange(half) + 1.0)
    state = (points, jnp.float32(np.log(0.1)), jnp.ones(points.shape[1]))
    state, seen = jax.lax.scan(adapt, state, (keys[:half], rates))
    seen = seen[half // 2 :].reshape(-1, points.shape[1])
    if len(seen) >= ENOUGH_STATES:
        state = (state[0], jnp.float32(np.log(0.5)), jnp.std(seen, axis=0) + 1e-6)
    state, _ = jax.lax.scan(adapt, state, (keys[half : 2 * half], rates))
    _, (samples, chances) = jax.lax.scan(keep, state, keys[2 * half :])
    theta = np.asarray(jnp.swapaxes(samples, 0, 1), np.float64)
    return McmcResult(theta, float(chances.mean()), split_r_hat(theta))
