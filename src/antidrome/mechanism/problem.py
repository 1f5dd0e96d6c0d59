"""What a fit is about: simulator, prior, observation, budget."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from antidrome.mechanism.densities.embedding import TraceFeatures
from antidrome.mechanism.observations import MissingPolicy
from antidrome.mechanism.priors import Prior
from antidrome.mechanism.proposals import Proposal
from antidrome.mechanism.training_data import padded_capacity


@dataclasses.dataclass(frozen=True)
class Problem:
    """What a fit is about.

    Parameters
    ----------
    run
        (parameters (n, d), round, log density (n,) of what they were drawn from, whether that covers the prior) →
        (features (n, k), valid (n,)).
    prior
        Of the parameters.
    observation
        Features (k,), NaN where missing.
    n_simulations
        Simulations of each round, (rounds,).
    trace
        Learned features of traces.
    missing
        What a gap in the observation means (`unrecorded_features`).
    first
        Proposal of the first round; the prior when not given.
    model_error
        Of the features, as a share of their spread over simulations from the prior (`error_spread`).
    """

    run: Callable[[np.ndarray, int, np.ndarray, bool], tuple[np.ndarray, np.ndarray]]
    prior: Prior
    observation: np.ndarray
    n_simulations: tuple[int, ...]
    trace: TraceFeatures | None = None
    missing: MissingPolicy = "auto"
    first: Proposal | None = None
    model_error: float = 0.0

    @property
    def capacity(self) -> int:
        """Rows of padded arrays, for all rounds."""
        return padded_capacity(sum(self.n_simulations))
