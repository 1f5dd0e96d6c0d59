"""The dimension at the largest scale at which the density around each point is constant (Di Noia et al. 2024)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Int

from antidrome.dimension.graph import require_graph
from antidrome.dimension.ratios import MIN_RATIOS, ratios
from antidrome.dimension.two_nn import maximum_likelihood
from antidrome.dimension.uncertainty import neighbours_of
from antidrome.errors import InputError

LIKELIHOOD_RATIO = 23.928
"""Threshold of the test of equal density: p = 10⁻⁶ of χ² with one degree of freedom."""
BEST_SHARE = 0.2032
"""Expected share of neighbours within the inner radius that makes the binomial estimate most precise."""
MIN_RANKS = 8
MAX_ROUNDS, TOLERANCE = 50, 1e-4


class Adaptive(NamedTuple):
    """Dimension, standard error, mean neighbourhood size and radius, share of points that used all the ranks."""

    dimension: float
    standard_error: float
    n_neighbours: float
    distance: float
    share_at_limit: float
    converged: bool


def adaptive_dimension(graph: xr.Dataset) -> Adaptive:
    """Dimension and neighbourhoods made consistent with each other.

    For each point the number k* of neighbours is as large as a likelihood-ratio test allows the density at the point
    and at its k-th neighbour to be the same; the dimension follows from how many of them lie within a share tau of
    the radius, d = log(n/k)/log(tau) (binomial estimator); repeated until d stays.

    Parameters
    ----------
    graph
        As `nearest_neighbours` gives it, with indices; 64 ranks and more are sensible, 8 needed.

    Raises
    ------
    InputError
        Too few ranks or points, or a graph without indices or without some of its points.
    """
    distance, neighbour = _usable(graph)
    d = maximum_likelihood(ratios(graph).mu)
    converged, before = False, (0.0, 0.0)
    for _ in range(MAX_ROUNDS):
        k = _neighbourhoods(distance, neighbour, d)
        new, p, radius = _binomial(distance, k, d)
        converged = abs(new - d) < TOLERANCE * d or abs(new - before[0]) < TOLERANCE * d
        before, d = (d, before[0]), new
        if converged:
            break
    # the counts of overlapping neighbourhoods are not independent: each point counts once
    error = np.sqrt((1 - p) / (p * len(distance))) / abs(np.log(BEST_SHARE)) * d
    at_limit = float(np.mean(k >= distance.shape[1] - 1))
    return Adaptive(d, float(error), float(k.mean()), radius, at_limit, bool(converged))


def _usable(graph: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    distance, neighbour = require_graph(graph, 64)["distance"].values, neighbours_of(graph)
    if distance.shape[1] < MIN_RANKS:
        raise InputError(f"Scale selection needs {MIN_RANKS} neighbours or more; the graph has {distance.shape[1]}.")
    if neighbour is None:
        raise InputError(
            "Scale selection needs to know who the neighbours are: give (distances, indices), or a graph with all its"
            " points."
        )
    if (distance[:, 0] > 0).sum() < MIN_RATIOS:
        raise InputError("Nearly all points have exact copies; merge them (duplicates='merge').")
    return distance, neighbour


def _neighbourhoods(distance: np.ndarray, neighbour: np.ndarray, d: float) -> Int[np.ndarray, " points"]:
    """k* of each point: the last rank before the test of equal density fails for the first time."""
    n, ranks = distance.shape
    k_star = np.full(n, ranks - 1)
    open_ = distance[:, 0] > 0
    k_star[~open_] = 0
    with np.errstate(divide="ignore"):
        log_volume = d * np.log(distance)
    for k in range(4, ranks):
        rows = np.flatnonzero(open_)
        mine, theirs = log_volume[rows, k - 1], log_volume[neighbour[rows, k], k - 1]
        both = np.logaddexp(mine, theirs)
        with np.errstate(invalid="ignore"):
            statistic = -2 * k * (mine + theirs - 2 * both + np.log(4))
        failed = rows[~(statistic < LIKELIHOOD_RATIO)]
        k_star[failed] = k
        open_[failed] = False
    return k_star


def _binomial(distance: np.ndarray, k: np.ndarray, d: float) -> tuple[float, float, float]:
    """Dimension from the counts within an inner radius; the share found; the mean outer radius."""
    tau = BEST_SHARE ** (1 / d)
    rows = np.flatnonzero(k > 1)
    outer = distance[rows, k[rows] - 1]
    inside = np.arange(distance.shape[1]) < (k[rows] - 1)[:, None]
    n_inner = int(np.sum(inside & (distance[rows] < tau * outer[:, None])))
    p = n_inner / int(np.sum(k[rows] - 1))
    if not 0 < p < 1:
        raise InputError("The neighbour counts leave no room for an estimate: too few points, or all equally far.")
    return float(np.log(p) / np.log(tau)), p, float(outer.mean())
