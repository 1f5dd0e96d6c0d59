"""What a round learns from the simulations so far: weights, the scaling of features, an ensemble of networks."""

from __future__ import annotations

import dataclasses
import time

import equinox as eqx
import numpy as np

from antidrome.core.seeds import generator, jax_key
from antidrome.mechanism.densities.linear_start import linear_start
from antidrome.mechanism.densities.mixture_network import MixtureNetwork, grow, prune
from antidrome.mechanism.densities.network import DensityNetwork, MixtureSettings, density_network
from antidrome.mechanism.densities.trained import TrainedDensity, log_weights_at
from antidrome.mechanism.features import FeatureScaling
from antidrome.mechanism.plans import Plan
from antidrome.mechanism.problem import Problem
from antidrome.mechanism.rounds import FitSimulations, Progress, RoundReport
from antidrome.mechanism.training import TrainingResult, train_density
from antidrome.mechanism.training_data import training_data
from antidrome.mechanism.weighing import Weighed, in_use, weigh
from antidrome.mechanism.weights import effective_sample_size, largest_share


def train_round(
    problem: Problem, plan: Plan, progress: Progress, r: int, seed: int, *, simulating_s: float
) -> Progress:
    """Weigh the simulations, train every member of the ensemble, and sum the round up."""
    started = time.perf_counter()
    weighed = weigh(problem, plan, progress, r, seed)
    scaling = _scaling(problem, plan, progress, r, weighed)
    results = _ensemble(problem, plan, progress, r, seed, weighed, scaling)
    trained = TrainedDensity(tuple(result.network for result in results), scaling)
    trained = _pruned(trained, plan, progress.visible(problem.observation))
    seconds = (simulating_s, time.perf_counter() - started)
    report = _report(progress.simulations, r, weighed, results, trained, seconds)
    return dataclasses.replace(
        progress,
        networks=[*progress.networks, trained.networks],
        scalings=[*progress.scalings, scaling],
        reports=[*progress.reports, report],
        curves=[*progress.curves, (results[0].training_curve, results[0].validation_curve)],
    )


def _scaling(problem: Problem, plan: Plan, progress: Progress, r: int, weighed: Weighed) -> FeatureScaling:
    """Of the features, for the networks of round `r`: over the simulations in use where these start afresh."""
    assert progress.scaling is not None
    if r == 0:
        return progress.scaling
    if not starts_afresh(plan, r):
        return progress.scalings[-1]
    if problem.trace is not None:
        return progress.scaling
    visible = progress.visible(progress.simulations.features)
    scaling = progress.scaling.near(visible, weighed.total)
    return scaling if scaling.covariance is None else scaling.expecting(visible, weighed.total)


def _ensemble(
    problem: Problem,
    plan: Plan,
    progress: Progress,
    r: int,
    seed: int,
    weighed: Weighed,
    scaling: FeatureScaling,
) -> list[TrainingResult]:
    """The trained networks of round `r`: all of them after the last, before that one, trained briefly."""
    u, last = progress.simulations.u, r == plan.n_rounds - 1
    inputs = scaling.inputs(progress.visible(progress.simulations.features))
    data = training_data(
        u,
        inputs,
        weighed.total,
        problem.prior.log_prob_unconstrained(u),
        held_out=weighed.held_out,
        capacity=problem.capacity,
        failed=~progress.simulations.valid & in_use(plan, progress.simulations, r),
    )
    mixture = plan.density if isinstance(plan.density, MixtureSettings) else None
    results = []
    for m in range(plan.n_networks if last else 1):
        start, before = _start(problem, plan, progress, r, m, seed)
        if before is None:
            start = linear_start(start, u, inputs, weighed.total * ~weighed.held_out)
        result = train_density(
            start,
            data,
            plan.training.for_simulations(int(data.n_training)),
            key=jax_key(seed, f"mechanism/round-{r}/network-{m}"),
            loss=plan.loss,
            before=before,
            divergence=mixture.tempering if mixture else 0.0,
            prior_precision=mixture.prior_precision if mixture else 1.0,
            brief=not last,
        )
        results.append(result)
    return results


def _report(
    simulations: FitSimulations,
    r: int,
    weighed: Weighed,
    results: list[TrainingResult],
    trained: TrainedDensity,
    seconds: tuple[float, float],
) -> RoundReport:
    """The figures of round `r`, which took so many seconds to simulate and to train."""
    used, of_round = weighed.weights > 0, simulations.round == r
    return RoundReport(
        round=r + 1,
        simulations=int(of_round.sum()),
        failed=int((~simulations.valid & of_round).sum()),
        missing=float(np.isnan(simulations.features[used]).mean()),
        trained_on=int(used.sum()),
        effective=effective_sample_size(weighed.weights),
        largest_weight=largest_share(weighed.weights),
        effective_with_kernel=effective_sample_size(weighed.total),
        bandwidth=weighed.bandwidth,
        epochs=float(np.mean([len(result.training_curve) for result in results])),
        loss=float(np.mean([result.loss for result in results])),
        simulating_s=seconds[0],
        training_s=seconds[1],
        components=_n_components(trained),
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
