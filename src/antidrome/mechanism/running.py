"""The simulator of a fit: whatever the user gave, run round by round, kept on disk, its failures remembered."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from antidrome.core.seeds import fold_in
from antidrome.errors import InputError
from antidrome.mechanism.priors import Prior
from antidrome.mechanism.simulate.batch import Failure
from antidrome.mechanism.simulate.run import run_simulations
from antidrome.mechanism.simulate.store import Simulations

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

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Of the features."""
        return tuple(self.simulator.feature_names)

    @property
    def feature_units(self) -> tuple[str, ...]:
        """Of the features."""
        return tuple(self.simulator.feature_units)

    def features(self, theta: np.ndarray, round_: int) -> tuple[np.ndarray, np.ndarray]:
        """Features (n, k) and validity (n,) of parameter sets (n, d); what is in the store is not simulated again."""
        done = run_simulations(
            self.simulator,
            theta,
            seed=fold_in(self.seed, "mechanism/simulate"),
            round_=round_,
            store=self.store,
            parameter_names=self.prior.names,
            progress=self.progress,
        )
        done = done.of_round(round_)
        self.failures += done.failures[: REMEMBERED_FAILURES - len(self.failures)]
        return np.asarray(done.features, float), np.asarray(done.valid, bool)


class Recorded:
    """Simulations that are there already, in the place of a simulator; they serve a single round.

    Parameters
    ----------
    simulations
        With the prior's parameters in their columns.
    prior
        Of the parameters.

    Raises
    ------
    InputError
        Other parameters than the prior's, or parameter sets outside its support.
    """

    def __init__(self, simulations: Simulations, prior: Prior) -> None:
        if simulations.theta.shape[1] != prior.n_parameters:
            raise InputError(
                f"The simulations have {simulations.theta.shape[1]} parameters, the prior {prior.n_parameters}:"
                f" {', '.join(prior.names)}."
            )
        self.simulations, self.failures = simulations, list(simulations.failures[:REMEMBERED_FAILURES])
        self.u = prior.to_unconstrained(simulations.theta)
        density = simulations.log_density
        self.from_prior = bool(np.isnan(density).all())
        self.ratio = np.zeros(len(self.u)) if self.from_prior else density - prior.log_prob(simulations.theta)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Of the features."""
        return self.simulations.feature_names

    @property
    def feature_units(self) -> tuple[str, ...]:
        """Of the features."""
        return self.simulations.feature_units

    def features(self, theta: np.ndarray, round_: int) -> tuple[np.ndarray, np.ndarray]:
        """What was recorded; nothing can be simulated."""
        if round_ > 0 or len(theta) != len(self.u):
            raise InputError("Recorded simulations serve one round: use method='npe', or give a simulator.")
        return self.simulations.features, self.simulations.valid

    def sample(self, seed: int, n: int) -> np.ndarray:
        """The recorded parameter sets (n, D), whatever the seed: the proposal that they came from."""
        return self.u

    def log_ratio(self, u: np.ndarray) -> np.ndarray:
        """log p̃ − log p at the recorded parameter sets."""
        return self.ratio


@contextlib.contextmanager
def running(
    simulator: Any, prior: Prior, *, seed: int = 0, store: Path | None = None, progress: bool = False
) -> Iterator[Runner | Recorded]:
    """A runner of any callable; processes that were started for it end with the block."""
    if isinstance(simulator, Simulations):
        yield Recorded(simulator, prior)
        return
    if callable(getattr(simulator, "run", None)):
        made = simulator
    else:
        from antidrome.mechanism.simulate.adapt import as_simulator

        made = as_simulator(simulator, parameter_names=prior.names)
    prepare = getattr(made, "prepare", None)
    try:
        if prepare is not None:
            prepare(prior.sample(fold_in(0, "mechanism/prepare"), PREPARING))
        yield Runner(made, prior, seed=seed, store=store, progress=progress)
    finally:
        close = getattr(made, "close", None)
        if close is not None and made is not simulator:
            close()
