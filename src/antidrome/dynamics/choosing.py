"""What held-out pairs choose for a fit: dimensions, shrinkage, coupling, diagonals, lags or not, the calibration."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from antidrome.core.seeds import generator
from antidrome.core.whole import whole_number
from antidrome.dynamics.comparing import HeldOutPairs, held_out_pairs
from antidrome.dynamics.lags import LagSet
from antidrome.dynamics.overlap import share_never_together, share_of_pairs_unseen
from antidrome.dynamics.population import Population
from antidrome.dynamics.resuming import Stages
from antidrome.dynamics.selection import (
    COUPLINGS,
    SHRINKAGES,
    Candidate,
    best_of,
    make_folds,
    race,
    share_of_lags,
)
from antidrome.dynamics.solving import BlockSolver, FitSettings, Solver
from antidrome.errors import InputError
from antidrome.recordings.arguments import counted

FEWEST_NEURONS = 8
N_FOLDS, EM_ITERATIONS = 3, 50
"""What is taken where nothing is said."""
DIAGONALS = {"white": (False,), "autocorrelated": (True,), "auto": (True, False)}
"""Whether the diagonals of all lags are left out, in the order in which it is tried; the last where nothing chooses."""
BESIDE = (
    ("solver", "adam", "shrinkage", ("auto", 0)),
    ("solver", "adam", "coupling", ("auto", np.inf)),
    ("solver", "adam", "zero_lag", ("race", "never")),
    ("solver", "adam", "n_starts", (FitSettings.n_starts,)),
    ("solver", "adam", "tolerance", (FitSettings.tolerance,)),
    ("solver", "adam", "n_folds", (N_FOLDS,)),
    ("observation", "poisson", "scaling", ("neuron",)),
    ("refine", None, "em_iterations", (EM_ITERATIONS,)),
    ("zero_lag", "always", "lag_weights", (None,)),
    ("zero_lag", "always", "parametrization", ("free",)),
    ("zero_lag", "always", "private_noise", ("auto", "white")),
)
"""A hyperparameter, its value, another, and what may be given for the other: anything else would have no effect."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Hyperparameters of `StitchedLDS` as the functional core takes them; see there."""

    n_components: int | str
    solver: str
    parametrization: str
    weights: str
    lag_weights: Any
    scaling: str
    observation: str
    shrinkage: float | str
    coupling: float | str
    private_noise: str
    zero_lag: str
    refine: str | None
    n_starts: int
    max_iterations: int
    tolerance: float
    sketch_rank: int | None
    em_iterations: int
    n_folds: int
    seed: int


def require_consistent(options: Options, n_lags: int) -> None:
    """Raise InputError for hyperparameters that do not go together.

    Raises
    ------
    InputError
        With what to give instead.
    """
    for name, least in {"n_starts": 1, "max_iterations": 1, "n_folds": 1, "em_iterations": 0}.items():
        whole_number(name, getattr(options, name), least)
    if not (isinstance(options.tolerance, numbers.Real) and 0 <= options.tolerance < np.inf):
        raise InputError(f"tolerance = {options.tolerance!r}, expected a number of at least 0; the default is 1e-6.")
    least = 1 if options.n_components == "auto" else int(options.n_components)
    if options.sketch_rank is not None and whole_number("sketch_rank", options.sketch_rank, what="columns") < least:
        raise InputError(
            f"sketch_rank = {options.sketch_rank!r}, expected at least as many columns as dimensions; the default is 12"
            " for each dimension."
        )
    if options.solver == "adam" and options.n_components == "auto":
        raise InputError(
            "n_components='auto' reads the data many times; give solver='adam' a number, or choose another solver."
        )
    if options.weights == "pairs" and options.solver in ("lbfgs", "adam", "sketch"):
        raise InputError(f"weights='pairs' is solved by solver='als', not {options.solver!r}.")
    _require_effect(options, n_lags)
    if not _is_polished(options):
        return
    for name, value in (("shrinkage", 0.0), ("coupling", np.inf)):
        if getattr(options, name) not in ("auto", value):
            raise InputError(
                "solver='lbfgs' and parametrization='linear' minimise the loss with one X_s for all sessions and no"
                f" ridge, but {name} = {getattr(options, name)!r}. Leave {name} at 'auto', or give {value}."
            )


def _require_effect(options: Options, n_lags: int) -> None:
    for name, value in (("parametrization", "linear"), ("private_noise", "autocorrelated")):
        if getattr(options, name) == value and n_lags < 2:
            raise InputError(f"{name}={value!r} needs a positive lag. Add one to lags, or choose another {name}.")
    for name, value, other, allowed in BESIDE:
        given = getattr(options, other)
        if getattr(options, name) == value and not any(given is one or np.array_equal(given, one) for one in allowed):
            raise InputError(
                f"{other} = {given!r} would change nothing beside {name}={value!r}. Leave {other} at {allowed[0]!r}, or"
                f" choose another {name}."
            )


def _is_polished(options: Options) -> bool:
    return options.solver == "lbfgs" or options.parametrization == "linear"


@dataclasses.dataclass(frozen=True)
class Choice:
    """What was chosen.

    Parameters
    ----------
    settings
        Of the fit.
    candidates
        All that were tried.
    share_of_lags
        Weight of the lagged model's prediction of pairs, beside that of the zero-lag model.
    calibration
        Factor for predictions of pairs never recorded together.
    held_out
        A sample of the pairs that were held out.
    notes
        What could not be chosen, or was not used, one sentence each.
    """

    settings: FitSettings
    candidates: tuple[Candidate, ...] = ()
    share_of_lags: float = 1.0
    calibration: float = 1.0
    held_out: HeldOutPairs | None = None
    notes: tuple[str, ...] = ()


def choose(
    population: Population,
    solver: Solver,
    lags: LagSet,
    options: Options,
    orders: Sequence[int],
    report: Callable[[str, str], Any],
    stages: Stages,
) -> Choice:
    """Settings by held-out pairs, where there is anything to choose."""
    if options.solver == "adam":
        hollow = DIAGONALS[options.private_noise][-1]
        return Choice(_settings(options, int(options.n_components), zero_lag=False, hollow_lags=hollow))
    seen = np.flatnonzero(population.observed.any(axis=0))
    top = max(1, min(len(seen) - 1, int(np.median([len(s.rows) for s in population.sessions]))))
    possible = [n for n in orders if n <= top] or [1]
    wanted = possible if options.n_components == "auto" else [int(options.n_components)]
    unseen = _share_unseen(solver) > 0
    polished = _is_polished(options)
    shrinkages = SHRINKAGES if unseen and not polished else (0.0,)
    if options.shrinkage != "auto":
        shrinkages = (float(options.shrinkage),)
    couplings, notes = _couplings(options, solver)
    if options.n_components == "auto" and min(orders) > top:
        notes = (
            *notes,
            f"No session tells more than {counted(top, 'dimension')}: n_components = 1, none of the orders, was used.",
        )
    only_zero = len(lags) == 1 or options.zero_lag == "always"
    kinds = (True,) if only_zero else (False, True) if options.zero_lag == "race" else (False,)
    diagonals = (False,) if only_zero else DIAGONALS[options.private_noise]
    n_fits = len(wanted) * len(shrinkages) * len(couplings) * len(kinds) * len(diagonals)
    alone = 0.0 if only_zero else 1.0
    rng = generator(options.seed, "dynamics/held-out pairs")
    thorough = unseen or options.n_components == "auto"
    n_folds = 0 if n_fits == 1 or len(seen) < FEWEST_NEURONS else options.n_folds if thorough else 1
    folds = make_folds(solver, seen, n_folds, rng) if n_folds else []
    if not folds:
        base = _settings(options, wanted[0], zero_lag=only_zero, shrinkage=shrinkages[0], hollow_lags=diagonals[-1])
        notes = (*notes, *_not_chosen(wanted, len(seen)))
        return Choice(dataclasses.replace(base, coupling=couplings[0]), (), alone, notes=notes)
    with threadpool_limits(1, user_api="blas"):  # of products this small, a second thread only waits for the first
        candidates = race(
            folds,
            wanted,
            shrinkages,
            couplings,
            kinds,
            diagonals,
            rng,
            lambda: report("choosing on held-out pairs", ""),
            *(() if thorough else (15, 1)),
            stages=stages,
        )
    best = best_of(candidates, zero_lag=None if only_zero else False)
    share, slope, zero = alone, best.slope, best
    if len(kinds) == 2:
        zero = best_of(candidates, zero_lag=True)
        share, _, slope = share_of_lags(folds, best, zero)
    return Choice(
        with_effort(best.settings, options),
        tuple(dataclasses.replace(one, predictions=()) for one in candidates),
        share,
        _calibration(slope, best, candidates, solver) if unseen else 1.0,
        held_out_pairs(folds, best, zero, share, rng),
        notes,
    )


def _couplings(options: Options, solver: Solver) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """What is tried of the coupling, and a note where it has no part."""
    if not isinstance(solver, BlockSolver):
        if options.coupling in ("auto", np.inf):
            return (np.inf,), ()
        note = (
            f"coupling = {options.coupling!r} was not used: entries are missing here and there or weights='pairs', so"
            " that all sessions are pooled pair by pair and have the same latent covariances."
        )
        return (np.inf,), (note,)
    if options.coupling != "auto":
        return (float(options.coupling),), ()
    return (COUPLINGS if len(solver.moments) > 1 and not _is_polished(options) else (np.inf,)), ()


def _not_chosen(wanted: Sequence[int], n_neurons: int) -> tuple[str, ...]:
    if len(wanted) == 1:
        return ()
    few = n_neurons < FEWEST_NEURONS
    why = f"{n_neurons} neurons are too few" if few else "Too few pairs of neurons were recorded together"
    return (
        f"{why} to hold pairs out: n_components = {wanted[0]}, the first of the orders, was taken without a choice.",
    )


def with_effort(settings: FitSettings, options: Options) -> FitSettings:
    """Settings that were tried briefly, with the iterations that were asked for."""
    return dataclasses.replace(
        settings, n_starts=options.n_starts, n_iterations=options.max_iterations, tolerance=options.tolerance
    )


def _settings(options: Options, n_components: int, **given: Any) -> FitSettings:
    return with_effort(FitSettings(n_components=n_components, **given), options)


def _calibration(slope: float, best: Candidate, candidates: Sequence[Candidate], solver: Solver) -> float:
    """Factor for predictions of unseen pairs, from the slope of measured on predicted covariances of hidden pairs.

    Hiding pairs of session blocks costs each of their neurons half of its sessions, so that the folds' loadings are
    noisier than those of all data. Without shrinkage the slope s₀ = 1/(1 + N) tells this noise N; all data have N/2
    instead. Pooled pairs are hidden one by one: the folds' loadings are as good as those of all data.
    """
    unshrunk = dataclasses.replace(best.settings, shrinkage=0.0)
    plain = [one.slope for one in candidates if one.settings == unshrunk and isinstance(solver, BlockSolver)]
    noisy = float(np.clip(min(plain, default=1.0), 0.1, 1.0))
    return float(np.clip(slope * 2 / (1 + noisy), 0.25, 3.0)) if slope > 0 else 1.0


def _share_unseen(solver: Solver) -> float:
    if isinstance(solver, BlockSolver):
        return share_never_together(solver.observed)
    return share_of_pairs_unseen(solver.together)
