"""Importance weights over rounds, the calibration kernel, and what both leave of the simulations.

All weights are computed once a round, in logarithms: no proposal is evaluated again while a network trains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.special import logsumexp

from antidrome.errors import InputError

UNRELATED = 2.0
"""Mean squared difference of two independent values of variance 1."""
KernelShape = Literal["none", "gaussian", "uniform", "epanechnikov", "tricube"]


@dataclass(frozen=True, kw_only=True)
class KernelSettings:
    """The calibration kernel K(x, x_o): which simulations the density has to fit well.

    Any kernel leaves the posterior at the observation the optimum; a narrow one spends the network on its
    neighbourhood, at the price of fewer effective simulations (Lueckmann et al. 2017; Xiong et al. 2023).

    Parameters
    ----------
    shape
        "none" treats all simulations alike.
    bandwidth
        In root mean square distance of scaled features; None adapts it, so that the effective sample size stays at
        `share` of what the importance weights leave.
    share
        Effective sample size to keep, relative to that without kernel. With a fixed bandwidth: where fewer simulations
        than this share get a weight, the kernel becomes uniform over the nearest ones.
    """

    shape: KernelShape = "gaussian"
    bandwidth: float | None = None
    share: float = 0.7

    def __post_init__(self) -> None:
        if self.shape not in get_args(KernelShape):
            raise InputError(f"shape is {self.shape!r}; expected {', '.join(get_args(KernelShape))}.")
        if (self.bandwidth is not None and self.bandwidth <= 0) or not 0 < self.share <= 1:
            raise InputError(f"{self}: bandwidth needs to be positive, share in (0, 1].")


def round_log_weights(log_ratio: np.ndarray) -> np.ndarray:
    """log w = log p(θ) − log p̃(θ) of one round (Lueckmann et al. 2017, eq. 4), mean weight 1.

    Parameters
    ----------
    log_ratio
        log p̃ − log p at the simulations, (n,).
    """
    return _with_mean_one(-log_ratio)


def mixture_log_weights(log_ratios: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """log w = log p(θ) − log Σ_r c_r p̃_r(θ): against the mixture of all rounds' proposals, mean weight 1.

    Deterministic mixture (Owen & Zhou 2000): with the prior among the proposals no weight exceeds 1/c_prior before
    normalisation.

    Parameters
    ----------
    log_ratios
        log p̃_r − log p at every simulation, (n, rounds).
    counts
        Simulations drawn in each round, (rounds,).
    """
    shares = np.asarray(counts, float) / np.sum(counts)
    return _with_mean_one(-logsumexp(log_ratios + np.log(shares), axis=1))


def effective_sample_size(weights: np.ndarray) -> float:
    """(Σw)²/Σw²; 0 when all are 0."""
    total = float(np.sum(weights))
    return total**2 / float(np.sum(np.square(weights))) if total > 0 else 0.0


def largest_share(weights: np.ndarray) -> float:
    """Share of the largest weight in their sum."""
    total = float(np.sum(weights))
    return float(np.max(weights)) / total if total > 0 else 0.0


def distances(scaled: np.ndarray, scaled_observation: np.ndarray) -> np.ndarray:
    """Root mean square distance of scaled features (n, k) to the observation (k,), (n,).

    What is missing in both is equal; what is missing in one of them is as far apart as two simulations drawn at random
    are on average, so that simulations with the observation's own gaps are near.
    """
    missing, gaps = np.isnan(scaled), np.isnan(scaled_observation)
    squared = np.square(np.nan_to_num(scaled) - np.nan_to_num(scaled_observation))
    return np.sqrt(np.where(missing | gaps, UNRELATED * (missing != gaps), squared).mean(axis=1))


def kernel_weights(
    distance: np.ndarray, weights: np.ndarray, settings: KernelSettings
) -> tuple[np.ndarray, float | None]:
    """K at every simulation, (n,), and the bandwidth in use (None without a kernel).

    Parameters
    ----------
    distance
        To the observation, (n,).
    weights
        Importance weights, (n,); 0 where a simulation is not used.
    """
    if settings.shape == "none" or not np.any(weights > 0):
        return np.ones_like(distance), None
    if settings.bandwidth is not None:
        kernel = _shape(distance / settings.bandwidth, settings.shape)
        if np.mean(kernel[weights > 0] > 1e-8) < settings.share:
            nearest = np.quantile(distance[weights > 0], settings.share)
            return (distance <= nearest).astype(float), float(nearest)
        return kernel, settings.bandwidth
    return _adaptive_kernel(distance, weights, settings)


def _adaptive_kernel(distance: np.ndarray, weights: np.ndarray, settings: KernelSettings) -> tuple[np.ndarray, float]:
    """The narrowest kernel that keeps the effective sample size (bisection in the logarithm of the bandwidth)."""
    target = settings.share * effective_sample_size(weights)
    used = distance[(weights > 0) & np.isfinite(distance)]
    low, high = np.log(max(used.min(), 1e-6)) - 1, np.log(max(used.max(), 1e-6)) + 5
    for _ in range(50):
        middle = (low + high) / 2
        if effective_sample_size(weights * _shape(distance / np.exp(middle), settings.shape)) < target:
            low = middle
        else:
            high = middle
    bandwidth = float(np.exp(high))
    return _shape(distance / bandwidth, settings.shape), bandwidth


def _shape(t: np.ndarray, shape: KernelShape) -> np.ndarray:
    match shape:
        case "gaussian":
            return np.exp(-0.5 * np.square(t))
        case "uniform":
            return (t <= 1).astype(float)
        case "epanechnikov":
            return np.maximum(0.0, 1 - np.square(t))
        case _:
            return np.maximum(0.0, 1 - np.minimum(t, 1.0) ** 3) ** 3


def _with_mean_one(log_weights: np.ndarray) -> np.ndarray:
    return log_weights - (logsumexp(log_weights) - np.log(len(log_weights)))
