"""What each ratio does to an estimate: the infinitesimal jackknife, the closed form of a bootstrap without end."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from antidrome.dimension.two_nn import Method, n_kept


def influence(
    log_mu: Float[np.ndarray, " n"], method: Method, discard_fraction: float, order: np.ndarray | None = None
) -> Float[np.ndarray, " n"]:
    """Influence of each ratio on the logarithm of the dimension; its mean is zero.

    The variance of log d over independent ratios is the mean square over n (Efron 1982, chapter 6), which is where the
    variance over bootstrap resamples goes as their number grows.

    Parameters
    ----------
    log_mu
        Logarithms of the ratios, in any order.
    method, discard_fraction
        As for `TwoNN`.
    order
        `np.argsort(log_mu)`, if it is known.
    """
    if method in ("mle", "bayes") or (method == "censored" and discard_fraction == 0):
        return 1 - log_mu / log_mu.mean()
    order = np.argsort(log_mu) if order is None else order
    rising = log_mu[order]
    values = _of_line(rising, discard_fraction) if method == "fit" else _of_censored(rising, discard_fraction)
    out = np.empty_like(log_mu)
    out[order] = values - values.mean()
    return out


def _of_line(x: Float[np.ndarray, " n"], discard_fraction: float) -> Float[np.ndarray, " n"]:
    """Of the line through the origin: d = ∫ Q y du / ∫ Q² du with quantiles Q, y = −log(1 − u), to the cut.

    Both integrals are L-statistics, whose influence is −∫ (1[x ≤ t] − F(t)) J(F(t)) dt (Serfling 1980, 8.2.4).
    """
    n, kept = x.size, n_kept(x.size, discard_fraction)
    unit = x[kept - 1]
    x = x[:kept] / unit  # free of underflow
    below = np.arange(kept) / n
    step = np.diff(x, prepend=0.0)
    square = float(np.mean(x**2)) * kept / n
    d = float(np.sum(x * -np.log1p(-np.arange(1, kept + 1) / n))) / n / square
    weight = (-np.log1p(-below) - 2 * d * (x - step / 2)) * step
    after = np.zeros(n)
    after[: kept - 1] = np.cumsum(weight[:0:-1])[::-1]
    return (float(np.sum(below * weight)) - after) / square / d


def _of_censored(x: Float[np.ndarray, " n"], discard_fraction: float) -> Float[np.ndarray, " n"]:
    """Of censored likelihood: a winsorised mean, and the quantile that cuts it (density as the model has it)."""
    n, kept = x.size, n_kept(x.size, discard_fraction)
    share, cut = kept / n, x[kept - 1]
    total = float(x[:kept].sum() + (n - kept) * cut) / n
    is_below = np.arange(n) < kept
    return -np.minimum(x, cut) / total + is_below / share
