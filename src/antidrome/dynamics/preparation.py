"""From a population to moments: units, the form that fits the size, sketches that survive a kill."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np

from antidrome.core.executor import map_tasks
from antidrome.core.model_files import load_model, save_model
from antidrome.core.seeds import generator
from antidrome.dynamics.data import SessionData, is_dask
from antidrome.dynamics.lags import LagSet
from antidrome.dynamics.moments import DenseMoments, SessionMoments, SketchedMoments, dense_moments, streamed_moments
from antidrome.dynamics.pairwise import MOST_VALUES, pair_moments
from antidrome.dynamics.patterns import split_by_pattern
from antidrome.dynamics.population import Population, Session
from antidrome.dynamics.resuming import Stages, require_identity
from antidrome.dynamics.sketch import sketch
from antidrome.dynamics.solving import BlockSolver, PairSolver, Solver
from antidrome.errors import InputError
from antidrome.recordings.arguments import agreeing, counted, listing

KEPT_VALUES = 2**24
DENSE_VALUES = 3 * 10**7
FEW_FRAMES = 20
ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True)
class Units:
    """What one unit of the scaled data is, for each neuron and session.

    Parameters
    ----------
    scale
        (neuron,) pooled: standard deviation, mean count, or the same for all.
    gains
        One array (neuron,) a session, 1/scale of its own columns.
    """

    scale: np.ndarray
    gains: tuple[np.ndarray, ...]


def units_of(population: Population, scaling: str, observation: str) -> Units:
    """Scale of every neuron.

    Raises
    ------
    InputError
        For counts that are negative.
    """
    if observation == "poisson":
        for session in population.sessions:
            require_counts(session, population.labels, "Use observation='gaussian' for other signals.")
        scale = population.mean
        return Units(scale, tuple(1 / session.mean for session in population.sessions))
    scale = np.sqrt(np.maximum(population.variance, 1e-300))
    if scaling == "none":  # starts and floors are for values about 1; a power of two changes no digit of the data
        typical = 2.0 ** np.round(np.log2(np.sqrt((scale**2).mean())))
        scale = np.full(population.n_neurons, typical)
    if scaling == "session":
        return Units(scale, tuple(1 / np.sqrt(np.maximum(s.variance, 1e-300)) for s in population.sessions))
    return Units(scale, tuple(1 / scale[session.rows] for session in population.sessions))


def require_counts(session: Session, labels: np.ndarray, advice: str) -> None:
    """Raise InputError, with advice, where a session is of rates, or a value is negative and thus no spike count."""
    if session.units == "spikes/s":
        raise InputError(
            f"Session {session.name!r} is in spikes/s, expected spikes of each frame (expected_spikes, or rates over"
            f" the frame rate). {advice}"
        )
    if (session.least < -ROUNDING * np.abs(session.mean)).any():
        label = str(labels[session.rows[np.argmin(session.least)]])
        raise InputError(
            f"Session {session.name!r}: neuron {label!r} has the value {session.least.min():g}; spike counts are not"
            f" negative. {advice}"
        )


def notes_on_frames(population: Population, lags: LagSet) -> list[str]:
    """What to know where neurons were observed in hardly any frames."""
    least, frames = max(FEW_FRAMES, lags.largest + FEW_FRAMES // 2), np.zeros(population.n_neurons)
    for session in population.sessions:
        frames[session.rows] += session.n_observed
    few = population.labels[frames < least].tolist()
    if not few:
        return []
    return [
        f"Observed in fewer than {least} frames, too few for a covariance to mean anything: {listing(few, 4)}"
        f" ({counted(len(few), 'neuron', of=population.n_neurons)})."
    ]


def notes_on_counts(population: Population) -> list[str]:
    """What to know where values are no whole numbers although noise of Poisson counts was asked for."""
    names = [session.name for session in population.sessions if not session.whole.all()]
    if not names:
        return []
    return [
        f"The values of {listing(names, 4)} are not all whole numbers: observation='poisson' takes them for spike"
        " counts, whose variance is at least their mean. Use observation='gaussian' for other signals."
    ]


def session_data(population: Population, units: Units) -> list[SessionData]:
    """Every session in scaled units; those of a few million values are kept in memory."""
    data = []
    for session, gain in zip(population.sessions, units.gains, strict=True):
        one = SessionData(session, gain)
        small = one.shape[0] * one.shape[1] <= KEPT_VALUES // max(len(population.sessions), 1)
        data.append(one.in_memory() if small else one)
    return data


def choose_form(population: Population, solver: str, weights: str, n_lags: int) -> tuple[str, Population]:
    """How the moments are held ("pairs", "dense", "sketch" or "stream"), and the sessions, or parts, that have them.

    Raises
    ------
    InputError
        If pairwise weights were asked for and the population is too large for them.
    """
    pair_values = n_lags * population.n_neurons**2
    incomplete = any(not session.is_complete for session in population.sessions)
    if weights == "pairs":
        if 9 * pair_values > MOST_VALUES:
            raise InputError(
                f"weights='pairs' holds {n_lags} × {population.n_neurons:,}² numbers several times; for so many neurons"
                " use weights='session'."
            )
        return "pairs", population
    if incomplete and pair_values <= DENSE_VALUES and solver in ("auto", "als"):
        return "pairs", population
    parts = split_by_pattern(population)
    dense = sum(n_lags * len(part.rows) ** 2 for part in parts.sessions)
    if solver != "sketch" and dense <= DENSE_VALUES:
        return "dense", parts
    return "sketch" if solver in ("auto", "sketch") else "stream", parts


def prepare(
    population: Population,
    parts: Population,
    form: str,
    lags: LagSet,
    units: Units,
    *,
    weights: str,
    observation: str,
    rank: int,
    seed: int,
    executor: Executor | None = None,
    stages: Stages | None = None,
) -> tuple[Solver, list[SessionData], list[str]]:
    """The solver over these moments, the data of every session (or part), and what to tell the user.

    `parts` and `form` are those of `choose_form`.
    """
    notes: list[str] = []
    if form == "pairs":
        data = session_data(population, units)
        pooled = pair_moments(data, lags, population.n_neurons)
        if observation == "poisson":
            pooled = dataclasses.replace(pooled, covariance=log_moments(pooled.covariance))
        kind = "pairs" if weights == "pairs" else "counts"
        return PairSolver(pooled, pooled.weights(kind), lags.weights), data, notes
    if len(parts.sessions) > len(population.sessions):
        changing = counted(len(population.sessions), "session")
        notes.append(
            f"{changing} with changing sets of neurons {agreeing(len(population.sessions), 'is')} taken as"
            f" {len(parts.sessions)} parts, each with one set."
        )
    gains = _gains_of_parts(population, parts, units)
    data = session_data(parts, Units(units.scale, gains))
    notes.extend(_notes_on_missing(parts))
    filled = [rescaled_for_missing(one) for one in data]
    if form == "sketch":
        moments: Sequence[SessionMoments] = _sketches(filled, lags, rank, seed, executor, stages or Stages())
    else:
        make = dense_moments if form == "dense" else streamed_moments
        moments = [make(one, lags) for one in filled]
    if observation == "poisson":
        moments = [log_dense(m) if isinstance(m, DenseMoments) else m for m in moments]
        if form != "dense":
            notes.append("Counts: covariances of log rates to first order, cov(y_i, y_j) / (m_i m_j).")
    return BlockSolver(tuple(moments), population.n_neurons, lags.weights), data, notes


def log_moments(covariance: np.ndarray) -> np.ndarray:
    """Covariances of log rates from those of counts over their means: log(1 + c) (Buesing, Macke & Sahani 2012)."""
    return np.log1p(np.maximum(covariance, -0.95))


def count_noise(log_variance: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Variance of y / m beyond that of the log rate, for counts y of mean m: (e^S − 1 − S) + 1 / m."""
    return np.expm1(np.minimum(log_variance, 50.0)) - log_variance + 1 / mean


def log_dense(m: DenseMoments) -> DenseMoments:
    """Moments of log rates, of those of counts over their means."""
    return dataclasses.replace(m, covariance=log_moments(m.covariance))


def _gains_of_parts(population: Population, parts: Population, units: Units) -> tuple[np.ndarray, ...]:
    table = {}
    for session, gain in zip(population.sessions, units.gains, strict=True):
        full = np.zeros(population.n_neurons)
        full[session.rows] = gain
        table[session.name] = full
    return tuple(table[part.name][part.rows] for part in parts.sessions)


def rescaled_for_missing(one: SessionData) -> SessionData:
    """Scattered missing entries at scale: zeros in their place, columns divided by the share that was observed."""
    if one.session.is_complete:
        return one
    rescaled = SessionData(one.session, one.gain / _share_observed(one.session))
    return rescaled if one.kept is None else rescaled.in_memory()


def _notes_on_missing(parts: Population) -> list[str]:
    return [
        f"Session {session.name!r}: {100 * (1 - _share_observed(session).mean()):.1f} % of the entries are missing here"
        " and there; they are taken as missing independently of one another."
        for session in parts.sessions
        if not session.is_complete
    ]


def _share_observed(session: Session) -> np.ndarray:
    return session.n_observed / max(session.n_used, 1)


def _sketches(
    data: Sequence[SessionData],
    lags: LagSet,
    rank: int,
    seed: int,
    executor: Executor | None,
    stages: Stages,
) -> list[SketchedMoments]:
    """One sketch a session, each kept in the checkpoint folder as soon as it is done."""
    done: dict[int, SketchedMoments] = {}
    for index in range(len(data)):
        path = _sketch_path(stages.folder, index)
        if path is not None and path.exists():
            done[index] = load_sketch(path, stages.identity)
    left = [i for i in range(len(data)) if i not in done]
    tasks = [_SketchTask(data[i], lags, rank, seed, i) for i in left]

    def keep(position: int, result: SketchedMoments) -> None:
        path = _sketch_path(stages.folder, left[position])
        if path is not None:
            save_sketch(path, result, stages.identity)

    remote = None if any(is_dask(one.session.values) for one in data) else executor
    for index, result in zip(left, map_tasks(_run_sketch, tasks, executor=remote, on_result=keep), strict=True):
        done[index] = result
    return [done[i] for i in range(len(data))]


@dataclasses.dataclass(frozen=True)
class _SketchTask:
    data: SessionData
    lags: LagSet
    rank: int
    seed: int
    index: int


def _run_sketch(task: _SketchTask) -> SketchedMoments:
    return sketch(task.data, task.lags, task.rank, generator(task.seed, f"dynamics/sketch-{task.index}"))


def _sketch_path(checkpoint: Path | None, index: int) -> Path | None:
    return None if checkpoint is None else checkpoint / f"sketch-{index:05d}.safetensors"


def save_sketch(path: Path, moments: SketchedMoments, identity: Mapping[str, Any]) -> None:
    """Write one sketch as a model file."""
    arrays = {name: getattr(moments, name) for name in ("rows", "available", "variance", "basis", "core")}
    save_model(path, arrays, class_name="DynamicsSketch", config=dict(identity), extra={"weight": moments.weight})


def load_sketch(path: Path, identity: Mapping[str, Any]) -> SketchedMoments:
    """Read one sketch back.

    Raises
    ------
    ResumeError
        If it was made from other data or settings.
    """
    arrays, header = load_model(path, expected_class="DynamicsSketch")
    require_identity(path, header.config, identity)
    return SketchedMoments(weight=float(header.extra["weight"]), **arrays)
