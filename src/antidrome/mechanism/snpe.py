"""Sequential neural posterior estimation: rounds of proposing, simulating, weighting and training.

A pure function of (simulator, prior, observation, plan, seed): every random step draws from a stream named after the
round and what it does, so a fit that was killed goes on from its checkpoint to the same numbers, bit for bit.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from antidrome.core.seeds import fold_in
from antidrome.errors import InputError, TrainingError
from antidrome.mechanism.densities.gaussian_mixture import GaussianMixture
from antidrome.mechanism.failures import train_failure_classifier
from antidrome.mechanism.features import FeatureScaling
from antidrome.mechanism.model_error import error_spread, with_error
from antidrome.mechanism.observations import unrecorded_features
from antidrome.mechanism.plans import Plan
from antidrome.mechanism.priors import Prior
from antidrome.mechanism.problem import Problem
from antidrome.mechanism.proposals import FromDensity, FromPrior, Mixed, Proposal, Thinned, Truncated
from antidrome.mechanism.round_training import train_round
from antidrome.mechanism.rounds import FitSimulations, Progress, RoundReport
from antidrome.recordings.arguments import counted

_logger = logging.getLogger("antidrome")


def run_rounds(
    problem: Problem,
    plan: Plan,
    *,
    seed: int,
    progress: Progress | None = None,
    keep: Callable[[Progress], None] = lambda _: None,
    tell: Callable[[str | RoundReport], None] = lambda _: None,
) -> Progress:
    """All rounds, or those that are left.

    Parameters
    ----------
    progress
        Where an earlier run of the same fit was.
    keep
        Called after every simulated and every trained round (the checkpoint).
    tell
        Called with what is being done, and with the figures of each round.

    Raises
    ------
    InputError
        The simulator does not give what the observation has.
    TrainingError
        Too few simulations succeeded, or no loss was finite.
    """
    progress = progress or Progress(FitSimulations.empty(problem.prior.n_parameters))
    proposals: list[Proposal] = []
    for r in range(len(progress.reports), plan.n_rounds):
        started = time.perf_counter()
        if progress.rounds_simulated == r:
            tell(f"round {r + 1}: simulating")
            proposals += [proposal_of_round(problem, plan, progress, i, seed) for i in range(len(proposals), r + 1)]
            progress = _simulate(problem, progress, proposals, seed)
            keep(progress)
        simulating_s = time.perf_counter() - started
        tell(f"round {r + 1}: training")
        progress = train_round(problem, plan, progress, r, seed, simulating_s=simulating_s)
        _logger.info("%s", progress.reports[-1])
        tell(progress.reports[-1])
        keep(progress)
    return progress


def proposal_of_round(problem: Problem, plan: Plan, progress: Progress, r: int, seed: int) -> Proposal:
    """Where round `r` simulates; the same for the same past.

    It is thinned by failures where what is learned from it takes that into account: not by the direct loss without
    weights, which would take what is left for draws from the prior.
    """
    prior = problem.prior
    proposal: Proposal = problem.first or FromPrior(prior)
    if r > 0 and plan.proposal != "prior":
        density = progress.trained(r - 1).at(progress.visible(problem.observation))
        if plan.degrees is not None and isinstance(density, GaussianMixture):
            density = density.with_heavy_tails(plan.degrees)
        shares = {"posterior": (1.0, 0.0), "truncated": (0.0, 1.0), "robust": (0.3, 0.7)}[plan.proposal]
        proposal = _mix(density, prior, shares, plan.defensive, fold_in(seed, f"round-{r}/truncate"))
    thinned = r > 0 and (plan.weighting != "none" or plan.loss != "direct")
    classifier = progress.classifiers[r - 1] if thinned else None
    return proposal if classifier is None else Thinned.of(proposal, classifier, seed=fold_in(seed, f"round-{r}/thin"))


def _mix(density: Any, prior: Prior, shares: tuple[float, float], defensive: float, seed: int) -> Proposal:
    posterior, truncated = shares
    parts: list[tuple[Proposal, float]] = [(FromDensity(density, prior), posterior * (1 - defensive))]
    if truncated:
        parts.append((Truncated.of(density, prior, seed=seed), truncated * (1 - defensive)))
    parts.append((FromPrior(prior), defensive))
    used = [(part, share) for part, share in parts if share > 0]
    return used[0][0] if len(used) == 1 else Mixed(*zip(*used, strict=True))


def _simulate(problem: Problem, progress: Progress, proposals: list[Proposal], seed: int) -> Progress:
    """Draw from the last of the proposals, simulate, and note every proposal's density at every simulation."""
    r = len(proposals) - 1
    u = proposals[-1].sample(problem.n_simulations[r], seed=fold_in(seed, f"round-{r}/propose"))
    new = np.stack([proposal.log_ratio(u) for proposal in proposals], axis=1)
    theta = problem.prior.from_unconstrained(u)
    density = problem.prior.log_prob(theta) + new[:, r]
    features, valid = problem.run(theta, r, density, proposals[-1].covers_prior)
    features = _checked(features, valid, len(u), problem)
    if problem.model_error > 0:
        if progress.error is None:
            error = error_spread(features[valid], problem.model_error, new[valid, r])
            progress = dataclasses.replace(progress, error=error)
        features = with_error(features, progress.error, fold_in(seed, f"round-{r}"))
    old = proposals[-1].log_ratio(progress.simulations.u) if r else np.zeros(0)
    simulations = progress.simulations.extended(u, features, valid, old, new)
    classifier = train_failure_classifier(
        simulations.u, ~simulations.valid, seed=fold_in(seed, f"round-{r}/failures"), capacity=problem.capacity
    )
    progress = dataclasses.replace(progress, simulations=simulations, classifiers=[*progress.classifiers, classifier])
    return _with_scaling(problem, progress) if progress.scaling is None else progress


def _with_scaling(problem: Problem, progress: Progress) -> Progress:
    """With what the first simulations decide: which features are hidden, and how the others are scaled."""
    features = progress.simulations.features[progress.simulations.valid]
    if not len(features):
        raise TrainingError(
            f"None of the {len(progress.simulations.valid)} simulations of the first round succeeded; nothing can be"
            " learned from them. Narrow the prior, or look at why they fail."
        )
    unrecorded = unrecorded_features(problem.observation, features, problem.missing)
    progress = dataclasses.replace(progress, unrecorded=unrecorded)
    seen = progress.visible(features)
    n_trace, channels = (problem.trace.n_inputs, problem.trace.channels) if problem.trace else (0, 1)
    scaling = FeatureScaling.of(seen, n_trace, channels)
    if np.isnan(seen).any() or np.isnan(problem.observation).any():
        scaling = scaling.expecting(seen, np.ones(len(seen)), n_trace)
    return dataclasses.replace(progress, scaling=scaling)


def _checked(features: np.ndarray, valid: np.ndarray, n: int, problem: Problem) -> np.ndarray:
    features = np.asarray(features, float)
    k = len(problem.observation)
    if features.shape != (n, k) or np.shape(valid) != (n,):
        raise InputError(
            f"The simulator gave features of shape {features.shape} and validity of shape {np.shape(valid)} for {n}"
            f" parameter sets, but the observation has {counted(k, 'feature')}; expected ({n}, {k}) and ({n},)."
        )
    if np.isinf(features[np.asarray(valid, bool)]).any():
        raise InputError("The simulator gave infinite features in valid rows; mark those simulations as failed.")
    return features
