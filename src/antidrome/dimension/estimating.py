"""All estimators of one set of points, from one neighbour graph, as one labelled result."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import numpy as np
import xarray as xr

from antidrome import __version__
from antidrome.core.seeds import check_seed
from antidrome.core.whole import whole_number
from antidrome.dimension.adaptive import adaptive_dimension
from antidrome.dimension.graph import Duplicates, graph_of, is_graph
from antidrome.dimension.likelihoods import gride, levina_bickel
from antidrome.dimension.linear import companions
from antidrome.dimension.metrics import Metric
from antidrome.dimension.points import as_points
from antidrome.dimension.ratios import Ratios, ratios
from antidrome.dimension.scale import LOWER_BOUND_ABOVE, attributes, block_analysis, judge_gride
from antidrome.dimension.two_nn import METHODS, check_discard, estimate_from, goodness_of_fit, line_fit
from antidrome.dimension.uncertainty import neighbours_of, paper_error_bar, uncertainty
from antidrome.dimension.units import with_units
from antidrome.errors import InputError

NEIGHBOURS = 64
LEVINA_BICKEL_NEIGHBOURS = 10
PAPER_BAR_RANKS = 12
CITATIONS = ("facco2017", "ansuini2019", "denti2022", "levina2004", "mackay2005", "dinoia2024")
RANK_NAMES = {
    "rank": "scale_rank",
    "dimension": "gride",
    "standard_error": "gride_standard_error",
    "distance": "gride_distance",
}
BLOCK_NAMES = {
    "n_blocks": "n_blocks",
    "dimension": "block_dimension",
    "standard_error": "block_standard_error",
    "sd_over_blocks": "block_sd",
    "n_points": "block_points",
}
Row = tuple[float, float, float, float]


def estimate(
    points: Any,
    *,
    metric: Metric = "euclidean",
    duplicates: Duplicates = "drop",
    discard_fraction: float = 0.1,
    n_neighbours: int = NEIGHBOURS,
    blocks: Any = "octaves",
    linear: bool = True,
    level: float = 0.9,
    seed: int = 0,
    executor: Executor | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Estimate the intrinsic dimension in every way that this package knows, from one neighbour graph.

    Parameters
    ----------
    points
        As for `nearest_neighbours`: points, `(distances, indices)`, or a neighbour graph. From neighbours alone there
        are no block analysis and no linear companions.
    metric, duplicates, executor
        As for `nearest_neighbours`.
    discard_fraction
        Share of the largest ratios that the fit and the censored likelihood leave out.
    n_neighbours
        Neighbours per point to search for, at least 2 (fewer, where there are fewer points).
    blocks
        As for `block_analysis`; None leaves it out.
    linear
        Also components for 90 % of the variance, of columns as they are and standardised, and the participation ratio.
    level
        Of the intervals.
    seed
        Of the bootstrap, the blocks and the subsamples.
    progress
        Show progress bars.

    Returns
    -------
    xr.Dataset
        Along `estimator`: `dimension`, `standard_error`, `low`, `high`. Along `scale_rank`: `gride`,
        `gride_standard_error`, `gride_distance`. Along `n_blocks`: `block_dimension`, `block_standard_error`,
        `block_sd`, `block_points`. Scalars: `fit_r`, `ks_distance`, `paper_mean`, `paper_sd` (the bar of Ansuini et
        al. 2019, too small), `pca_dimension`, `pca_dimension_standardised`, `participation_ratio`, `n_points`,
        `n_used`, `n_zero`, `n_ties`, `n_near_duplicates`. Attributes: `verdict`, `reason`, `lower_bound`, `notes`,
        `citations`.

    Raises
    ------
    InputError
        If the points cannot be used, or are too few.
    """
    check_discard(discard_fraction)
    check_seed(seed)
    whole_number("n_neighbours", n_neighbours, 2)
    given = is_graph(points) or isinstance(points, tuple)
    k = 2 if given else max(2, min(n_neighbours, as_points(points).n_points - 1))
    graph = graph_of(points, k, metric=metric, duplicates=duplicates, executor=executor, progress=progress)
    found, curve = ratios(graph), gride(graph)
    rows, notes = _estimators(graph, found, discard_fraction, level, seed)
    data = _along_estimators(rows) | _along_ranks(curve) | _of_ratios(graph, found, discard_fraction, rows["mle"][0])
    data |= _paper_bar(graph, discard_fraction, seed, notes)
    judged = attributes(judge_gride(curve, graph.sizes["point"]))
    measurable = not given and metric != "precomputed"
    if measurable and blocks is not None:
        scale = block_analysis(
            points,
            blocks,
            metric=metric,
            discard_fraction=discard_fraction,
            duplicates=duplicates,
            seed=seed,
            whole=graph,
            progress=progress,
        )
        data |= {ours: ("n_blocks", scale[theirs].values) for theirs, ours in BLOCK_NAMES.items()}
        judged = {key: scale.attrs[key] for key in judged}
        notes += scale.attrs["notes"]
    if measurable and linear and metric == "euclidean":
        data |= companions(points, notes)
    judged["lower_bound"] = int(bool(judged["lower_bound"]) or rows["two_nn"][0] > LOWER_BOUND_ABOVE)
    attrs = {**judged, "notes": [*found.notes, *notes], **_provenance(graph, metric, seed)}
    return with_units(xr.Dataset(data, attrs=attrs), gride_distance=curve["distance"].attrs["units"])


def _estimators(
    graph: xr.Dataset, found: Ratios, discard_fraction: float, level: float, seed: int
) -> tuple[dict[str, Row], list[str]]:
    """Every estimator's value, standard error and interval; and what could not be estimated, in words."""
    from scipy.stats import norm

    rows, notes = {}, []
    x = np.sort(np.log(found.mu))
    for method in METHODS:
        name = "two_nn" if method == "fit" else method
        error = uncertainty(graph, found, method, discard_fraction, level=level, seed=seed)
        rows[name] = (estimate_from(x, method, discard_fraction), error.standard_error, error.low, error.high)
    reach = float(norm.ppf((1 + level) / 2))

    def more(name: str, measure: Callable[[], tuple[float, float]]) -> None:
        try:
            value, error = measure()
        except InputError as problem:
            notes.append(f"No estimate by {name}: {problem}")
            return
        relative = reach * error / value
        rows[name] = (value, error, value * np.exp(-relative), value * np.exp(relative))

    k = min(LEVINA_BICKEL_NEIGHBOURS, graph.sizes["rank"])
    more("levina_bickel", lambda: levina_bickel(graph, k))
    more("abide", lambda: adaptive_dimension(graph)[:2])
    return rows, notes


def _along_estimators(rows: dict[str, Row]) -> dict[str, Any]:
    columns = dict(zip(("dimension", "standard_error", "low", "high"), np.array(list(rows.values())).T, strict=True))
    return {"estimator": list(rows)} | {name: ("estimator", column) for name, column in columns.items()}


def _along_ranks(curve: xr.Dataset) -> dict[str, Any]:
    return {ours: ("scale_rank", curve[theirs].values) for theirs, ours in RANK_NAMES.items()}


def _of_ratios(graph: xr.Dataset, found: Ratios, discard_fraction: float, mle: float) -> dict[str, float]:
    return {
        "fit_r": line_fit(found.mu, discard_fraction).pearson_r,
        "ks_distance": goodness_of_fit(found.mu, mle),
        "n_points": graph.sizes["point"],
        "n_used": found.mu.size,
        "n_zero": found.n_zero,
        "n_ties": found.n_tied,
        "n_near_duplicates": found.n_near_duplicates,
    }


def _paper_bar(graph: xr.Dataset, discard_fraction: float, seed: int, notes: list[str]) -> dict[str, float]:
    """The paper's mean and bar over 90 % subsamples, where the graph has ranks and points enough for it."""
    if graph.sizes["rank"] < PAPER_BAR_RANKS or neighbours_of(graph) is None:
        return {}
    try:
        mean, sd = paper_error_bar(graph, discard_fraction=discard_fraction, seed=seed)
    except InputError as problem:
        notes.append(f"No error bar as of the paper: {problem}")
        return {}
    return {"paper_mean": mean, "paper_sd": sd}


def _provenance(graph: xr.Dataset, metric: str, seed: int) -> dict[str, Any]:
    return {
        "metric": graph.attrs.get("metric", metric),
        "engine": graph.attrs.get("engine", "given"),
        "n_dimensions": graph.attrs.get("n_dimensions", -1),
        "seed": seed,
        "citations": list(CITATIONS),
        "antidrome_version": __version__,
    }
