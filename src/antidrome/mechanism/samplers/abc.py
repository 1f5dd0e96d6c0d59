"""Approximate Bayesian computation: keep the parameters whose simulations come near the observation.

Features are compared after dividing by their median absolute deviation under the prior; a feature that is missing in
the observation is left out, and one that a simulation lacks puts it infinitely far away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from antidrome.core.seeds import fold_in, generator
from antidrome.core.whole import whole_number
from antidrome.errors import InputError
from antidrome.mechanism.priors import Prior, as_prior
from antidrome.mechanism.running import opened_simulator
from antidrome.mechanism.simulate.batch import Simulator
from antidrome.mechanism.simulate.outputs import as_observation
from antidrome.mechanism.simulate.run import run_simulations

PAIRS_AT_ONCE = 2**24
"""Of the numbers of new particles against old ones, (new, old, parameter), so many are held at a time."""
Distances = Callable[[np.ndarray], np.ndarray]


class AbcResult(NamedTuple):
    """Accepted parameters.

    Parameters
    ----------
    theta
        (n, d) parameters.
    weights
        (n,) importance weights; they sum to 1.
    distance
        (n,) distance of each one's simulation from the observation, in median absolute deviations.
    epsilon
        Largest distance accepted.
    n_simulations
        Simulations that were run in all.
    """

    theta: np.ndarray
    weights: np.ndarray
    distance: np.ndarray
    epsilon: float
    n_simulations: int

    def resampled(self, n_samples: int, seed: int = 0) -> np.ndarray:
        """(n, d) equally weighted parameters."""
        rows = generator(seed, "mechanism/abc/resample").choice(len(self.theta), n_samples, p=self.weights)
        return self.theta[rows]


def rejection_abc(
    simulator: Any,
    prior: Any,
    observation: Any,
    *,
    n_simulations: int = 10_000,
    n_accepted: int = 100,
    seed: int = 0,
    progress: bool = True,
) -> AbcResult:
    """Simulate from the prior, keep what comes nearest (Tavaré et al. 1997; Pritchard et al. 1999).

    Parameters
    ----------
    simulator, prior, observation
        As in `SNPE.fit`.
    n_simulations, n_accepted
        How many are simulated and how many of them are kept.

    Raises
    ------
    InputError
        If fewer simulations than asked for have the observed features.
    """
    n_accepted, prior = whole_number("n_accepted", n_accepted), as_prior(prior)
    theta = prior.sample(n_simulations, seed=fold_in(seed, "mechanism/abc/prior"))
    with opened_simulator(simulator, prior) as made:
        done = run_simulations(made, theta, seed=seed, parameter_names=prior.names, progress=progress)
    observation = as_observation(observation, done.feature_names)
    distance = scaled_distances(done.features, observation)(done.features)
    n_finite = int(np.isfinite(distance).sum())
    if n_finite < n_accepted or n_accepted < 1:
        raise InputError(
            f"{n_accepted} of {n_simulations} simulations are to be accepted, but {n_finite} have the features of the"
            " observation."
        )
    best = np.argsort(distance, kind="stable")[:n_accepted]
    weights = np.full(n_accepted, 1 / n_accepted)
    return AbcResult(theta[best], weights, distance[best], float(distance[best[-1]]), n_simulations)


def smc_abc(
    simulator: Any,
    prior: Any,
    observation: Any,
    *,
    n_particles: int = 1000,
    max_simulations: int = 100_000,
    decay: float = 0.5,
    final_epsilon: float = 0.0,
    seed: int = 0,
    progress: bool = True,
) -> AbcResult:
    """Sequential Monte Carlo (Beaumont et al. 2009): a population is perturbed, and accepted ever nearer.

    Particles live in the prior's unconstrained coordinates, where none can leave its support; the perturbation is
    Gaussian with twice their weighted covariance, and weights are prior over mixture of perturbations.

    Parameters
    ----------
    simulator, prior, observation
        As in `SNPE.fit`.
    n_particles
        Size of the population, at least 2: a single one has no spread to be perturbed by.
    max_simulations
        Budget; the last complete population is returned.
    decay
        Each tolerance is this quantile of the last population's distances.
    final_epsilon
        Stop at this tolerance.
    """
    if not 0 < decay < 1:
        raise InputError(f"decay is {decay}; expected a share between 0 and 1.")
    n_particles, prior = whole_number("n_particles", n_particles, 2), as_prior(prior)
    with opened_simulator(simulator, prior) as made:
        counter = _Counted(made, prior, seed, progress)
        observation = as_observation(observation, tuple(made.feature_names))
        return _shrinking(counter, observation, n_particles, max_simulations, decay, final_epsilon)


def _shrinking(
    counter: _Counted,
    observation: np.ndarray,
    n_particles: int,
    max_simulations: int,
    decay: float,
    final_epsilon: float,
) -> AbcResult:
    """Populations at ever smaller tolerances, while the budget lasts."""
    prior, seed = counter.prior, counter.seed
    theta = prior.sample(n_particles, seed=fold_in(seed, "mechanism/abc/prior"))
    u, first = prior.to_unconstrained(theta), counter.features(theta)
    distances = scaled_distances(first, observation)
    distance = distances(first)
    if not np.isfinite(distance).any():
        raise InputError("No simulation from the prior has the features of the observation.")
    weights = np.full(n_particles, 1 / n_particles)
    epsilon = float("inf")
    while counter.n < max_simulations and epsilon > final_epsilon:
        target = max(float(np.quantile(distance, decay, method="lower")), final_epsilon)
        target = target if np.isfinite(target) else float(np.max(distance[np.isfinite(distance)]))
        found = _population(counter, distances, u, weights, target, max_simulations)
        if found is None:
            break
        (u, distance, weights), epsilon = found, target
    return AbcResult(prior.from_unconstrained(u), weights, distance, epsilon, counter.n)


def scaled_distances(reference: np.ndarray, observation: np.ndarray) -> Distances:
    """Root mean square distance from the observation, in median absolute deviations of the reference simulations."""
    observation = np.asarray(observation, np.float64)
    if observation.ndim != 1 or reference.shape[1] != len(observation) or np.isnan(observation).all():
        raise InputError(
            f"The observation has shape {observation.shape}, simulations have {reference.shape[1]} features."
        )
    there = np.isfinite(observation)
    with np.errstate(invalid="ignore"):
        columns = [column[np.isfinite(column)] for column in reference.T]
    scale = np.array([np.median(np.abs(c - np.median(c))) if len(c) else 0.0 for c in columns])
    spread = np.array([c.std() if len(c) else 0.0 for c in columns])
    scale = np.where(scale > 0, scale, np.where(spread > 0, spread, 1.0))[there]

    def distances(features: np.ndarray) -> np.ndarray:
        scaled = (features[:, there] - observation[there]) / scale
        return np.where(np.isnan(scaled).any(axis=1), np.inf, np.sqrt(np.mean(scaled**2, axis=1)))

    return distances


class _Counted:
    """Simulates, and counts."""

    def __init__(self, simulator: Simulator, prior: Prior, seed: int, progress: bool) -> None:
        self.simulator, self.prior, self.seed, self.progress = simulator, prior, seed, progress
        self.n = self.n_calls = 0

    def features(self, theta: np.ndarray) -> np.ndarray:
        self.n += len(theta)
        self.n_calls += 1
        done = run_simulations(
            self.simulator,
            theta,
            seed=self.seed,
            round_=self.n_calls,
            parameter_names=self.prior.names,
            progress=self.progress,
        )
        return done.features


def _population(
    counter: _Counted,
    distances: Distances,
    u: np.ndarray,
    weights: np.ndarray,
    epsilon: float,
    max_simulations: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """A new population within epsilon, its distances and weights; None if the budget ends first."""
    n, d = u.shape
    draw = generator(fold_in(counter.seed, "mechanism/abc/perturb"), str(counter.n_calls))
    covariance = np.atleast_2d(2 * np.cov(u.T, aweights=weights)) + 1e-12 * np.eye(d)
    factor = np.linalg.cholesky(covariance)
    accepted: list[np.ndarray] = []
    near: list[np.ndarray] = []
    n_accepted = n_tried = 0
    while n_accepted < n:
        left = max_simulations - counter.n
        if left < 1:
            return None
        rate = max((n_accepted + 1) / (n_tried + 1), 1e-3)
        size = int(min(left, np.clip((n - n_accepted) / rate, 100, 20 * n)))
        proposed = u[draw.choice(n, size, p=weights)] + draw.standard_normal((size, d)) @ factor.T
        distance = distances(counter.features(counter.prior.from_unconstrained(proposed)))
        keep = distance <= epsilon
        accepted.append(proposed[keep])
        near.append(distance[keep])
        n_accepted, n_tried = n_accepted + int(keep.sum()), n_tried + size
    new = np.concatenate(accepted)[:n]
    rows = max(1, PAIRS_AT_ONCE // (n * d))
    log_mixture = np.concatenate([_log_mixture(new[i : i + rows], u, weights, factor) for i in range(0, n, rows)])
    log_weights = counter.prior.log_prob_unconstrained(new) - log_mixture
    return new, np.concatenate(near)[:n], np.exp(log_weights - logsumexp(log_weights))


def _log_mixture(new: np.ndarray, u: np.ndarray, weights: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Log density, up to a constant, of new particles (m, d) under the perturbed old ones (n, d), (m,)."""
    (m, d), n = new.shape, len(u)
    shift = np.linalg.solve(factor, (new[:, None, :] - u[None, :, :]).reshape(-1, d).T).T.reshape(m, n, d)
    return logsumexp(np.log(weights)[None] - 0.5 * np.sum(shift**2, axis=2), axis=1)
