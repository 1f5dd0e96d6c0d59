r"""The tasks of the simulation-based inference benchmark, as JAX simulators with their priors.

Each function below states the model. Source of all: Lueckmann, Boelts, Greenberg, Gonçalves & Macke (2021),
Benchmarking simulation-based inference, AISTATS (the package sbibm, MIT licence); constants were checked against its
reference posteriors. All quantities are pure numbers unless a unit is given.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logit
from jaxtyping import Array, Float, PRNGKeyArray

from antidrome.errors import InputError, did_you_mean
from antidrome.mechanism.models.glm import bernoulli_design, glm_prior_covariance
from antidrome.mechanism.models.model import Model
from antidrome.mechanism.models.population_tasks import lotka_volterra, sir
from antidrome.mechanism.priors import LogNormal, MultivariateNormal, Normal, Prior, Uniform
from antidrome.mechanism.simulate.jax_simulator import JaxSimulator

Key = PRNGKeyArray
BATCH = 1000


def two_moons(theta: Float[Array, "2"], key: Key) -> Float[Array, "2"]:
    r"""A crescent, shifted by :math:`|\theta_1+\theta_2|` and :math:`\theta_2-\theta_1`: the posterior has two.

    :math:`a \sim U(-\pi/2, \pi/2)`, :math:`r \sim N(0.1, 0.01^2)`,
    :math:`x = (r \cos a + 0.25 - |\theta_1+\theta_2|/\sqrt 2,\; r \sin a + (\theta_2-\theta_1)/\sqrt 2)`; prior
    U(-1, 1)².
    """
    key_a, key_r = jax.random.split(key)
    a = jax.random.uniform(key_a, minval=-jnp.pi / 2, maxval=jnp.pi / 2)
    r = 0.1 + 0.01 * jax.random.normal(key_r)
    shift = jnp.stack([0.25 - jnp.abs(theta[0] + theta[1]) / math.sqrt(2), (theta[1] - theta[0]) / math.sqrt(2)])
    return r * jnp.stack([jnp.cos(a), jnp.sin(a)]) + shift


def gaussian_linear(theta: Float[Array, " d"], key: Key) -> Float[Array, " d"]:
    r""":math:`x \sim N(\theta, 0.1\,I)`, 10 dimensions (0.1 is the variance); prior N(0, 0.1 I) or U(-1, 1)."""
    return theta + math.sqrt(0.1) * jax.random.normal(key, theta.shape)


def gaussian_mixture(theta: Float[Array, " d"], key: Key) -> Float[Array, " d"]:
    r""":math:`x \sim \frac12 N(\theta, I) + \frac12 N(\theta, 0.01\,I)`; prior U(-10, 10)²."""
    key_which, key_noise = jax.random.split(key)
    sd = jnp.where(jax.random.bernoulli(key_which), 1.0, 0.1)
    return theta + sd * jax.random.normal(key_noise, theta.shape)


def slcp(theta: Float[Array, "5"], key: Key) -> Float[Array, "8"]:
    r"""Simple likelihood, complex posterior: four draws of a Gaussian in the plane.

    Mean :math:`(\theta_1, \theta_2)`, standard deviations :math:`\theta_3^2, \theta_4^2`, correlation
    :math:`\tanh \theta_5` (and 10⁻⁶ on the diagonal of the covariance); prior U(-3, 3)⁵.
    """
    s1, s2, rho = theta[2] ** 2, theta[3] ** 2, jnp.tanh(theta[4])
    l11 = jnp.sqrt(s1**2 + 1e-6)
    l21 = rho * s1 * s2 / l11
    l22 = jnp.sqrt(jnp.maximum(s2**2 * (1 - (rho * s1 / l11) ** 2) + 1e-6, 1e-12))
    z = jax.random.normal(key, (4, 2))
    x = jnp.stack([theta[0] + l11 * z[:, 0], theta[1] + l21 * z[:, 0] + l22 * z[:, 1]], axis=1)
    return x.reshape(8)


@functools.cache
def _distractors() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres and scales of 20 Student-t components in 92 dimensions, and the permutation of the 100 features."""
    rng = np.random.RandomState(42)
    centres = np.array([15 * rng.normal(size=92) for _ in range(20)])
    scales = [np.tril(rng.normal(size=(92, 92))) + np.diag(np.exp(rng.normal(size=92))) for _ in range(20)]
    return centres.astype(np.float32), (3 * np.array(scales)).astype(np.float32), rng.permutation(100)


def slcp_distractors(theta: Float[Array, "5"], key: Key) -> Float[Array, "100"]:
    """`slcp` among 92 features that say nothing (a mixture of 20 Student-t with 2 degrees of freedom), shuffled."""
    centres, scales, order = _distractors()
    key_x, key_which, key_z, key_scale = jax.random.split(key, 4)
    which = jax.random.randint(key_which, (), 0, 20)
    z = jnp.asarray(scales)[which] @ jax.random.normal(key_z, (92,))
    noise = jnp.asarray(centres)[which] + z / jnp.sqrt(jax.random.exponential(key_scale))
    return jnp.concatenate([slcp(theta, key_x), noise])[jnp.asarray(order)]


def bernoulli_glm_raw(theta: Float[Array, "10"], key: Key) -> Float[Array, "100"]:
    r"""Spikes of a GLM with a temporal filter: :math:`y_t \sim \mathrm{Bernoulli}(\sigma(b_0 + (h * I)_t))`.

    100 bins of a fixed white-noise input I, :math:`\theta = (b_0, h_1 … h_9)`, Gaussian smoothness prior; see ``glm``.
    """
    psi = jnp.asarray(bernoulli_design(42), jnp.float32) @ theta
    return (logit(jax.random.uniform(key, psi.shape, minval=1e-7, maxval=1 - 1e-7)) < psi).astype(jnp.float32)


def bernoulli_glm(theta: Float[Array, "10"], key: Key) -> Float[Array, "10"]:
    r"""Sufficient statistics :math:`X^\top y` of `bernoulli_glm_raw`: spike count and spike-triggered sums."""
    return jnp.asarray(bernoulli_design(42).T, jnp.float32) @ bernoulli_glm_raw(theta, key)


def _uniform(width: float, d: int) -> Prior:
    return Prior({f"theta_{i + 1}": Uniform(-width, width) for i in range(d)})


def _glm_prior() -> Prior:
    names = tuple(f"theta_{i + 1}" for i in range(10))
    return Prior({names: MultivariateNormal(np.zeros(10), glm_prior_covariance())})


def _sir_prior() -> Prior:
    return Prior(
        {"beta": LogNormal(math.log(0.4), 0.5), "gamma": LogNormal(math.log(0.125), 0.2)},
        units={"beta": "1/day", "gamma": "1/day"},
    )


def _lotka_volterra_prior() -> Prior:
    means = {"alpha": -0.125, "beta": -3.0, "gamma": -0.125, "delta": -3.0}
    return Prior({name: LogNormal(mean, 0.5) for name, mean in means.items()}, units=dict.fromkeys(means, "1/day"))


_TASKS: dict[str, tuple[Callable[..., Array], Callable[[], Prior]]] = {
    "two_moons": (two_moons, lambda: _uniform(1, 2)),
    "gaussian_linear": (
        gaussian_linear,
        lambda: Prior({f"theta_{i + 1}": Normal(0, math.sqrt(0.1)) for i in range(10)}),
    ),
    "gaussian_linear_uniform": (gaussian_linear, lambda: _uniform(1, 10)),
    "gaussian_mixture": (gaussian_mixture, lambda: _uniform(10, 2)),
    "slcp": (slcp, lambda: _uniform(3, 5)),
    "slcp_distractors": (slcp_distractors, lambda: _uniform(3, 5)),
    "bernoulli_glm": (bernoulli_glm, _glm_prior),
    "bernoulli_glm_raw": (bernoulli_glm_raw, _glm_prior),
    "sir": (sir, _sir_prior),
    "lotka_volterra": (lotka_volterra, _lotka_volterra_prior),
}
SBIBM_TASKS = tuple(_TASKS)
"""Names of the tasks."""


def sbibm_task(name: str) -> Model:
    """A task of the benchmark: simulator and prior.

    Raises
    ------
    InputError
        If there is no task of this name.

    Examples
    --------
    >>> sbibm_task("two_moons").prior.names
    ('theta_1', 'theta_2')
    """
    if name not in _TASKS:
        raise InputError(f"There is no task {name!r}.{did_you_mean(name, _TASKS)} There are {', '.join(_TASKS)}.")
    function, prior = _TASKS[name]
    return Model(name, JaxSimulator(function, batch=BATCH), prior())
