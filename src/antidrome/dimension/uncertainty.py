"""Standard errors of the dimension: a bootstrap over the ratios, corrected for neighbours that share them.

The ratios of neighbouring points are not independent: two points that are each other's nearest have the same r₁. A
plain bootstrap is therefore too small, by a factor of about 1.25 for uniform points in any dimension. The factor is
estimated from the data: the variance of the mean of log mu with the covariances of neighbours, over that without.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from antidrome.core.seeds import generator
from antidrome.dimension.ratios import Ratios, ratios
from antidrome.dimension.two_nn import Method, estimate_from
from antidrome.errors import InputError

UNIFORM_INFLATION = 1.54
"""Variance inflation for uniform points, used where the graph does not say who the neighbours are."""


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
    n_bootstrap: int = 200,
    seed: int = 0,
) -> Uncertainty:
    """Standard error of TwoNN and its interval, by bootstrap over mu times √inflation; never over points."""
    if not 0 < level < 1:
        raise InputError(f"level is {level}; expected a probability such as 0.9.")
    from scipy.stats import norm

    x = np.sort(np.log(found.mu))
    value = estimate_from(x, method, discard_fraction)
    replicates = bootstrap(x, method, discard_fraction, n_bootstrap, seed)
    inflation = neighbour_inflation(graph, found)
    spread = float(np.std(np.log(replicates), ddof=1)) * np.sqrt(inflation)
    reach = float(norm.ppf((1 + level) / 2)) * spread
    return Uncertainty(value * spread, value * np.exp(-reach), value * np.exp(reach), inflation)


def bootstrap(
    sorted_log_mu: Float[np.ndarray, " n"], method: Method, discard_fraction: float, n_bootstrap: int, seed: int
) -> Float[np.ndarray, " replicates"]:
    """Estimates from resampled ratios; resamples of sorted values are drawn sorted."""
    if n_bootstrap < 20:
        raise InputError(f"n_bootstrap is {n_bootstrap}; at least 20 resamples are needed for a standard error.")
    rng, n = generator(seed, "dimension/bootstrap"), sorted_log_mu.size
    out = np.empty(n_bootstrap)
    for i in range(n_bootstrap):
        times = np.bincount(rng.integers(0, n, n), minlength=n)
        out[i] = estimate_from(np.repeat(sorted_log_mu, times), method, discard_fraction)
    return out


def neighbour_inflation(graph: xr.Dataset, found: Ratios, rank: int = 2) -> float:
    """How much larger the variance of the mean log ratio is than if points were independent, from 1 to 3.

    Covariances are summed over pairs of points of which one is among the first `rank` neighbours of the other.
    """
    import scipy.sparse

    neighbour = graph["neighbour"].values[:, :rank]
    place = {"point": graph["point"].values, "n": neighbour.shape[0]}
    if (neighbour < 0).any():
        return UNIFORM_INFLATION
    if place["point"][-1] != place["n"] - 1:  # merged copies: points have kept their own numbers
        neighbour = np.searchsorted(place["point"], neighbour)
    deviation = np.zeros(place["n"])
    log_mu = np.log(found.mu)
    deviation[found.used] = log_mu - log_mu.mean()
    rows = np.repeat(np.arange(place["n"]), neighbour.shape[1])
    ones = np.ones(rows.size)
    one_way = scipy.sparse.csr_matrix((ones, (rows, neighbour.ravel())), shape=(place["n"], place["n"]))
    either = one_way + one_way.T
    either.data[:] = 1.0
    variance = float(deviation @ deviation)
    extra = float(deviation @ (either @ deviation))
    return float(np.clip(1 + extra / variance, 1.0, 3.0)) if variance > 0 else 1.0


def paper_error_bar(
    graph: xr.Dataset, *, fraction: float = 0.9, n_repeats: int = 20, discard_fraction: float = 0.1, seed: int = 0
) -> tuple[float, float]:
    """Mean and standard deviation over random subsamples of the points, as Ansuini et al. (2019) plot them.

    This is not a standard error: subsamples of 90 % share nearly all points, and their spread is 1.5 to 2 times too
    small. The neighbours within a subsample are the first two of each point's list that are in it.

    Raises
    ------
    InputError
        If the graph has too few ranks for that (12 are enough for 90 %).
    """
    distance, neighbour = graph["distance"].values, graph["neighbour"].values
    n = len(distance)
    if (neighbour < 0).any():
        raise InputError("The paper's error bar needs to know who the neighbours are: give (distances, indices).")
    if (graph["point"].values != np.arange(n)).any():
        neighbour = np.searchsorted(graph["point"].values, neighbour)
    rng = generator(seed, "dimension/paper-error-bar")
    values = []
    for _ in range(n_repeats):
        inside = np.zeros(n, bool)
        inside[rng.permutation(n)[: int(fraction * n)]] = True
        here = inside[neighbour[inside]]
        if (here.sum(axis=1) < 2).any():
            raise InputError(
                f"{distance.shape[1]} ranks are too few to find two neighbours in a subsample of {fraction:.0%}:"
                " search with more neighbours (k=12 for 90 %)."
            )
        order = np.argsort(~here, axis=1, kind="stable")[:, :2]
        two = np.take_along_axis(distance[inside], order, 1)
        part = xr.Dataset({"distance": (("point", "rank"), two)})
        values.append(estimate_from(np.sort(np.log(ratios(part).mu)), "fit", discard_fraction))
    return float(np.mean(values)), float(np.std(values))
