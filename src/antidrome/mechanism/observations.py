"""What the gaps of a measurement mean, and features without what was never measured."""

from __future__ import annotations

from typing import Literal

import numpy as np

MissingPolicy = Literal["auto", "informative", "unrecorded"]
RARELY = 0.001


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


def visible(features: np.ndarray, unrecorded: np.ndarray | None) -> np.ndarray:
    """Features (n, k) or (k,) with gaps where they were not measured, (k,) bool."""
    return features if unrecorded is None else np.where(unrecorded, np.nan, features)
