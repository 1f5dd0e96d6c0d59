"""One face for both losses: fit with given settings, hide pairs, read measured covariances back."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from antidrome.dynamics.als import alternate, is_calm, latent_steps
from antidrome.dynamics.gauge import normalise
from antidrome.dynamics.moments import SessionMoments
from antidrome.dynamics.objective import Evaluate, loss_and_gradient
from antidrome.dynamics.pairwise import (
    PairMoments,
    PairProblem,
    latent_step,
    pair_iterate,
    pair_loss_and_gradient,
    without_diagonals,
)
from antidrome.dynamics.problem import Fit, Problem
from antidrome.dynamics.resuming import Stages
from antidrome.dynamics.starts import N_TRIAL, multi_start, some_neurons_first

MANY_NEURONS = 6_000
FEW_ITERATIONS = 20
SHORT = 0.1
"""Share of the longest session below which a session says almost nothing of its own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitSettings:
    """Settings of one fit.

    Parameters
    ----------
    n_components
        Latent dimensions.
    shrinkage, coupling
        See `Problem`.
    zero_lag
        Loadings from lag 0 alone: factor analysis by moments.
    hollow_lags
        Leave the diagonals of all lags out: private autocovariances.
    n_starts, n_iterations, tolerance
        Of the solver.
    """

    n_components: int
    shrinkage: float = 0.0
    coupling: float = np.inf
    zero_lag: bool = False
    hollow_lags: bool = False
    n_starts: int = 4
    n_iterations: int = 100
    tolerance: float = 1e-6


@dataclasses.dataclass(frozen=True)
class BlockSolver:
    """The session-block loss: pairs weigh by the frames in which they were recorded together."""

    moments: tuple[SessionMoments, ...]
    n_neurons: int
    lag_weights: np.ndarray

    def problem(self, settings: FitSettings) -> Problem:
        """The problem of these settings."""
        weights = _lag_weights(self.lag_weights, settings)
        hollow = settings.hollow_lags and not settings.zero_lag
        return Problem.of(self.moments, self.n_neurons, weights, settings.coupling, settings.shrinkage, hollow)

    def fit(
        self,
        settings: FitSettings,
        rng: np.random.Generator,
        start: Fit | None = None,
        on_iteration: Callable[[Fit], Any] | None = None,
        stages: Stages | None = None,
    ) -> tuple[Fit, tuple[float, ...]]:
        """Best of several starts, or from `start`; and the losses of the starts."""
        problem, stages = self.problem(settings), stages or Stages()
        effort = {name: getattr(settings, name) for name in ("n_starts", "n_iterations", "tolerance")}
        n_iterations, losses = settings.n_iterations, ()
        if start is None and self.n_neurons <= MANY_NEURONS:
            return multi_start(problem, settings.n_components, rng, on_iteration=on_iteration, stages=stages, **effort)
        if start is None:
            start, losses = some_neurons_first(
                problem, settings.n_components, rng, on_iteration=on_iteration, stages=stages, **effort
            )
            n_iterations = min(n_iterations, FEW_ITERATIONS)
        fresh = dataclasses.replace(start, losses=(), converged=False)

        def work(fit: Fit, tell: Callable[[Fit], Any]) -> Fit:
            return alternate(problem, fit, n_iterations, settings.tolerance, tell)

        return stages.run("solution", Fit, lambda: fresh, work, on_iteration), losses

    @property
    def has_pairs(self) -> bool:
        """Whether any two neurons were recorded together."""
        return any(len(m.rows) > 1 for m in self.moments)

    @property
    def available(self) -> np.ndarray:
        """(lag,) whether any session has pairs of frames at a lag."""
        return np.any([m.available for m in self.moments], axis=0)

    def evaluate(self, settings: FitSettings) -> Evaluate:
        """Loss and gradients in C and X_s, shared by all sessions."""
        return functools.partial(loss_and_gradient, self.problem(settings))

    def mean_latent(self, fit: Fit) -> np.ndarray:
        """(lag, latent, latent) over all sessions."""
        return fit.mean_latent(np.array([m.weight for m in self.moments]) / sum(m.weight for m in self.moments))

    def latent_between(self, fit: Fit, settings: FitSettings) -> np.ndarray:
        """(lag, latent, latent) for these loadings, from the covariances between neurons alone."""
        return self.mean_latent(latent_steps(self.problem(dataclasses.replace(settings, hollow_lags=True)), fit))

    def without(self, first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> BlockSolver:
        """Hide every pair between two groups of neurons.

        Each session loses one group or the other, at random and evenly, so that the pairs are never recorded together,
        as for real; a single session is taken for two of half the weight, one without each group. Short sessions take
        turns among themselves, so that none of them is all that is left of a group.
        """
        frames = np.array([m.weight for m in self.moments])
        short = frames < SHORT * frames.max(initial=0)
        drop_first, alone = np.zeros(len(frames), dtype=bool), ~short & (np.sum(~short) == 1)
        for turns in (np.flatnonzero(~short), np.flatnonzero(short)):
            drop_first[turns] = rng.permutation(np.arange(len(turns)) % 2 == 0)
        kept = []
        for m, flag, single in zip(self.moments, drop_first, alone, strict=True):
            in_first, in_second = np.isin(m.rows, first), np.isin(m.rows, second)
            choices = [in_first, in_second] if single else [in_first] if flag else [in_second]
            kept += [m.restricted(np.flatnonzero(~drop), m.weight / len(choices)) for drop in choices]
        return dataclasses.replace(self, moments=tuple(m for m in kept if len(m.rows) > 1))

    def at_lag_zero(self) -> BlockSolver:
        """The same without the other lags: all that the zero-lag model needs to predict pairs at lag 0."""
        return dataclasses.replace(
            self, moments=tuple(m.at_lag_zero() for m in self.moments), lag_weights=self.lag_weights[:1]
        )

    def among(self, neurons: np.ndarray) -> BlockSolver:
        """The same for some of the neurons only (the others keep their places, unobserved)."""
        kept = [m.restricted(np.flatnonzero(np.isin(m.rows, neurons)), m.weight) for m in self.moments]
        return dataclasses.replace(self, moments=tuple(m for m in kept if len(m.rows) > 1))

    @property
    def observed(self) -> np.ndarray:
        """(session, neuron) True where a session, or a part of one, has recorded a neuron."""
        table = np.zeros((len(self.moments), self.n_neurons), dtype=bool)
        for row, m in zip(table, self.moments, strict=True):
            row[m.rows] = True
        return table

    def amount(self) -> np.ndarray:
        """(neuron,) frames in which it was recorded beside others."""
        return self._frames().sum(axis=0)

    def negligible(self) -> np.ndarray:
        """(neuron,) frames that say almost nothing of it: a tenth of the longest session that has recorded it."""
        return SHORT * self._frames().max(axis=0, initial=0)

    def measured(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pooled covariance at lag 0 between two groups, and the frames behind each, (first, second) both."""
        total, count = np.zeros((len(first), len(second))), np.zeros((len(first), len(second)))
        for m in self.moments:
            place = np.full(self.n_neurons, -1)
            place[m.rows] = np.arange(len(m.rows))
            i, j = np.flatnonzero(place[first] >= 0), np.flatnonzero(place[second] >= 0)
            if i.size and j.size:
                total[np.ix_(i, j)] += m.weight * m.pairs(place[first][i], place[second][j])
                count[np.ix_(i, j)] += m.weight
        return total / np.maximum(count, 1e-300), count

    def own(self, lag: int) -> np.ndarray:
        """(neuron,) pooled covariance of each neuron with itself at the lag in this place; NaN where none is known."""
        total, weight = np.zeros((2, self.n_neurons))
        for m in self.moments:
            if m.available[lag]:
                total[m.rows] += m.weight * m.diagonals()[lag]
                weight[m.rows] += m.weight
        return np.where(weight > 0, total / np.maximum(weight, 1e-300), np.nan)

    def _frames(self) -> np.ndarray:
        """(session, neuron) frames in which a session has recorded a neuron."""
        table = np.zeros((len(self.moments), self.n_neurons))
        for row, m in zip(table, self.moments, strict=True):
            row[m.rows] = m.weight
        return table


@dataclasses.dataclass(frozen=True)
class PairSolver:
    """The pairwise-weighted loss of the paper, with any entries missing; for up to a few thousand neurons."""

    moments: PairMoments
    weights: np.ndarray
    lag_weights: np.ndarray

    @property
    def n_neurons(self) -> int:
        """Size of the population."""
        return self.weights.shape[1]

    def fit(
        self,
        settings: FitSettings,
        rng: np.random.Generator,
        start: Fit | None = None,
        on_iteration: Callable[[Fit], Any] | None = None,
        stages: Stages | None = None,
    ) -> tuple[Fit, tuple[float, ...]]:
        """Best of several starts, or from `start`; and the losses of the starts."""
        weights = _lag_weights(self.lag_weights, settings)
        if start is not None:
            fresh = Fit(start.loadings, self.mean_latent(start)[None])
            found = self._run(fresh, weights, settings, settings.n_iterations, on_iteration)
            loadings, latent = normalise(found.loadings, found.latent)
            return dataclasses.replace(found, loadings=loadings, latent=latent), ()
        stages = stages or Stages()
        n_trial, trials = min(N_TRIAL, settings.n_iterations), []

        def solve(name: str, begin: Callable[[], Fit], n: int) -> Fit:
            def work(fit: Fit, tell: Callable[[Fit], Any]) -> Fit:
                return self._run(fit, weights, settings, n, tell)

            return stages.run(name, Fit, begin, work, on_iteration)

        identity = np.tile(np.eye(settings.n_components), (1, len(weights), 1, 1))
        for index, child in enumerate(rng.spawn(max(settings.n_starts, 1))):
            loadings = child.standard_normal((self.n_neurons, settings.n_components))
            trials.append(solve(f"start-{index}", functools.partial(Fit, loadings, identity), n_trial))
        best = min(trials, key=lambda fit: fit.loss)
        found = solve("solution", lambda: best, settings.n_iterations)
        loadings, latent = normalise(found.loadings, found.latent)
        return dataclasses.replace(found, loadings=loadings, latent=latent), tuple(trial.loss for trial in trials)

    @property
    def has_pairs(self) -> bool:
        """Whether any two neurons were recorded together in more than one frame."""
        return bool(self.available[0])

    @property
    def available(self) -> np.ndarray:
        """(lag,) whether any two neurons have pairs of frames at a lag."""
        return without_diagonals(self.weights).any(axis=(1, 2))

    def evaluate(self, settings: FitSettings) -> Evaluate:
        """Loss and gradients in C and X_s."""
        weights = self._pair_weights(settings)
        lag_weights = _lag_weights(self.lag_weights, settings)
        return functools.partial(pair_loss_and_gradient, self.moments, weights, lag_weights)

    def mean_latent(self, fit: Fit) -> np.ndarray:
        """(lag, latent, latent)."""
        return fit.latent.mean(axis=0)

    def latent_between(self, fit: Fit, settings: FitSettings) -> np.ndarray:
        """(lag, latent, latent) for these loadings, from the covariances between neurons alone."""
        problem = PairProblem.of(self.moments, without_diagonals(self.weights), self.lag_weights)
        return latent_step(problem, fit.loadings, self.mean_latent(fit))[0]

    def without(self, first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> PairSolver:
        """Hide every pair between two groups of neurons, at all lags."""
        weights = self.weights.copy()
        weights[:, first[:, None], second[None, :]] = 0
        weights[:, second[:, None], first[None, :]] = 0
        return dataclasses.replace(self, weights=weights)

    def at_lag_zero(self) -> PairSolver:
        """The same without the other lags: all that the zero-lag model needs to predict pairs at lag 0."""
        moments = PairMoments(self.moments.covariance[:1], self.moments.count[:1])
        return dataclasses.replace(self, moments=moments, weights=self.weights[:1], lag_weights=self.lag_weights[:1])

    def among(self, neurons: np.ndarray) -> PairSolver:
        """The same for some of the neurons only."""
        keep = np.isin(np.arange(self.n_neurons), neurons)
        return dataclasses.replace(self, weights=self.weights * (keep[:, None] & keep[None, :]))

    @property
    def together(self) -> np.ndarray:
        """(neuron, neuron) True where a pair was recorded together in more than one frame."""
        return np.asarray(self.moments.count[0]) > 1

    def amount(self) -> np.ndarray:
        """(neuron,) weight of all its pairs at lag 0."""
        return self.weights[0].sum(axis=1) - np.diagonal(self.weights[0])

    def negligible(self) -> np.ndarray:
        """(neuron,) weight that says almost nothing of it: none, as hiding pairs costs a neuron no other pairs."""
        return np.zeros(self.n_neurons)

    def measured(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pooled covariance at lag 0 between two groups, and the frames behind each, (first, second) both."""
        place = np.ix_(first, second)
        return self.moments.covariance[0][place], self.moments.count[0][place] * (self.moments.count[0][place] > 1)

    def own(self, lag: int) -> np.ndarray:
        """(neuron,) pooled covariance of each neuron with itself at the lag in this place; NaN where none is known."""
        known = np.diagonal(self.moments.count[lag]) > 1
        return np.where(known, np.diagonal(self.moments.covariance[lag]), np.nan)

    def _run(
        self,
        fit: Fit,
        lag_weights: np.ndarray,
        settings: FitSettings,
        n_iterations: int,
        on_iteration: Callable[[Fit], Any] | None,
    ) -> Fit:
        problem = PairProblem.of(self.moments, self._pair_weights(settings), lag_weights)
        while len(fit.losses) < n_iterations and not fit.converged:
            fit = pair_iterate(problem, fit, settings.shrinkage)
            fit = dataclasses.replace(fit, converged=is_calm(fit.losses, settings.tolerance))
            if on_iteration is not None:
                on_iteration(fit)
        return fit

    def _pair_weights(self, settings: FitSettings) -> np.ndarray:
        return without_diagonals(self.weights) if settings.hollow_lags else self.weights


Solver = BlockSolver | PairSolver


def _lag_weights(weights: np.ndarray, settings: FitSettings) -> np.ndarray:
    if not settings.zero_lag:
        return weights
    only = np.zeros(len(weights))
    only[0] = 1.0
    return only
