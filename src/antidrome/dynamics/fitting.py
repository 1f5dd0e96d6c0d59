"""The whole fit as one function of a population: moments, choice by held-out pairs, solution, system, refinement."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np

from antidrome.core.seeds import generator
from antidrome.dynamics.adam import stochastic_gradient
from antidrome.dynamics.data import SessionData
from antidrome.dynamics.em import EMState, expectation_maximisation
from antidrome.dynamics.gauge import canonical, normalise
from antidrome.dynamics.lags import LagSet
from antidrome.dynamics.memory import estimate, require_memory
from antidrome.dynamics.objective import polish, polish_linear, powers
from antidrome.dynamics.overlap import share_never_together
from antidrome.dynamics.population import Population
from antidrome.dynamics.preparation import Units, choose_form, prepare, units_of
from antidrome.dynamics.problem import Fit
from antidrome.dynamics.selection import (
    COUPLINGS,
    N_ITERATIONS,
    SHRINKAGES,
    Candidate,
    best_of,
    make_folds,
    race,
    share_of_lags,
)
from antidrome.dynamics.solving import BlockSolver, FitSettings, Solver
from antidrome.dynamics.system import LinearSystem, innovation_of, positive_part, stable_system, stationary_of

ORDERS = (1, 2, 3, 4, 6, 8, 12, 16, 24)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Hyperparameters of `StitchedLDS` as the functional core takes them; see there."""

    n_components: int | str
    solver: str
    parametrization: str
    weights: str
    scaling: str
    observation: str
    shrinkage: float | str
    coupling: float | str
    zero_lag: str
    refine: str | None
    n_starts: int
    max_iterations: int
    tolerance: float
    sketch_rank: int | None
    em_iterations: int
    n_folds: int
    seed: int


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
    largest = max(orders) if options.n_components == "auto" else int(options.n_components)
    rank = options.sketch_rank or max(12 * largest, 40)
    form = choose_form(population, options.solver, options.weights, len(lags))
    require_memory(estimate(population, form, largest, len(lags), rank), memory_limit_bytes)
    report("reading", "")
    solver, data, notes = prepare(
        population,
        form,
        lags,
        units,
        weights=options.weights,
        observation=options.observation,
        rank=rank,
        seed=options.seed,
        executor=executor,
        checkpoint=checkpoint,
        identity=identity,
    )
    rng = generator(options.seed, "dynamics/solve")
    settings, candidates, share, calibration = _choose(population, solver, lags, options, orders, report)
    fit, starts = solve(solver, data, lags, options, settings, rng, report)
    latent = solver.mean_latent(fit)
    zero = _zero_lag(solver, options, settings, candidates, share, fit, rng)
    variance = _scaled_variance(population, units, options.observation)
    loadings, latent, _ = canonical(*normalise(fit.loadings, latent))
    system = _system(loadings, latent, lags, variance)
    log_likelihoods: tuple[float, ...] = ()
    if options.refine == "em":
        system, latent, log_likelihoods = _refine(system, lags, data, options, report)
        loadings = system.loadings
        if zero is not None:
            notes.append("Pairs are predicted by the system that EM refined, not by the zero-lag model.")
        zero, share, calibration = None, 1.0, 1.0
    return Result(
        PairPredictor(loadings, latent),
        zero,
        share,
        calibration,
        system,
        settings,
        tuple(candidates),
        fit.losses,
        starts,
        log_likelihoods,
        units,
        variance,
        form,
        tuple(notes),
    )


def solve(
    solver: Solver,
    data: Sequence[SessionData],
    lags: LagSet,
    options: Options,
    settings: FitSettings,
    rng: np.random.Generator,
    report: Callable[[str, str], Any],
) -> tuple[Fit, tuple[float, ...]]:
    """The solver that was asked for, with its polish."""

    def on_iteration(fit: Fit) -> None:
        report("solving", f"loss {fit.loss:.6g}")

    fit, starts = solver.fit(settings, rng, on_iteration=on_iteration)
    if isinstance(solver, BlockSolver):
        problem = solver.problem(settings)
        if options.solver == "adam":
            fit = stochastic_gradient(
                data, lags, solver.n_neurons, fit, rng, n_steps=20 * options.max_iterations, on_iteration=on_iteration
            )
        if options.solver == "lbfgs":
            fit = polish(problem, fit, options.max_iterations)
        if options.parametrization == "linear":
            fit, _ = polish_linear(problem, fit, lags.lags, options.max_iterations)
    return fit, starts


def _choose(
    population: Population,
    solver: Solver,
    lags: LagSet,
    options: Options,
    orders: Sequence[int],
    report: Callable[[str, str], Any],
) -> tuple[FitSettings, list[Candidate], float, float]:
    """Settings, candidates tried, share of the lagged prediction, calibration of unseen pairs."""
    seen = np.flatnonzero(population.observed.any(axis=0))
    top = max(1, min(len(seen) - 1, min(len(s.rows) for s in population.sessions)))
    wanted = [n for n in orders if n <= top] or [1] if options.n_components == "auto" else [int(options.n_components)]
    unseen = _share_unseen(population, solver) > 0
    shrinkages = (SHRINKAGES if unseen else (0.0,)) if options.shrinkage == "auto" else (float(options.shrinkage),)
    free = options.coupling == "auto"
    couplings = (COUPLINGS if len(population.sessions) > 1 else (np.inf,)) if free else (float(options.coupling),)
    only_zero = len(lags) == 1 or options.zero_lag == "always"
    kinds = (True,) if only_zero else (False, True) if options.zero_lag == "race" else (False,)
    n_fits = len(wanted) * len(shrinkages) * len(couplings) * len(kinds)
    base = FitSettings(
        n_components=wanted[0],
        n_starts=options.n_starts,
        n_iterations=options.max_iterations,
        tolerance=options.tolerance,
    )
    if n_fits == 1 or len(seen) < 8:
        settings = dataclasses.replace(base, shrinkage=shrinkages[0], coupling=couplings[-1], zero_lag=only_zero)
        return settings, [], 0.0 if only_zero else 1.0, 1.0
    rng = generator(options.seed, "dynamics/held-out pairs")
    thorough = unseen or options.n_components == "auto"
    folds = make_folds(solver, seen, options.n_folds if thorough else 1, rng)
    if not folds:
        return dataclasses.replace(base, shrinkage=shrinkages[0], coupling=couplings[0]), [], 1.0, 1.0
    candidates = race(
        folds,
        wanted,
        shrinkages,
        couplings,
        kinds,
        rng,
        lambda: report("choosing on held-out pairs", ""),
        *((N_ITERATIONS, 2) if thorough else (15, 1)),
    )
    best = best_of(candidates, zero_lag=None if only_zero else False)
    share, slope = (0.0 if only_zero else 1.0), best.slope
    if len(kinds) == 2:
        share, _, slope = share_of_lags(folds, best, best_of(candidates, zero_lag=True))
    chosen = dataclasses.replace(
        best.settings,
        n_starts=options.n_starts,
        n_iterations=options.max_iterations,
        tolerance=options.tolerance,
    )
    return chosen, candidates, share, _calibration(slope, best, candidates) if unseen else 1.0


def _calibration(slope: float, best: Candidate, candidates: Sequence[Candidate]) -> float:
    """Factor for predictions of unseen pairs, from the slope of measured on predicted covariances of hidden pairs.

    Hiding pairs costs each of their neurons half of its sessions, so that the folds' loadings are noisier than those of
    all data. Without shrinkage the slope s₀ = 1/(1 + N) tells this noise N; all data have N/2 instead.
    """
    settings = best.settings
    plain = [
        one.slope
        for one in candidates
        if one.settings.shrinkage == 0
        and (one.settings.n_components, one.settings.zero_lag) == (settings.n_components, settings.zero_lag)
    ]
    noisy = float(np.clip(min(plain, default=1.0), 0.1, 1.0))
    return float(np.clip(slope * 2 / (1 + noisy), 0.25, 3.0)) if slope > 0 else 1.0


def _share_unseen(population: Population, solver: Solver) -> float:
    if isinstance(solver, BlockSolver):
        return share_never_together(population.observed)
    seen = np.asarray(solver.moments.count[0]) > 1
    return float(1 - seen[np.triu_indices(len(seen), 1)].mean()) if len(seen) > 1 else 0.0


def _zero_lag(
    solver: Solver,
    options: Options,
    settings: FitSettings,
    candidates: Sequence[Candidate],
    share: float,
    fit: Fit,
    rng: np.random.Generator,
) -> PairPredictor | None:
    """The zero-lag model of all data, where it is to take part in the prediction of pairs."""
    if share >= 1:
        return None
    if settings.zero_lag:
        found = fit
    else:
        best = best_of(candidates, zero_lag=True).settings
        chosen = dataclasses.replace(
            best, n_starts=options.n_starts, n_iterations=options.max_iterations, tolerance=options.tolerance
        )
        found, _ = solver.fit(chosen, rng, fit if best.n_components == settings.n_components else None)
    loadings, latent, _ = canonical(*normalise(found.loadings, solver.mean_latent(found)))
    return PairPredictor(loadings, latent[:1])


def _scaled_variance(population: Population, units: Units, observation: str) -> np.ndarray:
    """(neuron,) variance in scaled units; that of the log rate for counts (Fano factors of at least 1.01)."""
    if observation == "poisson":
        mean = units.scale
        return np.log1p(np.maximum(population.variance / mean**2 - 1 / mean, 0.01 / mean))
    total, count = np.zeros(population.n_neurons), np.zeros(population.n_neurons)
    for session, gain in zip(population.sessions, units.gains, strict=True):
        total[session.rows] += session.variance * gain**2 * session.n_observed
        count[session.rows] += session.n_observed
    return total / np.maximum(count, 1)


def _system(loadings: np.ndarray, latent: np.ndarray, lags: LagSet, variance: np.ndarray) -> LinearSystem:
    return stable_system(loadings, latent, lags.lags, np.zeros(len(loadings)), variance)


def _refine(
    system: LinearSystem,
    lags: LagSet,
    data: Sequence[SessionData],
    options: Options,
    report: Callable[[str, str], Any],
) -> tuple[LinearSystem, np.ndarray, tuple[float, ...]]:
    """EM from the moments' solution: the system in the fixed gauge, and its X_s = Aˢ X_0 with the smoothed X_0."""

    def on_iteration(state: EMState) -> None:
        report("refining by EM", f"log-likelihood {state.log_likelihoods[-1]:.6g}")

    noise = np.maximum(system.noise_variance, 1e-3)
    start = EMState(system.dynamics, system.innovation, system.stationary, system.loadings, noise, system.stationary)
    state = expectation_maximisation(data, start, options.em_iterations, 1e-7, on_iteration)
    loadings, latent, change = canonical(state.loadings, state.second[None])
    inverse = np.linalg.inv(change)
    dynamics = change @ state.dynamics @ inverse
    innovation = change @ state.innovation @ change.T
    second = positive_part(latent[0])
    if np.abs(np.linalg.eigvals(dynamics)).max() < 1 - 1e-9:
        stationary = stationary_of(dynamics, innovation)
    else:
        from antidrome.dynamics.system import dynamics_of

        lagged = powers(dynamics, (0, 1)) @ second
        dynamics, stationary = dynamics_of(lagged, (0, 1), second), second
        innovation = innovation_of(dynamics, stationary)
    refined = LinearSystem(dynamics, innovation, stationary, loadings, system.offset, state.noise_variance)
    return refined, powers(dynamics, lags.lags) @ second, state.log_likelihoods
