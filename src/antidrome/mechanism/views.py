"""Densities over some or all parameters, in the parameters' own units: posteriors, their marginals and conditionals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from antidrome.core.seeds import fold_in
from antidrome.core.whole import whole_number
from antidrome.errors import InputError
from antidrome.mechanism.coordinates import Coordinates
from antidrome.mechanism.densities.gaussian_mixture import GaussianMixture
from antidrome.mechanism.densities.trained import Density
from antidrome.mechanism.distributions import LARGEST_COORDINATE, Normal

DRAWS_FOR_MOMENTS = 50_000
DRAWS_FOR_MIXTURE = 20_000
MIXTURE_COMPONENTS = 16
INNER = (0.01, 0.99)
"""Quantiles between which the highest density is looked for."""


@dataclass(frozen=True)
class ParameterDensity:
    """A density over named parameters.

    Parameters
    ----------
    coordinates
        Names, units and maps of the parameters.
    density
        In unconstrained coordinates.
    approximate
        Whether `density` is a mixture fitted to samples of something without closed forms (a flow).
    """

    coordinates: Coordinates
    density: Density
    approximate: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters."""
        return self.coordinates.names

    def sample(self, n_samples: int = 1000, *, seed: int = 0) -> xr.DataArray:
        """Draw `n_samples` parameter sets.

        Returns
        -------
        DataArray (sample, parameter); the coordinate `unit` gives each parameter's unit.

        Raises
        ------
        InputError
            `n_samples` is no whole number, or negative.
        """
        n_samples = whole_number("n_samples", n_samples, 0)
        return self.labelled(self.coordinates.from_unconstrained(self.density.sample(n_samples, seed=seed)))

    def log_prob(self, theta: ArrayLike | Mapping[str, ArrayLike]) -> np.ndarray:
        """Log density in the parameters' own units, (n,), of parameter sets (n, parameter); −∞ outside the support.

        Raises
        ------
        InputError
            A value is missing, or a name is that of no parameter.
        """
        theta = self.coordinates.known(theta)
        inside = self.coordinates.inside(theta)
        total = np.full(len(theta), -np.inf)
        if inside.any():
            u = self.coordinates.to_unconstrained(theta[inside])
            total[inside] = self.density.log_prob(u) - self.coordinates.log_abs_det_jacobian(u)
        return total

    def mean(self) -> xr.DataArray:
        """Mean of each parameter; exact for mixtures whose parameters have normal priors, else from samples."""
        return self._moments()[0]

    def covariance(self) -> xr.DataArray:
        """Covariance (parameter, other); exact for mixtures whose parameters have normal priors, else from samples.

        Its unit is the product of the coordinates `unit` and `other_unit`.
        """
        return self._moments()[1]

    def map(self) -> xr.DataArray:
        """The parameter set of highest density, in the parameters' own units.

        For a mixture whose parameters have normal priors the highest mode is found exactly; otherwise by ascent from
        the best of many samples, between the first and the last hundredth of each parameter's posterior: at the very
        bounds of a prior a learned density may rise without end.
        """
        if self._is_affine() and isinstance(self.density, GaussianMixture):
            u = self.density.mode()
        else:
            u = self._climb()
        return self.labelled(self.coordinates.from_unconstrained(u[None]))[0]

    def marginal(self, names: str | Sequence[str]) -> ParameterDensity:
        """The density of some parameters alone; closed form for mixtures, else a mixture fitted to samples.

        Raises
        ------
        InputError
            A name that is no parameter, or given twice.
        """
        names = _names(names)
        rows = [self.coordinates.index(name) for name in names]
        mixture, approximate = self._as_mixture()
        return ParameterDensity(self.coordinates.of(names), mixture.marginal(rows), approximate)

    def conditional(self, values: Mapping[str, float]) -> ParameterDensity:
        """The density of the other parameters, given values of some; closed form for mixtures.

        Raises
        ------
        InputError
            A name that is no parameter, a value outside its support or at its very bound, or nothing left free.
        """
        given = _names(list(values))
        rows = [self.coordinates.index(name) for name in given]
        free = [name for name in self.names if name not in given]
        u = self.coordinates.of(given).to_unconstrained([[float(values[name]) for name in given]])[0]
        for name, place in zip(given, u, strict=True):
            if not abs(place) < LARGEST_COORDINATE:
                raise InputError(
                    f"{name} = {float(values[name]):g} lies at the very bound of its prior, where a learned density"
                    " says nothing of the others; give a value inside."
                )
        mixture, approximate = self._as_mixture()
        return ParameterDensity(self.coordinates.of(free), mixture.conditional(rows, u), approximate)

    def labelled(self, theta: np.ndarray) -> xr.DataArray:
        """Parameter sets (n, parameter) as a DataArray."""
        return xr.DataArray(
            theta,
            dims=("sample", "parameter"),
            coords={"parameter": list(self.names), "unit": ("parameter", list(self.coordinates.units))},
            name="parameters",
        )

    def _moments(self) -> tuple[xr.DataArray, xr.DataArray]:
        if self._is_affine() and isinstance(self.density, GaussianMixture):
            mean = self.coordinates.from_unconstrained(self.density.mean()[None])[0]
            scale = np.exp(self.coordinates.log_jacobians(np.zeros((1, len(self.names))))[0])
            covariance = self.density.covariance() * np.outer(scale, scale)
        else:
            theta = self.sample(DRAWS_FOR_MOMENTS, seed=fold_in(0, "mechanism/moments")).values
            mean, covariance = theta.mean(axis=0), np.atleast_2d(np.cov(theta.T))
        names, units = list(self.names), list(self.coordinates.units)
        coordinates = {"parameter": names, "other": names, "unit": ("parameter", units), "other_unit": ("other", units)}
        return (
            self.labelled(mean[None])[0].rename("mean"),
            xr.DataArray(covariance, coordinates, ("parameter", "other")),
        )

    def _is_affine(self) -> bool:
        return all(isinstance(d, Normal) for d in self.coordinates.distributions)

    def _as_mixture(self) -> tuple[GaussianMixture, bool]:
        if isinstance(self.density, GaussianMixture):
            return self.density, self.approximate
        return fitted_mixture(self.density), True

    def _height(self, u: np.ndarray) -> np.ndarray:
        return self.density.log_prob(u) - self.coordinates.log_abs_det_jacobian(u)

    def _climb(self) -> np.ndarray:
        """The highest point that is reached from the best samples, by a quasi-Newton ascent with numerical gradients,
        within the box of `INNER`."""
        u = self.density.sample(2000, seed=fold_in(0, "mechanism/map"))
        low, high = np.quantile(u, INNER, axis=0)
        if isinstance(self.density, GaussianMixture):
            u = np.concatenate([u, self.density.means])
        u = np.clip(u, low, high)
        starts, d = u[np.argsort(self._height(u))[-4:]], u.shape[1]
        step = 1e-3 * np.eye(d)

        def descent(u: np.ndarray) -> tuple[float, np.ndarray]:
            heights = self._height(np.concatenate([u[None], u + step, u - step]))
            return -heights[0], -(heights[1 : d + 1] - heights[d + 1 :]) / 2e-3

        ends = [
            minimize(descent, u, jac=True, method="L-BFGS-B", bounds=list(zip(low, high, strict=True))).x
            for u in starts
        ]
        candidates = np.concatenate([starts, ends])
        return candidates[np.argmax(self._height(candidates))]


def fitted_mixture(density: Density) -> GaussianMixture:
    """A mixture of Gaussians fitted (expectation-maximisation) to samples of a density without closed forms."""
    from sklearn.mixture import GaussianMixture as Fitter

    samples = density.sample(DRAWS_FOR_MIXTURE, seed=fold_in(0, "mechanism/fitted-mixture"))
    fit = Fitter(MIXTURE_COMPONENTS, reg_covar=1e-8, random_state=0, max_iter=300, tol=1e-4).fit(samples)
    return GaussianMixture.from_covariances(fit.weights_, fit.means_, fit.covariances_)


def _names(names: str | Sequence[str]) -> list[str]:
    names = [names] if isinstance(names, str) else list(names)
    if not names or len(set(names)) != len(names):
        raise InputError(f"Expected names of parameters, each once; got {names}.")
    return names
