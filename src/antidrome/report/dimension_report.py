"""From dimensions to a page of their own."""

import os
from collections.abc import Mapping

import xarray as xr

from antidrome.errors import InputError
from antidrome.report.citations import citations_part
from antidrome.report.dimension_part import UNITS, layers_part, points_part, population_part
from antidrome.report.page import RunInfo, page_html, run_part, write_html


def dimension_report(
    found: Mapping[str, xr.Dataset] | xr.Dataset, run: RunInfo, *, accuracy: Mapping[str, float] | None = None
) -> str:
    """The self-contained HTML page of dimensions.

    Parameters
    ----------
    found
        What `antidrome.dimension.layers` gave; or names to what `antidrome.dimension.estimate`, or
        `antidrome.dimension.population`, gave (all of one kind).
    run
        What was run.
    accuracy
        For layers: network to its accuracy.

    Returns
    -------
    str
        HTML. It asks no network for anything and forbids itself to.

    Raises
    ------
    InputError
        Nothing, or something else, was given.
    """
    if isinstance(found, xr.Dataset) and "layer" in found.dims:
        part = layers_part(found, accuracy)
    else:
        named = {run.title: found} if isinstance(found, xr.Dataset) else dict(found)
        kinds = {_kind(one) for one in named.values()}
        if kinds not in ({"points"}, {"population"}):
            raise InputError(
                "The results are not of one kind; expected what ad.dimension.layers gave, or names to what"
                " ad.dimension.estimate, or ad.dimension.population, gave."
            )
        part = points_part(named) if kinds == {"points"} else population_part(named)
    return page_html(run, [run_part(run), part, citations_part(part.citations)], units=UNITS)


def write_dimension_report(
    path: str | os.PathLike[str],
    found: Mapping[str, xr.Dataset] | xr.Dataset,
    run: RunInfo,
    *,
    accuracy: Mapping[str, float] | None = None,
) -> None:
    """Write the page of `dimension_report` to a file, atomically."""
    write_html(path, dimension_report(found, run, accuracy=accuracy))


def _kind(one: xr.Dataset) -> str:
    if "estimator" in one.dims:
        return "points"
    return "population" if "dimension_by_neurons" in one else "unknown"
