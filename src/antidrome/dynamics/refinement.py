"""Expectation maximisation from the moments' solution, and the system that it ends with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from antidrome.dynamics.choosing import Options
from antidrome.dynamics.data import SessionData
from antidrome.dynamics.em import EMState, expectation_maximisation
from antidrome.dynamics.gauge import canonical
from antidrome.dynamics.lags import LagSet
from antidrome.dynamics.powers import powers
from antidrome.dynamics.resuming import Stages
from antidrome.dynamics.system import LinearSystem, dynamics_of, innovation_of, positive_part, stationary_of


def refine(
    system: LinearSystem,
    beyond: np.ndarray,
    lags: LagSet,
    data: Sequence[SessionData],
    options: Options,
    report: Callable[[str, str], Any],
    stages: Stages,
) -> tuple[LinearSystem, np.ndarray, tuple[float, ...]]:
    """EM from the moments' solution: the system in the fixed gauge, and its X_s = Aˢ X_0 with the smoothed X_0.

    `beyond` (neuron,) is the variance of the data that the system does not speak of: Poisson noise of counts.
    """

    def work(state: EMState, tell: Callable[[EMState], Any]) -> EMState:
        return expectation_maximisation(data, state, options.em_iterations, on_iteration=tell)

    def on_iteration(now: EMState) -> None:
        report("refining by EM", f"log-likelihood {now.log_likelihoods[-1]:.6g}")

    noise = np.maximum(system.noise_variance, 1e-3) + beyond
    start = EMState(system.dynamics, system.innovation, system.stationary, system.loadings, noise, system.stationary)
    state = stages.run("em", EMState, lambda: start, work, on_iteration)
    loadings, latent, change = canonical(state.loadings, state.second[None])
    inverse = np.linalg.inv(change)
    dynamics = change @ state.dynamics @ inverse
    innovation = change @ state.innovation @ change.T
    second = positive_part(latent[0])
    if np.abs(np.linalg.eigvals(dynamics)).max() < 1 - 1e-9:
        stationary = stationary_of(dynamics, innovation)
    else:
        lagged = powers(dynamics, (0, 1)) @ second
        dynamics, stationary = dynamics_of(lagged, (0, 1), second), second
        innovation = innovation_of(dynamics, stationary)
    noise = np.maximum(state.noise_variance - beyond, 1e-3) if beyond.any() else state.noise_variance
    refined = LinearSystem(dynamics, innovation, stationary, loadings, system.offset, noise)
    return refined, powers(dynamics, lags.lags) @ second, state.log_likelihoods
