"""What simulators have in common that give each simulation its own seed and find out what its features are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from antidrome.errors import InputError
from antidrome.mechanism.simulate.batch import Missing, SimulationBatch, check_missing, check_theta, simulation_seeds
from antidrome.mechanism.simulate.outputs import is_unnamed
from antidrome.recordings.arguments import counted


class SeededSimulator(ABC):
    """A simulator whose every simulation has a seed; its features are given, or learned at first use.

    Parameters
    ----------
    feature_names, feature_units
        None where nobody gave any.
    missing
        What a NaN among numbers means.
    """

    _parameter_names: tuple[str, ...] = ()
    own_order: tuple[str, ...] = ()
    """Names of the parameters as it takes them, where a fit has the same ones in another order (`note_order`)."""

    def __init__(
        self, feature_names: Sequence[str] | None, feature_units: Sequence[str] | None, missing: Missing
    ) -> None:
        self.missing = check_missing(missing)
        self._names = None if feature_names is None else tuple(feature_names)
        self._units = None if feature_units is None else tuple(feature_units)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features; () before `prepare` or the first run, unless they were given."""
        return self._names or ()

    @property
    def feature_units(self) -> tuple[str, ...]:
        """Units of the features, "" where nobody said."""
        return self._units or ("",) * len(self.feature_names)

    def run(self, theta: np.ndarray, seed: int) -> SimulationBatch:
        """Simulate every row of ``theta`` (n, d); see `Simulator`."""
        theta = check_theta(theta, self._parameter_names)
        return self.run_seeded(theta, simulation_seeds(seed, len(theta)))

    @abstractmethod
    def run_seeded(self, theta: np.ndarray, seeds: np.ndarray) -> SimulationBatch:
        """Simulate every row with the seed (uint64) that stands beside it."""

    @property
    @abstractmethod
    def called_by_name(self) -> bool:
        """Whether its function is called with the parameters' names, in whatever order these stand."""

    def note_order(self, names: Sequence[str]) -> None:
        """Keep in mind whether the parameters of a fit have to be put into another order for this simulator."""
        own = self._parameter_names
        differs = own != tuple(names) and sorted(own) == sorted(names) and not self.called_by_name
        self.own_order = own if differs else ()

    def _learn(self, names: tuple[str, ...], units: tuple[str, ...] | None = None) -> None:
        """Take the features as found, where none were given.

        Another number of them than was given is refused, and so are names of which only some are the function's own,
        at other places than its own: which of them stands for which?
        """
        for given, what in ((self._names, "names"), (self._units, "units")):
            if given is not None and len(given) != len(names):
                raise InputError(f"{len(given)} feature {what} were given for {counted(len(names), 'feature')}.")
        given = self._names or names
        moved = any(name in names and name != own for name, own in zip(given, names, strict=True))
        if moved and set(given) != set(names) and not is_unnamed(names):
            raise InputError(
                f"feature_names are {', '.join(self._names or ())}, but the simulator gives {', '.join(names)}."
                " Name all of them as it does, or none."
            )
        self._names, self._units = self._names or names, self._units or units
