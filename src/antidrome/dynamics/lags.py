"""Lags within uninterrupted stretches of time: which, with which weight, and their products of latent series."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from antidrome.errors import InputError


@dataclasses.dataclass(frozen=True)
class LagSet:
    """Non-negative lags in frames, ascending, 0 always among them.

    Parameters
    ----------
    lags
        (lag,) frames.
    weights
        (lag,) weight of each lag in the loss; 0 for lag 0 where it was not asked for (its covariance is still
        estimated, but the loadings do not see it).
    """

    lags: tuple[int, ...]
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.lags)

    @property
    def largest(self) -> int:
        """The largest lag, frames."""
        return self.lags[-1]

    @property
    def zero_only(self) -> LagSet:
        """The zero-lag model of the same data: factor analysis by moments."""
        return LagSet((0,), np.ones(1))


def lag_set(lags: Sequence[int] | None, weights: Sequence[float] | None, n_components: int) -> LagSet:
    """Lags as the estimator takes them: by default 0, 1, …, 2n − 1 (Nonnenmacher et al. 2017), at most 0 to 9.

    Raises
    ------
    InputError
        If a lag is negative, repeated or no integer, or the weights do not fit.
    """
    if lags is None:
        lags = range(min(max(2 * n_components, 2), 10))
    given = [int(lag) for lag in lags]
    if not given or any(lag != value for lag, value in zip(given, lags, strict=True)):
        raise InputError(f"The lags are {list(lags)}; expected whole numbers of frames, for example lags=range(6).")
    if min(given) < 0 or len(set(given)) != len(given):
        raise InputError(f"The lags are {given}; expected each lag once, none negative.")
    weight = np.ones(len(given)) if weights is None else np.asarray(weights, dtype=float)
    if weight.shape != (len(given),) or not np.isfinite(weight).all() or (weight < 0).any() or not weight.any():
        raise InputError(
            f"lag_weights has shape {weight.shape} for {len(given)} lags; expected one finite weight ≥ 0 for each lag,"
            " at least one of them positive."
        )
    table = dict(zip(given, weight, strict=True))
    table.setdefault(0, 0.0)
    ordered = sorted(table)
    return LagSet(tuple(ordered), np.array([table[lag] for lag in ordered]))


def pair_counts(segment: np.ndarray, lags: Sequence[int]) -> np.ndarray:
    """(lag,) number of frames t for which t and t + lag lie in the same stretch."""
    return np.array([int(joined(segment, lag).sum()) for lag in lags], dtype=float)


def joined(segment: np.ndarray, lag: int) -> np.ndarray:
    """(frame − lag,) True where frames t and t + lag lie in the same stretch."""
    if lag >= len(segment):
        return np.zeros(0, dtype=bool)
    early = segment[: len(segment) - lag]
    return (segment[lag:] == early) & (early >= 0)


def lagged_products(z: np.ndarray, segment: np.ndarray, lags: Sequence[int]) -> np.ndarray:
    """Σ_t z(t + s) z(t)ᵀ within stretches for every lag s, (lag, latent, latent)."""
    result = np.zeros((len(lags), z.shape[1], z.shape[1]))
    for i, lag in enumerate(lags):
        if lag >= len(z):
            continue
        same = joined(segment, lag)
        early, late = z[: len(z) - lag], z[lag:]
        result[i] = late.T @ early if same.all() else late.T @ (early * same[:, None])
    return result


def lagged_mixture(z: np.ndarray, segment: np.ndarray, lags: Sequence[int], mixing: np.ndarray) -> np.ndarray:
    """Σ_s [z(t − s) X_sᵀ + z(t + s) X_s] within stretches, (frame, latent).

    Parameters
    ----------
    z
        (frame, latent) projected data Y C.
    mixing
        (lag, latent, latent) X_s, already weighted and divided by the pair counts.

    Notes
    -----
    ``Yᵀ`` of the result is Σ_s (Λ_s C X_sᵀ + Λ_sᵀ C X_s): the gradient for all lags in two matrix products.
    """
    result = np.zeros((len(z), mixing.shape[1]))
    for lag, x in zip(lags, mixing, strict=True):
        if lag >= len(z):
            continue
        if lag == 0:
            result += (z @ (x + x.T)) * (segment >= 0)[:, None]
            continue
        same = joined(segment, lag)[:, None]
        result[lag:] += (z[: len(z) - lag] @ x.T) * same
        result[: len(z) - lag] += (z[lag:] @ x) * same
    return result
