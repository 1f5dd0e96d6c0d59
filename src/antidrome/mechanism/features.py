"""Scaling of features before a network sees them: a monotone map of each, then units of spread; nothing is lost.

Positive features over decades are taken in the logarithm, others with heavy tails through asinh; far outliers are
drawn in logarithmically. Everything is decided on the first simulations (the paper's pilot run) and then kept.
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import numpy as np

from antidrome.errors import InputError
from antidrome.mechanism.imputation import expected_where_missing, gaussian_of_gaps

IDENTITY, LOGARITHM, ASINH = 0, 1, 2
HEAVY_RIGHT = 6.0
HEAVY_TAILS = 8.0
SMALLEST_SPREAD = 1e-9
"""Relative to the mean: what varies less is rounding. Whatever the unit (A or pA), a feature that varies counts."""
FAR = 10.0
UNREACHED = "lie outside everything that was simulated"
"""In the note on `outside_simulations`, which the diagnosis repeats."""


@dataclasses.dataclass(frozen=True)
class FeatureScaling:
    """The map of each of k features.

    Parameters
    ----------
    kind
        (k,), 0 identity, 1 logarithm, 2 asinh.
    centre, spread
        (k,), before asinh: (x − centre)/spread; after the logarithm, likewise.
    mean, sd
        (k,), of what came out, so that inputs have mean 0 and variance 1 over the first simulations. A feature that
        never varies has an infinite sd: whatever is observed, networks that have learned nothing of it see 0.
    level, covariance
        Mean (m,) and covariance (m, m) of the last m scaled features (those that are no part of a trace), from which
        missing ones are expected; of very many, their variances (m,); None where nothing is missing.
    """

    kind: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    level: np.ndarray | None = None
    covariance: np.ndarray | None = None

    @classmethod
    def of(cls, features: np.ndarray, n_trace: int = 0, channels: int = 1) -> FeatureScaling:
        """Decide from features (n, k) with gaps; the first `n_trace` are a trace, scaled by channel, never bent.

        Raises
        ------
        InputError
            There is no simulation to decide from.
        """
        if not len(features):
            raise InputError("No valid simulation is there to scale the features by.")
        k = features.shape[1]
        kind, centre, spread = np.zeros(k, np.int64), np.zeros(k), np.ones(k)
        for i in range(n_trace, k):
            kind[i], centre[i], spread[i] = _choose(features[:, i])
        plain = cls(kind, centre, spread, np.zeros(k), np.ones(k))
        mapped = plain._map(features)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            mean, sd = np.nanmean(mapped, axis=0), np.nanstd(mapped, axis=0)
            for channel in range(channels if n_trace else 0):
                columns = slice(channel, n_trace, channels)
                mean[columns], sd[columns] = np.nanmean(mapped[:, columns]), np.nanstd(mapped[:, columns])
        sd = np.where(_varies(mean, sd), sd, np.inf)
        return dataclasses.replace(plain, mean=np.nan_to_num(mean), sd=sd)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Scaled features (n, k), float32; gaps stay gaps."""
        z = (self._map(np.asarray(features, float)) - self.mean) / self.sd
        far = np.abs(z) > FAR
        drawn_in = np.sign(z) * (FAR + np.log1p(np.abs(np.where(far, z, 0.0)) - np.where(far, FAR, 0.0)))
        return np.where(far, drawn_in, z).astype(np.float32)

    def inputs(self, features: np.ndarray) -> np.ndarray:
        """What a network is given, float32: scaled features (n, k) and, with a covariance, the expected values of the
        missing ones behind them (0 where nothing is missing)."""
        z = self(features)
        if self.level is None or self.covariance is None:
            return z
        expected = expected_where_missing(z[:, z.shape[1] - len(self.level) :], self.level, self.covariance)
        return np.column_stack([z, expected.astype(np.float32)])

    def expecting(self, features: np.ndarray, weights: np.ndarray, n_trace: int = 0) -> FeatureScaling:
        """The same, with the covariance of the features (n, k) behind the trace, weights (n,)."""
        level, covariance = gaussian_of_gaps(self(features)[:, n_trace:], weights)
        return dataclasses.replace(self, level=level, covariance=covariance)

    def near(self, features: np.ndarray, weights: np.ndarray) -> FeatureScaling:
        """The same maps, with mean 0 and variance 1 over weighted simulations: those near the observation.

        Parameters
        ----------
        features
            (n, k), NaN where missing.
        weights
            (n,).
        """
        mapped = self._map(features[weights > 0])
        there = ~np.isnan(mapped)
        share = weights[weights > 0, None] * there
        total = np.maximum(share.sum(axis=0), 1e-300)
        mean = np.where(there, mapped, 0.0)
        mean = (share * mean).sum(axis=0) / total
        sd = np.sqrt((share * np.square(np.where(there, mapped - mean, 0.0))).sum(axis=0) / total)
        known = there.any(axis=0)
        return dataclasses.replace(
            self, mean=np.where(known, mean, self.mean), sd=np.where(known & _varies(mean, sd), sd, self.sd)
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays, for a file."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: np.asarray(value) for name, value in values.items() if value is not None}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any]) -> FeatureScaling:
        """The scaling of named arrays."""
        return cls(**{f.name: np.asarray(arrays[f.name]) for f in dataclasses.fields(cls) if f.name in arrays})

    def _map(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            logarithm = np.log(np.maximum(x, 0.0) + self.centre * (self.kind == LOGARITHM))
            bent = np.arcsinh((x - self.centre) / self.spread)
        return np.where(self.kind == LOGARITHM, logarithm, np.where(self.kind == ASINH, bent, x))


def _varies(mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Where a spread (k,) is more than rounding errors about the mean."""
    return np.isfinite(sd) & (sd > SMALLEST_SPREAD * np.abs(mean))


def _choose(values: np.ndarray) -> tuple[int, float, float]:
    """Kind, centre and spread of the map of one feature; of a logarithm, `centre` is an offset that keeps 0 finite."""
    values = values[np.isfinite(values)]
    if len(values) < 10:
        return IDENTITY, 0.0, 1.0
    q01, q25, q50, q75, q99 = np.quantile(values, [0.01, 0.25, 0.5, 0.75, 0.99])
    if values.min() > 0 and q99 > HEAVY_RIGHT * q50:
        return LOGARITHM, float(values.min()) * 1e-3, 1.0
    if q75 > q25 and q99 - q01 > HEAVY_TAILS * (q75 - q25):
        return ASINH, float(q50), float(q75 - q25)
    return IDENTITY, 0.0, 1.0


def constant_features(features: np.ndarray) -> np.ndarray:
    """Which features never vary over the simulations, (k,)."""
    low, high = _range(features)
    return high - low <= 0


def outside_simulations(observation: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Which observed features (k,) lie beyond everything that was simulated (n, k), or were never simulated at all."""
    low, high = _range(features)
    return ~np.isnan(observation) & ~((observation >= low) & (observation <= high))


def _range(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest value of each feature, (k,); NaN where no simulation has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmin(features, axis=0), np.nanmax(features, axis=0)
