"""Lags within uninterrupted stretches of time: which, with which weight, and their products of latent series."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from antidrome.core.whole import whole_numbers
from antidrome.errors import InputError
from antidrome.recordings.arguments import counted

MOST_BY_DEFAULT = 9


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


def lag_set(
    lags: Sequence[int] | None, weights: Sequence[float] | None, n_components: int, largest: int | None = None
) -> LagSet:
    """Lags as the estimator takes them: by default 0, 1, …, 2n − 1 (Nonnenmacher et al. 2017), at most 0 to 9.

    Parameters
    ----------
    lags, weights
        As given to the estimator.
    n_components
        Latent dimensions n.
    largest
        The largest lag that the recordings have (`largest_lag`); None: any.

    Raises
    ------
    InputError
        If a lag is negative, repeated, too large or no integer, or the weights do not fit.
    """
    if lags is None:
        most = min(max(2 * n_components - 1, 1), MOST_BY_DEFAULT)
        lags = range((most if largest is None else min(most, largest)) + 1)
    given = whole_numbers(lags)
    if given is None:
        raise InputError(f"lags = {lags!r}, expected several whole numbers of frames, for example lags=range(6).")
    if min(given) < 0 or len(set(given)) != len(given):
        raise InputError(f"The lags are {given}; expected each lag once, none negative.")
    if largest is not None and max(given) > largest:
        raise InputError(
            f"The largest lag is {counted(max(given), 'frame')}, but no uninterrupted stretch of the recordings holds"
            f" it twice; the largest that they have is {largest}."
        )
    try:
        weight = np.ones(len(given)) if weights is None else np.asarray(weights, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(f"lag_weights = {weights!r}, expected one number for each lag.") from error
    if weight.shape != (len(given),) or not np.isfinite(weight).all() or (weight < 0).any() or not weight.any():
        raise InputError(
            f"lag_weights has shape {weight.shape} for {len(given)} lags; expected one finite weight ≥ 0 for each lag,"
            " at least one of them positive."
        )
    table = dict(zip(given, weight, strict=True))
    table.setdefault(0, 0.0)
    ordered = sorted(table)
    return LagSet(tuple(ordered), np.array([table[lag] for lag in ordered]))


def largest_lag(segment: np.ndarray) -> int:
    """The largest lag that joins at least two pairs of frames of one session, within its stretches."""
    lengths = sorted((stop - start for start, stop in stretches(segment)), reverse=True)
    return max(lengths[0] - 2, lengths[1] - 1 if len(lengths) > 1 else 0, 0) if lengths else 0


def stretches(segment: np.ndarray) -> list[tuple[int, int]]:
    """(first, last + 1) of every run of equal, non-negative segment numbers."""
    edges = np.flatnonzero(np.diff(segment) != 0) + 1
    bounds = [0, *edges.tolist(), len(segment)]
    return [(a, b) for a, b in pairwise(bounds) if b > a and segment[a] >= 0]


def pair_counts(segment: np.ndarray, lags: Sequence[int]) -> np.ndarray:
    """(lag,) number of frames t for which t and t + lag lie in the same stretch."""
    return np.array([int(joined(segment, lag).sum()) for lag in lags], dtype=float)


def joined(segment: np.ndarray, lag: int) -> np.ndarray:
    """(frame − lag,) True where frames t and t + lag lie in the same stretch."""
    if lag >= len(segment):
        return np.zeros(0, dtype=bool)
    early = segment[: len(segment) - lag]
    return (segment[lag:] == early) & (early >= 0)


def lagged_products(z: np.ndarray, segment: np.ndarray, lags: Sequence[int], before: int = 0) -> np.ndarray:
    """Σ_t z(t + s) z(t)ᵀ within stretches for every lag s, (lag, latent, latent).

    With `before`, only those whose later frame is not among so many first ones: those were counted already.
    """
    result = np.zeros((len(lags), z.shape[1], z.shape[1]))
    for i, lag in enumerate(lags):
        first = max(lag, before)
        if first >= len(z):
            continue
        same = joined(segment, lag)[first - lag :]
        early, late = z[first - lag : len(z) - lag], z[first:]
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


def beside(blocks: np.ndarray) -> np.ndarray:
    """(lag, a, b) → (a, lag · b): ``beside(X) @ beside(Y).T`` is Σ_s X_s Y_sᵀ in one product."""
    return blocks.transpose(1, 0, 2).reshape(blocks.shape[1], -1)


def below(blocks: np.ndarray) -> np.ndarray:
    """(lag, a, b) → (lag · a, b): ``below(X).T @ below(Y)`` is Σ_s X_sᵀ Y_s in one product."""
    return blocks.reshape(-1, blocks.shape[2])
