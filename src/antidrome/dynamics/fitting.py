"""The whole fit as one function of a population: moments, choice by held-out pairs, solution, system, refinement."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np

from antidrome.core.seeds import generator
from antidrome.dynamics.adam import AdamSettings, AdamState, notes_on_descent, stochastic_gradient
from antidrome.dynamics.choosing import Choice, Options, choose, with_effort
from antidrome.dynamics.comparing import ComparedPairs, compare, some_neurons
from antidrome.dynamics.data import SessionData
from antidrome.dynamics.gauge import canonical, normalise
from antidrome.dynamics.lags import LagSet
from antidrome.dynamics.limits import is_freer, notes_on_limits, number_at_limit, private_noise_lasts
from antidrome.dynamics.memory import estimate, require_memory
from antidrome.dynamics.objective import polish, polish_linear
from antidrome.dynamics.population import Population
from antidrome.dynamics.preparation import (
    Units,
    choose_form,
    count_noise,
    notes_on_counts,
    notes_on_frames,
    prepare,
    rescaled_for_missing,
    session_data,
    units_of,
)
from antidrome.dynamics.problem import Fit
from antidrome.dynamics.process import process_covariance, stretch_lengths
from antidrome.dynamics.refinement import refine
from antidrome.dynamics.resuming import Stages, fingerprint
from antidrome.dynamics.selection import Candidate, best_of
from antidrome.dynamics.solving import BlockSolver, FitSettings, Solver
from antidrome.dynamics.starts import random_start
from antidrome.dynamics.system import LinearSystem, positive_part, stable_system
from antidrome.errors import InputError

ORDERS = (1, 2, 3, 4, 6, 8, 12, 16, 24)


@dataclasses.dataclass(frozen=True)
class PairPredictor:
    """C X_s Cᵀ in scaled units: loadings (neuron, latent) and latent covariances (lag, latent, latent)."""

    loadings: np.ndarray
    latent: np.ndarray


@dataclasses.dataclass(frozen=True)
class Result:
    """All that a fit found, in scaled units; see the attributes of `StitchedLDS`."""

    lagged: PairPredictor
    zero: PairPredictor | None
    share_of_lags: float
    calibration: float
    system: LinearSystem
    settings: FitSettings
    candidates: tuple[Candidate, ...]
    losses: tuple[float, ...]
    start_losses: tuple[float, ...]
    log_likelihoods: tuple[float, ...]
    units: Units
    variance: np.ndarray
    form: str
    notes: tuple[str, ...]
    pairs: ComparedPairs = dataclasses.field(default_factory=ComparedPairs.none)
    process: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 0)))
    together: np.ndarray | None = None


def fit_population(
    population: Population,
    lags: LagSet,
    options: Options,
    *,
    orders: Sequence[int] = ORDERS,
    executor: Executor | None = None,
    checkpoint: Path | None = None,
    identity: dict[str, Any] | None = None,
    memory_limit_bytes: int | None = None,
    report: Callable[[str, str], Any] = lambda _stage, _figure: None,
) -> Result:
    """Fit; `report(stage, figure)` is called as work is finished."""
    units = units_of(population, options.scaling, options.observation)
    report("reading", "")
    if checkpoint:
        unit = {"unit": float(units.scale[0])} if options.scaling == "none" else {}
        identity = {**(identity or {}), "data": fingerprint(population), **unit}
    stages = Stages(checkpoint, identity or {})
    form, solver, data, notes = _prepared(
        population, lags, options, orders, units, memory_limit_bytes, executor, stages
    )
    rng = generator(options.seed, "dynamics/solve")
    choice = choose(population, solver, lags, options, orders, report, stages)
    notes += [*notes_on_frames(population, lags), *choice.notes]
    if options.observation == "poisson":
        notes += notes_on_counts(population)
    settings, share, calibration = choice.settings, choice.share_of_lags, choice.calibration
    fit, starts = solve(solver, data, lags, options, settings, rng, report, stages)
    if options.solver == "adam" and options.parametrization == "free":
        notes += notes_on_descent(fit.losses)
    latent = solver.mean_latent(fit)
    zero = _zero_lag(solver, options, choice, fit, rng, stages.named("zero-lag"))
    variance = _scaled_variance(population, units, options.observation)
    loadings, latent, _ = canonical(*normalise(fit.loadings, latent))
    system, latent = _system(loadings, latent, lags, solver.available, variance, notes)
    if options.private_noise == "auto":
        system = _without_private(solver, fit, settings, lags, system, latent, variance, notes)
    log_likelihoods: tuple[float, ...] = ()
    if options.refine == "em":
        beyond = count_noise(variance, units.scale) if options.observation == "poisson" else np.zeros(len(variance))
        # whole sessions: the states go on where the observed neurons change
        whole = data if len(data) == len(population.sessions) else session_data(population, units)
        system, latent, log_likelihoods = refine(system, beyond, lags, whole, options, report, stages)
        loadings = system.loadings
        if zero is not None:
            notes.append("Pairs are predicted by the system that EM refined, not by the zero-lag model.")
        zero, share, calibration = None, 1.0, 1.0
    notes += notes_on_limits(system, settings.hollow_lags or settings.zero_lag)
    lagged = PairPredictor(loadings, latent)
    return Result(
        lagged,
        zero,
        share,
        calibration,
        system,
        settings,
        choice.candidates,
        fit.losses,
        starts,
        log_likelihoods,
        units,
        variance,
        form,
        tuple(notes),
        _compared(population, solver, choice, lagged, zero, share, variance, options),
        process_covariance(system.loadings, positive_part(latent[0]), system.dynamics, stretch_lengths(population))[0],
        _together(population, solver),
    )


def _together(population: Population, solver: Solver) -> np.ndarray | None:
    """(neuron, neuron) pairs recorded together, where entries are missing and the solver has counted pairs."""
    complete = all(session.is_complete for session in population.sessions)
    return None if complete or isinstance(solver, BlockSolver) else solver.together


def choose_population(
    population: Population,
    lags: LagSet,
    options: Options,
    *,
    orders: Sequence[int] = ORDERS,
    report: Callable[[str, str], Any] = lambda _stage, _figure: None,
) -> Choice:
    """What held-out pairs choose, without the fit itself."""
    units = units_of(population, options.scaling, options.observation)
    _, solver, _, _ = _prepared(population, lags, options, orders, units)
    return choose(population, solver, lags, options, orders, report, Stages())


def _prepared(
    population: Population,
    lags: LagSet,
    options: Options,
    orders: Sequence[int],
    units: Units,
    memory_limit_bytes: int | None = None,
    executor: Executor | None = None,
    stages: Stages | None = None,
) -> tuple[str, Solver, list[SessionData], list[str]]:
    """The form of the moments, and what `prepare` makes, once it is known that it fits into memory.

    Raises
    ------
    InputError
        If no two neurons were recorded together.
    """
    largest = max(orders) if options.n_components == "auto" else int(options.n_components)
    rank = options.sketch_rank or max(12 * largest, 40)
    form, parts = choose_form(population, options.solver, options.weights, len(lags))
    require_memory(estimate(parts, form, largest, len(lags), rank), memory_limit_bytes)
    solver, data, notes = prepare(
        population,
        parts,
        form,
        lags,
        units,
        weights=options.weights,
        observation=options.observation,
        rank=rank,
        seed=options.seed,
        executor=executor,
        stages=stages,
    )
    if not solver.has_pairs:
        raise InputError(
            "No two neurons were recorded together in more than one frame, so that nothing tells how they covary. Give"
            " sessions with several neurons each; where neurons take turns from frame to frame, average frames until"
            " every one has them all."
        )
    return form, solver, data, notes


def _compared(
    population: Population,
    solver: Solver,
    choice: Choice,
    lagged: PairPredictor,
    zero: PairPredictor | None,
    share: float,
    variance: np.ndarray,
    options: Options,
) -> ComparedPairs:
    """A sample of pairs, predicted and measured."""
    if options.solver == "adam":
        return ComparedPairs.none()
    rng = generator(options.seed, "dynamics/pairs of the report")
    chosen = some_neurons(population.observed, rng)
    predicted = lagged.loadings[chosen] @ lagged.latent[0] @ lagged.loadings[chosen].T
    if zero is not None:
        other = zero.loadings[chosen] @ zero.latent[0] @ zero.loadings[chosen].T
        predicted = share * predicted + (1 - share) * other
    return compare(solver, predicted, chosen, choice.held_out, choice.calibration, variance, rng)


def solve(
    solver: Solver,
    data: Sequence[SessionData],
    lags: LagSet,
    options: Options,
    settings: FitSettings,
    rng: np.random.Generator,
    report: Callable[[str, str], Any],
    stages: Stages,
) -> tuple[Fit, tuple[float, ...]]:
    """The solver that was asked for, with its polish."""

    def on_iteration(fit: Fit) -> None:
        report("solving", f"loss {fit.loss:.6g}")

    if options.solver == "adam" and isinstance(solver, BlockSolver):
        return _stream(solver, data, lags, options, settings, rng, report, stages)
    fit, starts = solver.fit(settings, rng, on_iteration=on_iteration, stages=stages)
    if isinstance(solver, BlockSolver) and options.solver == "lbfgs":
        n, begun, problem = options.max_iterations, fit, solver.problem(settings)
        fit = stages.run("polish", Fit, lambda: begun, lambda start, _: polish(problem, start, n))
    return _tied(solver, fit, lags, options, settings), starts


def _tied(solver: Solver, fit: Fit, lags: LagSet, options: Options, settings: FitSettings) -> Fit:
    """X_s = Aˢ Π where that was asked for."""
    if options.parametrization == "free" or settings.zero_lag:
        return fit
    evaluate, latent = solver.evaluate(settings), solver.mean_latent(fit)
    return polish_linear(evaluate, fit.loadings, latent, lags.lags, options.max_iterations)[0]


def _stream(
    solver: BlockSolver,
    data: Sequence[SessionData],
    lags: LagSet,
    options: Options,
    settings: FitSettings,
    rng: np.random.Generator,
    report: Callable[[str, str], Any],
    stages: Stages,
) -> tuple[Fit, tuple[float, ...]]:
    """Stochastic gradients from random loadings: the data are read in windows alone."""
    descent = AdamSettings(n_steps=20 * options.max_iterations, seed=options.seed)
    filled = [rescaled_for_missing(one) for one in data]

    def work(state: AdamState, tell: Callable[[AdamState], Any]) -> AdamState:
        return stochastic_gradient(filled, lags, solver.n_neurons, state, descent, tell, settings.hollow_lags)

    def on_iteration(now: AdamState) -> None:
        report("solving", f"loss {np.mean(now.losses[-50:]):.6g}")

    begun = AdamState.at(random_start(solver.problem(settings), settings.n_components, rng))
    fit = stages.run("stream", AdamState, lambda: begun, work, on_iteration).fit
    return _tied(solver, fit, lags, options, settings), ()


def _zero_lag(
    solver: Solver, options: Options, choice: Choice, fit: Fit, rng: np.random.Generator, stages: Stages
) -> PairPredictor | None:
    """The zero-lag model of all data, where it is to take part in the prediction of pairs."""
    if choice.share_of_lags >= 1:
        return None
    if choice.settings.zero_lag:
        found = fit
    else:
        best = best_of(choice.candidates, zero_lag=True).settings
        begin = fit if best.n_components == choice.settings.n_components else None
        found, _ = solver.fit(with_effort(best, options), rng, begin, stages=stages)
    loadings, latent, _ = canonical(*normalise(found.loadings, solver.mean_latent(found)))
    return PairPredictor(loadings, latent[:1])


def _scaled_variance(population: Population, units: Units, observation: str) -> np.ndarray:
    """(neuron,) variance in scaled units; that of the log rate for counts (Fano factors of at least 1.01)."""
    if observation == "poisson":  # each session over its own mean, as its counts are
        each = [(session.mean, session.variance) for session in population.sessions]
        return population.pooled([np.log1p(np.maximum(v / m**2 - 1 / m, 0.01 / m)) for m, v in each])
    sessions = zip(population.sessions, units.gains, strict=True)
    return population.pooled([session.variance * gain**2 for session, gain in sessions])


def _system(
    loadings: np.ndarray,
    latent: np.ndarray,
    lags: LagSet,
    available: np.ndarray,
    variance: np.ndarray,
    notes: list[str],
) -> tuple[LinearSystem, np.ndarray]:
    """The system of the lags that the data have, and the latent covariances of all: its own at lags without any."""
    known = np.flatnonzero(available)
    present = tuple(lags.lags[i] for i in known)
    system = stable_system(loadings, latent[known], present, np.zeros(len(loadings)), variance)
    if len(known) == len(lags):
        return system, latent
    absent = ", ".join(str(lag) for lag in lags.lags if lag not in present)
    notes.append(f"No neurons were recorded {absent} frames apart without a break; covariances at such lags follow A.")
    return system, np.where(available[:, None, None], latent, system.latent_covariances(lags.lags))


def _without_private(
    solver: Solver,
    fit: Fit,
    settings: FitSettings,
    lags: LagSet,
    system: LinearSystem,
    latent: np.ndarray,
    variance: np.ndarray,
    notes: list[str],
) -> LinearSystem:
    """The system with dynamics of what neurons share alone, where what they do by themselves had pressed A to a limit.

    Loadings, Π and the predicted pairs stay as they were chosen; only A and Q change.
    """
    if settings.hollow_lags or settings.zero_lag or not number_at_limit(system):
        return system
    if not private_noise_lasts(solver, system, latent):
        return system
    between = solver.latent_between(fit, settings)
    between[0] = solver.mean_latent(fit)[0]
    loadings, between, _ = canonical(*normalise(fit.loadings, between))
    other, _ = _system(loadings, between, lags, solver.available, variance, [])
    if not is_freer(other, system):
        return system
    notes.append(
        "The dynamics are those of the covariances between neurons: with the neurons' own autocovariances, raised by"
        " lasting private noise, lagged covariances are more than the covariance at lag 0 allows."
    )
    return other
