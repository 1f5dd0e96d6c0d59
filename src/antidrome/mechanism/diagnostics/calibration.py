"""Calibration on pairs (θ, x): SBC ranks, expected coverage of highest-density regions, TARP.

Each gives levels that are uniform on [0, 1] when the posterior is right. Pairs may carry weights: simulations of later
rounds, weighted by prior over proposal and by any kernel in x, are pairs from the prior near the observation, so the
calibration of a sequential posterior can be judged where it claims to be good.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import kolmogorov

from antidrome.core.seeds import fold_in, generator
from antidrome.mechanism.densities.trained import TrainedDensity
from antidrome.mechanism.weights import effective_sample_size


@dataclass(frozen=True)
class Pairs:
    """Simulations to judge by, with samples of the posterior at each.

    Parameters
    ----------
    u
        True parameters in unconstrained coordinates, (n, D).
    features
        (n, k).
    weights
        (n,).
    samples
        Posterior samples at each, (n, L, D).
    """

    u: np.ndarray
    features: np.ndarray
    weights: np.ndarray
    samples: np.ndarray

    @classmethod
    def of(
        cls,
        trained: TrainedDensity,
        u: np.ndarray,
        features: np.ndarray,
        weights: np.ndarray,
        *,
        n_samples: int,
        seed: int,
    ) -> Pairs:
        """Draw posterior samples at each simulation."""
        return cls(u, features, weights, trained.sample(features, n_samples, seed=fold_in(seed, "pairs")))

    @property
    def effective(self) -> float:
        """Effective number of pairs."""
        return effective_sample_size(self.weights)


def rank_levels(pairs: Pairs) -> np.ndarray:
    """Share of posterior samples below the truth, (n, D) (simulation-based calibration, Talts et al. 2018).

    The map to unconstrained coordinates is monotone, so ranks are those of the parameters themselves. Ranks r out of L
    become (r + ½)/(L + 1).
    """
    below = (pairs.samples < pairs.u[:, None, :]).sum(axis=1)
    return (below + 0.5) / (pairs.samples.shape[1] + 1)


def coverage_levels(pairs: Pairs, trained: TrainedDensity) -> np.ndarray:
    """Level of the smallest highest-density region that holds the truth, (n,) (Hermans et al. 2022)."""
    n, n_samples, d = pairs.samples.shape
    of_samples = trained.log_prob(pairs.samples.reshape(-1, d), pairs.features).reshape(n, n_samples)
    of_truth = trained.log_prob(pairs.u, pairs.features)
    return ((of_samples > of_truth[:, None]).sum(axis=1) + 0.5) / (n_samples + 1)


def tarp_levels(pairs: Pairs, *, seed: int) -> np.ndarray:
    """Share of samples nearer to a random reference point than the truth, (n,) (Lemos et al. 2023).

    References are drawn as the truths of other pairs, which makes them independent of each pair's own; distances are
    in units of the prior's spread.
    """
    n = len(pairs.u)
    shift = generator(seed, "mechanism/tarp").integers(1, max(n, 2), n)
    reference = pairs.u[(np.arange(n) + shift) % n]
    of_truth = np.linalg.norm(pairs.u - reference, axis=1)
    of_samples = np.linalg.norm(pairs.samples - reference[:, None, :], axis=2)
    return ((of_samples < of_truth[:, None]).sum(axis=1) + 0.5) / (pairs.samples.shape[1] + 1)


def uniformity(levels: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Largest deviation of the weighted distribution of levels (n,) from uniform, signed, and its p-value.

    Kolmogorov–Smirnov, with the effective number of pairs.

    Returns
    -------
    (deviation, p); a positive deviation means that levels are too small.
    """
    order = np.argsort(levels)
    share = weights[order] / weights.sum()
    upper = np.cumsum(share)
    above, below = upper - levels[order], upper - share - levels[order]
    both = np.concatenate([above, below])
    deviation = float(both[np.argmax(np.abs(both))])
    n = effective_sample_size(weights)
    p = float(kolmogorov((np.sqrt(n) + 0.12 + 0.11 / np.sqrt(n)) * abs(deviation)))
    return deviation, p


def empirical_curve(levels: np.ndarray, weights: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Weighted share of levels (n,) up to each point of a grid."""
    order = np.argsort(levels)
    cumulative = np.concatenate([[0.0], np.cumsum(weights[order]) / weights.sum()])
    return cumulative[np.searchsorted(levels[order], grid, side="right")]
