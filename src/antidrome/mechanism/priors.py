"""Priors: named parameters with units and bounds, and the map to unconstrained coordinates.

In unconstrained coordinates every parameter has a standard normal prior (parameters with a joint Gaussian prior keep
their correlations). The map acts on each parameter alone, so marginals and conditionals of a mixture in these
coordinates are closed-form in the parameters too, and a density learned there puts no mass outside the bounds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from antidrome.core.seeds import generator
from antidrome.core.whole import whole_number
from antidrome.errors import InputError, did_you_mean
from antidrome.mechanism.coordinates import Coordinates
from antidrome.mechanism.distributions import (
    ONE_DIMENSIONAL,
    Distribution,
    LogNormal,
    LogUniform,
    Normal,
    Scipy,
    TruncatedNormal,
    Uniform,
    standard_normal_log_density,
)
from antidrome.mechanism.foreign import as_distribution

__all__ = [
    "LogNormal",
    "LogUniform",
    "MultivariateNormal",
    "Normal",
    "Prior",
    "Scipy",
    "TruncatedNormal",
    "Uniform",
    "as_prior",
]

_KINDS = {cls.kind: cls for cls in ONE_DIMENSIONAL}


@dataclasses.dataclass(frozen=True)
class MultivariateNormal:
    """Joint normal of several parameters, with mean (d,) and covariance (d, d)."""

    mean: ArrayLike
    covariance: ArrayLike


class Prior:
    """Product of named one-dimensional priors and of Gaussians with covariance.

    Parameters
    ----------
    parameters
        Name → distribution: of this package (`Uniform`, `LogUniform`, `Normal`, `LogNormal`, `TruncatedNormal`),
        (low, high) for a uniform one, a frozen continuous one of `scipy.stats`, or one of numpyro. Tuple of names →
        `MultivariateNormal` (or that of scipy or numpyro).
    units
        Name → unit ("mS/cm²"); parameters without an entry are dimensionless.

    Raises
    ------
    InputError
        A distribution that cannot be used, a name given twice, a unit for an unknown name, a covariance that is not
        one.

    Examples
    --------
    >>> prior = Prior({"g_na": Uniform(0.5, 80), "tau_max": LogUniform(50, 3000)}, {"tau_max": "ms"})
    >>> prior.names, prior.sample(3, seed=1).shape
    (('g_na', 'tau_max'), (3, 2))
    """

    def __init__(self, parameters: Mapping[Any, Any], units: Mapping[str, str] | None = None) -> None:
        names: list[str] = []
        distributions: list[Distribution] = []
        blocks: list[tuple[tuple[int, ...], np.ndarray]] = []
        for key, given in parameters.items():
            group = tuple(key) if isinstance(key, tuple | list) else (key,)
            if isinstance(given, MultivariateNormal):
                parsed: Any = np.asarray(given.mean, float), np.asarray(given.covariance, float)
            else:
                parsed = as_distribution(given, ", ".join(map(str, group)))
            if isinstance(parsed, tuple):
                mean, covariance = _checked_gaussian(group, *parsed)
                sd = np.sqrt(np.diag(covariance))
                blocks.append((tuple(range(len(names), len(names) + len(group))), covariance / np.outer(sd, sd)))
                distributions += [Normal(float(m), float(s)) for m, s in zip(mean, sd, strict=True)]
            elif len(group) != 1:
                raise InputError(f"One distribution was given for {len(group)} parameters {group}; give one for each.")
            else:
                distributions.append(parsed)
            names += group
        _check_names(names)
        self.names: tuple[str, ...] = tuple(names)
        self.units: tuple[str, ...] = _units(names, units or {})
        self._hold(distributions, blocks)

    def _hold(
        self, distributions: Sequence[Distribution], blocks: Sequence[tuple[tuple[int, ...], np.ndarray]]
    ) -> None:
        """Take the distribution of each parameter, and the correlation of those that have a joint one."""
        self.coordinates = Coordinates(self.names, self.units, tuple(distributions))
        self._blocks = tuple(blocks)
        joint = np.eye(len(self.names))
        for rows, correlation in blocks:
            joint[np.ix_(rows, rows)] = correlation
        self._factor = np.linalg.cholesky(joint)

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        return len(self.names)

    def whiten(self, u: ArrayLike) -> np.ndarray:
        """Unconstrained coordinates (n, parameter) turned so that the prior is N(0, I)."""
        u = self.coordinates.table(u)
        return u if not self._blocks else np.linalg.solve(self._factor, u.T).T

    def colour(self, white: ArrayLike) -> np.ndarray:
        """The inverse of `whiten`."""
        white = self.coordinates.table(white)
        return white if not self._blocks else white @ self._factor.T

    def sample(self, n_samples: int = 1000, *, seed: int = 0) -> np.ndarray:
        """Draw `n_samples` parameter sets, (n, parameter); the same seed gives the same ones."""
        return self.from_unconstrained(self.sample_unconstrained(n_samples, seed=seed))

    def sample_unconstrained(self, n_samples: int, *, seed: int) -> np.ndarray:
        """Draw `n_samples` points of the prior in unconstrained coordinates, (n, parameter)."""
        shape = (whole_number("n_samples", n_samples, 0), self.n_parameters)
        return generator(seed, "mechanism/prior").standard_normal(shape) @ self._factor.T

    def log_prob(self, theta: ArrayLike | Mapping[str, ArrayLike]) -> np.ndarray:
        """Log density in the parameters' own units, (n,), of parameter sets (n, parameter); −∞ outside the support.

        Raises
        ------
        InputError
            A value is missing, or a name is that of no parameter.
        """
        theta = self.coordinates.known(theta)
        total = sum(d.log_prob(theta[:, i]) for i, d in enumerate(self.coordinates.distributions))
        inside = np.isfinite(total)
        if not self._blocks or not inside.any():
            return np.asarray(total, dtype=float)
        u = self.to_unconstrained(theta[inside])
        total[inside] += self.log_prob_unconstrained(u) - standard_normal_log_density(u).sum(axis=1)
        return total

    def log_prob_unconstrained(self, u: ArrayLike) -> np.ndarray:
        """Log density of the prior in unconstrained coordinates, (n,), at (n, parameter)."""
        return standard_normal_log_density(self.whiten(u)).sum(axis=1) - np.log(np.diag(self._factor)).sum()

    @property
    def bounds(self) -> np.ndarray:
        """Support, (parameter, 2); infinite where there is no bound."""
        return self.coordinates.bounds

    def to_unconstrained(self, theta: ArrayLike) -> np.ndarray:
        """Parameter sets (n, parameter) in unconstrained coordinates.

        Raises
        ------
        InputError
            A value lies outside its support; the message names row and parameter.
        """
        return self.coordinates.to_unconstrained(theta)

    def from_unconstrained(self, u: ArrayLike) -> np.ndarray:
        """Unconstrained coordinates (n, parameter) as parameter sets; always inside the support."""
        return self.coordinates.from_unconstrained(u)

    def log_abs_det_jacobian(self, u: ArrayLike) -> np.ndarray:
        """Log of the absolute determinant of dθ/du at unconstrained coordinates (n, parameter), (n,)."""
        return self.coordinates.log_abs_det_jacobian(u)

    def inside(self, theta: ArrayLike) -> np.ndarray:
        """Whether parameter sets (n, parameter) lie in the support, (n,)."""
        return self.coordinates.inside(theta)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready description; `Prior.from_dict` reads it back."""
        return {
            "names": list(self.names),
            "units": list(self.units),
            "distributions": [
                _plain({"kind": d.kind, **dataclasses.asdict(d)}) for d in self.coordinates.distributions
            ],
            "blocks": [{"parameters": list(rows), "correlation": c.tolist()} for rows, c in self._blocks],
        }

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Prior:
        """The prior of a description by `to_dict`.

        Raises
        ------
        InputError
            It is not such a description.
        """
        try:
            distributions = [
                _KINDS[d["kind"]](**{k: _parsed(v) for k, v in d.items() if k != "kind"})
                for d in description["distributions"]
            ]
            return cls._assemble(description, distributions)
        except (KeyError, TypeError, IndexError) as error:
            raise InputError(f"This is not the description of a prior ({type(error).__name__}: {error}).") from error

    @classmethod
    def _assemble(cls, description: Mapping[str, Any], distributions: list[Any]) -> Prior:
        names, parameters = description["names"], {}
        starts = {block["parameters"][0]: block for block in description["blocks"]}
        inside = {i for block in description["blocks"] for i in block["parameters"]}
        for i, name in enumerate(names):
            if i in starts:
                rows = starts[i]["parameters"]
                sd = np.array([distributions[j].sd for j in rows])
                covariance = np.asarray(starts[i]["correlation"]) * np.outer(sd, sd)
                parameters[tuple(names[j] for j in rows)] = MultivariateNormal(
                    [distributions[j].mean for j in rows], covariance
                )
            elif i not in inside:
                parameters[name] = distributions[i]
        prior = cls(parameters, dict(zip(names, description["units"], strict=True)))
        blocks = [(tuple(b["parameters"]), np.asarray(b["correlation"], float)) for b in description["blocks"]]
        prior._hold(distributions, blocks)  # as they were, without the rounding of covariances made of them
        return prior

    def __repr__(self) -> str:
        parts = [
            f"{n}: {d}" + (f" {u}" if u else "")
            for n, d, u in zip(self.names, self.coordinates.distributions, self.units, strict=True)
        ]
        return f"Prior({', '.join(parts)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Prior) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]


def as_prior(given: Any) -> Prior:
    """A `Prior` from a prior, a mapping of names to distributions, a sequence of distributions, or a joint Gaussian.

    Raises
    ------
    InputError
        It is none of these.
    """
    if isinstance(given, Prior):
        return given
    if isinstance(given, Mapping):
        return Prior(given)
    if isinstance(given, Sequence) and not isinstance(given, str):
        return Prior({f"theta_{i}": one for i, one in enumerate(given)})
    if isinstance(given, MultivariateNormal):
        return Prior({tuple(f"theta_{i}" for i in range(np.size(given.mean))): given})
    parsed = as_distribution(given, "theta_0")
    if isinstance(parsed, tuple):
        return as_prior(MultivariateNormal(*parsed))
    return Prior({"theta_0": parsed})


def _checked_gaussian(
    names: tuple[str, ...], mean: np.ndarray, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    d = len(names)
    mean = np.broadcast_to(np.atleast_1d(mean), (d,)) if np.size(mean) == 1 else np.asarray(mean)
    if mean.shape != (d,) or covariance.shape != (d, d):
        raise InputError(
            f"The Gaussian prior of {', '.join(names)} has a mean of shape {mean.shape} and a covariance of shape"
            f" {covariance.shape}; expected ({d},) and ({d}, {d})."
        )
    finite = np.isfinite(mean).all() and np.isfinite(covariance).all()
    if not finite or not _is_covariance(covariance):
        raise InputError(f"The covariance of {', '.join(names)} needs to be finite, symmetric and positive definite.")
    return mean, (covariance + covariance.T) / 2


def _is_covariance(matrix: np.ndarray) -> bool:
    """Whether a matrix (d, d) is symmetric and positive definite, in units of its own spreads: parameters may be in
    farads beside ohms."""
    variances = np.diag(matrix)
    if not (variances > 0).all():
        return False
    correlation = matrix / np.sqrt(variances) / np.sqrt(variances)[:, None]
    return bool(np.allclose(correlation, correlation.T) and np.linalg.eigvalsh(correlation).min() > 0)


def _check_names(names: list[Any]) -> None:
    if not names:
        raise InputError("The prior has no parameter; give at least one name with its distribution.")
    if any(not isinstance(name, str) or not name for name in names):
        raise InputError(f"Parameter names need to be non-empty text; got {names}.")
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(f"Parameters given twice: {', '.join(sorted(twice))}.")


def _units(names: list[str], units: Mapping[str, str]) -> tuple[str, ...]:
    for name in units:
        if name not in names:
            raise InputError(f"A unit was given for {name!r}, which is no parameter.{did_you_mean(name, names)}")
    return tuple(units.get(name, "") for name in names)


def _plain(value: Any) -> Any:
    """JSON-ready: infinite numbers as text, which `float` reads back."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if np.ndim(value) == 0 and hasattr(value, "item"):  # a scalar of NumPy or JAX
        value = value.item()
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def _parsed(value: Any) -> Any:
    """What `_plain` was given."""
    if isinstance(value, list):
        return tuple(float(item) for item in value)
    if isinstance(value, dict):
        return {key: float(item) for key, item in value.items()}
    return value
