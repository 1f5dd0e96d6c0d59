r"""A spiking neuron as a generalised linear model with a temporal filter.

.. math::
    y_t \sim \mathrm{Bernoulli}(\sigma(\psi_t)),\qquad \psi_t = b_0 + \sum_{j=1}^{9} h_j\, I_{t-j+1}

in T bins of 1 ms with white-noise input I ~ N(0, 1). Sufficient statistics are :math:`X^\top y` (X the design matrix
with a column of ones): the number of spikes, and nine spike-triggered sums of the input. The prior is Gaussian with
precision blockdiag(0.5, FᵀF), F = D² + diag(√(i/9)) with D the first difference: filters are smooth.

Source: Lueckmann et al. (2017), NeurIPS 30, and the task bernoulli_glm of sbibm.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from antidrome.mechanism.models.model import Model
from antidrome.mechanism.priors import MultivariateNormal, Prior
from antidrome.mechanism.simulate.jax_simulator import JaxSimulator

FILTER_TAPS = 9
GLM_PARAMETERS = ("b_0", *(f"h_{j + 1}" for j in range(FILTER_TAPS)))


def true_filter() -> np.ndarray:
    """(10,) the paper's truth: b₀ = -2, h_t = t³ e^{-t} for t = 1 … 9 ms."""
    t = np.arange(1, FILTER_TAPS + 1)
    return np.concatenate([[-2.0], t**3 * np.exp(-t.astype(float))])


@functools.cache
def bernoulli_design(seed: int, n_bins: int = 100) -> np.ndarray:
    """(n_bins, 10) design matrix for the white-noise input of this seed: ones, and the input delayed by 0 to 8 bins."""
    stimulus = np.random.RandomState(seed).randn(n_bins)
    columns = [np.ones(n_bins)]
    columns += [np.concatenate([np.zeros(lag), stimulus[: n_bins - lag]]) for lag in range(FILTER_TAPS)]
    return np.stack(columns, axis=1)


def glm_prior_precision() -> np.ndarray:
    """(10, 10) precision of the smoothness prior."""
    taps = FILTER_TAPS
    difference = np.eye(taps) - np.eye(taps, k=-1)
    smooth = difference @ difference + np.diag(np.sqrt(np.arange(taps) / taps))
    precision = np.zeros((taps + 1, taps + 1))
    precision[0, 0] = 0.5
    precision[1:, 1:] = smooth.T @ smooth
    return precision


def glm_prior_covariance() -> np.ndarray:
    """The inverse of `glm_prior_precision`."""
    covariance = np.linalg.inv(glm_prior_precision())
    return (covariance + covariance.T) / 2


def glm(*, n_bins: int = 100, seed: int = 1, batch: int = 1000) -> Model:
    """The GLM with the input of this seed; features are the sufficient statistics.

    Parameters
    ----------
    n_bins
        Bins of 1 ms.
    seed
        Of the input.
    """
    design = bernoulli_design(seed, n_bins)

    def simulate(theta: Float[Array, "10"], key: PRNGKeyArray) -> Float[Array, "10"]:
        chance = jax.nn.sigmoid(jnp.asarray(design, jnp.float32) @ theta)
        spikes = jax.random.uniform(key, chance.shape) < chance
        return jnp.asarray(design.T, jnp.float32) @ spikes.astype(jnp.float32)

    names = ("spike_count", *(f"spike_triggered_sum_{lag}ms" for lag in range(FILTER_TAPS)))
    simulator = JaxSimulator(simulate, feature_names=names, feature_units=("1",) * 10, batch=batch)
    prior = Prior({GLM_PARAMETERS: MultivariateNormal(np.zeros(10), glm_prior_covariance())})
    return Model("glm", simulator, prior)
