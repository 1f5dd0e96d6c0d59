r"""Gibbs sampling of the Bernoulli GLM with Pólya–Gamma variables (Polson, Scott & Windle 2013, JASA 108:1339).

With :math:`\omega_t \sim PG(1, \psi_t)` the logistic likelihood is Gaussian in the parameters:
:math:`V = (X^\top \Omega X + B^{-1})^{-1}`, :math:`m = V X^\top (y - \frac12)`, :math:`\theta \sim N(m, V)`. Exact.
"""

from __future__ import annotations

import numpy as np

from antidrome.core.progress import progress as show_progress
from antidrome.core.seeds import generator
from antidrome.core.whole import whole_number
from antidrome.errors import InputError

TERMS = 100


def polya_gamma(z: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    r"""Draws from PG(1, z), one for each z.

    The defining series :math:`\frac{1}{2\pi^2} \sum_k g_k / ((k - \frac12)^2 + z^2/4\pi^2)`, g_k ~ Exp(1), with 100
    terms drawn and the others replaced by their mean, whose variance is 10⁻⁸ of the whole.
    """
    z = np.asarray(z, np.float64)
    weights = 1 / ((np.arange(TERMS) + 0.5) ** 2 + (z[..., None] / (2 * np.pi)) ** 2)
    drawn = np.sum(weights * draw.standard_exponential(weights.shape), axis=-1)
    half = np.maximum(np.abs(z), 1e-6) / 2
    whole_mean = np.tanh(half) / (4 * half)
    rest = whole_mean - weights.sum(axis=-1) / (2 * np.pi**2)
    return drawn / (2 * np.pi**2) + rest


def glm_gibbs(
    design: np.ndarray,
    spikes: np.ndarray,
    prior_precision: np.ndarray,
    *,
    n_samples: int = 2000,
    thin: int = 5,
    burn_in: int = 500,
    seed: int = 0,
    progress: bool = True,
) -> np.ndarray:
    """Posterior samples (n_samples, d) of the parameters of a Bernoulli GLM with a Gaussian prior of mean 0.

    Parameters
    ----------
    design
        (bins, d) design matrix.
    spikes
        (bins,) 0 or 1.
    prior_precision
        (d, d).
    thin, burn_in
        Sweeps for each sample that is kept, and before the first.

    Raises
    ------
    InputError
        If shapes do not fit, spikes are neither 0 nor 1, or a number of samples or steps is none.
    """
    x, y = np.asarray(design, np.float64), np.asarray(spikes, np.float64)
    d = x.shape[1]
    if y.shape != (len(x),) or prior_precision.shape != (d, d):
        raise InputError(f"Design {x.shape}, spikes {y.shape} and prior precision {prior_precision.shape} do not fit.")
    if not np.isin(y, (0, 1)).all():
        raise InputError("The spikes of a Bernoulli GLM are 0 or 1 in each bin.")
    n_samples, thin = whole_number("n_samples", n_samples, 1), whole_number("thin", thin, 1)
    burn_in, draw = whole_number("burn_in", burn_in, 0), generator(seed, "mechanism/polya-gamma")
    linear, theta = x.T @ (y - 0.5), np.zeros(d)
    samples = np.empty((n_samples, d))
    with show_progress("Gibbs sampling", n_samples, unit="samples", enabled=progress) as bar:
        for sweep in range(-burn_in, n_samples * thin):
            omega = polya_gamma(x @ theta, draw)
            factor = np.linalg.cholesky((x.T * omega) @ x + prior_precision)
            mean = np.linalg.solve(factor.T, np.linalg.solve(factor, linear))
            theta = mean + np.linalg.solve(factor.T, draw.standard_normal(d))
            if sweep >= 0 and (sweep + 1) % thin == 0:
                samples[sweep // thin] = theta
                bar.advance(1)
    return samples
