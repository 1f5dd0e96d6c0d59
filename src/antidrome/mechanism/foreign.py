"""Distributions of other packages, taken as priors: frozen ones of `scipy.stats`, and those of numpyro.

Each is translated into the package's own, so that the map to the unconstrained coordinate is computed in double
precision and a saved posterior needs neither package to be loaded in the same version.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from antidrome.errors import InputError
from antidrome.mechanism.distributions import (
    ONE_DIMENSIONAL,
    Distribution,
    LogNormal,
    LogUniform,
    Normal,
    Scipy,
    TruncatedNormal,
    Uniform,
)


def as_distribution(given: Any, name: str) -> Distribution | tuple[np.ndarray, np.ndarray]:
    """One prior distribution from what the user gave; (mean, covariance) for a multivariate normal.

    Raises
    ------
    InputError
        It is no distribution, a discrete one, or one without a translation.
    """
    if isinstance(given, ONE_DIMENSIONAL):
        return given
    if isinstance(given, tuple | list) and len(given) == 2 and all(np.isscalar(x) for x in given):
        try:
            return Uniform(float(given[0]), float(given[1]))
        except (InputError, TypeError, ValueError) as error:
            raise InputError(f"The prior of {name!r} is {given!r}, taken for two bounds: {error}") from error
    kind = type(given).__module__.split(".")[0]
    if kind == "scipy":
        return _from_scipy(given, name)
    if kind == "numpyro":
        return _from_numpyro(given, name)
    raise InputError(
        f"The prior of {name!r} is a {type(given).__name__}; expected a distribution of antidrome.mechanism (Uniform,"
        " LogUniform, Normal, LogNormal, TruncatedNormal), (low, high), a frozen one of scipy.stats, or one of numpyro."
    )


def _from_scipy(given: Any, name: str) -> Distribution | tuple[np.ndarray, np.ndarray]:
    from scipy import stats

    family = getattr(given, "dist", None)
    if isinstance(family, stats.rv_continuous):
        if any(np.size(a) != 1 for a in (*given.args, *given.kwds.values())):
            raise InputError(f"The prior of {name!r} holds arrays of arguments; give one distribution a parameter.")
        _require_known(family, name)
        return Scipy(family.name, given.args, given.kwds)
    if type(given).__name__ == "multivariate_normal_frozen":
        return np.atleast_1d(given.mean), np.atleast_2d(given.cov)
    raise InputError(f"The prior of {name!r} ({type(given).__name__}) is not a frozen continuous scipy distribution.")


def _require_known(family: Any, name: str) -> None:
    """Raise InputError for a family of the user's own, whatever its name is."""
    from scipy import stats

    known = getattr(stats, family.name, None)
    if type(known) is not type(family) or (known.a, known.b) != (family.a, family.b):
        raise InputError(
            f"The prior of {name!r} is a distribution of your own ({family.name!r}), which has no translation. Give one"
            " that scipy.stats has, with its own support."
        )


def _from_numpyro(given: Any, name: str) -> Distribution | tuple[np.ndarray, np.ndarray]:
    kind = type(given).__name__
    if kind == "MultivariateNormal":
        return np.asarray(given.loc, dtype=float), np.asarray(given.covariance_matrix, dtype=float)
    if kind == "TwoSidedTruncatedDistribution" and type(given.base_dist).__name__ == "Normal":
        base = given.base_dist
        return TruncatedNormal(
            _number(base.loc, name), _number(base.scale, name), _number(given.low, name), _number(given.high, name)
        )
    if kind not in _NUMPYRO:
        raise InputError(
            f"The prior of {name!r}: numpyro's {kind} has no translation. Those that have: MultivariateNormal,"
            f" TruncatedNormal (both bounds), {', '.join(sorted(_NUMPYRO))}."
        )
    fields, make = _NUMPYRO[kind]
    return make(*(_number(getattr(given, field), name) for field in fields))


def _number(value: Any, name: str) -> float:
    value = np.asarray(value, dtype=float)
    if value.size != 1:
        raise InputError(
            f"The prior of {name!r} has a batch of shape {value.shape}; give one distribution a parameter."
        )
    return float(value.ravel()[0])


_NUMPYRO: dict[str, tuple[tuple[str, ...], Callable[..., Distribution]]] = {
    "Uniform": (("low", "high"), Uniform),
    "LogUniform": (("low", "high"), LogUniform),
    "Normal": (("loc", "scale"), Normal),
    "LogNormal": (("loc", "scale"), LogNormal),
    "Beta": (("concentration1", "concentration0"), lambda a, b: Scipy("beta", (a, b))),
    "Gamma": (("concentration", "rate"), lambda a, b: Scipy("gamma", (a,), {"scale": 1 / b})),
    "InverseGamma": (("concentration", "rate"), lambda a, b: Scipy("invgamma", (a,), {"scale": b})),
    "Exponential": (("rate",), lambda rate: Scipy("expon", (), {"scale": 1 / rate})),
    "HalfNormal": (("scale",), lambda scale: Scipy("halfnorm", (), {"scale": scale})),
    "HalfCauchy": (("scale",), lambda scale: Scipy("halfcauchy", (), {"scale": scale})),
    "Cauchy": (("loc", "scale"), lambda loc, scale: Scipy("cauchy", (), {"loc": loc, "scale": scale})),
    "Laplace": (("loc", "scale"), lambda loc, scale: Scipy("laplace", (), {"loc": loc, "scale": scale})),
    "StudentT": (("df", "loc", "scale"), lambda df, loc, scale: Scipy("t", (df,), {"loc": loc, "scale": scale})),
    "Gumbel": (("loc", "scale"), lambda loc, scale: Scipy("gumbel_r", (), {"loc": loc, "scale": scale})),
}
