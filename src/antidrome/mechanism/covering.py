"""Which rounds of recorded simulations tell of the whole prior, and not of the surroundings of one observation only."""

from __future__ import annotations

import numpy as np

from antidrome.errors import InputError
from antidrome.mechanism.priors import Prior
from antidrome.mechanism.simulate.store import Simulations
from antidrome.recordings.arguments import counted

SAME_DENSITY = 1e-3
"""Difference of log densities that is rounding, as of those in a text table."""
NEARLY_ALL = 0.01
"""log p̃ − log p of a part of the prior that is as good as the whole: 99 % of it."""
COUNTED = 0.1
"""Share of the prior that may seem to be missing because masses in the densities of proposals are counted."""
FEWEST = 50.0
"""Effective simulations from which their weights say how much of the prior is missing."""
DRAWS, UNREACHED = 2000, 0.2
"""Draws of the prior that are looked for among the simulations, and the share of them beyond which is told."""
LARGEST = 50.0
"""log p − log p̃ above which a weight is as good as infinite."""


def covering_rows(simulations: Simulations, log_ratio: np.ndarray) -> np.ndarray:
    """Rows (n,) of the rounds whose simulations, weighted by p/p̃, are as if drawn from the prior.

    A round drawn from a part of the prior has no simulations elsewhere, whatever their weights: beside others, it makes
    its part count twice. What was said of a round was said of the prior of its own fit: unless a round was drawn from
    this very prior, the densities have to tell of it as well. Where nobody said what a round covers and its densities
    do not tell, it is used if it is the first and no other round covers the prior.

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
    of_rounds = {r: simulations.round == r for r in rounds}
    same_prior = any(np.abs(log_ratio[rows]).max() <= SAME_DENSITY for rows in of_rounds.values())
    found = {r: _covers(simulations, log_ratio, rows, same_prior) for r, rows in of_rounds.items()}
    used = [r for r in rounds if found[r]] or [r for r in rounds if found[r] is None][:1]
    if rounds and not used:
        raise InputError(
            "The simulations come from a part of the prior only. Give the first round of the fit that made them as"
            " well, fit with the prior of that part, or simulate anew; leave log_density out if they came from the"
            " prior."
        )
    return np.isin(simulations.round, used)


def _covers(simulations: Simulations, log_ratio: np.ndarray, rows: np.ndarray, same_prior: bool) -> bool | None:
    """Whether a round's proposal covers the prior; None where that is not known.

    What was said of it is examined where it was not the `same_prior`, and always if it was as dense everywhere.
    """
    ratio = log_ratio[rows]
    said = np.full(0, np.nan) if simulations.covers_prior is None else simulations.covers_prior[rows]
    said = said[~np.isnan(said)]
    if len(said):
        return bool(said.all()) and not _is_of_a_part(ratio) and (same_prior or not _lacks_some(ratio))
    if np.ptp(ratio) > SAME_DENSITY or ratio.mean() < -SAME_DENSITY:
        return None
    return not _lacks_some(ratio)


def _is_of_a_part(log_ratio: np.ndarray) -> bool:
    """Whether it was the prior within a part of it: everywhere denser than the whole, as much."""
    return bool(np.ptp(log_ratio) <= SAME_DENSITY and log_ratio.mean() >= NEARLY_ALL)


def _lacks_some(log_ratio: np.ndarray) -> bool:
    """Whether a part of the prior has no simulations, by log p̃ − log p (n,) of those that there are."""
    if np.ptp(log_ratio) <= SAME_DENSITY:
        return _is_of_a_part(log_ratio)
    weights = np.exp(np.minimum(-log_ratio, LARGEST))
    n_effective = weights.sum() ** 2 / (weights**2).sum()
    if n_effective < min(FEWEST, len(weights) / 2):
        return False
    return bool(weights.mean() + 3 * weights.std() / np.sqrt(len(weights)) < 1 - COUNTED)  # the mean is the share


def note_on_rows(used: np.ndarray) -> tuple[str, ...]:
    """What is to be said where not all simulations (n,) are used."""
    left_out = int((~used).sum())
    if not left_out:
        return ()
    return (
        f"{counted(left_out, 'simulation', of=len(used))} left out: made in later rounds of an earlier fit, near its"
        " own observation, where they would count as a part of the prior that they are not.",
    )


def note_on_share(u: np.ndarray, prior: Prior) -> tuple[str, ...]:
    """What is to be said where simulations (n, d), unconstrained, do not reach as far as the prior does."""
    if len(u) < 2:
        return ()
    drawn = prior.to_unconstrained(prior.sample(DRAWS, seed=0))
    outside = float(((drawn < u.min(axis=0)) | (drawn > u.max(axis=0))).any(axis=1).mean())
    by_chance = 2 * u.shape[1] / (len(u) + 1)
    if outside <= UNREACHED + 2 * by_chance:
        return ()
    return (
        f"The simulations reach about {1 - outside:.0%} of the prior; parameters elsewhere, and observations that these"
        " would explain, are unknown to the fit.",
    )
