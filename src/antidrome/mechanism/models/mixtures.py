"""Toy models whose posteriors are known: mixtures of Gaussians."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.special import logsumexp

from antidrome.mechanism.models.model import Model
from antidrome.mechanism.models.sbibm_tasks import gaussian_mixture
from antidrome.mechanism.priors import Prior, Uniform
from antidrome.mechanism.simulate.jax_simulator import JaxSimulator

WIDTH = 10.0


def unimodal_mixture(n_dimensions: int = 1) -> Model:
    r""":math:`x \sim \frac12 N(\theta, 1) + \frac12 N(\theta, 0.1^2)`, θ ~ U(-10, 10); observed x = 0.

    Source: Lueckmann et al. (2017), NeurIPS 30 (and Papamakarios & Murray 2016).
    """
    return Model("unimodal_mixture", JaxSimulator(gaussian_mixture, batch=1000), _prior(n_dimensions))


def bimodal_mixture(n_dimensions: int = 1) -> Model:
    r""":math:`x \sim \frac12 N(\theta, 1) + \frac12 N(-\theta, 1)`, θ ~ U(-10, 10); observed x = 5: two modes.

    Source: Lueckmann et al. (2017), NeurIPS 30.
    """

    def simulate(theta: Float[Array, " d"], key: PRNGKeyArray) -> Float[Array, " d"]:
        key_which, key_noise = jax.random.split(key)
        sign = jnp.where(jax.random.bernoulli(key_which), 1.0, -1.0)
        return sign * theta + jax.random.normal(key_noise, theta.shape)

    return Model("bimodal_mixture", JaxSimulator(simulate, batch=1000), _prior(n_dimensions))


def unimodal_log_posterior(theta: np.ndarray, observation: np.ndarray) -> np.ndarray:
    """(n,) exact log posterior of `unimodal_mixture` (the prior's edges are 10 standard deviations away)."""
    distance = np.sum((theta - observation) ** 2, axis=1)
    d = theta.shape[1]
    return logsumexp([_log_normal(distance, 1.0, d), _log_normal(distance, 0.1, d)], axis=0) - np.log(2)


def _log_normal(square_distance: np.ndarray, sd: float, d: int) -> np.ndarray:
    return -0.5 * square_distance / sd**2 - d * np.log(sd) - d / 2 * np.log(2 * np.pi)


def _prior(n_dimensions: int) -> Prior:
    return Prior({f"theta_{i + 1}": Uniform(-WIDTH, WIDTH) for i in range(n_dimensions)})
