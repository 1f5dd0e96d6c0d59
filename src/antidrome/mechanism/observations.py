"""The measurement: as features in the simulator's order, and what its gaps mean."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from antidrome.errors import InputError
from antidrome.mechanism.simulate.outputs import as_observation as vector_of

MissingPolicy = Literal["auto", "informative", "unrecorded"]
RARELY = 0.001


def as_observation(given: Any, feature_names: tuple[str, ...]) -> np.ndarray:
    """Features (k,) from an array, a mapping of feature names, or xarray; features that a mapping lacks are missing.

    Raises
    ------
    InputError
        Another number of features, unknown names, nothing but gaps, or infinite values.
    """
    values = np.asarray(vector_of(given, feature_names), dtype=float)
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
