"""Lagged covariances of one session, as what multiplies them: dense, sketched, or never formed at all.

Λ_s = cov(y(t + s), y(t)) over the session's own pairs of frames, divided by (pairs − 1). The diagonal of Λ_0 holds the
private noise and is kept aside (``variance``); the products below are those of the *hollow* Λ_0. The three forms answer
the same two questions, which is all that the solvers ask:

``products(C)`` → (C_kᵀ Λ_s C_k for every lag, a cache) and ``mix(cache, X)`` → Σ_s w_s (Λ_s C X_sᵀ + Λ_sᵀ C X_s).
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Protocol, runtime_checkable

import numpy as np

from antidrome.dynamics.data import SessionData
from antidrome.dynamics.lags import LagSet, below, beside, joined, lagged_mixture, lagged_products, pair_counts

SINGLE_PRECISION = 128


@runtime_checkable
class SessionMoments(Protocol):
    """What the solvers need of one session.

    Attributes
    ----------
    rows
        (neuron,) places in the population.
    weight
        Frames of the session: the weight of its pairs.
    available
        (lag,) whether the session has at least two pairs of frames at this lag.
    variance
        (neuron,) diagonal of Λ_0.
    """

    rows: np.ndarray
    weight: float
    available: np.ndarray
    variance: np.ndarray

    def diagonals(self) -> np.ndarray:
        """(lag, neuron) diagonals of Λ_s; zeros at lag 0, which is hollow."""

    def products(self, loadings: np.ndarray) -> tuple[np.ndarray, Any]:
        """Cᵀ Λ_s C (lag, latent, latent), hollow at lag 0, and what `mix` needs; `loadings` (neuron, latent)."""

    def mix(self, cache: Any, mixing: np.ndarray) -> np.ndarray:
        """Σ_s (Λ_s C X_sᵀ + Λ_sᵀ C X_s), (neuron, latent); `mixing` (lag, latent, latent) with weights in it."""

    def pairs(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Λ_0 between some of the neurons and some others (positions in `rows`), (first, second)."""

    def at_lag_zero(self) -> SessionMoments:
        """The same without the other lags."""

    def restricted(self, keep: np.ndarray, weight: float) -> SessionMoments:
        """The same for some of the neurons (positions in `rows`), with another weight."""


@dataclasses.dataclass(frozen=True)
class DenseMoments:
    """All covariances of a session of few neurons: `covariance` (lag, neuron, neuron), hollow at lag 0.

    Kept in single precision from 128 neurons on: products with them are most of the work.
    """

    rows: np.ndarray
    weight: float
    available: np.ndarray
    variance: np.ndarray
    covariance: np.ndarray

    def diagonals(self) -> np.ndarray:
        """See `SessionMoments`."""
        return np.diagonal(self.covariance, axis1=1, axis2=2).astype(float)

    def products(self, loadings: np.ndarray) -> tuple[np.ndarray, Any]:
        """See `SessionMoments`."""
        late = self.covariance @ loadings.astype(self.covariance.dtype, copy=False)
        return loadings.T @ late, (late, loadings)

    def mix(self, cache: Any, mixing: np.ndarray) -> np.ndarray:
        """See `SessionMoments`."""
        late, loadings = cache
        early = below(loadings @ mixing).astype(self.covariance.dtype, copy=False)
        return beside(late) @ beside(mixing).T + below(self.covariance).T @ early

    def pairs(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See `SessionMoments`."""
        return self.covariance[0][np.ix_(first, second)].astype(float)

    def at_lag_zero(self) -> DenseMoments:
        """See `SessionMoments`."""
        return dataclasses.replace(self, available=self.available[:1], covariance=self.covariance[:1])

    def restricted(self, keep: np.ndarray, weight: float) -> DenseMoments:
        """See `SessionMoments`."""
        inner = np.ascontiguousarray(self.covariance[:, keep[:, None], keep[None, :]])
        return DenseMoments(self.rows[keep], weight, self.available, self.variance[keep], inner)


@dataclasses.dataclass(frozen=True)
class SketchedMoments:
    """Λ_s ≈ B M_s Bᵀ: `basis` (neuron, rank) orthonormal, `core` (lag, rank, rank); costs no longer depend on time."""

    rows: np.ndarray
    weight: float
    available: np.ndarray
    variance: np.ndarray
    basis: np.ndarray
    core: np.ndarray

    def diagonals(self) -> np.ndarray:
        """See `SessionMoments`."""
        return self._diagonals

    @functools.cached_property
    def _diagonals(self) -> np.ndarray:
        result = np.zeros((len(self.core), len(self.basis)))
        for s in range(1, len(self.core)):
            result[s] = np.einsum("iq,iq->i", self.basis @ self.core[s].astype(self.basis.dtype), self.basis)
        return result

    @functools.cached_property
    def core_diagonal(self) -> np.ndarray:
        """(neuron,) diagonal of B M_0 Bᵀ, to be left out."""
        return np.einsum("iq,iq->i", self.basis @ self.core[0].astype(self.basis.dtype), self.basis).astype(float)

    def products(self, loadings: np.ndarray) -> tuple[np.ndarray, Any]:
        """See `SessionMoments`."""
        inner = (self.basis.T @ loadings.astype(self.basis.dtype, copy=False)).astype(float)
        diagonal = self.core_diagonal
        result = inner.T @ self.core @ inner
        result[0] -= loadings.T @ (loadings * diagonal[:, None])
        return result, (inner, loadings, diagonal)

    def mix(self, cache: Any, mixing: np.ndarray) -> np.ndarray:
        """See `SessionMoments`."""
        inner, loadings, diagonal = cache
        mixed = beside(self.core @ inner) @ beside(mixing).T + below(self.core).T @ below(inner @ mixing)
        result = (self.basis @ mixed.astype(self.basis.dtype)).astype(float, copy=False)
        return result - diagonal[:, None] * (loadings @ (mixing[0] + mixing[0].T))

    def pairs(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See `SessionMoments`."""
        return self.basis[first].astype(float) @ self.core[0] @ self.basis[second].astype(float).T

    def at_lag_zero(self) -> SketchedMoments:
        """See `SessionMoments`."""
        return dataclasses.replace(self, available=self.available[:1], core=self.core[:1])

    def restricted(self, keep: np.ndarray, weight: float) -> SketchedMoments:
        """See `SessionMoments`."""
        return SketchedMoments(
            self.rows[keep], weight, self.available, self.variance[keep], self.basis[keep], self.core
        )


@dataclasses.dataclass(frozen=True)
class StreamedMoments:
    """Covariances that are never formed: two products with the data, whatever the number of lags."""

    rows: np.ndarray
    weight: float
    available: np.ndarray
    variance: np.ndarray
    data: SessionData
    lags: tuple[int, ...]
    keep: np.ndarray | None = None

    def diagonals(self) -> np.ndarray:
        """See `SessionMoments`: by one more read of the data."""
        return self._diagonals

    @functools.cached_property
    def _diagonals(self) -> np.ndarray:
        segment, halo = self.data.session.segment, max(self.lags)
        result = np.zeros((len(self.lags), self.data.shape[1]))
        for frames, inner, block in self.data.blocks(halo):
            low = frames.start - inner.start
            for s, lag in enumerate(self.lags):
                early = np.arange(inner.start, min(inner.stop, len(block) - lag))
                if lag == 0 or early.size == 0:
                    continue
                same = joined(segment[low : low + len(block)], lag)[early]
                result[s] += np.einsum("ti,ti,t->i", block[early + lag], block[early], same.astype(block.dtype))
        result = result / self._divisor[:, None]
        return result if self.keep is None else result[:, self.keep]

    def products(self, loadings: np.ndarray) -> tuple[np.ndarray, Any]:
        """See `SessionMoments`."""
        wide = self._widened(loadings)
        z = self.data.project(wide)
        result = lagged_products(z, self.data.session.segment, self.lags) / self._divisor[:, None, None]
        result[0] -= loadings.T @ (loadings * self._raw_variance[:, None])
        return result, (z, loadings)

    def mix(self, cache: Any, mixing: np.ndarray) -> np.ndarray:
        """See `SessionMoments`."""
        z, loadings = cache
        scaled = mixing / self._divisor[:, None, None]
        mixture = lagged_mixture(z, self.data.session.segment, self.lags, scaled)
        result = self._narrowed(self.data.back_project(mixture))
        return result - self._raw_variance[:, None] * (loadings @ (mixing[0] + mixing[0].T))

    def pairs(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See `SessionMoments`."""
        chosen = np.zeros((len(self.rows), len(first)))
        chosen[first, np.arange(len(first))] = 1.0
        values = self.data.project(self._widened(chosen)) * (self.data.session.segment >= 0)[:, None]
        return (self._narrowed(self.data.back_project(values))[second] / self._divisor[0]).T

    def at_lag_zero(self) -> StreamedMoments:
        """See `SessionMoments`."""
        return dataclasses.replace(self, available=self.available[:1], lags=self.lags[:1])

    def restricted(self, keep: np.ndarray, weight: float) -> StreamedMoments:
        """See `SessionMoments`."""
        inner = keep if self.keep is None else self.keep[keep]
        return dataclasses.replace(self, rows=self.rows[keep], weight=weight, variance=self.variance[keep], keep=inner)

    @property
    def _divisor(self) -> np.ndarray:
        return np.maximum(pair_counts(self.data.session.segment, self.lags) - 1, 1)

    @property
    def _raw_variance(self) -> np.ndarray:
        session = self.data.session
        raw = session.variance * session.n_observed * self.data.gain**2 / self._divisor[0]
        return raw if self.keep is None else raw[self.keep]

    def _widened(self, loadings: np.ndarray) -> np.ndarray:
        if self.keep is None:
            return loadings
        wide = np.zeros((self.data.shape[1], loadings.shape[1]))
        wide[self.keep] = loadings
        return wide

    def _narrowed(self, values: np.ndarray) -> np.ndarray:
        return values if self.keep is None else values[self.keep]


def dense_moments(data: SessionData, lags: LagSet) -> DenseMoments:
    """All lagged covariances of one complete session of few neurons (or with missing entries, pair by pair).

    Raises
    ------
    MemoryError
        From numpy, if (lag, neuron, neuron) does not fit; the estimator checks before.
    """
    session = data.session
    counts = pair_counts(session.segment, lags.lags)
    covariance = np.zeros((len(lags), len(session.rows), len(session.rows)))
    for low, before, block in data.once(lags.largest):
        segment = session.segment[low : low + len(block)]
        covariance += lagged_products(block.astype(np.float64, copy=False), segment, lags.lags, before)
    covariance /= np.maximum(counts - 1, 1)[:, None, None]
    variance = np.diagonal(covariance[0]).copy()
    np.fill_diagonal(covariance[0], 0.0)
    kind = np.float32 if len(session.rows) >= SINGLE_PRECISION else np.float64
    return DenseMoments(session.rows, float(session.n_used), counts > 1, variance, covariance.astype(kind, copy=False))


def streamed_moments(data: SessionData, lags: LagSet) -> StreamedMoments:
    """The covariances of one session as products with its data."""
    session = data.session
    counts = pair_counts(session.segment, lags.lags)
    variance = session.variance * session.n_observed * data.gain**2 / max(counts[0] - 1, 1)
    return StreamedMoments(session.rows, float(session.n_used), counts > 1, variance, data, lags.lags)
