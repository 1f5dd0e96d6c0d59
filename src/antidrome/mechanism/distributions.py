"""One-dimensional distributions of a parameter, each with the map to a coordinate in which it is standard normal.

The map is u = Φ⁻¹(F(θ)): the whole line belongs to the support, so a density learned in u can leak nowhere, and the
prior itself is N(0, 1). Both tails are computed from their own side, so nothing is lost near the upper bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import ndtr, ndtri, ndtri_exp

from antidrome.errors import InputError

LARGEST_COORDINATE = 37.0
"""Beyond it Φ underflows in double precision; a value on the bound itself is put here."""


def standard_normal_log_density(u: np.ndarray) -> np.ndarray:
    """log φ(u), elementwise."""
    return -0.5 * np.square(u) - 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class Uniform:
    """Uniform between two bounds.

    Examples
    --------
    >>> Uniform(0.5, 80.0).bounds
    (0.5, 80.0)
    """

    low: float
    high: float
    kind: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        _require_ordered(self.low, self.high, "Uniform")
        if not _is_finite(self.high - self.low):
            raise InputError(f"Uniform({self.low}, {self.high}): the bounds are too far apart to be told in numbers.")

    @property
    def bounds(self) -> tuple[float, float]:
        """Support."""
        return float(self.low), float(self.high)

    def to_unconstrained(self, theta: np.ndarray) -> np.ndarray:
        """u = Φ⁻¹((θ − low)/(high − low)), elementwise; NaN outside the support."""
        width = self.high - self.low
        below, above = (theta - self.low) / width, (self.high - theta) / width
        return _clip(np.where(below < 0.5, ndtri(below), -ndtri(above)))

    def from_unconstrained(self, u: np.ndarray) -> np.ndarray:
        """The inverse of `to_unconstrained`."""
        width = self.high - self.low
        return np.where(u < 0, self.low + width * ndtr(u), self.high - width * ndtr(-u))

    def log_prob(self, theta: np.ndarray) -> np.ndarray:
        """Log density, −∞ outside."""
        inside = (theta >= self.low) & (theta <= self.high)
        return np.where(inside, -math.log(self.high - self.low), -np.inf)


@dataclass(frozen=True)
class LogUniform:
    """Uniform in the logarithm, between two positive bounds."""

    low: float
    high: float
    kind: ClassVar[str] = "log-uniform"

    def __post_init__(self) -> None:
        _require_ordered(self.low, self.high, "LogUniform")
        if self.low <= 0:
            raise InputError(f"LogUniform({self.low}, {self.high}): both bounds need to be positive.")

    @property
    def bounds(self) -> tuple[float, float]:
        """Support."""
        return float(self.low), float(self.high)

    def to_unconstrained(self, theta: np.ndarray) -> np.ndarray:
        """The map of `Uniform`, of log θ; NaN outside the support."""
        with np.errstate(invalid="ignore", divide="ignore"):
            logarithm = np.log(theta)
        return self._of_log().to_unconstrained(_pin(logarithm, math.log(self.low), math.log(self.high)))

    def from_unconstrained(self, u: np.ndarray) -> np.ndarray:
        """The inverse of `to_unconstrained`."""
        return np.clip(np.exp(self._of_log().from_unconstrained(u)), self.low, self.high)

    def log_prob(self, theta: np.ndarray) -> np.ndarray:
        """Log density, −∞ outside."""
        inside = (theta >= self.low) & (theta <= self.high)
        safe = np.where(inside, theta, self.low)
        return np.where(inside, -np.log(safe) - math.log(_log_width(self.low, self.high)), -np.inf)

    def _of_log(self) -> Uniform:
        return Uniform(math.log(self.low), math.log(self.high))


@dataclass(frozen=True)
class Normal:
    """Normal with mean and standard deviation."""

    mean: float
    sd: float
    kind: ClassVar[str] = "normal"

    def __post_init__(self) -> None:
        _require_spread(self.mean, self.sd, "Normal")

    @property
    def bounds(self) -> tuple[float, float]:
        """Support."""
        return -math.inf, math.inf

    def to_unconstrained(self, theta: np.ndarray) -> np.ndarray:
        """u = (θ − mean)/sd."""
        return (theta - self.mean) / self.sd

    def from_unconstrained(self, u: np.ndarray) -> np.ndarray:
        """The inverse of `to_unconstrained`."""
        return self.mean + self.sd * u

    def log_prob(self, theta: np.ndarray) -> np.ndarray:
        """Log density."""
        return standard_normal_log_density(self.to_unconstrained(theta)) - math.log(self.sd)


@dataclass(frozen=True)
class LogNormal:
    """log θ is normal with this mean and standard deviation."""

    log_mean: float
    log_sd: float
    kind: ClassVar[str] = "log-normal"

    def __post_init__(self) -> None:
        _require_spread(self.log_mean, self.log_sd, "LogNormal")

    @property
    def bounds(self) -> tuple[float, float]:
        """Support."""
        return 0.0, math.inf

    def to_unconstrained(self, theta: np.ndarray) -> np.ndarray:
        """u = (log θ − log_mean)/log_sd; NaN for negative values."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return _clip((np.log(theta) - self.log_mean) / self.log_sd)

    def from_unconstrained(self, u: np.ndarray) -> np.ndarray:
        """The inverse of `to_unconstrained`."""
        return np.exp(self.log_mean + self.log_sd * u)

    def log_prob(self, theta: np.ndarray) -> np.ndarray:
        """Log density, −∞ where θ is not positive."""
        positive = theta > 0
        logarithm = np.log(np.where(positive, theta, 1.0))
        density = standard_normal_log_density((logarithm - self.log_mean) / self.log_sd) - math.log(self.log_sd)
        return np.where(positive, density - logarithm, -np.inf)


@dataclass(frozen=True)
class Scipy:
    """A continuous univariate distribution of `scipy.stats`, by name and arguments.

    Examples
    --------
    >>> Scipy("gamma", (2.0,), {"scale": 3.0}).bounds
    (0.0, inf)
    """

    name: str
    args: tuple[float, ...] = ()
    keywords: Any = None
    kind: ClassVar[str] = "scipy"

    def __post_init__(self) -> None:
        from scipy import stats

        family = getattr(stats, self.name, None)
        if not isinstance(family, stats.rv_continuous):
            raise InputError(f"scipy.stats.{self.name} is not a continuous distribution of one variable.")
        object.__setattr__(self, "args", tuple(float(a) for a in self.args))
        object.__setattr__(self, "keywords", {k: float(v) for k, v in (self.keywords or {}).items()})
        low, high = self._frozen().support()
        if not low < high:
            raise InputError(f"scipy.stats.{self.name}{self.args} {self.keywords}: these arguments give no density.")

    @property
    def bounds(self) -> tuple[float, float]:
        """Support; of the circular one, which SciPy says is everywhere, the turn that it draws from."""
        if self.name == "vonmises":
            turn = math.pi * self.keywords.get("scale", self.args[2] if len(self.args) > 2 else 1.0)
            middle = self.keywords.get("loc", self.args[1] if len(self.args) > 1 else 0.0)
            return middle - turn, middle + turn
        low, high = self._frozen().support()
        return float(low), float(high)

    def to_unconstrained(self, theta: np.ndarray) -> np.ndarray:
        """u = Φ⁻¹(F(θ)); NaN outside the support."""
        frozen, (low, high) = self._frozen(), self.bounds
        with np.errstate(divide="ignore", invalid="ignore"):
            lower, upper = frozen.logcdf(theta), frozen.logsf(theta)
            u = np.where(lower < upper, ndtri_exp(lower), -ndtri_exp(upper))
        return _clip(np.where((theta >= low) & (theta <= high), u, np.nan))

    def from_unconstrained(self, u: np.ndarray) -> np.ndarray:
        """The inverse of `to_unconstrained`."""
        frozen = self._frozen()
        low, high = np.ravel(u) < 0, np.ravel(u) >= 0
        theta = np.full(np.size(u), np.nan)
        theta[low] = frozen.ppf(ndtr(np.ravel(u)[low]))
        theta[high] = frozen.isf(ndtr(-np.ravel(u)[high]))
        return np.clip(theta.reshape(np.shape(u)), *self.bounds)

    def log_prob(self, theta: np.ndarray) -> np.ndarray:
        """Log density, −∞ outside."""
        low, high = self.bounds
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where((theta < low) | (theta > high), -np.inf, self._frozen().logpdf(theta))

    def _frozen(self) -> Any:
        from scipy import stats

        return getattr(stats, self.name)(*self.args, **self.keywords)


def TruncatedNormal(mean: float, sd: float, low: float = -math.inf, high: float = math.inf) -> Scipy:
    """Normal with this mean and standard deviation (before truncation), restricted to [low, high]."""
    _require_spread(mean, sd, "TruncatedNormal")
    if not low < high:
        raise InputError(f"TruncatedNormal: the lower bound {low} needs to be below the upper bound {high}.")
    return Scipy("truncnorm", ((low - mean) / sd, (high - mean) / sd), {"loc": mean, "scale": sd})


ONE_DIMENSIONAL = (Uniform, LogUniform, Normal, LogNormal, Scipy)
Distribution = Uniform | LogUniform | Normal | LogNormal | Scipy


def log_density_of_map(distribution: Distribution, u: np.ndarray) -> np.ndarray:
    """log |dθ/du| at u, elementwise: log φ(u) − log p(θ(u)), exact in the tails where the map has a closed form."""
    match distribution:
        case Uniform(low, high):
            return math.log(high - low) + standard_normal_log_density(u)
        case Normal(_, sd):
            return np.full(np.shape(u), math.log(sd))
        case LogNormal(mean, sd):
            return math.log(sd) + mean + sd * u
        case LogUniform(low, high):
            width = _log_width(low, high)
            return np.log(distribution.from_unconstrained(u)) + math.log(width) + standard_normal_log_density(u)
    return standard_normal_log_density(u) - distribution.log_prob(distribution.from_unconstrained(u))


def _log_width(low: float, high: float) -> float:
    """log(high/low) of positive bounds, also where their ratio is no number any more."""
    ratio = high / low
    return math.log(ratio) if math.isfinite(ratio) else math.log(high) - math.log(low)


def _clip(u: np.ndarray) -> np.ndarray:
    return np.clip(u, -LARGEST_COORDINATE, LARGEST_COORDINATE)


def _pin(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """Rounding errors of a logarithm at the bounds are not values outside."""
    slack = 1e-12 * max(1.0, abs(low), abs(high))
    value = np.where((value < low) & (value > low - slack), low, value)
    return np.where((value > high) & (value < high + slack), high, value)


def _require_ordered(low: float, high: float, name: str) -> None:
    if not (_is_finite(low) and _is_finite(high) and low < high):
        raise InputError(f"{name}({low}, {high}): the bounds need to be finite, the lower below the upper.")


def _require_spread(mean: float, sd: float, name: str) -> None:
    if not (_is_finite(mean) and _is_finite(sd) and sd > 0):
        raise InputError(f"{name}({mean}, {sd}): the mean needs to be finite, the standard deviation positive.")


def _is_finite(value: Any) -> bool:
    """Whether it is one finite number."""
    try:
        return math.isfinite(value)
    except TypeError:
        return False
