"""TwoNN on given ratios: the paper's fit, maximum likelihood, censored maximum likelihood, Bayes.

With locally constant density, log mu of the ratio mu = r₂/r₁ is exponential with rate d (Facco et al. 2017, eq. 5).
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float

from antidrome.errors import InputError

Method = Literal["fit", "mle", "censored", "bayes"]
METHODS: tuple[Method, ...] = get_args(Method)
PRIOR_SHAPE, PRIOR_RATE = 1e-3, 1e-3


class LineFit(NamedTuple):
    """The paper's fit: slope through the origin, Pearson's r of the fitted points, and the points."""

    dimension: float
    pearson_r: float
    log_mu: Float[np.ndarray, " kept"]
    minus_log_survival: Float[np.ndarray, " kept"]


def line_fit(mu: Float[np.ndarray, " n"], discard_fraction: float = 0.1) -> LineFit:
    """Fit −log(1 − F(mu)) = d log mu through the origin, F(mu_i) = i/N (Facco et al. 2017; Ansuini et al. 2019).

    The largest `discard_fraction` of the ratios is left out; always the very largest, whose F is 1.
    """
    x, y = _line(np.sort(np.log(mu)), discard_fraction)
    r = float(np.corrcoef(x, y)[0, 1]) if x.size > 2 and np.ptp(x) > 0 else 1.0
    return LineFit(_slope(x, y), r, x, y)


def maximum_likelihood(mu: Float[np.ndarray, " n"]) -> float:
    """(N − 1) / Σ log mu: maximum likelihood, made unbiased."""
    return (mu.size - 1) / float(np.sum(np.log(mu)))


class Posterior(NamedTuple):
    """A gamma posterior of the dimension."""

    shape: float
    rate: float

    @property
    def mean(self) -> float:
        """Posterior mean."""
        return self.shape / self.rate

    @property
    def sd(self) -> float:
        """Posterior standard deviation."""
        return self.shape**0.5 / self.rate

    def interval(self, level: float = 0.9) -> tuple[float, float]:
        """Central credible interval."""
        from scipy.stats import gamma

        low, high = gamma.ppf([(1 - level) / 2, (1 + level) / 2], self.shape, scale=1 / self.rate)
        return float(low), float(high)


def bayes(mu: Float[np.ndarray, " n"]) -> Posterior:
    """Posterior of d under a vague gamma prior: Gamma(a + N, b + Σ log mu) (Denti et al. 2022, sec. 2)."""
    return _posterior(mu.size, float(np.sum(np.log(mu))))


def _posterior(n: int, total_log_mu: float) -> Posterior:
    return Posterior(PRIOR_SHAPE + n, PRIOR_RATE + total_log_mu)


def estimate_from(sorted_log_mu: Float[np.ndarray, " n"], method: Method, discard_fraction: float) -> float:
    """The point estimate by any of the methods, from sorted log ratios."""
    if method == "fit":
        return _slope(*_line(sorted_log_mu, discard_fraction))
    if method == "censored":
        return _censored(sorted_log_mu, discard_fraction)
    total = float(sorted_log_mu.sum())
    return _posterior(sorted_log_mu.size, total).mean if method == "bayes" else (sorted_log_mu.size - 1) / total


def goodness_of_fit(mu: Float[np.ndarray, " n"], dimension: float) -> float:
    """Kolmogorov–Smirnov distance between the ratios and the Pareto law of this dimension."""
    expected = -np.expm1(-dimension * np.sort(np.log(mu)))
    n = mu.size
    return float(max(np.max(np.arange(1, n + 1) / n - expected), np.max(expected - np.arange(n) / n)))


def check_discard(discard_fraction: float) -> float:
    """A fraction in [0, 1), or InputError."""
    if not isinstance(discard_fraction, int | float | np.number) or not 0 <= discard_fraction < 1:
        raise InputError(f"discard_fraction is {discard_fraction!r}; expected a fraction from 0 to below 1.")
    return discard_fraction


def n_kept(n: int, discard_fraction: float) -> int:
    """How many of n ratios the fit and the censored likelihood keep."""
    return max(1, min(n - 1, int(n * (1 - discard_fraction) + 1e-9)))


def _line(sorted_log_mu: np.ndarray, discard_fraction: float) -> tuple[np.ndarray, np.ndarray]:
    n = sorted_log_mu.size
    kept = n_kept(n, discard_fraction)
    return sorted_log_mu[:kept], -np.log1p(-np.arange(1, kept + 1) / n)


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    scale = x[-1]  # tiny logarithms do not underflow when squared
    x = x / scale  # einsum: a BLAS call of one dot product waits for its threads on a busy machine
    return float(np.einsum("i,i->", x, y) / np.einsum("i,i->", x, x) / scale)


def _censored(sorted_log_mu: np.ndarray, discard_fraction: float) -> float:
    """Maximum likelihood where the largest ratios are only known to be large (type-II censoring), made unbiased."""
    n = sorted_log_mu.size
    kept = n if discard_fraction == 0 else n_kept(n, discard_fraction)
    total = sorted_log_mu[:kept].sum() + (n - kept) * sorted_log_mu[kept - 1]
    return (kept - 1) / float(total)
