"""Mixtures of Gaussians, given by precision factors: density, samples, and everything that has a closed form.

Component k has mean m_k and an upper triangular factor U_k of its precision, P_k = U_kᵀU_k (Lueckmann et al. 2017).
Double precision, nothing but NumPy and SciPy.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve_triangular
from scipy.special import gammaln, logsumexp

from antidrome.core.seeds import generator
from antidrome.errors import InputError

MOST_SHIFTS = 1000
NUMBERS_AT_ONCE = 2**22
"""Distances of points from the means of components, (point, component, dimension), that are held at a time."""


@dataclasses.dataclass(frozen=True)
class GaussianMixture:
    """A mixture of `K` Gaussians, or of multivariate Student t, in `D` dimensions.

    Parameters
    ----------
    log_weights
        (K,), normalised.
    means
        (K, D).
    factors
        (K, D, D), upper triangular factors of the precisions.
    degrees
        Degrees of freedom of the components; infinite for Gaussians.
    """

    log_weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray
    degrees: float = math.inf

    @classmethod
    def from_covariances(cls, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike) -> GaussianMixture:
        """The mixture with weights (K,), means (K, D) and covariances (K, D, D)."""
        factors = np.stack([np.linalg.cholesky(_inverse(c)).T for c in np.asarray(covariances, float)])
        weights = np.asarray(weights, float)
        return cls(np.log(weights / weights.sum()), np.asarray(means, float), factors)

    @property
    def n_dimensions(self) -> int:
        """D."""
        return self.means.shape[1]

    @property
    def weights(self) -> np.ndarray:
        """(K,)."""
        return np.exp(self.log_weights)

    @functools.cached_property
    def covariances(self) -> np.ndarray:
        """(K, D, D), of the Gaussian components."""
        inverse = np.stack([solve_triangular(u, np.eye(self.n_dimensions)) for u in self.factors])
        return inverse @ inverse.transpose(0, 2, 1)

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Log density, (n,), at points (n, D)."""
        x = np.asarray(x, float)
        rows = max(1, NUMBERS_AT_ONCE // self.means.size)
        starts = range(0, max(1, len(x)), rows)
        return np.concatenate(
            [logsumexp(self.component_log_prob(x[i : i + rows]) + self.log_weights, axis=1) for i in starts]
        )

    def component_log_prob(self, x: np.ndarray) -> np.ndarray:
        """Log density of each component, (n, K)."""
        centred = np.asarray(x, float)[:, None, :] - self.means
        white = np.einsum("kij,nkj->nki", self.factors, centred)
        squared = np.square(white).sum(axis=2)
        log_determinant = np.log(np.abs(np.diagonal(self.factors, axis1=1, axis2=2))).sum(axis=1)
        d, nu = self.n_dimensions, self.degrees
        if math.isinf(nu):
            return log_determinant - 0.5 * squared - 0.5 * d * math.log(2 * math.pi)
        constant = gammaln((nu + d) / 2) - gammaln(nu / 2) - 0.5 * d * math.log(nu * math.pi)
        return constant + log_determinant - 0.5 * (nu + d) * np.log1p(squared / nu)

    def sample(self, n_samples: int, *, seed: int) -> np.ndarray:
        """Draw (n, D)."""
        draw = generator(seed, "mechanism/mixture")
        which = draw.choice(len(self.log_weights), size=n_samples, p=self.weights / self.weights.sum())
        noise = draw.standard_normal((n_samples, self.n_dimensions))
        if not math.isinf(self.degrees):
            noise /= np.sqrt(draw.chisquare(self.degrees, (n_samples, 1)) / self.degrees)
        x = np.empty_like(noise)
        for k in range(len(self.log_weights)):
            rows = which == k
            x[rows] = self.means[k] + solve_triangular(self.factors[k], noise[rows].T).T
        return x

    def mean(self) -> np.ndarray:
        """(D,)."""
        return self.weights @ self.means

    def covariance(self) -> np.ndarray:
        """(D, D): within the components plus between their means."""
        centred = self.means - self.mean()
        return np.einsum("k,kij->ij", self.weights, self.covariances) + (self.weights[:, None] * centred).T @ centred

    def marginal(self, dimensions: Sequence[int]) -> GaussianMixture:
        """The mixture over some dimensions, in their given order."""
        keep = list(dimensions)
        covariances = self.covariances[:, keep][:, :, keep]
        factors = np.stack([np.linalg.cholesky(_inverse(c)).T for c in covariances])
        return GaussianMixture(self.log_weights, self.means[:, keep], factors, self.degrees)

    def conditional(self, dimensions: Sequence[int], values: np.ndarray) -> GaussianMixture:
        """The mixture over the other dimensions (in order), given the values (len(dimensions),) of some.

        Component k keeps precision P_ff, mean m_f − P_ff⁻¹P_fg(v − m_g), and a weight in proportion to its marginal
        density at v.

        Raises
        ------
        InputError
            Student components, or no dimension left.
        """
        given = list(dimensions)
        free = [i for i in range(self.n_dimensions) if i not in given]
        if not free or not math.isinf(self.degrees):
            raise InputError("A conditional needs Gaussian components and at least one dimension that is not given.")
        if not given:
            return self
        values = np.asarray(values, float)
        precision = self.factors.transpose(0, 2, 1) @ self.factors
        means, factors = [], []
        for k, p in enumerate(precision):
            block = p[np.ix_(free, free)]
            shift = np.linalg.solve(block, p[np.ix_(free, given)] @ (values - self.means[k, given]))
            means.append(self.means[k, free] - shift)
            factors.append(np.linalg.cholesky(block).T)
        log_weights = self.log_weights + self.marginal(given).component_log_prob(values[None])[0]
        return GaussianMixture(log_weights - logsumexp(log_weights), np.stack(means), np.stack(factors))

    def mode(self) -> np.ndarray:
        """The highest mode (D,): mean shift (Carreira-Perpiñán 2000) from the mean of every component."""
        precision = self.factors.transpose(0, 2, 1) @ self.factors
        x = self.means.copy()
        for _ in range(MOST_SHIFTS):
            share = self.component_log_prob(x) + self.log_weights
            share = np.exp(share - logsumexp(share, axis=1, keepdims=True))
            total = np.einsum("nk,kij->nij", share, precision)
            pulled = np.einsum("nk,kij,kj->ni", share, precision, self.means)
            moved = np.linalg.solve(total, pulled[..., None])[..., 0]
            done = np.abs(moved - x).max() < 1e-10 * (1 + np.abs(x).max())
            x = moved
            if done:
                break
        return x[np.argmax(self.log_prob(x))]

    def with_heavy_tails(self, degrees: float) -> GaussianMixture:
        """The same components as Student t with these degrees of freedom (means and scale matrices kept)."""
        return dataclasses.replace(self, degrees=float(degrees))


def _inverse(matrix: np.ndarray) -> np.ndarray:
    inverse = np.linalg.inv(matrix)
    return (inverse + inverse.T) / 2
