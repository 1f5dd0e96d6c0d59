"""Standard errors of the dimension, from the influence of each ratio, corrected for neighbours that share them.

The ratios of neighbouring points are not independent: two points that are each other's nearest have the same r₁. The
variance is therefore larger than over independent ratios, by a factor of about 1.5 for uniform points.
The factor is estimated from the covariances of neighbours' influences; as that estimate is itself uncertain, by a fifth
at 500 points, it is drawn towards the value for uniform points the more the fewer points there are.
"""

from __future__ import annotations

import numbers
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from antidrome.core.seeds import generator
from antidrome.core.whole import whole_number
from antidrome.dimension.graph import require_graph
from antidrome.dimension.influence import influence
from antidrome.dimension.ratios import Ratios, usable_ratios
from antidrome.dimension.two_nn import Method, estimate_from
from antidrome.errors import InputError

PRIOR_POINTS = 900
"""Points at which the data and that value count the same: both are then uncertain by 15 %."""
MIN_BOOTSTRAP = 20
SUBSAMPLE = 0.9


def uniform_inflation(dimension: float) -> float:
    """Variance inflation for uniform points without a border, as simulated (1,850 sets of 500 points for each d).

    1.70 for d = 1, 1.54 for 2, 1.50 for 5, 1.45 for 10 (each ± 0.04); few points are drawn towards it.
    """
    return 1.45 + 0.25 / max(dimension, 1.0)


class Uncertainty(NamedTuple):
    """Standard error, interval, and the variance inflation by neighbours that went into them."""

    standard_error: float
    low: float
    high: float
    inflation: float


def uncertainty(
    graph: xr.Dataset,
    found: Ratios,
    method: Method,
    discard_fraction: float,
    *,
    level: float = 0.9,
    n_bootstrap: int = 0,
    seed: int = 0,
) -> Uncertainty:
    """Standard error of TwoNN and its interval; with `n_bootstrap`, by resampled ratios (never points)."""
    if not (isinstance(level, numbers.Real) and 0 < level < 1):
        raise InputError(f"level is {level!r}; expected a probability such as 0.9.")
    from scipy.stats import norm

    log_mu = np.log(found.mu)
    order = np.argsort(log_mu)
    value = estimate_from(log_mu[order], method, discard_fraction)
    effect = influence(log_mu, method, discard_fraction, order)
    inflation = shared_inflation(effect, found.used, neighbours_of(graph), value)
    if n_bootstrap:
        replicates = bootstrap(log_mu[order], method, discard_fraction, n_bootstrap, seed)
        alone = float(np.std(np.log(replicates), ddof=1))
    else:
        alone = independent_error(effect)
    spread = alone * np.sqrt(inflation)
    reach = float(norm.ppf((1 + level) / 2)) * spread
    return Uncertainty(value * spread, value * np.exp(-reach), value * np.exp(reach), inflation)


def independent_error(effect: Float[np.ndarray, " n"]) -> float:
    """Standard error of log d as if the ratios were independent."""
    return float(np.sqrt(np.sum(effect**2) / (effect.size * (effect.size - 1))))


def shared_inflation(
    effect: Float[np.ndarray, " used"],
    used: Bool[np.ndarray, " points"],
    neighbour: Int[np.ndarray, "points k"] | None,
    dimension: float,
) -> float:
    """Variance inflation by shared ratios for an estimate from two neighbours, drawn towards that of uniform points."""
    expected = uniform_inflation(dimension)
    if neighbour is None:
        return expected
    weight = effect.size / (effect.size + PRIOR_POINTS)
    return expected + weight * (_inflation(effect, used, neighbour[:, :2]) - expected)


def bootstrap(
    sorted_log_mu: Float[np.ndarray, " n"], method: Method, discard_fraction: float, n_bootstrap: int, seed: int
) -> Float[np.ndarray, " replicates"]:
    """Estimates from resampled ratios; resamples of sorted values are drawn sorted."""
    if whole_number("n_bootstrap", n_bootstrap) < MIN_BOOTSTRAP:
        raise InputError(
            f"n_bootstrap is {n_bootstrap}; at least {MIN_BOOTSTRAP} resamples are needed for a standard error, or 0"
            " for the closed form."
        )
    rng, n = generator(seed, "dimension/bootstrap"), sorted_log_mu.size
    out = np.empty(n_bootstrap)
    for i in range(n_bootstrap):
        times = np.bincount(rng.integers(0, n, n), minlength=n)
        out[i] = estimate_from(np.repeat(sorted_log_mu, times), method, discard_fraction)
    return out


def neighbours_of(graph: xr.Dataset) -> Int[np.ndarray, "points k"] | None:
    """Whose the neighbours are, as rows of the graph; None where it does not say, or has not kept them all."""
    neighbour, point = graph["neighbour"].values, graph["point"].values
    if (neighbour[:, 0] < 0).any():
        return None
    if np.array_equal(point, np.arange(len(point))) and neighbour.max(initial=0) < len(point):
        return neighbour
    order = np.argsort(point)  # points keep their own numbers where copies were merged, or rows selected or sorted
    row = order[np.searchsorted(point, neighbour, sorter=order).clip(max=len(point) - 1)]
    return row if np.array_equal(point[row], neighbour) else None


def neighbour_inflation(graph: xr.Dataset, found: Ratios, rank: int = 2) -> float:
    """How much larger the variance of the mean log ratio is than if points were independent, from 1 to 3."""
    neighbour, log_mu = neighbours_of(graph), np.log(found.mu)
    if neighbour is None:
        return uniform_inflation(1 / float(log_mu.mean()))
    return _inflation(log_mu - log_mu.mean(), found.used, neighbour[:, :rank])


def _inflation(effect: np.ndarray, used: np.ndarray, neighbour: np.ndarray) -> float:
    """One plus the covariances of pairs, of which one is among the neighbours of the other, over the variances."""
    variance = float(np.sum(effect**2))
    if variance == 0:
        return 1.0
    of_point = np.zeros(used.size)
    of_point[used] = effect
    rows, extra = np.arange(used.size), 0.0
    for other in neighbour.T:
        pair = of_point * of_point[other]
        mutual = np.zeros(used.size, bool)
        for back in neighbour.T:
            mutual |= back[other] == rows
        extra += 2 * float(np.sum(pair)) - float(np.sum(pair[mutual]))  # a mutual pair is met from both sides
    return float(np.clip(1 + extra / variance, 1.0, 3.0))


def paper_error_bar(
    graph: xr.Dataset, *, n_repeats: int = 20, discard_fraction: float = 0.1, seed: int = 0
) -> tuple[float, float]:
    """Mean and standard deviation over random subsamples of 90 % of the points, as Ansuini et al. (2019) plot them.

    This is not a standard error: the subsamples share nearly all points, and their spread is 1.5 to 2 times too
    small. The neighbours within a subsample are the first two of each point's list that are in it.

    Parameters
    ----------
    graph
        As `nearest_neighbours` gives it, with indices.
    n_repeats
        Subsamples.
    discard_fraction
        As for `TwoNN`.
    seed
        Of the subsamples.

    Raises
    ------
    InputError
        If the graph has too few ranks for that (12 are enough).
    """
    distance, neighbour = require_graph(graph, 12)["distance"].values, neighbours_of(graph)
    n = len(distance)
    if neighbour is None:
        raise InputError(
            "The paper's error bar needs to know who the neighbours are: give (distances, indices), or a graph with all"
            " its points."
        )
    rng = generator(seed, "dimension/paper-error-bar")
    values = []
    for _ in range(n_repeats):
        inside = np.zeros(n, bool)
        inside[rng.permutation(n)[: int(SUBSAMPLE * n)]] = True
        here = inside[neighbour[inside]]
        if (here.sum(axis=1) < 2).any():
            raise InputError(
                f"{distance.shape[1]} ranks are too few to find two neighbours in a subsample of {SUBSAMPLE:.0%}:"
                " search with more neighbours (n_neighbours=12)."
            )
        order = np.argsort(~here, axis=1, kind="stable")[:, :2]
        two = np.take_along_axis(distance[inside], order, 1)
        mu, _ = usable_ratios(two[:, 0], two[:, 1])
        values.append(estimate_from(np.sort(np.log(mu)), "fit", discard_fraction))
    return float(np.mean(values)), float(np.std(values))
