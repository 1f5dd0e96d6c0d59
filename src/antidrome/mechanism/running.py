"""The simulator of a fit: whatever the user gave, run round by round, kept on disk, its failures remembered."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from antidrome.core.hashing import hash_arrays
from antidrome.core.seeds import fold_in
from antidrome.errors import InputError
from antidrome.mechanism.covering import SAME_DENSITY, covering_rows, note_on_rows, note_on_share
from antidrome.mechanism.priors import Prior
from antidrome.mechanism.simulate.batch import Failure, Simulator
from antidrome.mechanism.simulate.identity import simulator_identity
from antidrome.mechanism.simulate.outputs import default_parameter_names
from antidrome.mechanism.simulate.parameters import SAME_DRAW, columns_of
from antidrome.mechanism.simulate.repeating import require_same_results
from antidrome.mechanism.simulate.run import run_simulations
from antidrome.mechanism.simulate.store import Simulations, files_of, read_simulations

REMEMBERED_FAILURES = 100
PREPARING = 32
"""Prior draws at which a function is tried, to learn what it gives."""


class Runner:
    """A simulator, run round by round.

    Parameters
    ----------
    simulator
        Parameters in, features out.
    prior
        Of the parameters.
    seed
        Of all simulations.
    store
        Folder in which finished simulations are kept; None keeps them in memory only.
    progress
        Show a bar.
    """

    def __init__(self, simulator: Any, prior: Prior, *, seed: int, store: Path | None, progress: bool) -> None:
        self.simulator, self.prior, self.seed, self.store, self.progress = simulator, prior, seed, store, progress
        self.failures: list[Failure] = []
        self.identity = simulator_identity(simulator)
        """Which simulator it is; what simulating changes in it (a counter) does not make it another one."""
        self.notes: tuple[str, ...] = ()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Of the features."""
        return tuple(self.simulator.feature_names)

    @property
    def feature_units(self) -> tuple[str, ...]:
        """Of the features."""
        return tuple(self.simulator.feature_units)

    def features(
        self,
        theta: np.ndarray,
        round_: int,
        log_density: np.ndarray | None = None,
        covers_prior: bool | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features (n, k) and validity (n,) of parameter sets (n, d); what is in the store is not simulated again.

        `log_density` (n,), of what they were drawn from, is kept with them, and whether that covers the prior.
        """
        return self._run(theta, round_, log_density, covers_prior, beside=False)

    def predictions(self, theta: np.ndarray, round_: int, log_density: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same at parameter sets of a posterior, beside those that the store has of other such draws."""
        return self._run(theta, round_, log_density, False, beside=True)

    def recall(self, n_rounds: int) -> None:
        """Remember the failures of rounds that the store has from an earlier run.

        Raises
        ------
        ResumeError
            The simulator gives other features now than it gave then.
        """
        if self.store is None or not n_rounds or not files_of(self.store):
            return
        kept = read_simulations(self.store)
        require_same_results(self.simulator, kept, self.store)
        for r in range(n_rounds):
            self._remember(kept.of_round(r))

    def _remember(self, done: Simulations) -> None:
        self.failures += done.failures[: REMEMBERED_FAILURES - len(self.failures)]

    def _run(
        self,
        theta: np.ndarray,
        round_: int,
        log_density: np.ndarray | None,
        covers_prior: bool | None,
        *,
        beside: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        done = run_simulations(
            self.simulator,
            theta,
            seed=fold_in(self.seed, "mechanism/simulate"),
            round_=round_,
            log_density=log_density,
            covers_prior=covers_prior,
            store=self.store,
            parameter_names=self.prior.names,
            identity=self.identity,
            tolerance=SAME_DRAW,
            beside=beside,
            progress=self.progress,
        )
        self._remember(done)
        return np.asarray(done.features, float), np.asarray(done.valid, bool)


class Recorded:
    """Simulations that are there already, in the place of a simulator; they serve a single round.

    Those of rounds that do not cover the prior, of an earlier fit, are left out (`covering_rows`); `notes` says so.

    Parameters
    ----------
    simulations
        With the prior's parameters in their columns.
    prior
        Of the parameters.

    Raises
    ------
    InputError
        Other parameters than the prior's, parameter sets outside its support, or drawn from another prior or from a
        part of this one.
    """

    def __init__(self, simulations: Simulations, prior: Prior) -> None:
        theta = simulations.theta[:, _columns(simulations.parameter_names, prior)]
        u = prior.to_unconstrained(theta)
        density = _checked_density(simulations)
        self.from_prior = density is None
        if self.from_prior:
            _require_drawn_from(prior, theta, simulations)
        ratio = np.zeros(len(u)) if density is None else density - prior.log_prob(theta)
        used = covering_rows(simulations, ratio)
        self.simulations = simulations if used.all() else simulations.rows(np.flatnonzero(used))
        self.u, self.ratio = u[used], ratio[used]
        self.notes = note_on_rows(used) + (() if self.from_prior else note_on_share(self.u, prior))
        self.failures = list(self.simulations.failures[:REMEMBERED_FAILURES])

    @property
    def identity(self) -> str:
        """Which simulations they are, from which density, and which of them count as failed.

        Of what is as usual (from the prior, failed without any feature) nothing is said: checkpoints always had that.
        """
        features, valid = self.simulations.features, self.simulations.valid
        told = {"u": self.u, "features": features}
        if not self.from_prior:
            told["ratio"] = self.ratio
        if not np.array_equal(valid, ~np.isnan(features).all(axis=1)):
            told["valid"] = valid
        return hash_arrays(told)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Of the features."""
        return self.simulations.feature_names

    @property
    def feature_units(self) -> tuple[str, ...]:
        """Of the features."""
        return self.simulations.feature_units

    @property
    def covers_prior(self) -> bool:
        """They do; others are not used."""
        return True

    def features(
        self,
        theta: np.ndarray,
        round_: int,
        log_density: np.ndarray | None = None,
        covers_prior: bool | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """What was recorded; nothing can be simulated."""
        if round_ > 0 or len(theta) != len(self.u):
            raise InputError("Recorded simulations serve one round: use method='npe', or give a simulator.")
        return self.simulations.features, self.simulations.valid

    def sample(self, n_samples: int, *, seed: int) -> np.ndarray:
        """The recorded parameter sets (n, D), whatever the seed: the proposal that they came from."""
        return self.u

    def log_ratio(self, u: np.ndarray) -> np.ndarray:
        """log p̃ − log p at the recorded parameter sets."""
        return self.ratio


def _columns(names: tuple[str, ...], prior: Prior) -> list[int]:
    """Where each of the prior's parameters stands among those of simulations: by name, if these have names."""
    if len(names) != prior.n_parameters:
        raise InputError(
            f"The simulations have {len(names)} parameters ({', '.join(names)}), the prior {prior.n_parameters}:"
            f" {', '.join(prior.names)}."
        )
    if names == default_parameter_names(len(names)):
        return list(range(len(names)))
    absent = [name for name in prior.names if name not in names]
    if absent:
        raise InputError(
            f"The simulations have the parameters {', '.join(names)}, but not {absent[0]!r} of the prior; give"
            " parameter_names."
        )
    return [names.index(name) for name in prior.names]


def _require_drawn_from(prior: Prior, theta: np.ndarray, simulations: Simulations) -> None:
    """Raise InputError if simulations, parameters (n, d) in the prior's order, are known to come from another prior.

    One that is wider, of which these are the simulations inside the prior, will do.
    """
    if simulations.drawn_from is None:
        return
    drawn_from = Prior.from_dict(simulations.drawn_from)
    columns = _columns(simulations.parameter_names, drawn_from)
    higher = prior.log_prob(theta) - drawn_from.log_prob(simulations.theta[:, columns])
    if higher.size and (np.ptp(higher) > SAME_DENSITY or higher.min() < -SAME_DENSITY):
        raise InputError(
            f"The simulations were drawn from {drawn_from}, the prior is {prior}. Fit with the prior that they were"
            " drawn from, simulate anew, or give log_density."
        )


def _checked_density(simulations: Simulations) -> np.ndarray | None:
    """Log density of what the simulations were drawn from, (n,); None if that was the prior.

    Raises
    ------
    InputError
        It is known of some only, or of none although they come from later rounds.
    """
    density, n = simulations.log_density, len(simulations.theta)
    unknown = np.isnan(density) if density.shape == (n,) else np.ones(n, bool)
    if density.shape != (n,) or (unknown.any() and not unknown.all()) or np.isinf(density).any():
        raise InputError(
            f"log_density has shape {density.shape} and {int(unknown.sum())} gaps for {n} simulations; expected a"
            " finite number for each, or none at all if they were drawn from the prior."
        )
    if unknown.all() and simulations.round.any():
        raise InputError(
            "These simulations come from several rounds, but the density of what they were drawn from was not kept"
            " with them. Use those of the first round (of_round(0)), or give log_density."
        )
    return None if unknown.all() else density


@contextlib.contextmanager
def running(
    simulator: Any, prior: Prior, *, seed: int = 0, store: Path | None = None, progress: bool = False
) -> Iterator[Runner | Recorded]:
    """A runner of any callable; processes that were started for it end with the block."""
    if isinstance(simulator, Simulations):
        yield Recorded(simulator, prior)
        return
    with opened_simulator(simulator, prior) as made:
        yield Runner(made, prior, seed=seed, store=store, progress=progress)


@contextlib.contextmanager
def opened_simulator(simulator: Any, prior: Prior) -> Iterator[Simulator]:
    """A simulator of anything that simulates, tried at draws from the prior; processes that were started for it end
    with the block.

    Raises
    ------
    InputError
        It does not simulate, or fails at all draws.
    """
    from antidrome.mechanism.simulate.adapt import as_simulator, named

    if callable(getattr(simulator, "run", None)):
        lacking = [name for name in ("feature_names", "feature_units") if not hasattr(simulator, name)]
        if lacking:
            raise InputError(
                f"The simulator is a {type(simulator).__name__} with a method run, but without {' and '.join(lacking)};"
                " a simulator has run(theta, seed), feature_names and feature_units."
            )
        made = named(simulator, prior.names)
    else:
        made = as_simulator(simulator, parameter_names=prior.names)
    prepare = getattr(made, "prepare", None)
    try:
        if prepare is not None:
            theta = prior.sample(PREPARING, seed=fold_in(0, "mechanism/prepare"))
            prepare(theta[:, columns_of(made, prior.names)])
        yield made
    finally:
        close = getattr(made, "close", None)
        if close is not None and made is not simulator:
            close()
