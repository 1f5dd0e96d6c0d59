"""Which rounds of recorded simulations tell of the whole prior, and not of the surroundings of one observation only."""

from __future__ import annotations

import numpy as np

from antidrome.errors import InputError
from antidrome.mechanism.simulate.store import Simulations
from antidrome.recordings.arguments import counted

SAME_DENSITY = 1e-3
"""Difference of log densities that is rounding, as of those in a text table."""
NEARLY_ALL = 0.01
"""log p̃ − log p of a part of the prior that is as good as the whole: 99 % of it."""


def covering_rows(simulations: Simulations, log_ratio: np.ndarray) -> np.ndarray:
    """Rows (n,) of the rounds whose simulations, weighted by p/p̃, are as if drawn from the prior.

    A round drawn from a part of the prior has no simulations elsewhere, whatever their weights: beside others, it makes
    its part count twice. Where nobody said what a round covers and its densities do not tell, it is used if it is the
    first and no other round covers the prior.

    Parameters
    ----------
    log_ratio
        log p̃ − log p of each simulation under the proposal of its own round, (n,).

    Raises
    ------
    InputError
        None of the rounds covers the prior.
    """
    rounds = np.unique(simulations.round).tolist()
    found = {r: _covers(simulations, log_ratio, simulations.round == r) for r in rounds}
    used = [r for r in rounds if found[r]] or [r for r in rounds if found[r] is None][:1]
    if rounds and not used:
        raise InputError(
            "The simulations come from a part of the prior only. Give the first round of the fit that made them as"
            " well, fit with the prior of that part, or simulate anew; leave log_density out if they came from the"
            " prior."
        )
    return np.isin(simulations.round, used)


def _covers(simulations: Simulations, log_ratio: np.ndarray, rows: np.ndarray) -> bool | None:
    """Whether a round's proposal covers the prior; None where that is not known."""
    said = np.full(0, np.nan) if simulations.covers_prior is None else simulations.covers_prior[rows]
    said = said[~np.isnan(said)]
    if len(said):
        return bool(said.all())
    ratio = log_ratio[rows]
    if np.ptp(ratio) > SAME_DENSITY or ratio.mean() < -SAME_DENSITY:
        return None
    return bool(ratio.mean() < NEARLY_ALL)


def note_on_rows(used: np.ndarray) -> tuple[str, ...]:
    """What is to be said where not all simulations (n,) are used."""
    left_out = int((~used).sum())
    if not left_out:
        return ()
    return (
        f"{counted(left_out, 'simulation', of=len(used))} left out: made in later rounds of an earlier fit, near its"
        " own observation, where they would count as a part of the prior that they are not.",
    )
