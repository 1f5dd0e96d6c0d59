"""L-C2ST: can a classifier tell the posterior from the truth at this observation? (Linhart et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from antidrome.core.seeds import generator
from antidrome.mechanism.diagnostics.calibration import Pairs

ITERATIONS = 8
RIDGE = 1.0
WIDE = 1500
"""Inputs of the classifier beyond which, if they are more than the rows, it is solved in the rows: its time grows with
the third power of whichever is solved in, and the inputs with the square of the parameters."""
COMPONENTS = 4
"""Principal components of the features that the classifier sees."""


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
    n_permutations: int = 30,
    seed: int,
) -> LocalTest:
    """Train a classifier on pairs (truth, x) against (posterior sample, x), and look at it at the observation.

    The classifier is a logistic regression on the parameters, their products, and their products with the leading
    principal components of the features: it sees errors of location, width and correlation that change with x.

    Parameters
    ----------
    pairs
        With weights; rows are drawn in proportion to them.
    scaled_features, scaled_observation
        (n, k) and (k,); gaps count as the mean.
    samples_at_observation
        (L, D).
    n_permutations
        Draws of the null distribution.
    """
    draw = generator(seed, "mechanism/local-c2st")
    n = len(pairs.u)
    levels = np.cumsum(pairs.weights) / pairs.weights.sum()
    rows = np.minimum(np.searchsorted(levels, (draw.random() + np.arange(n)) / n, side="right"), n - 1)
    sampled = pairs.samples[np.arange(n), draw.integers(0, pairs.samples.shape[1], n)][rows]
    centre, axes = _leading_axes(np.nan_to_num(scaled_features[rows]))
    x = (np.nan_to_num(scaled_features[rows]) - centre) @ axes
    observed = (np.nan_to_num(scaled_observation) - centre) @ axes
    level, spread = pairs.u[rows].mean(axis=0), pairs.u[rows].std(axis=0) + 1e-12
    truth = _products((pairs.u[rows] - level) / spread, x)
    posterior = _products((sampled - level) / spread, x)
    there = np.tile(observed, (len(samples_at_observation), 1))
    where = _products((samples_at_observation - level) / spread, there)

    def statistic(exchanged: np.ndarray) -> float:
        a = np.where(exchanged[:, None], posterior, truth)
        b = np.where(exchanged[:, None], truth, posterior)
        return float(np.mean(np.square(_probability(a, b, where) - 0.5)))

    found = statistic(np.zeros(n, bool))
    # a simulation drawn several times is exchanged as one: as several, it would make the null narrower than chance is
    null = np.array([statistic((draw.random(n) < 0.5)[rows]) for _ in range(n_permutations)])
    return LocalTest(found, null, float((1 + np.sum(null >= found)) / (1 + n_permutations)))


def _leading_axes(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (k,) and the leading principal axes (k, m), scaled so that components have unit variance."""
    centre = x.mean(axis=0)
    _, singular, axes = np.linalg.svd(x - centre, full_matrices=False)
    keep = (singular > 1e-6 * max(singular.max(initial=0.0), 1e-12)) & (np.arange(len(singular)) < COMPONENTS)
    return centre, axes[keep].T * (np.sqrt(len(x)) / singular[keep])


def _products(u: np.ndarray, x: np.ndarray) -> np.ndarray:
    """1, u, uᵢuⱼ (i ≤ j), uᵢx, clipped to where they can still be told apart."""
    rows, columns = np.triu_indices(u.shape[1])
    with_x = (u[:, :, None] * x[:, None, :]).reshape(len(u), -1)
    return np.clip(np.column_stack([np.ones(len(u)), u, u[:, rows] * u[:, columns], with_x]), -20, 20)


def _probability(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Probability of class `a` at `where`, by ridge logistic regression (iteratively reweighted least squares)."""
    inputs, labels = np.vstack([a, b]), np.repeat([1.0, 0.0], len(a))
    if inputs.shape[1] > max(len(inputs), WIDE):
        return expit(where @ _wide_coefficients(inputs, labels))
    ridge = RIDGE * np.eye(inputs.shape[1])
    coefficients = np.zeros(inputs.shape[1])
    for _ in range(ITERATIONS):
        p = expit(inputs @ coefficients)
        curvature = (inputs * (p * (1 - p))[:, None]).T @ inputs + ridge
        coefficients += np.linalg.solve(curvature, inputs.T @ (labels - p) - RIDGE * coefficients)
    return expit(where @ coefficients)


def _wide_coefficients(inputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The same iterations, solved in the rows: with S = W^½, (XᵀWX + λ)⁻¹ = (1 − XᵀS(SXXᵀS + λ)⁻¹SX)/λ."""
    products = inputs @ inputs.T
    coefficients = np.zeros(inputs.shape[1])
    for _ in range(ITERATIONS):
        p = expit(inputs @ coefficients)
        root = np.sqrt(p * (1 - p))
        gradient = inputs.T @ (labels - p) - RIDGE * coefficients
        inner = root[:, None] * products * root + RIDGE * np.eye(len(inputs))
        coefficients += (gradient - inputs.T @ (root * np.linalg.solve(inner, root * (inputs @ gradient)))) / RIDGE
    return coefficients
