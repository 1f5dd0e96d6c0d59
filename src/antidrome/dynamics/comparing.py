"""A sample of pairs of neurons, predicted and measured, kept with every fit: recorded together, and held out."""

from __future__ import annotations

import dataclasses

import numpy as np

from antidrome.dynamics.selection import Candidate, Fold
from antidrome.dynamics.solving import Solver

MOST_PAIRS = 2000
MOST_NEURONS = 300


@dataclasses.dataclass(frozen=True)
class ComparedPairs:
    """Correlations at lag 0, predictions between −1 and 1.

    Parameters
    ----------
    seen
        (2, pair) predicted and measured, of pairs that the fit has seen.
    held_out
        (2, pair) of pairs that were hidden from the fits that chose its settings.
    """

    seen: np.ndarray
    held_out: np.ndarray

    @classmethod
    def none(cls) -> ComparedPairs:
        """Nothing to compare."""
        return cls(np.zeros((2, 0)), np.zeros((2, 0)))


@dataclasses.dataclass(frozen=True)
class HeldOutPairs:
    """Hidden pairs in scaled units: `first`, `second` (pair,) places of neurons, `predicted`, `measured` (pair,)."""

    first: np.ndarray
    second: np.ndarray
    predicted: np.ndarray
    measured: np.ndarray


def held_out_pairs(
    folds: list[Fold], lagged: Candidate, zero: Candidate, share: float, rng: np.random.Generator
) -> HeldOutPairs:
    """A sample of the hidden pairs as the chosen models predicted them."""
    columns = []
    for fold, a, b in zip(folds, lagged.predictions, zero.predictions, strict=True):
        i, j = np.nonzero(fold.known)
        mixed = share * a + (1 - share) * b
        columns.append(np.array([fold.first[i], fold.second[j], mixed, fold.measured[i, j]]))
    pairs = np.concatenate(columns, axis=1)
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    if pairs.shape[1] > MOST_PAIRS:
        pairs = pairs[:, np.sort(rng.choice(pairs.shape[1], MOST_PAIRS, replace=False))]
    return HeldOutPairs(pairs[0].astype(int), pairs[1].astype(int), pairs[2], pairs[3])


def compare(
    solver: Solver,
    predicted: np.ndarray,
    chosen: np.ndarray,
    held_out: HeldOutPairs | None,
    calibration: float,
    variance: np.ndarray,
    rng: np.random.Generator,
) -> ComparedPairs:
    """The sample that is kept with a fit.

    Parameters
    ----------
    solver
        Knows what was measured.
    predicted, chosen
        (neuron, neuron) predicted covariances in scaled units between some neurons, and their places.
    held_out, calibration
        Hidden pairs, and the factor of predictions of pairs never recorded together.
    variance
        (neuron,) in scaled units.
    """
    measured, count = solver.measured(chosen, chosen)
    i, j = np.nonzero(np.triu(count > 0, 1))
    if i.size > MOST_PAIRS:
        keep = np.sort(rng.choice(i.size, MOST_PAIRS, replace=False))
        i, j = i[keep], j[keep]
    spread = np.sqrt(np.maximum(variance, 1e-300))
    of_seen = spread[chosen[i]] * spread[chosen[j]]
    seen = _correlations(predicted[i, j], measured[i, j], of_seen)
    if held_out is None:
        return ComparedPairs(seen, np.zeros((2, 0)))
    of_hidden = spread[held_out.first] * spread[held_out.second]
    return ComparedPairs(seen, _correlations(calibration * held_out.predicted, held_out.measured, of_hidden))


def _correlations(predicted: np.ndarray, measured: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """(2, pair) from covariances and the products of standard deviations."""
    return np.array([np.clip(predicted / spread, -1, 1), measured / spread])


def some_neurons(observed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """At most 300 of the neurons that some session has observed, ascending."""
    seen = np.flatnonzero(observed.any(axis=0))
    return seen if len(seen) <= MOST_NEURONS else np.sort(rng.choice(seen, MOST_NEURONS, replace=False))
