"""What the rounds of a fit hold: simulations with their proposal densities, trained networks, and a row of figures."""

from __future__ import annotations

import dataclasses

import numpy as np

from antidrome.mechanism.densities.network import DensityNetwork
from antidrome.mechanism.densities.trained import TrainedDensity
from antidrome.mechanism.failures import FailureClassifier
from antidrome.mechanism.features import FeatureScaling
from antidrome.mechanism.observations import visible
from antidrome.recordings.arguments import counted

ALIKE = 0.999
"""Effective sample size, relative to the simulations, from which on their weights are alike."""


@dataclasses.dataclass(frozen=True)
class RoundReport:
    """The figures of one round.

    Parameters
    ----------
    round
        From 1.
    simulations, failed
        Simulations of this round, and how many of them failed.
    missing
        Share of missing features among the simulations that entered the loss.
    trained_on
        Simulations that entered the loss, of this and earlier rounds.
    effective
        Effective sample size of the importance weights.
    largest_weight
        Share of the largest importance weight in their sum.
    effective_with_kernel
        Effective sample size of weights times kernel.
    bandwidth
        Of the kernel; None without one.
    epochs, loss
        Of the training, averaged over the ensemble.
    simulating_s, training_s
        Seconds.
    components
        Mixture components in use after the round; None for flows.
    """

    round: int
    simulations: int
    failed: int
    missing: float
    trained_on: int
    effective: float
    largest_weight: float
    effective_with_kernel: float
    bandwidth: float | None
    epochs: float
    loss: float
    simulating_s: float
    training_s: float
    components: int | None = None

    @property
    def weighted(self) -> bool:
        """Whether simulations counted differently by their importance weights."""
        return self.effective < ALIKE * self.trained_on

    def __str__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return (
            f"round {self.round}: {counted(self.simulations, 'simulation')}{failed}; ESS {self.effective:.0f} of"
            f" {self.trained_on}, largest weight {100 * self.largest_weight:.1f} %; {self.epochs:.0f} epochs, loss"
            f" {self.loss:.3f}"
        )


@dataclasses.dataclass
class FitSimulations:
    """All simulations of a fit, one row each, with the densities that they were drawn from.

    Parameters
    ----------
    u
        Parameters in unconstrained coordinates, (n, D).
    features
        (n, k), NaN where missing.
    valid
        (n,) bool.
    round
        (n,), from 0.
    log_ratios
        log p̃_r − log p of each simulation under each round's proposal, (n, rounds).
    """

    u: np.ndarray
    features: np.ndarray
    valid: np.ndarray
    round: np.ndarray
    log_ratios: np.ndarray

    @classmethod
    def empty(cls, n_parameters: int) -> FitSimulations:
        """None yet."""
        return cls(
            np.zeros((0, n_parameters)),
            np.zeros((0, 0)),
            np.zeros(0, bool),
            np.zeros(0, np.int64),
            np.zeros((0, 0)),
        )

    @property
    def counts(self) -> np.ndarray:
        """Simulations drawn in each round, (rounds,)."""
        return np.bincount(self.round, minlength=self.log_ratios.shape[1])

    def extended(
        self, u: np.ndarray, features: np.ndarray, valid: np.ndarray, old_ratios: np.ndarray, new_ratios: np.ndarray
    ) -> FitSimulations:
        """With a further round.

        Parameters
        ----------
        old_ratios
            log ratio of the simulations so far under the new proposal, (n,).
        new_ratios
            Those of the new simulations under all proposals, (m, rounds + 1).
        """
        before = np.column_stack([self.log_ratios, old_ratios]) if len(self.u) else new_ratios[:0]
        return FitSimulations(
            np.concatenate([self.u, u]),
            np.concatenate([self.features.reshape(len(self.u), features.shape[1]), features]),
            np.concatenate([self.valid, valid]),
            np.concatenate([self.round, np.full(len(u), new_ratios.shape[1] - 1)]),
            np.concatenate([before, new_ratios]),
        )


@dataclasses.dataclass
class Progress:
    """Where a fit stands: enough to go on from.

    Parameters
    ----------
    simulations
        So far.
    networks
        The ensemble after each trained round.
    classifiers
        Of failure, after each simulated round; None where none was needed.
    scaling
        Of features; decided after the first round's simulations.
    scalings
        Of each trained round: that of the first, or, where networks started afresh, over the simulations in use.
    unrecorded
        Features (k,) that were not measured and are hidden from the networks; decided likewise.
    error
        Standard deviation of the model error of each feature, (k,); decided likewise, None without one.
    reports
        Of the trained rounds.
    curves
        Training and validation loss of each round's first network.
    """

    simulations: FitSimulations
    networks: list[tuple[DensityNetwork, ...]] = dataclasses.field(default_factory=list)
    classifiers: list[FailureClassifier | None] = dataclasses.field(default_factory=list)
    scaling: FeatureScaling | None = None
    scalings: list[FeatureScaling] = dataclasses.field(default_factory=list)
    unrecorded: np.ndarray | None = None
    error: np.ndarray | None = None
    reports: list[RoundReport] = dataclasses.field(default_factory=list)
    curves: list[tuple[np.ndarray, np.ndarray]] = dataclasses.field(default_factory=list)

    def visible(self, features: np.ndarray) -> np.ndarray:
        """Features (n, k) or (k,) without those that were not measured."""
        return visible(features, self.unrecorded)

    def trained(self, r: int) -> TrainedDensity:
        """What round `r` learned."""
        return TrainedDensity(self.networks[r], self.scalings[r])

    @property
    def rounds_simulated(self) -> int:
        """Rounds whose simulations are there."""
        return self.simulations.log_ratios.shape[1]
