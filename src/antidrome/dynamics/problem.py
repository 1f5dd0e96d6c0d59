"""What is fitted and what a fit is: moments of all sessions, lag weights, coupling of the sessions, shrinkage."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np

from antidrome.dynamics.moments import SessionMoments

ROWS_AT_ONCE = 4096


@dataclasses.dataclass(frozen=True)
class Problem:
    """The session-block loss of one data set.

    Parameters
    ----------
    moments
        One for each session.
    n_neurons
        Size of the population.
    lag_weights
        (lag,) w_s.
    coupling
        How strongly the latent covariances of the sessions are held together. Infinity: one X_s for all, the loss of
        the paper. Finite: each session has its own X_ks, drawn to their mean with this weight relative to the
        curvature of the loss; slow latents never sample their stationary covariance within one session.
    shrinkage
        Ridge on the rows of C, relative to the mean curvature of the loss in the basis CᵀC = p I.
    patterns, pattern_of
        (pattern, session) sets of sessions that saw a neuron, and (neuron,) the pattern of each.
    hollow_lags
        Whether the diagonals of all Λ_s are left out, not that of Λ_0 alone: every neuron then has a private
        autocovariance, as slow indicators and smoothed events give it, beside its private variance.
    """

    moments: tuple[SessionMoments, ...]
    n_neurons: int
    lag_weights: np.ndarray
    coupling: float = np.inf
    shrinkage: float = 0.0
    patterns: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 0)))
    pattern_of: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, int))
    hollow_lags: bool = False

    @classmethod
    def of(
        cls,
        moments: Sequence[SessionMoments],
        n_neurons: int,
        lag_weights: np.ndarray,
        coupling: float = np.inf,
        shrinkage: float = 0.0,
        hollow_lags: bool = False,
    ) -> Problem:
        """Find the observation patterns; one session is always coupled to itself alone."""
        patterns, pattern_of = observation_patterns([m.rows for m in moments], n_neurons)
        coupling = np.inf if len(moments) == 1 else float(coupling)
        weights = np.asarray(lag_weights, float)
        return cls(tuple(moments), n_neurons, weights, coupling, float(shrinkage), patterns, pattern_of, hollow_lags)

    @property
    def is_shared(self) -> bool:
        """Whether all sessions have the same latent covariances."""
        return not np.isfinite(self.coupling)

    @property
    def n_hollow(self) -> int:
        """Number of lags, from 0 on, whose diagonals are left out."""
        return len(self.lag_weights) if self.hollow_lags else 1

    @functools.cached_property
    def weights(self) -> np.ndarray:
        """(session,) T_k over their sum."""
        weights = np.array([m.weight for m in self.moments], dtype=float)
        return weights / max(weights.sum(), 1e-300)

    @functools.cached_property
    def available(self) -> np.ndarray:
        """(session, lag) whether a session has pairs of frames at a lag."""
        return np.array([m.available for m in self.moments])

    @functools.cached_property
    def weights_of_lags(self) -> np.ndarray:
        """(session, lag, 1, 1) w_s where the session has pairs of frames at the lag, else 0."""
        return (self.lag_weights * self.available)[:, :, None, None]

    @functools.cached_property
    def lags_by_sessions(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """Lags that the same sessions have, and those sessions."""
        patterns, lags = np.unique(self.available.T, axis=0, return_inverse=True)
        return tuple((np.flatnonzero(lags == i), np.flatnonzero(pattern)) for i, pattern in enumerate(patterns))


@dataclasses.dataclass(frozen=True)
class Fit:
    """State of a solver.

    Parameters
    ----------
    loadings
        (neuron, latent) C.
    latent
        (session, lag, latent, latent) X_ks; one entry for all sessions where they are shared.
    losses
        Loss after each iteration (less the constant of the data), per frame.
    converged
        Whether the solver stopped by itself.
    """

    loadings: np.ndarray
    latent: np.ndarray
    losses: tuple[float, ...] = ()
    converged: bool = False

    @property
    def loss(self) -> float:
        """The last loss; infinite before the first."""
        return self.losses[-1] if self.losses else np.inf

    def of_session(self, k: int) -> np.ndarray:
        """(lag, latent, latent) latent covariances of one session."""
        return self.latent[k if len(self.latent) > 1 else 0]

    def mean_latent(self, weights: np.ndarray) -> np.ndarray:
        """(lag, latent, latent) mean over the sessions with these weights."""
        return self.latent[0] if len(self.latent) == 1 else np.einsum("k,ksab->sab", weights, self.latent)


def observation_patterns(rows: Sequence[np.ndarray], n_neurons: int) -> tuple[np.ndarray, np.ndarray]:
    """Distinct sets of sessions that saw a neuron (pattern, session), and the pattern of each neuron."""
    observed = np.zeros((n_neurons, len(rows)), dtype=bool)
    for k, seen in enumerate(rows):
        observed[seen, k] = True
    packed = np.packbits(observed, axis=1)
    keys = packed.view([("", packed.dtype)] * packed.shape[1]).ravel()
    _, first, pattern_of = np.unique(keys, return_index=True, return_inverse=True)
    return observed[first].astype(float), pattern_of.ravel()


def own_covariance(loadings: np.ndarray, latent: np.ndarray, n_hollow: int) -> np.ndarray:
    """(hollow lag, neuron) diagonals of C X_s Cᵀ at the lags whose diagonals are left out."""
    result = np.empty((n_hollow, len(loadings)))
    for rows in _blocks_of_rows(len(loadings)):
        some = loadings[rows]
        result[:, rows] = np.einsum("sia,ia->si", some @ latent[:n_hollow], some)
    return result


def left_out(problem: Problem, m: SessionMoments, own: np.ndarray) -> np.ndarray:
    """(hollow lag, neuron) what turns the diagonals that `m` has into the model's own, so that they do not count.

    The moments are hollow at lag 0 already; at the other lags their measured diagonals are taken away. `own` is
    `own_covariance`.
    """
    return own - m.diagonals() if problem.hollow_lags else own


def weighted_grams(loadings: np.ndarray, excess: np.ndarray) -> np.ndarray:
    """Cᵀ diag(e_s) C for `excess` (hollow lag, neuron), (hollow lag, latent, latent)."""
    result = np.zeros((len(excess), loadings.shape[1], loadings.shape[1]))
    for rows in _blocks_of_rows(len(loadings)):
        some = loadings[rows]
        result += some.T @ (excess[:, rows, None] * some)
    return result


def pull_of_diagonals(loadings: np.ndarray, excess: np.ndarray, mixing: np.ndarray) -> np.ndarray:
    """Σ_s diag(e_s) C (X_s + X_sᵀ) over the hollow lags, (neuron, latent); `mixing` (lag, latent, latent)."""
    both = mixing[: len(excess)] + mixing[: len(excess)].transpose(0, 2, 1)
    result = np.empty_like(loadings)
    for rows in _blocks_of_rows(len(loadings)):
        result[rows] = np.einsum("si,sia->ia", excess[:, rows], loadings[rows] @ both)
    return result


def _blocks_of_rows(n_rows: int) -> Iterator[slice]:
    """Few enough rows at once that arrays (lag, row, latent) stay small."""
    for start in range(0, n_rows, ROWS_AT_ONCE):
        yield slice(start, start + ROWS_AT_ONCE)
