"""The measurement: as features in the simulator's order, and what its gaps mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr

from antidrome.core.configuration import did_you_mean
from antidrome.errors import InputError

MissingPolicy = Literal["auto", "informative", "unrecorded"]
RARELY = 0.001


def as_observation(given: Any, feature_names: tuple[str, ...]) -> np.ndarray:
    """Features (k,) from an array, a mapping of feature names, or xarray; features that a mapping lacks are missing.

    Raises
    ------
    InputError
        Another number of features, unknown names, nothing but gaps, or infinite values.
    """
    values = _from_names(given, feature_names) if _is_named(given) else np.asarray(_plain(given), dtype=float).ravel()
    k = len(feature_names)
    if values.shape != (k,):
        raise InputError(
            f"The observation has {values.size} features, but the simulator gives {k}: {_listing(feature_names)}."
        )
    if np.isinf(values).any():
        raise InputError(f"Feature {feature_names[int(np.argmax(np.isinf(values)))]!r} of the observation is infinite.")
    if np.isnan(values).all():
        raise InputError("Every feature of the observation is missing; nothing can be inferred from it.")
    return values


def unrecorded_features(observation: np.ndarray, simulated: np.ndarray, policy: MissingPolicy) -> np.ndarray | None:
    """Which features (k,) the measurement lacks because nobody recorded them; None if there are none.

    A gap that simulations have as well (a spike's shape, where there is no spike) tells something about the
    parameters, and the network learns what. One that no simulation has can only mean that the feature was not
    measured: the network must not see it in simulations either.

    Parameters
    ----------
    observation
        (k,), NaN where missing.
    simulated
        Valid simulations of the first round, (n, k).
    """
    missing = np.isnan(observation)
    if not missing.any() or policy == "informative":
        return None
    hidden = missing if policy == "unrecorded" else missing & (np.isnan(simulated).mean(axis=0) <= RARELY)
    return hidden if hidden.any() else None


def _is_named(given: Any) -> bool:
    return isinstance(given, Mapping | xr.Dataset)


def _plain(given: Any) -> Any:
    try:
        return np.asarray(given, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(f"The observation is not made of numbers ({error}).") from error


def _from_names(given: Any, feature_names: tuple[str, ...]) -> np.ndarray:
    from antidrome.mechanism.simulate.outputs import to_vector

    names, _, values = to_vector(given)
    for name in names:
        if name not in feature_names:
            raise InputError(
                f"The observation has a feature {name!r}, which the simulator does not give."
                f"{did_you_mean(name, feature_names)} It gives: {_listing(feature_names)}."
            )
    found = dict(zip(names, values, strict=True))
    return np.array([found.get(name, np.nan) for name in feature_names])


def _listing(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) <= 12 else f"{', '.join(names[:12])} and {len(names) - 12} more"
