"""L-C2ST: can a classifier tell the posterior from the truth at this observation? (Linhart et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from antidrome.core.seeds import fold_in, generator
from antidrome.mechanism.diagnostics.calibration import Pairs

ITERATIONS = 40


@dataclass(frozen=True)
class LocalTest:
    """The outcome of the test.

    Parameters
    ----------
    statistic
        Mean of (d − ½)² over posterior samples at the observation; 0 when nothing can be told apart.
    null
        The same after permuting what is posterior and what is truth, (permutations,).
    p
        Share of `null` that is at least as large.
    """

    statistic: float
    null: np.ndarray
    p: float


def local_c2st(
    pairs: Pairs,
    scaled_features: np.ndarray,
    scaled_observation: np.ndarray,
    samples_at_observation: np.ndarray,
    *,
    permutations: int = 30,
    seed: int,
) -> LocalTest:
    """Train a classifier on pairs (truth, x) against (posterior sample, x), and look at it at the observation.

    Parameters
    ----------
    pairs
        With weights; rows are drawn in proportion to them.
    scaled_features, scaled_observation
        Inputs (n, k) and (k,); gaps are allowed (gradient-boosted trees take them).
    samples_at_observation
        (L, D).
    permutations
        Draws of the null distribution.
    """
    draw = generator(seed, "mechanism/local-c2st")
    n = len(pairs.u)
    rows = draw.choice(n, size=n, p=pairs.weights / pairs.weights.sum())
    sampled = pairs.samples[rows, draw.integers(0, pairs.samples.shape[1], n)]
    truth = np.hstack([pairs.u[rows], scaled_features[rows]])
    posterior = np.hstack([sampled, scaled_features[rows]])
    where = np.hstack([samples_at_observation, np.tile(scaled_observation, (len(samples_at_observation), 1))])

    def statistic(exchanged: np.ndarray, number: int) -> float:
        a = np.where(exchanged[:, None], posterior, truth)
        b = np.where(exchanged[:, None], truth, posterior)
        return _statistic(a, b, where, fold_in(seed, f"classifier/{number}"))

    observed = statistic(np.zeros(n, bool), 0)
    null = np.array([statistic(draw.random(n) < 0.5, i + 1) for i in range(permutations)])
    return LocalTest(observed, null, float((1 + np.sum(null >= observed)) / (1 + permutations)))


def _statistic(a: np.ndarray, b: np.ndarray, where: np.ndarray, seed: int) -> float:
    from sklearn.ensemble import HistGradientBoostingClassifier

    classifier = HistGradientBoostingClassifier(max_iter=ITERATIONS, max_leaf_nodes=8, random_state=seed % 2**32)
    classifier.fit(np.vstack([a, b]), np.repeat([1, 0], len(a)))
    return float(np.mean(np.square(classifier.predict_proba(where)[:, 1] - 0.5)))
