"""What a neighbour search gives."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Found(NamedTuple):
    """Neighbours in rising order, how they were found, and how many rows needed float64 products."""

    distance: Float[np.ndarray, "points k"]
    neighbour: Int[np.ndarray, "points k"]
    engine: str
    n_float64: int
