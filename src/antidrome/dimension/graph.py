"""The neighbour graph that every estimator starts from: searched for here, or taken as given."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from antidrome.core.progress import progress as show_progress
from antidrome.core.whole import whole_number
from antidrome.dimension.approximate import measured_recall
from antidrome.dimension.copies import copies, with_copies
from antidrome.dimension.engines import Engine, search
from antidrome.dimension.found import Found
from antidrome.dimension.metrics import Metric, distance_from_euclidean, embed, nearest_in_matrix
from antidrome.dimension.points import Points, as_points
from antidrome.dimension.preparation import survey
from antidrome.dimension.units import distance_units, with_units
from antidrome.errors import InputError
from antidrome.recordings.arguments import counted, one_of

Duplicates = Literal["drop", "merge", "raise"]


class GivenNeighbours(NamedTuple):
    """Neighbours that somebody else has found: distances (points, ranks) and, if known, whose they are."""

    distances: Any
    indices: Any = None


def nearest_neighbours(
    points: Any,
    n_neighbours: int = 2,
    *,
    metric: Metric = "euclidean",
    duplicates: Duplicates = "drop",
    engine: Engine = "auto",
    executor: Executor | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Find the exact nearest neighbours of every point, each row certified.

    Candidates come from blocked float32 matrix products (each pair once) or a k-d tree; distances from float64
    differences of the points as given; a row whose candidates rounding could have spoilt is searched again in float64.
    Memory, besides the points: a float32 copy if that is below 640 MiB (else they are read in column chunks), up to
    400 MB of blocks, and 24 (n_neighbours + 2) bytes a point.

    Parameters
    ----------
    points
        (points, …): numpy array, memmap, Zarr, HDF5 or dask array, DataArray; trailing axes are flattened. With
        `metric="precomputed"` a matrix (points, points). A tuple `(distances, indices)` or a graph is checked and
        passed on.
    n_neighbours
        Neighbours per point; the point itself is none of them.
    metric
        "euclidean"; "cosine": the angle between points, in radians (not 1 − cos, whose dimension is half as large);
        "hamming": how many coordinates differ; "precomputed".
    duplicates
        "drop" and "raise" keep equal points as each other's neighbours at distance 0 (what to do with them is the
        estimator's part; "raise" refuses them here already); "merge" keeps one of each.
    engine
        "auto", "products" or "tree"; they give the same. "approximate": HNSW by faiss, if that is installed, for many
        points; the distances are exact, some neighbours are missed, and how many is measured (attribute
        `approximate_recall`).
    executor
        Where to run blocks of rows; None: threads of this process.
    progress
        Show a progress bar.

    Returns
    -------
    xr.Dataset
        `distance` and `neighbour` (point, rank); `copies` (point): how often the point occurs. Attributes say how
        it was found. Where several points are equally far at the last rank, which of them is named is arbitrary.

    Raises
    ------
    InputError
        Too few points, a number that is not finite, no two distinct points, or equal points with "raise".
    """
    k = whole_number("n_neighbours", n_neighbours, 1)
    one_of("duplicates", duplicates, get_args(Duplicates))
    one_of("metric", metric, get_args(Metric))
    one_of("engine", engine, get_args(Engine))
    if is_graph(points):
        return require_ranks(points, k)
    if isinstance(points, tuple):
        return given_graph(points, k, duplicates)
    if metric == "precomputed":
        return _precomputed(points, k, duplicates)
    original = as_points(points)
    require_enough(original.n_points, k)
    with show_progress("Finding neighbours", total=original.n_points, unit="points", enabled=progress) as bar:
        return _searched(original, k, metric, duplicates, engine, executor, lambda x: bar.advance(x * bar.total))


def graph_of(points: Any, n_neighbours: int, **settings: Any) -> xr.Dataset:
    """`nearest_neighbours`; of the nearest two alone, where copies leave too few distinct points for more."""
    try:
        return nearest_neighbours(points, n_neighbours, **settings)
    except InputError:
        if n_neighbours == 2:
            raise
        return nearest_neighbours(points, 2, **settings)


def is_graph(points: Any) -> bool:
    """Whether this is a neighbour graph already."""
    return isinstance(points, xr.Dataset) and "distance" in points and points["distance"].dims == ("point", "rank")


def require_enough(n_points: int, k: int) -> None:
    """At least k others for each point, or InputError."""
    if n_points < k + 1:
        raise InputError(
            f"{counted(n_points, 'point', 'is')} too few: {k} neighbours of each need {k + 1} distinct points or more."
        )


def require_graph(graph: Any, k: int) -> xr.Dataset:
    """The graph if it is one, or InputError, which advises k ranks."""
    if not is_graph(graph):
        raise InputError(
            f"An object of type {type(graph).__name__} is no neighbour graph; make one of points by"
            f" nearest_neighbours(points, {k})."
        )
    return graph


def require_ranks(graph: xr.Dataset, k: int) -> xr.Dataset:
    """The graph if it is one of k ranks, or InputError."""
    require_graph(graph, k)
    if graph.sizes["rank"] < k:
        raise InputError(
            f"The neighbour graph has {graph.sizes['rank']} ranks; {k} are needed: search with n_neighbours={k}."
        )
    return graph


def given_graph(given: tuple, k: int, duplicates: Duplicates = "drop") -> xr.Dataset:
    """Take `(distances, indices)` as a graph; a first column that is the point itself is left out.

    Raises
    ------
    InputError
        Wrong shapes, numbers that are no distances, rows that do not rise, or too few ranks.
    """
    if len(given) not in (1, 2):
        raise InputError(
            f"A tuple of {len(given)} was given; expected (distances, indices) of neighbours found elsewhere, or the"
            " points as one array."
        )
    given = GivenNeighbours(*given)
    distance = np.asarray(given.distances, np.float64)
    if distance.ndim != 2:
        raise InputError(f"The distances have the shape {distance.shape}; expected (points, ranks).")
    bad = np.argwhere(~(np.isfinite(distance) & (distance >= 0)))
    if bad.size:
        raise InputError(f"The distance {distance[tuple(bad[0])]} of point {bad[0][0]} is no distance (finite, ≥ 0).")
    if (np.diff(distance, axis=1) < 0).any():
        row = int(np.argwhere(np.diff(distance, axis=1) < 0)[0][0])
        raise InputError(f"The distances of point {row} do not rise with the rank; sort them.")
    indices = np.full(distance.shape, -1) if given.indices is None else np.asarray(given.indices)
    if indices.shape != distance.shape or indices.dtype.kind not in "iu":
        raise InputError(f"The indices {indices.shape} {indices.dtype} need to be integers of shape {distance.shape}.")
    if given.indices is not None and ((indices < 0) | (indices >= len(indices))).any():
        raise InputError(
            f"The indices reach from {indices.min()} to {indices.max()}, but the number of points is {len(indices)},"
            " from 0: give (distances,) alone where the neighbours are others than these points, or are not known."
        )
    own = indices == np.arange(len(indices))[:, None]
    if own.any(axis=1).all():
        distance = distance[~own].reshape(len(distance), -1)
        indices = indices[~own].reshape(len(indices), -1)
    elif own.any():
        raise InputError("Some points, but not all, are among their own neighbours: leave them out, or in, everywhere.")
    if duplicates == "merge" and (distance[:, 0] == 0).any():
        raise InputError("Equal points cannot be merged in a finished graph; give the points, or duplicates='drop'.")
    if duplicates == "raise" and (distance[:, 0] == 0).any():
        raise InputError(f"{counted((distance[:, 0] == 0).sum(), 'point', 'has')} a neighbour at distance 0.")
    found = Found(distance, indices.astype(np.int64), "given", 0)
    return require_ranks(_label(found, np.ones(len(distance), np.int64), {"metric": "given"}), k)


def _searched(
    points: Points, k: int, metric: Metric, duplicates: Duplicates, engine: Engine, executor: Executor | None, tick: Any
) -> xr.Dataset:
    embedded = embed(points, metric)
    frame = survey(embedded)
    first = copies(embedded, frame.squared_norm)
    kept, back, count = np.unique(first, return_inverse=True, return_counts=True)
    n_copies = points.n_points - kept.size
    if duplicates == "raise" and n_copies:
        row = int(np.flatnonzero(first != np.arange(first.size))[0])
        raise InputError(
            f"{counted(n_copies, 'point', 'is', of=points.n_points)} equal to an earlier one (first: point {row}"
            f" equals point {first[row]}); duplicates='drop' leaves such points out, 'merge' counts them once."
        )
    if kept.size < 2:
        raise InputError(f"All {points.n_points} points are equal: they have no neighbours at a distance.")
    attrs = {"metric": metric, "n_dimensions": points.n_dimensions, "dtype": str(points.dtype), "n_copies": n_copies}
    merged = duplicates == "merge"
    ranks = min(k, kept.size - 1)
    if merged:
        require_enough(kept.size, k)
    distinct = embedded if kept.size == points.n_points else embedded.select(kept)
    if n_copies:
        frame = survey(distinct)
    found = search(distinct, frame, ranks, engine, executor, tick)
    attrs["whole_numbers"] = int(frame.whole)
    if engine == "approximate":
        attrs["approximate_recall"] = measured_recall(distinct, frame, found)
    found = found._replace(distance=distance_from_euclidean(found.distance, metric))
    if merged or not n_copies:
        index = kept[found.neighbour] if n_copies else found.neighbour
        return _label(found._replace(neighbour=index), count, attrs, kept if n_copies else None)
    expanded = with_copies(found, first, k)
    return _label(expanded, count[back], attrs)


def _precomputed(matrix: Any, k: int, duplicates: Duplicates) -> xr.Dataset:
    points = as_points(matrix)
    require_enough(points.n_points, k)
    distance, neighbour = nearest_in_matrix(points, k)
    return given_graph((distance, neighbour), k, duplicates).assign_attrs(metric="precomputed")


def _label(
    found: Found,
    count: Int[np.ndarray, " points"],
    attrs: Mapping[str, Any],
    point: Int[np.ndarray, " points"] | None = None,
) -> xr.Dataset:
    distance: Float[np.ndarray, "points k"] = found.distance
    graph = xr.Dataset(
        {
            "distance": (("point", "rank"), distance),
            "neighbour": (("point", "rank"), found.neighbour),
            "copies": ("point", count),
        },
        coords={
            "point": np.arange(len(distance)) if point is None else point,
            "rank": np.arange(1, distance.shape[1] + 1),
        },
        attrs={"engine": found.engine, "n_points": len(distance), "n_rows_in_float64": found.n_float64, **attrs},
    )
    return with_units(graph, distance=distance_units(attrs["metric"]))
