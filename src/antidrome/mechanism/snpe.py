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

import equinox as eqx
import numpy as np

from antidrome.core.seeds import fold_in, generator, jax_key
from antidrome.errors import InputError
from antidrome.mechanism.densities.gaussian_mixture import GaussianMixture
from antidrome.mechanism.densities.linear_start import linear_start
from antidrome.mechanism.densities.mixture_network import MixtureNetwork, grow, prune
from antidrome.mechanism.densities.network import (
    DensityNetwork,
    MixtureSettings,
    density_network,
)
from antidrome.mechanism.densities.trained import TrainedDensity, log_weights_at
from antidrome.mechanism.failures import train_failure_classifier
from antidrome.mechanism.features import FeatureScaling
from antidrome.mechanism.model_error import error_spread, with_error
from antidrome.mechanism.observations import unrecorded_features
from antidrome.mechanism.plans import Plan
from antidrome.mechanism.priors import Prior
from antidrome.mechanism.problem import Problem
from antidrome.mechanism.proposals import FromDensity, FromPrior, Mixed, Proposal, Thinned, Truncated
from antidrome.mechanism.rounds import FitSimulations, Progress, RoundReport
from antidrome.mechanism.training import train_density
from antidrome.mechanism.training_data import training_data
from antidrome.mechanism.weighing import weigh
from antidrome.mechanism.weights import effective_sample_size, largest_share

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
        simulated = time.perf_counter()
        tell(f"round {r + 1}: training")
        progress = _train(problem, plan, progress, r, seed, (started, simulated))
        _logger.info("%s", progress.reports[-1])
        tell(progress.reports[-1])
        keep(progress)
    return progress


def proposal_of_round(problem: Problem, plan: Plan, progress: Progress, r: int, seed: int) -> Proposal:
    """Where round `r` simulates; the same for the same past."""
    prior = problem.prior
    proposal: Proposal = problem.first or FromPrior(prior)
    if r > 0 and plan.proposal != "prior":
        density = _trained(progress, r - 1).at(progress.visible(problem.observation))
        if plan.degrees is not None and isinstance(density, GaussianMixture):
            density = density.with_heavy_tails(plan.degrees)
        shares = {"posterior": (1.0, 0.0), "truncated": (0.0, 1.0), "robust": (0.3, 0.7)}[plan.proposal]
        proposal = _mix(density, prior, shares, plan.defensive, fold_in(seed, f"round-{r}/truncate"))
    classifier = progress.classifiers[r - 1] if r > 0 else None
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
    features, valid = problem.run(theta, r, problem.prior.log_prob(theta) + new[:, r])
    features = _checked(features, valid, len(u), problem)
    if problem.model_error > 0:
        if progress.error is None:
            progress = dataclasses.replace(progress, error=error_spread(features[valid], problem.model_error))
        features = with_error(features, progress.error, fold_in(seed, f"round-{r}"))
    old = proposals[-1].log_ratio(progress.simulations.u) if r else np.zeros(0)
    simulations = progress.simulations.extended(u, features, valid, old, new)
    classifier = train_failure_classifier(
        simulations.u, ~simulations.valid, seed=fold_in(seed, f"round-{r}/failures"), capacity=problem.capacity
    )
    scaling = progress.scaling
    if scaling is None:
        n_trace, channels = (problem.trace.n_inputs, problem.trace.channels) if problem.trace else (0, 1)
        unrecorded = unrecorded_features(problem.observation, features[valid], problem.missing)
        progress = dataclasses.replace(progress, unrecorded=unrecorded)
        seen = progress.visible(features)[valid]
        scaling = FeatureScaling.of(seen, n_trace, channels)
        if np.isnan(seen).any() or np.isnan(problem.observation).any():
            scaling = scaling.expecting(seen, np.ones(len(seen)), n_trace)
    return dataclasses.replace(
        progress, simulations=simulations, classifiers=[*progress.classifiers, classifier], scaling=scaling
    )


def _train(problem: Problem, plan: Plan, progress: Progress, r: int, seed: int, times: tuple[float, float]) -> Progress:
    """Weigh the simulations, train every member of the ensemble, and sum the round up."""
    assert progress.scaling is not None
    weighed = weigh(problem, plan, progress, r, seed)
    weights, kernel, simulations = weighed.weights, weighed.kernel, progress.simulations
    scaling, visible = progress.scaling, progress.visible(simulations.features)
    if r > 0 and starts_afresh(plan, r) and problem.trace is None:
        scaling = scaling.near(visible, weights * kernel)
        if scaling.covariance is not None:
            scaling = scaling.expecting(visible, weights * kernel)
    elif r > 0 and not starts_afresh(plan, r):
        scaling = progress.scalings[-1]
    inputs = scaling.inputs(visible)
    data = training_data(
        simulations.u,
        inputs,
        weights * kernel,
        problem.prior.log_prob_unconstrained(simulations.u),
        held_out=weighed.held_out,
        capacity=problem.capacity,
    )
    networks, curves, losses = [], [], []
    last = r == plan.n_rounds - 1
    settings = plan.training.for_simulations(int(data.n_training))
    for m in range(plan.n_networks if last else 1):
        start, before = _start(problem, plan, progress, r, m, seed)
        if before is None:
            start = linear_start(start, simulations.u, inputs, weights * kernel * ~weighed.held_out)
        result = train_density(
            start,
            data,
            settings,
            key=jax_key(seed, f"mechanism/round-{r}/network-{m}"),
            loss=plan.loss,
            before=before,
            divergence=plan.density.tempering if isinstance(plan.density, MixtureSettings) else 0.0,
            prior_precision=plan.density.prior_precision if isinstance(plan.density, MixtureSettings) else 1.0,
            brief=not last,
        )
        networks.append(result.network)
        curves.append((result.training_curve, result.validation_curve))
        losses.append(result.loss)
    trained = TrainedDensity(tuple(networks), scaling)
    trained = _pruned(trained, plan, progress.visible(problem.observation))
    report = RoundReport(
        round=r + 1,
        simulations=problem.n_simulations[r],
        failed=int((~simulations.valid & (simulations.round == r)).sum()),
        missing=float(np.isnan(simulations.features[weights > 0]).mean()),
        trained_on=int(np.sum(weights > 0)),
        effective=effective_sample_size(weights),
        largest_weight=largest_share(weights),
        effective_with_kernel=effective_sample_size(weights * kernel),
        bandwidth=weighed.bandwidth,
        epochs=float(np.mean([len(curve[0]) for curve in curves])),
        loss=float(np.mean(losses)),
        simulating_s=times[1] - times[0],
        training_s=time.perf_counter() - times[1],
        components=_n_components(trained),
    )
    return dataclasses.replace(
        progress,
        networks=[*progress.networks, trained.networks],
        scalings=[*progress.scalings, scaling],
        reports=[*progress.reports, report],
        curves=[*progress.curves, curves[0]],
    )


def _start(
    problem: Problem, plan: Plan, progress: Progress, r: int, member: int, seed: int
) -> tuple[DensityNetwork, DensityNetwork | None]:
    """Where member `member` starts in round `r`, and what its weights are held to.

    Bayesian networks, and those that do not see earlier simulations again, go on from the round before; the others do
    so up to the last round, for which they start afresh, free of what they had learned by heart.
    """
    if starts_afresh(plan, r):
        return fresh_network(problem, plan, progress, member, seed, everything=r == plan.n_rounds - 1), None
    before = progress.networks[r - 1][min(member, len(progress.networks[r - 1]) - 1)]
    if isinstance(before.body, MixtureNetwork) and r == plan.n_rounds - 1:
        draw = generator(seed, f"mechanism/grow/{member}")
        body = grow(before.body, before.body.active.shape[0], draw=draw)
        before = eqx.tree_at(lambda n: n.body, before, body)
    return before, before


def starts_afresh(plan: Plan, r: int) -> bool:
    """Whether the networks of round `r` are new: in the first round; in every round that looks at a smaller region;
    and in the last where all simulations are used again. Bayesian networks are carried from round to round."""
    bayesian = isinstance(plan.density, MixtureSettings) and plan.density.bayesian
    return r == 0 or (plan.reuse and (plan.proposal == "truncated" or r == plan.n_rounds - 1) and not bayesian)


def fresh_network(
    problem: Problem, plan: Plan, progress: Progress, member: int, seed: int, *, everything: bool
) -> DensityNetwork:
    """The untrained member `member` of the ensemble, with all its components or those of the first rounds."""
    density = plan.density
    if everything and isinstance(density, MixtureSettings):
        density = dataclasses.replace(density, first_components=None)
    return density_network(
        density,
        len(problem.observation),
        problem.prior.n_parameters,
        mask=masks_are_inputs(problem, progress),
        trace=problem.trace,
        draw=generator(seed, f"mechanism/network-{member}"),
    )


def masks_are_inputs(problem: Problem, progress: Progress) -> bool:
    """Whether networks are told which features are missing: where any was, in the first round or the observation."""
    simulations = progress.simulations
    seen = progress.visible(simulations.features)[(simulations.round == 0) & simulations.valid]
    return bool(np.isnan(seen).any() or np.isnan(problem.observation).any())


def _trained(progress: Progress, r: int) -> TrainedDensity:
    return TrainedDensity(progress.networks[r], progress.scalings[r])


def _pruned(trained: TrainedDensity, plan: Plan, observation: np.ndarray) -> TrainedDensity:
    """Without the components that weigh next to nothing at the observation."""
    if not isinstance(plan.density, MixtureSettings) or plan.density.prune_below == 0:
        return trained
    x = trained.scaling.inputs(observation[None])
    networks = []
    for net in trained.networks:
        assert isinstance(net.body, MixtureNetwork)
        body, _ = prune(net.body, log_weights_at(net, x), plan.density.prune_below)
        networks.append(eqx.tree_at(lambda n: n.body, net, body))
    return TrainedDensity(tuple(networks), trained.scaling)


def _n_components(trained: TrainedDensity) -> int | None:
    used = [np.sum(np.asarray(net.body.active)) for net in trained.networks if isinstance(net.body, MixtureNetwork)]
    return int(max(used)) if used else None


def _checked(features: np.ndarray, valid: np.ndarray, n: int, problem: Problem) -> np.ndarray:
    features = np.asarray(features, float)
    k = len(problem.observation)
    if features.shape != (n, k) or np.shape(valid) != (n,):
        raise InputError(
            f"The simulator gave features of shape {features.shape} and validity of shape {np.shape(valid)} for {n}"
            f" parameter sets, but the observation has {k} features; expected ({n}, {k}) and ({n},)."
        )
    if np.isinf(features[np.asarray(valid, bool)]).any():
        raise InputError("The simulator gave infinite features in valid rows; mark those simulations as failed.")
    return features
