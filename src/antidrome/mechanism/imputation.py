"""What the features that are there let expect of those that are missing: their conditional mean under a Gaussian.

For parameters and features that are jointly Gaussian, the posterior mean given some of the features is the linear
function of all of them, with the missing ones replaced by their conditional means: one regression serves every
combination of gaps. A network that is handed these, and the mask, has only the rest to learn.
"""

from __future__ import annotations

import numpy as np

RIDGE = 1e-5
ITERATIONS = 15
MOST_ROWS = 2000
MOST_FEATURES = 64
"""With more, missing features are filled with their means."""
CHUNK = 2048


def gaussian_of_gaps(z: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (k,) and covariance (k, k) of features with gaps, by expectation-maximisation (Little & Rubin 2002, §11.2).

    Of more than `MOST_FEATURES`, which are taken to be independent, the covariance is the variances (k,) alone.

    Parameters
    ----------
    z
        Scaled features (n, k), NaN where missing; a feature that is always missing gets mean 0 and variance 1.
    weights
        (n,); at most `MOST_ROWS` rows, evenly spaced among those with a weight, are used.
    """
    rows = np.flatnonzero(weights > 0)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).astype(int)]
    z, share = np.asarray(z[rows], float), weights[rows] / weights[rows].sum()
    there = ~np.isnan(z)
    amount = share @ there
    known = amount > 0
    mean = np.where(known, share @ np.where(there, z, 0.0) / np.where(known, amount, 1.0), 0.0)
    variance = share @ np.where(there, z - mean, 0.0) ** 2 / np.where(known, amount, 1.0)
    variance = np.where(known, np.maximum(variance, RIDGE), 1.0)
    if z.shape[1] > MOST_FEATURES:
        return mean, variance
    covariance = np.diag(variance)
    if there.all():
        return mean, covariance
    for _ in range(ITERATIONS):
        inverse = _masked_inverse(covariance, there)
        left = (np.where(there, z - mean, 0.0)[:, None, :] @ inverse)[:, 0]
        filled = np.where(there, z, mean + left @ covariance)
        remaining = covariance - covariance @ np.einsum("n,nij->ij", share, inverse) @ covariance
        mean = np.where(known, share @ filled, 0.0)
        centred = filled - mean
        covariance = (centred * share[:, None]).T @ centred + (remaining + remaining.T) / 2
        covariance[~known], covariance[:, ~known] = 0.0, 0.0
        covariance[~known, ~known] = 1.0
    return mean, covariance


def expected_where_missing(z: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Conditional means (n, k) of what is missing in z (n, k), given what is there; 0 where nothing is missing.

    A covariance (k,) is the variances of independent features.
    """
    there = ~np.isnan(z)
    expected = np.zeros(z.shape)
    gaps = np.flatnonzero(~there.all(axis=1))
    together = covariance.ndim == 2 and bool(np.any(covariance - np.diag(np.diag(covariance))))
    for start in range(0, len(gaps), CHUNK):
        rows = gaps[start : start + CHUNK]
        here = there[rows]
        if together:
            left = np.where(here, z[rows] - mean, 0.0)[:, None, :] @ _masked_inverse(covariance, here)
            expected[rows] = np.where(here, 0.0, mean + left[:, 0] @ covariance)
        else:
            expected[rows] = np.where(here, 0.0, mean)
    return expected


def _masked_inverse(covariance: np.ndarray, there: np.ndarray) -> np.ndarray:
    """For each row of `there` (n, k) the inverse of the covariance of what is there, (n, k, k), zero elsewhere."""
    both = there[:, :, None] & there[:, None, :]
    k = covariance.shape[0]
    inverse = np.linalg.inv(np.where(both, covariance, 0.0) + np.eye(k) * np.where(there, RIDGE, 1.0)[:, None, :])
    return np.where(both, inverse, 0.0)
