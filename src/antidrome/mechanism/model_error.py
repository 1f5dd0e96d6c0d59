"""What a model is not expected to reproduce: an error that is added to every simulated feature.

Neurons do not obey the Hodgkin–Huxley equations exactly. Where simulations scatter less than that, a measurement lies
beside everything that the model gives, and a density that has learned the simulations by heart says nothing of value
there. Inference under an assumed error is exact for the model with the error (Wilkinson 2013, Statistical Applications
in Genetics and Molecular Biology 12).
"""

from __future__ import annotations

import warnings

import numpy as np

from antidrome.core.seeds import generator
from antidrome.mechanism.weights import round_log_weights

ONE_SD = (0.1587, 0.8413)
"""Quantiles one standard deviation below and above the median of a normal distribution."""


def error_spread(features: np.ndarray, share: float, log_ratio: np.ndarray | None = None) -> np.ndarray:
    """Standard deviation of each feature's error, (k,): a share of its spread over simulations from the prior.

    The spread is half the distance between the quantiles of `ONE_SD`, which far outliers do not touch.

    Parameters
    ----------
    features
        Valid simulations, (n, k), NaN where missing.
    share
        Relative to the spread.
    log_ratio
        log p̃ − log p, (n,), of simulations from a proposal p̃, which are weighted to be as if from the prior p.
    """
    if log_ratio is not None and np.any(log_ratio):
        return share * _weighted_distance(features, np.exp(round_log_weights(log_ratio))) / 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a feature that no simulation has
        low, high = np.nanquantile(features, ONE_SD, axis=0)
    return share * np.nan_to_num(high - low) / 2


def _weighted_distance(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Distance (k,) between the weighted quantiles of `ONE_SD`; 0 for a feature that no simulation has."""
    distance = np.zeros(features.shape[1])
    for k, column in enumerate(features.T):
        there = ~np.isnan(column) & (weights > 0)
        if there.any():
            low, high = np.quantile(column[there], ONE_SD, weights=weights[there], method="inverted_cdf")
            distance[k] = high - low
    return distance


def with_error(features: np.ndarray, spread: np.ndarray, seed: int) -> np.ndarray:
    """Features (n, k) with an independent normal error of the given standard deviations (k,)."""
    return features + spread * generator(seed, "mechanism/model-error").standard_normal(features.shape)
