"""A fit from its arguments to the posterior: checks at the door, checkpoint, rounds, notes."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from antidrome.core.configuration import to_dict
from antidrome.core.hashing import hash_arrays
from antidrome.core.progress import ProgressBar
from antidrome.core.progress import progress as show_progress
from antidrome.core.seeds import fold_in
from antidrome.errors import InputError, TrainingError
from antidrome.mechanism.densities.embedding import TraceFeatures
from antidrome.mechanism.densities.network import DensitySettings
from antidrome.mechanism.diagnostics.diagnose import FEWEST_PAIRS, Diagnosis, diagnose, usable_pairs
from antidrome.mechanism.diagnostics.predictive import predictive_check
from antidrome.mechanism.features import SMALLEST_SPREAD, UNREACHED, constant_features, outside_simulations
from antidrome.mechanism.judgement import keep_for_judgement
from antidrome.mechanism.model_error import with_error
from antidrome.mechanism.observations import MissingPolicy
from antidrome.mechanism.other_fits import plan_identity
from antidrome.mechanism.plans import Plan
from antidrome.mechanism.posterior import Posterior
from antidrome.mechanism.priors import Prior
from antidrome.mechanism.problem import Problem
from antidrome.mechanism.round_training import masks_are_inputs
from antidrome.mechanism.rounds import Progress, RoundReport
from antidrome.mechanism.running import Recorded, Runner, running
from antidrome.mechanism.simulate.batch import Failure
from antidrome.mechanism.simulate.outputs import as_observation
from antidrome.mechanism.snapshots import CHECKPOINT, Architecture, FitCheckpoint
from antidrome.mechanism.snpe import run_rounds
from antidrome.mechanism.weighing import weigh_for_judgement
from antidrome.recordings.arguments import counted


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitSettings:
    """What a fit needs besides simulator, prior and observation.

    Parameters
    ----------
    method
        Name of the plan.
    plan
        How the rounds go.
    n_simulations
        Of each round.
    trace
        Learned features of traces.
    missing
        What a gap in the observation means.
    model_error
        Of the simulated features, as a share of their spread.
    n_weight_samples
        Draws of Bayesian weights for predictions.
    diagnose
        Whether to judge the posterior at the end.
    n_predictive
        Simulations at posterior samples for that; 0 for none.
    seed
        Of everything.
    """

    method: str
    plan: Plan
    n_simulations: tuple[int, ...]
    trace: TraceFeatures | None = None
    missing: MissingPolicy = "auto"
    model_error: float = 0.0
    n_weight_samples: int = 0
    diagnose: bool = True
    n_predictive: int = 200
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Fit:
    """What came of a fit: the posteriors of all rounds, and the features (n, k) of valid simulations at the last."""

    posteriors: tuple[Posterior, ...]
    predicted: np.ndarray | None
    progress: Progress
    failures: tuple[Failure, ...]
    diagnosis: Diagnosis | None


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
    store = None if checkpoint is None else checkpoint / "simulations"
    with running(simulator, prior, seed=settings.seed, store=store, progress=progress) as runner:
        recorded = runner if isinstance(runner, Recorded) else None
        if recorded is not None:
            settings = _for_recorded(settings, recorded)
        observed = as_observation(observation, runner.feature_names)
        problem = Problem(
            runner.features,
            prior,
            observed,
            settings.n_simulations,
            settings.trace,
            settings.missing,
            recorded,
            settings.model_error,
        )
        keeper = _Keeper(problem, settings, checkpoint, on_round, simulator=runner.identity)
        with show_progress("Fitting", settings.plan.n_rounds, unit="rounds", enabled=progress) as bar:
            keeper.bar = bar
            earlier = keeper.restore()
            if isinstance(runner, Runner) and earlier is not None:
                runner.recall(earlier.rounds_simulated)
            try:
                result = run_rounds(
                    problem,
                    settings.plan,
                    seed=settings.seed,
                    progress=earlier,
                    keep=keeper.keep,
                    tell=keeper.tell,
                )
            except TrainingError as error:
                raise TrainingError(f"{error}{_commonest(runner.failures)}") from error
        posteriors = tuple(_posterior(problem, result, settings, runner, r) for r in range(settings.plan.n_rounds))
        diagnosis = predicted = None
        if settings.diagnose:
            diagnosis, predicted = _diagnosis(posteriors[-1], problem, runner, result, settings, checkpoint)
        return Fit(posteriors, predicted, result, tuple(runner.failures), diagnosis)


def _commonest(failures: Sequence[Failure]) -> str:
    """What most failures of simulations were, as a further sentence: a fit that gives up has no `failures_`."""
    if not failures:
        return ""
    message, n = Counter(failure.message for failure in failures).most_common(1)[0]
    return f" Simulations that failed did so most often ({n} of the first {len(failures)}) with: {message}"


class _Keeper:
    """What happens between steps: checkpoint, progress bar, and a line of figures after each round."""

    def __init__(
        self,
        problem: Problem,
        settings: FitSettings,
        folder: Path | None,
        on_round: Callable[[str], None] | None,
        *,
        simulator: str,
    ) -> None:
        self.problem, self.settings, self.on_round = problem, settings, on_round
        self.bar: ProgressBar | None = None
        self.store: FitCheckpoint | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self.store = FitCheckpoint(folder / CHECKPOINT, _identity(problem, settings, simulator))

    def restore(self) -> Progress | None:
        """Where an earlier run was."""
        found = self.store.restore() if self.store else None
        if found is not None and self.bar is not None:
            self.bar.advance(len(found.reports))
        return found

    def keep(self, state: Progress) -> None:
        """After every simulated and every trained round."""
        if self.store is not None:
            self.store.save(state, _architecture(self.problem, state, self.settings.plan.density))

    def tell(self, doing: str | RoundReport) -> None:
        """What is being done, or the figures of a round that has ended."""
        if isinstance(doing, str):
            if self.bar is not None:
                self.bar.describe(doing)
            return
        if self.bar is not None:
            self.bar.advance(1, figure=f"ESS {doing.effective:.0f}, largest weight {100 * doing.largest_weight:.1f} %")
        if self.on_round is not None:
            self.on_round(str(doing))


def _for_recorded(settings: FitSettings, recorded: Recorded) -> FitSettings:
    """Recorded simulations: one round of their number, weighted if they did not come from the prior.

    The atomic loss needs no weights: whatever its atoms were drawn from cancels.
    """
    if settings.plan.n_rounds > 1:
        raise InputError(f"Recorded simulations serve one round, not {settings.plan.n_rounds}: use method='npe'.")
    plan = settings.plan
    if not recorded.from_prior and plan.loss == "direct":
        plan = dataclasses.replace(plan, weighting="round")
    return dataclasses.replace(settings, plan=plan, n_simulations=(len(recorded.u),))


def _diagnosis(
    posterior: Posterior,
    problem: Problem,
    runner: Runner | Recorded,
    result: Progress,
    settings: FitSettings,
    folder: Path | None,
) -> tuple[Diagnosis | None, np.ndarray | None]:
    """Calibration on what was kept out of training, and simulations at the posterior; None if too little is there."""
    weights, held_out = weigh_for_judgement(problem, settings.plan, result, settings.seed)
    if folder is not None:
        keep_for_judgement(folder, result.simulations, weights, held_out, posterior.fingerprint())
    if len(usable_pairs(weights)) < FEWEST_PAIRS:
        return None, None
    predictive = predicted = None
    if settings.n_predictive and isinstance(runner, Runner):
        predictive, predicted = _predicted(posterior, runner, result, settings)
    diagnosis = diagnose(
        posterior,
        result.simulations.u,
        result.simulations.features,
        weights,
        held_out=held_out,
        predictive=predictive,
        seed=settings.seed,
    )
    return diagnosis, predicted


def _predicted(
    posterior: Posterior, runner: Runner, result: Progress, settings: FitSettings
) -> tuple[xr.Dataset, np.ndarray]:
    """The predictive check, and the features of valid simulations at the posterior; model error is in both."""
    seed = fold_in(settings.seed, "mechanism/predictive")
    theta = posterior.sample(settings.n_predictive, seed=seed).values
    features, valid = runner.predictions(theta, settings.plan.n_rounds, posterior.log_prob(theta))
    if result.error is not None:
        features = with_error(features, result.error, seed)
    names, units = posterior.feature_names, posterior.feature_units
    return predictive_check(posterior.observation, features, valid, names, units), features[valid]


def _posterior(
    problem: Problem, result: Progress, settings: FitSettings, runner: Runner | Recorded, r: int
) -> Posterior:
    """The posterior after round `r`; what is to be noted is noted with the last."""
    last, simulations = r == settings.plan.n_rounds - 1, result.simulations
    return Posterior(
        trained=result.trained(r),
        architecture=_architecture(problem, result, settings.plan.density),
        prior=problem.prior,
        observation=problem.observation,
        feature_names=runner.feature_names,
        feature_units=runner.feature_units,
        unrecorded=result.unrecorded,
        gaps=np.isnan(result.visible(simulations.features)[simulations.valid]).any(axis=0),
        method=settings.method,
        seed=settings.seed,
        n_weight_samples=settings.n_weight_samples,
        missing=settings.missing,
        model_error=settings.model_error,
        reports=tuple(result.reports[: r + 1]),
        notes=(*runner.notes, *_notes(problem, result, runner.feature_names)) if last else (),
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
        notes.append(f"{counted(failed, 'simulation', of=len(simulations.valid))} failed: left out of training.")
    if result.unrecorded is not None:
        hidden = ", ".join(names[i] for i in np.flatnonzero(result.unrecorded))
        why = "but no simulation does " if problem.missing == "auto" else "and that were not measured "
        notes.append(f"Features that the observation lacks {why}were hidden: {hidden}.")
    telling = np.isnan(problem.observation) & (True if result.unrecorded is None else ~result.unrecorded)
    if telling.any() and problem.missing == "auto" and problem.trace is None:
        lacking = ", ".join(names[i] for i in np.flatnonzero(telling))
        notes.append(
            f"The observation lacks {lacking}, as some simulations do: this was taken to tell of the parameters. If it"
            " was only not measured, fit with missing='unrecorded' (--missing unrecorded)."
        )
    if problem.model_error:
        notes.append(
            f"The model is taken to be off by {problem.model_error:.3g} of each feature's spread over the prior"
            " (model_error): the posterior is no narrower than that allows."
        )
    valid = simulations.features[simulations.valid]
    constant = constant_features(valid)
    if constant.any() and problem.trace is None:
        notes.append(f"Features that never vary: {', '.join(names[i] for i in np.flatnonzero(constant))}.")
    unused = np.isinf(result.scalings[-1].sd) & ~constant & ~np.isnan(result.visible(valid)).all(axis=0)
    if unused.any() and problem.trace is None:
        notes.append(
            f"Features that in the first round varied by less than {SMALLEST_SPREAD:g} of their size, which is taken"
            f" for rounding, were not used: {', '.join(names[i] for i in np.flatnonzero(unused))}. If it is none,"
            " subtract a constant from them."
        )
    outside = np.flatnonzero(outside_simulations(problem.observation, valid))
    if outside.size:
        some = ", ".join(names[i] for i in outside[:8])
        notes.append(
            f"{outside.size} observed features {UNREACHED} ({some}): the model may be unable to produce this"
            " observation."
        )
    last = result.reports[-1]
    if last.effective < 100:
        notes.append(f"Only {last.effective:.0f} effective simulations in the last round: the posterior is unreliable.")
    return notes


def _identity(problem: Problem, settings: FitSettings, simulator: str) -> dict[str, Any]:
    """What must be the same for a checkpoint to be continued, under the names that checkpoints have always had."""
    return {
        "simulator": simulator,
        "method": settings.method,
        **plan_identity(settings.plan),
        "simulations": list(settings.n_simulations),
        "trace": None if settings.trace is None else to_dict(settings.trace),
        "missing": settings.missing,
        "model_error": settings.model_error,
        "seed": settings.seed,
        "prior": problem.prior.to_dict(),
        "observation": hash_arrays({"observation": problem.observation}),
    }
