"""Whether a simulator still gives what a folder holds of it: source and settings do not tell of all that it uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from antidrome.errors import ResumeError
from antidrome.mechanism.simulate.batch import SimulationBatch
from antidrome.mechanism.simulate.parameters import columns_of
from antidrome.mechanism.simulate.store import Simulations

N_REPEATED = 3
SAME_IN_SPREAD, SAME_IN_SIZE = 1e-3, 1e-6
"""Difference of features, as shares of their spread and size, that another processor's rounding makes."""
_BY_CHANCE = ("timeout", "crash", "memory")
"""Failures that tell of the machine."""


def require_same_results(simulator: Any, kept: Simulations, folder: Path) -> None:
    """Make a few finished simulations again, with their seeds, and compare.

    One that gives something else each time tells nothing, and neither does one that knows no seeds of single
    simulations.

    Raises
    ------
    ResumeError
        They have other features now, the same ones each time.
    """
    share = getattr(simulator, "shares_seeds", False)
    rows = _rows_of_a_group(kept, simulator.aligned_rows) if share else _spread_over(kept.valid)
    if not hasattr(simulator, "run_seeded") or not len(rows):
        return
    theta = kept.theta[rows][:, columns_of(simulator, kept.parameter_names)]
    slack = _slack(kept)
    first = simulator.run_seeded(theta, kept.seed[rows])
    other = _other(first, kept.features[rows], slack)
    if not other.any():
        return
    second = simulator.run_seeded(theta, kept.seed[rows])
    repeated = other & ~_other(second, first.features, slack)
    if repeated.any():
        raise ResumeError(_what_differs(kept.rows(rows[repeated]), first.features[repeated], slack, folder))


def _spread_over(valid: np.ndarray) -> np.ndarray:
    found = np.flatnonzero(valid)
    return found[np.unique(np.linspace(0, len(found) - 1, min(len(found), N_REPEATED)).astype(int))]


def _rows_of_a_group(kept: Simulations, aligned: int) -> np.ndarray:
    """Rows of simulations that a function of many drew from one seed, a whole group; none where no group is whole."""
    groups = np.stack([kept.round, kept.index // aligned], axis=1)
    _, which, counts = np.unique(groups, axis=0, return_inverse=True, return_counts=True)
    whole = [np.flatnonzero(which.ravel() == group) for group in np.flatnonzero(counts == aligned)]
    rows = next((rows for rows in whole if kept.valid[rows].any()), np.zeros(0, np.int64))
    return rows[np.argsort(kept.index[rows])]


def _slack(kept: Simulations) -> np.ndarray:
    """How far each feature (k,) of the same simulation may be from another time, besides a share of its size."""
    columns = (column[~np.isnan(column)] for column in kept.features[kept.valid].T)
    spreads = [np.ptp(np.percentile(column, (10, 90))) if column.size else 0.0 for column in columns]
    return SAME_IN_SPREAD * np.array(spreads)


def _differs(features: np.ndarray, kept: np.ndarray, slack: np.ndarray) -> np.ndarray:
    missing = np.isnan(features) | np.isnan(kept)
    far = np.abs(features - kept) > slack + SAME_IN_SIZE * np.abs(kept)
    return np.where(missing, np.isnan(features) != np.isnan(kept), far)


def _other(batch: SimulationBatch, kept: np.ndarray, slack: np.ndarray) -> np.ndarray:
    """(n,) which simulations have other features than they had; those that the machine ended have not."""
    other = np.asarray(_differs(batch.features, kept, slack).any(axis=1))
    other[[failure.index for failure in batch.failures if failure.kind in _BY_CHANCE]] = False
    return other


def _what_differs(kept: Simulations, features: np.ndarray, slack: np.ndarray, folder: Path) -> str:
    column = int(np.argmax(_differs(features[:1], kept.features[:1], slack)[0]))
    return (
        f"{folder}: simulation {kept.index[0]} of round {kept.round[0]} gave {kept.feature_names[column]} ="
        f" {kept.features[0, column]:.6g} and now gives {features[0, column]:.6g}, with the same parameters and seed."
        " Something that the simulator uses was changed: a function, a constant, a file. Continue with it as it was,"
        " use another folder, or fit what is recorded there (read_simulations)."
    )
