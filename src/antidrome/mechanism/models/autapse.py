r"""A neuron that excites itself: half of the parameter space has no stable solution.

.. math::
    \tau\, \dot x = (J - 1)\, x + I(t) + \eta(t)

with I = 1 from 10 to 110 ms of 120 ms and white noise η of intensity 1.5 √ms (15 in each Euler step of 0.01 ms). The
measurement is the mean of x while I is on, with measurement noise of 0.25 in each sample. A simulation whose x leaves
±1000 has failed. Truth J = 0.95, τ = 1 ms; prior J ~ U(0.1, 2), τ ~ U(-1, 2.5) ms: with J > 1, or τ < 0 (but not
both), x grows without bound, in about 48 % of the prior.

Source: Lueckmann et al. (2017), NeurIPS 30, the experiment on bad simulations.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from antidrome.mechanism.models.hh_kinetics import noise_of_step
from antidrome.mechanism.models.model import Model
from antidrome.mechanism.priors import Prior, Uniform
from antidrome.mechanism.simulate.jax_simulator import JaxSimulator

DURATION_MS, ON_MS, OFF_MS, DT_MS = 120.0, 10.0, 110.0, 0.01
NOISE, MEASUREMENT_NOISE, LIMIT = 15.0, 0.25, 1000.0
TRUE_VALUES = {"J": 0.95, "tau": 1.0}


def autapse(*, batch: int = 1000) -> Model:
    """The autapse and its prior."""
    prior = Prior({"J": Uniform(0.1, 2.0), "tau": Uniform(-1.0, 2.5)}, units={"tau": "ms"})
    simulator = JaxSimulator(
        simulate_autapse, batched=True, feature_names=("mean_response",), feature_units=("1",), batch=batch
    )
    return Model("autapse", simulator, prior)


def simulate_autapse(theta: Float[Array, "n 2"], keys: Array) -> Float[Array, "n 1"]:
    """Mean response; NaN where x left ±1000."""
    words = jax.random.key_data(keys)
    n_steps, on, off = (round(time / DT_MS) for time in (DURATION_MS, ON_MS, OFF_MS))
    leak, gain = 1 + (theta[:, 0] - 1) * DT_MS / theta[:, 1], DT_MS / theta[:, 1]

    def step(carry: tuple[Array, Array], now: tuple[Array, Array]) -> tuple[tuple[Array, Array], None]:
        x, total = carry
        number, current = now
        x = x * leak + gain * (current + NOISE * noise_of_step(words, number))
        return (x, total + x * current), None

    numbers = jnp.arange(n_steps, dtype=jnp.uint32)
    current = jnp.asarray((np.arange(n_steps) >= on) & (np.arange(n_steps) < off), jnp.float32)
    zero = jnp.zeros(theta.shape[0])
    (x, total), _ = jax.lax.scan(step, (zero, zero), (numbers, current))
    measured = total / (off - on) + MEASUREMENT_NOISE / np.sqrt(off - on) * noise_of_step(words, jnp.uint32(n_steps))
    return jnp.where(jnp.abs(x) <= LIMIT, measured, jnp.nan)[:, None]
