"""A model: a simulator and the prior over its parameters, under one name."""

from __future__ import annotations

import dataclasses

from antidrome.mechanism.priors import Prior
from antidrome.mechanism.simulate.batch import Simulator


@dataclasses.dataclass(frozen=True)
class Model:
    """A simulator with the prior over its parameters.

    Parameters
    ----------
    name
        Short name, as on the command line.
    simulator
        Anything that `Simulator` describes.
    prior
        Prior of its parameters.
    """

    name: str
    simulator: Simulator
    prior: Prior
