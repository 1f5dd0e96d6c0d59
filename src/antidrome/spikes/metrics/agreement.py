"""Agreement of expected and true spikes in bins: correlation, error and bias, count ratio, information gain.

Arrays are (time,) or (time, neuron); NaN on either side leaves the bin out for that neuron.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter1d

from antidrome.errors import InputError

FLOOR = 0.01
"""Share of the mean rate in every prediction: a spike where none is expected costs much, not everything."""


def correlation(expected: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Pearson correlation over the first axis, ignoring NaN pairwise; NaN where one side does not vary.

    Raises
    ------
    InputError
        Arrays of different shapes.
    """
    expected, true = _pair(expected, true)
    both = np.isfinite(expected) & np.isfinite(true)
    n = np.maximum(both.sum(axis=0), 1)

    def centred(x: np.ndarray) -> np.ndarray:
        x = np.where(both, x, 0.0)
        return np.where(both, x - x.sum(axis=0) / n, 0.0)

    a, b = centred(expected), centred(true)
    power = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    # rounding leaves a constant trace with a variance of about eps² times its square
    scale = np.finfo(float).eps * n * np.abs(np.where(both, expected, 0)).max(axis=0, initial=0)
    scale = np.maximum(scale * np.sqrt((b**2).sum(axis=0)), 1e-300)
    return np.where(power > scale, (a * b).sum(axis=0) / np.maximum(power, 1e-300), np.nan)


def correlation_at_lags(expected: np.ndarray, true: np.ndarray, lags: Sequence[int], edge: int = 0) -> np.ndarray:
    """Correlation with `expected` moved by each lag; (lag,) or (lag, neuron).

    Parameters
    ----------
    lags
        Bins; a positive lag is a prediction that comes late.
    edge
        Bins left out at both ends of `true`, the same for every lag.
    """
    expected, true = _pair(expected, true)
    edge = max(edge, int(np.max(np.abs(lags))))
    n = len(true)
    if n <= 2 * edge + 2:
        raise InputError(f"{n} bins are too few for lags and ends of {edge} bins; use a longer recording.")
    inside = true[edge : n - edge]
    return np.stack([correlation(expected[edge + lag : n - edge + lag], inside) for lag in lags])


def learnt_lags(correlations: np.ndarray) -> np.ndarray:
    """(neuron,) index of the lag at which the median correlation of all OTHER neurons is highest (leave one out).

    Parameters
    ----------
    correlations
        (lag, neuron); a single neuron is given its own best lag. Ties go to the middle lag.
    """
    correlations = np.asarray(correlations, float)
    n_lags, n_neurons = correlations.shape
    middle_first = np.argsort(np.abs(np.arange(n_lags) - n_lags // 2), kind="stable")
    best = np.full(n_neurons, n_lags // 2)
    for neuron in range(n_neurons):
        others = np.delete(correlations, neuron, axis=1) if n_neurons > 1 else correlations
        others = others[:, np.isfinite(others).all(axis=0)]
        if others.shape[1]:
            best[neuron] = middle_first[np.argmax(np.median(others, axis=1)[middle_first])]
    return best


def smoothed(values: np.ndarray, bin_s: float, smoothing_s: float = 0.2) -> np.ndarray:
    """Gaussian smoothing over the first axis, SD `smoothing_s` seconds, cut off at four SDs, mirrored ends."""
    return gaussian_filter1d(np.asarray(values, float), smoothing_s / bin_s, axis=0)


def error_and_bias(expected: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Error and bias as CASCADE defines them, on rates that were smoothed alike (`smoothed`, 0.2 s).

    Spurious spikes are the sum of max(expected − true, 0), missed ones that of max(true − expected, 0). Error is
    (spurious + missed) / true spikes; bias is (spurious − missed) / true spikes, and is 0 for the right total. Both are
    NaN without a true spike (Rupprecht et al. 2021, Nature Neuroscience 24).
    """
    expected, true = _pair(expected, true)
    both = np.isfinite(expected) & np.isfinite(true)
    difference = np.where(both, expected - true, 0.0)
    n = np.where(both, true, 0.0).sum(axis=0)
    n = np.where(n > 0, n, np.nan)
    return np.asarray(np.abs(difference).sum(axis=0) / n), np.asarray(difference.sum(axis=0) / n)


def count_ratio(expected: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Expected number of spikes over the true number; NaN without a true spike."""
    return np.asarray(1.0 + error_and_bias(expected, true)[1])


def information_gain(expected: np.ndarray, true: np.ndarray) -> np.ndarray:
    r"""Bits per spike that a Poisson process with the expected rate knows beyond one with the mean true rate.

    :math:`\sum_t [k_t \log_2(\lambda_t / \bar k) - (\lambda_t - \bar k) / \ln 2] / \sum_t k_t` with
    :math:`\lambda_t = 0.99\, e_t + 0.01\, \bar k` (after Theis et al. 2016, Neuron 90). It is 0 for a constant, right
    rate, and negative where predictions mislead. Unlike correlation it sees a wrong scale.
    """
    expected, true = _pair(expected, true)
    both = np.isfinite(expected) & np.isfinite(true)
    count = np.where(both, true, 0.0)
    mean = count.sum(axis=0) / np.maximum(both.sum(axis=0), 1)
    safe = np.where(mean > 0, mean, 1.0)
    rate = np.where(both, (1 - FLOOR) * np.maximum(expected, 0) + FLOOR * safe, safe)
    gain = (count * np.log2(rate / safe) - np.where(both, rate - safe, 0.0) / np.log(2)).sum(axis=0)
    return np.where(mean > 0, gain / np.maximum(count.sum(axis=0), 1e-300), np.nan)


def _pair(expected: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    expected, true = np.asarray(expected, float), np.asarray(true, float)
    if expected.shape != true.shape or expected.ndim not in (1, 2):
        raise InputError(
            f"Expected spikes have shape {expected.shape} and true spikes {true.shape}; both need to be (time,) or"
            " (time, neuron), of the same shape and in the same bins."
        )
    return expected, true
