"""Estimators from more than two neighbours: Gride over ranks, Levina–Bickel, and the dimension around each point."""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float

from antidrome.core.whole import whole_number, whole_numbers
from antidrome.dimension.graph import require_ranks
from antidrome.dimension.ratios import MIN_RATIOS, ratios
from antidrome.dimension.uncertainty import neighbour_inflation, uniform_inflation
from antidrome.dimension.units import GIVEN, with_units
from antidrome.errors import InputError
from antidrome.recordings.arguments import counted


def gride(graph: xr.Dataset, ranks: tuple[int, ...] | None = None) -> xr.Dataset:
    """Dimension from r_{2n}/r_n for n = 1, 2, 4, …: how it changes with distance (Denti et al. 2022, eq. 6).

    Parameters
    ----------
    graph
        As `nearest_neighbours` gives it.
    ranks
        The inner ranks n; by default all powers of two whose double the graph has.

    Returns
    -------
    xr.Dataset
        Along `rank`: `dimension`, `standard_error` (Fisher information, inflated for shared neighbours), `distance`
        (mean r_{2n}), `n_used`.
    """
    available = require_ranks(graph, 2).sizes["rank"]
    powers = [2**i for i in range(available.bit_length()) if 2 ** (i + 1) <= available]
    inner = powers if ranks is None else whole_numbers(ranks)
    if inner is None or min(inner) < 1:
        raise InputError(f"ranks is {ranks!r}; expected several positive whole numbers, such as (1, 2, 4).")
    if max(inner) * 2 > available:
        raise InputError(f"Gride at ranks {inner} needs {2 * max(inner)} neighbours; there are {available}.")
    rows = [_gride_at(graph, rank) for rank in inner]
    names = ("dimension", "standard_error", "distance", "n_used")
    curve = xr.Dataset(
        {name: ("rank", np.array([row[i] for row in rows])) for i, name in enumerate(names)},
        coords={"rank": np.array(inner)},
        attrs={"citations": ["denti2022"]},
    )
    return with_units(curve, distance=graph["distance"].attrs.get("units", GIVEN))


def _gride_at(graph: xr.Dataset, rank: int) -> tuple[float, float, float, int]:
    found = ratios(graph, rank, 2 * rank)
    log_mu = np.log(found.mu)
    d = gride_likelihood(log_mu, rank, 2 * rank)
    scaled = np.minimum(d * log_mu, 700.0)
    curvature = log_mu.size / d**2
    if rank > 1:
        curvature += (rank - 1) * float(np.sum((log_mu / (2 * np.sinh(scaled / 2))) ** 2))
    inflation = neighbour_inflation(graph, found, 2 * rank)
    mean_distance = float(graph["distance"].values[found.used, 2 * rank - 1].mean())
    return d, float(np.sqrt(inflation / curvature)), mean_distance, log_mu.size


def gride_likelihood(log_mu: Float[np.ndarray, " n"], near: int, far: int) -> float:
    """The d that makes the ratios r_far/r_near most likely: the root of a falling score."""
    from scipy.optimize import brentq

    n, between = log_mu.size, far - near - 1
    total = float(log_mu.sum())

    def score(d: float) -> float:
        pull = between * float(np.sum(log_mu / -np.expm1(-d * log_mu))) if between else 0.0
        return n / d + pull - (far - 1) * total

    low = high = n / total
    while score(low) < 0:
        low /= 2
    while score(high) > 0:
        high *= 2
    return float(brentq(score, low, high, rtol=1e-12, xtol=1e-300)) if low < high else low


def levina_bickel(graph: xr.Dataset, n_neighbours: int = 10) -> tuple[float, float]:
    """Maximum likelihood from the k = n_neighbours nearest, with MacKay and Ghahramani's harmonic mean; its error.

    d = (N (k − 1) − 1) / Σᵢ Σⱼ log(r_k/r_j), Levina & Bickel (2004), eq. 8 averaged as it should be: the inverse.
    Points with an exact copy are left out.
    """
    logs = _log_ratios(graph, n_neighbours)
    if len(logs) < MIN_RATIOS:
        raise InputError(f"Only {counted(len(logs), 'point', 'has')} no exact copy; at least {MIN_RATIOS} are needed.")
    total = float(logs.sum())
    if total <= 0:
        raise InputError(
            f"All {n_neighbours} neighbours of each point are equally far: there is no dimension to estimate."
        )
    d = (logs.size - 1) / total
    return d, d * float(np.sqrt(uniform_inflation(d) / len(logs)))


def local_dimension(graph: xr.Dataset, n_neighbours: int = 20) -> xr.Dataset:
    """Dimension around each point by Levina and Bickel's estimator from its k = n_neighbours nearest.

    d = (k − 2)/Σ log(r_k/r_j).

    Returns
    -------
    xr.Dataset
        `dimension` and `standard_error` (point), the latter d/√(k − 2). A point with an exact copy, or with all
        neighbours equally far, has none: it is NaN, and counted in the attribute `notes`.
    """
    k = whole_number("n_neighbours", n_neighbours, 3)
    distance = require_ranks(graph, k)["distance"].values[:, :k]
    usable = (distance[:, 0] > 0) & (distance[:, -1] > distance[:, 0])
    out = np.full(len(distance), np.nan)
    inner = distance[usable]
    out[usable] = (k - 2) / np.sum(np.log(inner[:, -1:] / inner[:, :-1]), axis=1)
    n_bad = int((~usable).sum())
    notes = [f"{counted(n_bad, 'point', 'has')} an exact copy or only equally far neighbours: no dimension (NaN)."]
    found = xr.Dataset(
        {"dimension": ("point", out), "standard_error": ("point", out / np.sqrt(k - 2))},
        coords={"point": graph["point"].values},
        attrs={"n_neighbours": k, "notes": notes if n_bad else [], "citations": ["levina2004"]},
    )
    return with_units(found)


def _log_ratios(graph: xr.Dataset, n_neighbours: int) -> np.ndarray:
    k = whole_number("n_neighbours", n_neighbours, 2)
    distance = require_ranks(graph, k)["distance"].values[:, :k]
    distance = distance[distance[:, 0] > 0]
    return np.log(distance[:, -1:] / distance[:, :-1])
