"""Histograms of one number per neuron, for the page's three small figures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Histogram:
    """Counts between edges; `left_out` counts the neurons that have no finite value."""

    edges: list[float]
    counts: list[int]
    median: float | None
    left_out: int


def histogram(values: NDArray[np.float64], max_bins: int = 32) -> Histogram:
    """Histogram of the finite values with about the square root of their number as bins.

    Parameters
    ----------
    values
        One value a neuron, shape ``(n_neurons,)``.
    max_bins
        At most so many bins.
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return Histogram([0.0, 1.0], [0], None, int(values.size))
    n_bins = int(np.clip(2 * np.sqrt(finite.size), 6, max_bins))
    low, high = float(finite.min()), float(finite.max())
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-12):
        half = max(abs(low) * 0.5, 1e-6)
        low, high = low - half, high + half
    counts, edges = np.histogram(finite, bins=n_bins, range=(low, high))
    return Histogram(edges.tolist(), counts.tolist(), float(np.median(finite)), int(values.size - finite.size))
