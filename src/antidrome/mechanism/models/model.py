"""A model: a simulator and the prior over its parameters, under one name."""

from __future__ import annotations

import dataclasses
from typing import Any

from antidrome.mechanism.priors import Prior


@dataclasses.dataclass(frozen=True)
class Model:
    """A simulator with the prior over its parameters.

    Parameters
    ----------
    name
        As on the command line.
    simulator
        Anything that simulates (see `SNPE.fit`).
    prior
        Prior of its parameters.
    """

    name: str
    simulator: Any
    prior: Prior
