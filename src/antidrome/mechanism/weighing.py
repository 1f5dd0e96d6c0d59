"""Which simulations count how much: importance weights and calibration kernel of a round."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from antidrome.core.seeds import generator
from antidrome.errors import TrainingError
from antidrome.mechanism.plans import Plan
from antidrome.mechanism.problem import Problem
from antidrome.mechanism.proposals import OUTSIDE
from antidrome.mechanism.rounds import FitSimulations, Progress
from antidrome.mechanism.weights import (
    KernelSettings,
    distances,
    kernel_weights,
    mixture_log_weights,
    round_log_weights,
)

FEWEST_TO_LEARN = 10
"""Simulations that succeeded."""


class Weighed(NamedTuple):
    """Simulations, one row each, as a round's training sees them.

    Parameters
    ----------
    weights
        Importance weights (n,), mean 1 over those that are used, 0 for the others.
    kernel
        K(x, x_o), (n,).
    bandwidth
        Of the kernel.
    held_out
        (n,) bool, kept for validation.
    """

    weights: np.ndarray
    kernel: np.ndarray
    bandwidth: float | None
    held_out: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """Importance weight times kernel, (n,)."""
        return self.weights * self.kernel


def weigh(problem: Problem, plan: Plan, progress: Progress, r: int, seed: int) -> Weighed:
    """Weights of all simulations for the training of round `r`.

    Raises
    ------
    TrainingError
        Hardly any simulation succeeded.
    """
    simulations, scaling = progress.simulations, progress.scaling
    assert scaling is not None
    rows = simulations.valid & in_use(plan, simulations, r)
    if rows.sum() < FEWEST_TO_LEARN:
        remedy = (
            "Simulate more."
            if simulations.valid.all()
            else "Simulate more, narrow the prior, or look at why they fail."
        )
        raise TrainingError(
            f"Only {rows.sum()} of {len(rows)} simulations can be learned from up to round {r + 1}, fewer than"
            f" {FEWEST_TO_LEARN}; {(~simulations.valid).sum()} failed. {remedy}"
        )
    weights = np.zeros(len(rows))
    weights[rows] = np.exp(_log_weights(simulations, plan, rows, r))
    scaled = scaling(progress.visible(simulations.features))
    observed = scaling(progress.visible(problem.observation)[None])[0]
    kernel, bandwidth = kernel_weights(distances(scaled, observed), weights, plan.kernel)
    held_out = generator(seed, "mechanism/held-out").random(len(rows)) < plan.training.validation
    return Weighed(weights, kernel, bandwidth, held_out)


def weigh_for_judgement(problem: Problem, plan: Plan, progress: Progress, seed: int) -> tuple[np.ndarray, bool]:
    """Weights (n,) that make the simulations pairs from the prior, near the observation, and whether they are held out.

    Simulations that no network was trained on, if the plan kept any; simulations of all rounds, weighted against the
    mixture of their proposals, whatever the method weights by. After several rounds a kernel confines them to the
    observation's neighbourhood, where the posterior claims to be good.
    """
    kernel = KernelSettings() if plan.n_rounds > 1 else KernelSettings(shape="none")
    alike = dataclasses.replace(plan, weighting="mixture", reuse=True, kernel=kernel, loss="direct")
    weighed = weigh(problem, alike, progress, plan.n_rounds - 1, seed)
    held_out = plan.training.validation > 0
    return np.where(weighed.held_out, weighed.total, 0.0) if held_out else weighed.total, held_out


def in_use(plan: Plan, simulations: FitSimulations, r: int) -> np.ndarray:
    """Which simulations (n,) round `r` learns from, as far as they succeeded."""
    return (plan.reuse | (simulations.round == r)) & _in_region(plan, simulations, r)


def _in_region(plan: Plan, simulations: FitSimulations, r: int) -> np.ndarray:
    """Which simulations (n,) lie where round `r` proposes; all of them, unless it proposes from a region alone.

    Restricted to the region that holds the posterior, the prior gives the same posterior at the observation, and what
    a network learns there it need not learn elsewhere (Deistler, Gonçalves & Macke 2022, eq. 4).
    """
    if plan.proposal != "truncated" or plan.defensive > 0:
        return np.ones(len(simulations.u), bool)
    return simulations.log_ratios[:, r] > OUTSIDE / 2


def _log_weights(simulations: FitSimulations, plan: Plan, rows: np.ndarray, r: int) -> np.ndarray:
    """Log importance weights of the rows that are used."""
    ratios = simulations.log_ratios[rows]
    if plan.weighting == "none":
        return np.zeros(len(ratios))
    if plan.weighting == "round":
        return round_log_weights(ratios[:, r])
    return mixture_log_weights(ratios, simulations.counts)
