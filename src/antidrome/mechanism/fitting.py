"""A fit from its arguments to the posterior: checks at the door, checkpoint, rounds, notes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from antidrome.core.configuration import to_dict
from antidrome.core.hashing import hash_arrays
from antidrome.core.progress import progress as show_progress
from antidrome.mechanism.densities.embedding import TraceFeatures
from antidrome.mechanism.densities.network import DensitySettings
from antidrome.mechanism.densities.trained import TrainedDensity
from antidrome.mechanism.features import constant_features, outside_simulations
from antidrome.mechanism.observations import MissingPolicy, as_observation
from antidrome.mechanism.plans import Plan
from antidrome.mechanism.posterior import Posterior
from antidrome.mechanism.priors import Prior
from antidrome.mechanism.rounds import Progress
from antidrome.mechanism.running import Runner, running
from antidrome.mechanism.simulate.batch import Failure
from antidrome.mechanism.snapshots import Architecture, FitCheckpoint
from antidrome.mechanism.snpe import Problem, masks_are_inputs, run_rounds


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitSettings:
    """What a fit needs besides simulator, prior and observation.

    Parameters
    ----------
    method
        Name of the plan.
    plan
        How the rounds go.
    simulations
        Of each round.
    trace
        Learned features of traces.
    missing
        What a gap in the observation means.
    weight_samples
        Draws of Bayesian weights for predictions.
    seed
        Of everything.
    """

    method: str
    plan: Plan
    simulations: tuple[int, ...]
    trace: TraceFeatures | None = None
    missing: MissingPolicy = "auto"
    weight_samples: int = 0
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Fit:
    """What came of a fit."""

    posterior: Posterior
    progress: Progress
    failures: tuple[Failure, ...]


def fit_posterior(
    simulator: Any,
    prior: Prior,
    observation: Any,
    settings: FitSettings,
    *,
    checkpoint: Path | None = None,
    progress: bool = True,
    on_round: Callable[[str], None] | None = None,
) -> Fit:
    """Run all rounds; see `SNPE.fit`."""
    with running(simulator, prior) as runner:
        observed = as_observation(observation, runner.feature_names)
        problem = Problem(
            runner.features, prior, observed, settings.simulations, settings.trace, missing=settings.missing
        )
        store = None if checkpoint is None else FitCheckpoint(checkpoint, _identity(problem, settings))
        found = store.restore() if store else None
        with show_progress("Fitting", sum(settings.simulations), unit="simulations", enabled=progress) as bar:
            ticked = 0

            def keep(state: Progress) -> None:
                nonlocal ticked
                n = len(state.simulations.u)
                bar.advance(n - ticked)
                ticked = n
                if store is not None:
                    store.save(state, _architecture(problem, state, settings.plan.density))

            def tell(text: str) -> None:
                finished = "ESS" in text
                bar.advance(0, figure=text.split("; ")[1].split(",")[0]) if finished else bar.describe(text)
                if finished and on_round is not None:
                    on_round(text)

            if found is not None:
                keep(found)
            result = run_rounds(problem, settings.plan, seed=settings.seed, progress=found, keep=keep, tell=tell)
        return Fit(_posterior(problem, result, settings, runner), result, tuple(runner.failures))


def _posterior(problem: Problem, result: Progress, settings: FitSettings, runner: Runner) -> Posterior:
    assert result.scaling is not None
    architecture = _architecture(problem, result, settings.plan.density)
    return Posterior(
        TrainedDensity(result.networks[-1], result.scaling),
        architecture,
        problem.prior,
        problem.observation,
        runner.feature_names,
        runner.feature_units,
        result.unrecorded,
        settings.method,
        settings.seed,
        settings.weight_samples,
        tuple(result.reports),
        tuple(_notes(problem, result, runner.feature_names)),
    )


def _architecture(problem: Problem, result: Progress, density: DensitySettings) -> Architecture:
    return Architecture(
        density, len(problem.observation), problem.prior.n_parameters, masks_are_inputs(problem, result), problem.trace
    )


def _notes(problem: Problem, result: Progress, names: tuple[str, ...]) -> list[str]:
    """What was left out, hidden, or looks odd, in sentences."""
    simulations, notes = result.simulations, []
    failed = int((~simulations.valid).sum())
    if failed:
        notes.append(f"{failed} of {len(simulations.valid)} simulations failed and were left out of training.")
    if result.unrecorded is not None:
        hidden = ", ".join(names[i] for i in np.flatnonzero(result.unrecorded))
        notes.append(f"Features that the observation lacks but no simulation does were hidden: {hidden}.")
    valid = simulations.features[simulations.valid]
    constant = np.flatnonzero(constant_features(valid))
    if constant.size and problem.trace is None:
        notes.append(f"Features that never vary: {', '.join(names[i] for i in constant)}.")
    outside = np.flatnonzero(outside_simulations(problem.observation, valid))
    if outside.size:
        some = ", ".join(names[i] for i in outside[:8])
        notes.append(
            f"{outside.size} observed features lie outside everything that was simulated ({some}): the model may be"
            " unable to produce this observation."
        )
    last = result.reports[-1]
    if last.effective < 100:
        notes.append(f"Only {last.effective:.0f} effective simulations in the last round: the posterior is unreliable.")
    return notes


def _identity(problem: Problem, settings: FitSettings) -> dict[str, Any]:
    """What must be the same for a checkpoint to be continued."""
    plan = {f.name: getattr(settings.plan, f.name) for f in dataclasses.fields(settings.plan)}
    return {
        "method": settings.method,
        **{k: to_dict(v) if dataclasses.is_dataclass(v) else v for k, v in plan.items()},
        "simulations": list(settings.simulations),
        "trace": None if settings.trace is None else to_dict(settings.trace),
        "missing": settings.missing,
        "seed": settings.seed,
        "prior": problem.prior.to_dict(),
        "observation": hash_arrays({"observation": problem.observation}),
    }
