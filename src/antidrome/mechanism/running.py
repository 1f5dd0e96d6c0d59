"""The simulator of a fit: whatever the user gave, run behind one method, its failures remembered."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from antidrome.core.seeds import fold_in
from antidrome.mechanism.priors import Prior
from antidrome.mechanism.simulate.batch import Failure, Simulator

REMEMBERED_FAILURES = 100
PREPARING = 32
"""Prior draws at which a function is tried, to learn what it gives."""


class Runner:
    """A simulator with the failures it had.

    Parameters
    ----------
    simulator
        Parameters in, features out.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.failures: list[Failure] = []

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Of the features."""
        return tuple(self.simulator.feature_names)

    @property
    def feature_units(self) -> tuple[str, ...]:
        """Of the features."""
        return tuple(self.simulator.feature_units)

    def features(self, theta: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Features (n, k) and validity (n,) of parameter sets (n, d)."""
        batch = self.simulator.run(theta, seed)
        self.failures += batch.failures[: REMEMBERED_FAILURES - len(self.failures)]
        return np.asarray(batch.features, float), np.asarray(batch.valid, bool)


@contextlib.contextmanager
def running(simulator: Any, prior: Prior) -> Iterator[Runner]:
    """A runner of any callable; processes that were started for it end with the block."""
    if callable(getattr(simulator, "run", None)):
        made = simulator
    else:
        from antidrome.mechanism.simulate import as_simulator

        made = as_simulator(simulator, parameter_names=prior.names)
    prepare = getattr(made, "prepare", None)
    try:
        if prepare is not None:
            prepare(prior.sample(fold_in(0, "mechanism/prepare"), PREPARING))
        yield Runner(made)
    finally:
        close = getattr(made, "close", None)
        if close is not None and made is not simulator:
            close()
