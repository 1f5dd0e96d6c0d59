"""What every simulator gives: features with gaps, who is valid, and why the others failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol, get_args, runtime_checkable

import numpy as np

from antidrome.core.seeds import fold_in
from antidrome.errors import InputError
from antidrome.mechanism.labelled import in_columns_of
from antidrome.recordings.arguments import counted

FailureKind = Literal["exception", "non-finite", "timeout", "crash", "memory", "shape"]
Missing = Literal["feature", "failure"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Failure:
    """One simulation that gave no features.

    Parameters
    ----------
    index
        Row of the batch (or number of the simulation, in a store).
    kind
        "exception", "non-finite" (infinite, or nothing but NaN), "timeout", "crash" (the process died), "memory", or
        "shape" (an output unlike that of the other simulations).
    message
        One line.
    traceback
        What Python said, where it said something.
    """

    index: int
    kind: FailureKind
    message: str
    traceback: str = ""


class SimulationBatch(NamedTuple):
    """Simulations, one row each.

    Parameters
    ----------
    features
        (n, k) float64; NaN where a feature is missing, and all through failed rows.
    valid
        (n,) bool; False where the simulation failed.
    failures
        One record for each failed row, in order.
    """

    features: np.ndarray
    valid: np.ndarray
    failures: tuple[Failure, ...]

    @property
    def n_failed(self) -> int:
        """How many simulations failed."""
        return int(np.sum(~self.valid))


@runtime_checkable
class Simulator(Protocol):
    """Parameters in, features out; never raises because of one bad simulation."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the k features."""

    @property
    def feature_units(self) -> tuple[str, ...]:
        """Their units ("1" for pure numbers, "" where nobody said)."""

    def run(self, theta: np.ndarray, seed: int) -> SimulationBatch:
        """Simulate every row of ``theta`` (n, d); the same arguments give the same result."""


def simulation_seeds(seed: int, n_simulations: int, start: int = 0) -> np.ndarray:
    """Seeds of simulations ``start`` to ``start + n_simulations``: each its own, whatever the batches they are run in.

    SplitMix64 (Steele, Lea & Flood 2014, OOPSLA) of a counter: simulation i has the same seed however many there are.

    Returns
    -------
    (n,) uint64.

    Examples
    --------
    >>> bool((simulation_seeds(7, 5)[2:] == simulation_seeds(7, 3, start=2)).all())
    True
    """
    base = np.uint64(fold_in(seed, "mechanism/simulation"))
    with np.errstate(over="ignore"):
        z = base + np.arange(start + 1, start + n_simulations + 1, dtype=np.uint64) * _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def joined_batches(batches: Sequence[SimulationBatch]) -> SimulationBatch:
    """One batch of several, in their order."""
    edges = np.cumsum([0, *(len(batch.valid) for batch in batches)])
    failures = [
        replace(failure, index=failure.index + int(edge))
        for batch, edge in zip(batches, edges, strict=False)
        for failure in batch.failures
    ]
    features = np.concatenate([batch.features for batch in batches])
    return SimulationBatch(features, np.concatenate([batch.valid for batch in batches]), tuple(failures))


def judge(features: np.ndarray, missing: Missing = "feature") -> SimulationBatch:
    """Decide which rows failed by their values.

    Infinite values and rows without a single number are failures; a NaN among numbers is a missing feature, or, with
    ``missing="failure"``, a failure as well.

    Parameters
    ----------
    features
        (n, k); not changed.
    """
    features = np.array(features, dtype=np.float64)
    infinite = np.isinf(features).any(axis=1)
    gaps = np.isnan(features)
    bad = infinite | (gaps.any(axis=1) if missing == "failure" else gaps.all(axis=1))
    features[bad] = np.nan
    failures = tuple(
        Failure(int(row), "non-finite", "an infinite feature" if infinite[row] else _gaps_in_words(gaps[row]))
        for row in np.flatnonzero(bad)
    )
    return SimulationBatch(features, ~bad, failures)


def check_missing(missing: Any) -> Missing:
    """What a NaN means, or InputError where it is neither of the two."""
    if missing not in get_args(Missing):
        raise InputError(f"missing is {missing!r}; expected one of {', '.join(map(repr, get_args(Missing)))}.")
    return missing


def _gaps_in_words(gaps: np.ndarray) -> str:
    return "every feature is NaN" if gaps.all() else f"{counted(gaps.sum(), 'feature', 'is', of=gaps.size)} NaN"


def check_theta(theta: Any, names: Sequence[str] = ()) -> np.ndarray:
    """Parameters as (n, d) float64, columns with names in the order of these.

    Raises
    ------
    InputError
        If they are not a finite two-dimensional array of numbers, or their columns have other names.
    """
    try:
        array = np.asarray(in_columns_of(theta, names) if names else theta)
    except (TypeError, ValueError) as error:
        raise InputError(f"Parameters of simulations are no table (simulations, parameters): {error}") from error
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise InputError(
            f"Parameters of simulations have shape {array.shape} and type {array.dtype}; expected numbers of shape"
            " (simulations, parameters)."
        )
    array = array.astype(np.float64)
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        raise InputError(
            f"Parameters of simulation {int(np.argmax(bad))} are not finite ({int(bad.sum())} such rows); a simulator"
            " is only run at finite parameters."
        )
    return array
