"""A fitted system, and the covariances and correlations of pairs of neurons that it predicts."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import xarray as xr

from antidrome.dynamics.fitting import PairPredictor, Result
from antidrome.dynamics.population import Population
from antidrome.dynamics.powers import powers
from antidrome.dynamics.system import LinearSystem


@dataclasses.dataclass(frozen=True)
class FittedSystem:
    """What predictions need: the system in scaled units, the predictors of pairs, labels and units.

    Parameters
    ----------
    system, lagged, zero, share, calibration, lags
        See `fitting.Result`.
    population
        Labels alone (no sessions), to look neurons up.
    observed, together
        (session, neuron) at the fit; (neuron, neuron) pairs recorded together, or None where `observed` tells them.
    scale, offset, variance
        (neuron,) units of the scaled data, mean, variance in scaled units.
    observation, scaling
        "gaussian" or "poisson"; "neuron", "session" or "none".
    frame_rate_hz
        Frames per second, or None.
    process
        (latent, latent) covariance of the process; see `process.process_covariance`.
    units
        Of the recordings of the fit; None where they do not say.
    hollow
        Whether neurons have private autocovariances, which the fit left out and does not know.
    of_logs
        Whether the fit took covariances of counts to those of log rates exactly, not to first order.
    """

    system: LinearSystem
    lagged: PairPredictor
    zero: PairPredictor | None
    share: float
    calibration: float
    lags: tuple[int, ...]
    population: Population
    observed: np.ndarray
    together: np.ndarray | None
    scale: np.ndarray
    offset: np.ndarray
    variance: np.ndarray
    observation: str
    scaling: str
    frame_rate_hz: float | None
    process: np.ndarray
    units: str | None
    hollow: bool = False
    of_logs: bool = False

    @classmethod
    def of(cls, estimator: Any, found: Result) -> FittedSystem:
        """From an estimator and its result."""
        return cls(
            found.system,
            found.lagged,
            found.zero,
            found.share_of_lags,
            found.calibration,
            estimator.lags_,
            Population(estimator.neurons_, ()),
            estimator.observed_,
            found.together,
            estimator.scale_,
            estimator.offset_,
            found.variance,
            estimator.observation,
            estimator.scaling,
            estimator.frame_rate_hz_,
            found.process,
            estimator.units_,
            found.settings.hollow_lags,
            estimator.observation == "poisson" and found.form in ("pairs", "dense"),
        )

    @property
    def loadings(self) -> np.ndarray:
        """(neuron, component) of the system, in scaled units."""
        return self.system.loadings

    def of_process(self) -> FittedSystem:
        """The same, predicting pairs of the process: Aˢ Π with its own variance, neither averaged nor calibrated."""
        c, latent = self.loadings, powers(self.system.dynamics, self.lags) @ self.process
        variance = np.einsum("ia,ia->i", c @ self.process, c) + self.system.noise_variance
        return dataclasses.replace(
            self, lagged=PairPredictor(c, latent), zero=None, share=1.0, calibration=1.0, variance=variance
        )

    def recorded_together(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """(i, j) True for pairs of neurons that the fit has seen together."""
        if self.together is not None:
            return self.together[np.ix_(i, j)]
        seen = self.observed.astype(np.float32)
        return seen[:, i].T @ seen[:, j] > 0

    def latent_covariance(self, lag: int) -> np.ndarray:
        """X at a lag ≥ 0: as fitted, or by the dynamics from the largest fitted lag below it."""
        below = max(one for one in self.lags if one <= lag)
        fitted = self.lagged.latent[self.lags.index(below)]
        return powers(self.system.dynamics, (lag - below,))[0] @ fitted


def scaled_covariance(system: FittedSystem, i: np.ndarray, j: np.ndarray, lag: int) -> np.ndarray:
    """Covariance of y_i(t + lag) and y_j(t) in scaled units, (i, j), without private noise."""
    if lag < 0:
        return scaled_covariance(system, j, i, -lag).T
    c = system.lagged.loadings
    latent = system.latent_covariance(lag)
    predicted = c[i] @ latent @ c[j].T
    if lag == 0 and system.zero is not None:
        c0 = system.zero.loadings
        predicted = system.share * predicted + (1 - system.share) * (c0[i] @ system.zero.latent[0] @ c0[j].T)
    if system.calibration != 1:
        predicted = np.where(system.recorded_together(i, j), predicted, system.calibration * predicted)
    return predicted


def covariance(system: FittedSystem, i: np.ndarray, j: np.ndarray, lag: int) -> np.ndarray:
    """Covariance in the units of the recording, (i, j).

    Where a neuron meets itself: the total variance at lag 0; at other lags NaN where it has private autocovariances.
    """
    predicted, itself = scaled_covariance(system, i, j, lag), i[:, None] == j[None, :]
    if lag == 0:
        predicted = np.where(itself, system.variance[i][:, None], predicted)
    elif system.hollow:
        predicted = np.where(itself, np.nan, predicted)
    scale = np.multiply.outer(system.scale[i], system.scale[j])
    if system.observation == "gaussian":
        return scale * predicted
    counts = scale * np.expm1(np.minimum(predicted, 50.0))
    return counts + np.where(itself & (lag == 0), system.scale[i][:, None], 0.0)


def total_variance(system: FittedSystem, i: np.ndarray) -> np.ndarray:
    """(neuron,) variance in the units of the recording: what `covariance` has where a neuron meets itself at lag 0."""
    scale, variance = system.scale[i], system.variance[i]
    if system.observation == "gaussian":
        return scale**2 * variance
    return scale**2 * np.expm1(np.minimum(variance, 50.0)) + scale


def correlation(system: FittedSystem, i: np.ndarray, j: np.ndarray, lag: int) -> np.ndarray:
    """Correlation, (i, j), within −1 and 1; NaN where `covariance` is."""
    spread = np.sqrt(np.multiply.outer(total_variance(system, i), total_variance(system, j)))
    return np.clip(covariance(system, i, j, lag) / np.maximum(spread, 1e-300), -1, 1)


def label_pairs(
    values: np.ndarray, system: FittedSystem, i: np.ndarray, j: np.ndarray, name: str, units: str
) -> xr.DataArray:
    """Put neuron labels on a block of pairs."""
    labels = system.population.labels
    return xr.DataArray(
        values,
        dims=("neuron", "neuron_2"),
        coords={"neuron": labels[i], "neuron_2": labels[j]},
        attrs={"long_name": name, "units": units, "citations": ["nonnenmacher2017"]},
    )
