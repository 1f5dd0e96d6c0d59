"""Run many simulations: resumable, in shards, with progress; the same numbers however often it was interrupted."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from antidrome.core.progress import ProgressBar
from antidrome.core.progress import progress as show_progress
from antidrome.core.seeds import fold_in
from antidrome.errors import InputError, ResumeError
from antidrome.mechanism.labelled import named
from antidrome.mechanism.simulate.batch import (
    Failure,
    SimulationBatch,
    Simulator,
    check_theta,
    joined_batches,
    simulation_seeds,
)
from antidrome.mechanism.simulate.outputs import default_parameter_names
from antidrome.mechanism.simulate.parameters import columns_of, own_names
from antidrome.mechanism.simulate.repeating import require_same_results
from antidrome.mechanism.simulate.store import Simulations, SimulationStore

ROWS_OF_PLAIN_SIMULATORS = 256
MIN_BLOCK = 256


def run_simulations(
    simulator: Simulator,
    theta: np.ndarray,
    *,
    seed: int,
    round_: int = 0,
    log_density: np.ndarray | None = None,
    covers_prior: bool | None = None,
    store: str | os.PathLike[str] | SimulationStore | None = None,
    parameter_names: Sequence[str] | None = None,
    shard: tuple[int, int] | None = None,
    identity: Any = None,
    tolerance: float = 0.0,
    beside: bool = False,
    progress: bool = True,
) -> Simulations:
    """Simulate every row of ``theta``, keeping what is finished.

    Simulation i of a round has its own seed, made from ``seed``, the round and i. With a store, what is finished is on
    disk at once; the same call after a kill does only what is missing, and returns what an uninterrupted one would.

    Parameters
    ----------
    simulator
        Any `Simulator`.
    theta
        (n, d) parameters; labelled columns (pandas, xarray with a dimension "parameter") are taken by name.
    seed, round_
        Seed of the whole run, and the number of the round that these simulations belong to.
    log_density
        (n,) log density of the proposal at theta, to be kept with the simulations.
    covers_prior
        Whether that proposal draws from all of the prior, to be kept likewise; None where that is not known.
    store
        Folder, or an open store; None keeps results in memory only.
    parameter_names
        Names of the columns of theta; of labelled ones by default the simulator's, if it has any, or their own. A
        simulator with names of its own receives its parameters by these.
    shard
        (i, m): do only the i-th of m parts (i counts from 0); for job arrays, whose jobs share one store folder.
    identity
        What identifies the simulator in the store, JSON-ready; resuming with another is refused.
    tolerance
        How far parameters in the store may be from theta, as a share of the range of their column: draws that are made
        anew on another processor differ by rounding.
    beside
        Where the store has other parameters in this round, keep these beside them, in the next round that has none or
        the same, with the seeds of this one.
    progress
        Show a progress bar.

    Returns
    -------
    All simulations of the round that are finished: every one, or with ``shard`` those of the shards that are done.

    Raises
    ------
    ResumeError
        If the store holds other simulations: other parameters, features, seeds or simulator, or this one gives other
        features at some of them.
    InputError
        If theta, shard or log_density cannot be used, some but not all names are those of the simulator's parameters,
        or it fails at all of its first parameter sets.
    """
    names = tuple(() if parameter_names is None else parameter_names) or _names_of(theta, simulator)
    theta = check_theta(theta, names)
    density = np.full(len(theta), np.nan) if log_density is None else np.asarray(log_density, np.float64)
    if density.shape != (len(theta),):
        raise InputError(f"log_density has shape {density.shape}; expected ({len(theta)},).")
    names = names or default_parameter_names(theta.shape[1])
    if len(names) != theta.shape[1]:
        raise InputError(f"{len(names)} parameter names were given for {theta.shape[1]} parameters.")
    own = columns_of(simulator, names)
    if hasattr(simulator, "prepare") and len(theta):
        simulator.prepare(theta[:, own])
    plan = _Plan(
        simulator,
        theta,
        density,
        covers_prior,
        fold_in(seed, f"round-{round_}"),
        round_,
        _check_shard(shard),
        names,
        own,
        tolerance,
    )
    with _opened(store, plan, identity) as opened:
        plan = plan.beside_others(opened) if beside and opened is not None else plan
        done = plan.finished(opened)
        if opened is not None and done.any():
            require_same_results(simulator, plan.finished_simulations(opened), opened.folder)
        rows = plan.rows_to_run(done)
        title = "Simulating" if shard is None else f"Simulating, shard {shard[0]} of {shard[1]}"
        with show_progress(title, len(theta), unit="simulations", enabled=progress) as bar:
            bar.advance(int(done.sum()))
            sink = _Sink(plan, opened, done, bar)
            plan.run(rows, sink)
        return plan.finished_simulations(opened) if opened is not None else sink.simulations()


def _names_of(theta: Any, simulator: Simulator) -> tuple[str, ...]:
    """Names of labelled columns, in the order in which the simulator takes them; () of an array."""
    given, _ = named(theta)
    return (own_names(simulator) or given) if given else ()


@dataclasses.dataclass(frozen=True)
class _Plan:
    """Everything that decides the numbers of one round."""

    simulator: Simulator
    theta: np.ndarray
    density: np.ndarray
    covers_prior: bool | None
    seed: int
    round_: int
    shard: tuple[int, int]
    parameter_names: tuple[str, ...]
    columns: list[int]
    tolerance: float

    @functools.cached_property
    def seeds(self) -> np.ndarray:
        return simulation_seeds(self.seed, len(self.theta))

    @property
    def aligned(self) -> int:
        """Rows that always run together."""
        if not hasattr(self.simulator, "run_seeded"):
            return ROWS_OF_PLAIN_SIMULATORS
        return int(getattr(self.simulator, "aligned_rows", 1))

    def finished(self, store: SimulationStore | None) -> np.ndarray:
        """(n,) whether each simulation is in the store."""
        done = np.zeros(len(self.theta), bool)
        if store is None:
            return done
        there = store.read().of_round(self.round_)
        known = there.index < len(self.theta)
        index = there.index[known]
        others = self.others(there)
        if len(others):
            bad = others[0]
            settings = "seed, prior, observation and settings" if self.round_ else "seed and prior"
            raise ResumeError(
                f"{store.folder} holds simulation {bad} of round {self.round_} with other parameters. Continue with the"
                f" {settings} that it was begun with, or use another folder."
            )
        if not np.array_equal(there.seed[known], self.seeds[index]):
            raise ResumeError(f"{store.folder} was simulated with another seed. Continue with that, or another folder.")
        done[index] = True
        return done

    def others(self, there: Simulations) -> np.ndarray:
        """Numbers of simulations of a round that are there with other parameters."""
        known = there.index < len(self.theta)
        index, theta = there.index[known], there.theta[known]
        slack = self.tolerance * np.ptp(self.theta, axis=0) if self.tolerance and len(index) else 0.0
        return index[~(np.abs(theta - self.theta[index]) <= slack).all(axis=1)]

    def beside_others(self, store: SimulationStore) -> _Plan:
        """The plan with these seeds, in the first round from its own on that has no other parameters."""
        there, plan = store.read(), self
        while len(plan.others(there.of_round(plan.round_))):
            plan = dataclasses.replace(plan, round_=plan.round_ + 1)
        return plan

    def finished_simulations(self, store: SimulationStore) -> Simulations:
        there = store.read().of_round(self.round_)
        return there.rows(np.flatnonzero(there.index < len(self.theta)))

    def rows_to_run(self, done: np.ndarray) -> np.ndarray:
        """Rows of this shard that are missing, filled up to whole groups of rows that run together."""
        group = np.arange(len(self.theta)) // self.aligned
        mine = group % self.shard[1] == self.shard[0]
        return np.flatnonzero(np.isin(group, group[mine & ~done]))

    def given(self, rows: np.ndarray) -> np.ndarray:
        """Parameters (rows, d) in the simulator's own order."""
        return self.theta[rows][:, self.columns]

    def run(self, rows: np.ndarray, sink: _Sink) -> None:
        """Run the given rows, telling the sink of each that is finished."""
        if hasattr(self.simulator, "n_processes"):
            seeds = self.seeds[rows]
            on_row: Callable = lambda i, features, failure: sink.add_row(int(rows[i]), features, failure)  # noqa: E731
            self.simulator.run_seeded(self.given(rows), seeds, on_row=on_row)
            return
        size = self.aligned * max(1, getattr(self.simulator, "n_threads", 1), MIN_BLOCK // self.aligned)
        for start in range(0, len(rows), size):
            block = rows[start : start + size]
            sink.add(block, self._batch(block))

    def _batch(self, rows: np.ndarray) -> SimulationBatch:
        if hasattr(self.simulator, "run_seeded"):
            return self.simulator.run_seeded(self.given(rows), self.seeds[rows])
        parts = [part for part in np.split(rows, np.flatnonzero(np.diff(rows // self.aligned)) + 1) if len(part)]
        return joined_batches([self._plain(part) for part in parts])

    def _plain(self, rows: np.ndarray) -> SimulationBatch:
        """Rows of a simulator that knows only ``run``; should that raise, one by one."""
        try:
            return _checked(self.simulator.run(self.given(rows), fold_in(self.seed, f"rows-{rows[0]}")), len(rows))
        except InputError:
            raise
        except Exception as error:
            if len(rows) > 1:
                return joined_batches([self._plain(rows[i : i + 1]) for i in range(len(rows))])
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            failure = Failure(0, "exception", text, traceback.format_exc())
            return SimulationBatch(
                np.full((1, len(self.simulator.feature_names)), np.nan), np.zeros(1, bool), (failure,)
            )


def _checked(batch: Any, n: int) -> SimulationBatch:
    """What a simulator of the user's own class returned for n simulations."""
    features, valid = getattr(batch, "features", None), getattr(batch, "valid", None)
    if not hasattr(batch, "failures") or np.ndim(features) != 2 or len(features) != n or np.shape(valid) != (n,):
        raise InputError(
            f"The simulator's run returned a {type(batch).__name__} (features of shape {np.shape(features)}) for {n}"
            f" parameter sets; expected a SimulationBatch with features ({n}, k), valid ({n},) and failures."
        )
    return batch


class _Sink:
    """Takes finished simulations: to the store, or to memory; and ticks the bar."""

    def __init__(self, plan: _Plan, store: SimulationStore | None, done: np.ndarray, bar: ProgressBar) -> None:
        self.plan, self.store, self.bar = plan, store, bar
        self.known = done.copy()
        self.n_failed = self.n_new = 0
        self.features: np.ndarray | None = None
        self.valid = np.zeros(len(done), bool)
        self.failures: dict[int, Failure] = {}

    def add_row(self, row: int, features: np.ndarray, failure: Failure | None) -> None:
        failures = () if failure is None else (dataclasses.replace(failure, index=0),)
        self.add(np.array([row]), SimulationBatch(features[None], np.array([failure is None]), failures))

    def add(self, rows: np.ndarray, batch: SimulationBatch) -> None:
        """Keep a batch, but for the rows that were known before."""
        new = np.flatnonzero(~self.known[rows])
        place = {int(position): i for i, position in enumerate(new)}
        failures = [dataclasses.replace(f, index=place[f.index]) for f in batch.failures if f.index in place]
        rows, features, valid = rows[new], batch.features[new], batch.valid[new]
        self.known[rows] = True
        if self.store is not None:
            plan = self.plan
            self.store.append(
                rows,
                plan.theta[rows],
                features,
                valid,
                plan.seeds[rows],
                round_=plan.round_,
                log_density=plan.density[rows],
                covers_prior=plan.covers_prior,
                failures=failures,
            )
        else:
            if self.features is None:
                self.features = np.full((len(self.known), features.shape[1]), np.nan)
            self.features[rows], self.valid[rows] = features, valid
            self.failures |= {int(rows[f.index]): f for f in failures}
        self.n_new += len(rows)
        self.n_failed += int((~valid).sum())
        self.bar.advance(len(rows), figure=f"{self.n_failed / max(1, self.n_new):.1%} failed")

    def simulations(self) -> Simulations:
        """What was kept in memory."""
        plan, rows = self.plan, np.flatnonzero(self.known)
        names = plan.simulator.feature_names
        n = len(self.known)
        whole = Simulations(
            theta=plan.theta,
            features=np.zeros((n, len(names))) if self.features is None else self.features,
            valid=self.valid,
            seed=plan.seeds,
            round=np.full(n, plan.round_, np.int32),
            index=np.arange(n),
            log_density=plan.density,
            failures=tuple(dataclasses.replace(f, index=row) for row, f in sorted(self.failures.items())),
            parameter_names=plan.parameter_names,
            feature_names=tuple(names),
            feature_units=tuple(plan.simulator.feature_units),
            covers_prior=None if plan.covers_prior is None else np.full(n, float(plan.covers_prior)),
        )
        return whole.rows(rows)


@contextlib.contextmanager
def _opened(
    store: str | os.PathLike[str] | SimulationStore | None, plan: _Plan, identity: Any
) -> Iterator[SimulationStore | None]:
    if store is None or isinstance(store, SimulationStore):
        yield store
        return
    shard = "all" if plan.shard[1] == 1 else f"shard-{plan.shard[0]:05d}-of-{plan.shard[1]:05d}"
    with SimulationStore(
        store,
        parameter_names=plan.parameter_names,
        feature_names=plan.simulator.feature_names,
        feature_units=plan.simulator.feature_units,
        simulator=identity,
        shard=shard,
    ) as opened:
        yield opened


def _check_shard(shard: tuple[int, int] | None) -> tuple[int, int]:
    if shard is None:
        return 0, 1
    i, m = shard
    if not 0 <= i < m:
        raise InputError(f"Shard {i} of {m} does not exist; expected 0/{m} to {m - 1}/{m}.")
    return i, m
