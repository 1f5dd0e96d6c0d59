"""From a fitted `StitchedLDS` to a page of its own."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import xarray as xr

from antidrome.report.citations import citations_part
from antidrome.report.dynamics_part import UNITS, dynamics_part
from antidrome.report.page import RunInfo, page_html, run_part, write_html

if TYPE_CHECKING:
    from antidrome.dynamics import StitchedLDS


def dynamics_report(
    model: "StitchedLDS",
    run: RunInfo,
    latents: Mapping[str, xr.Dataset] | xr.Dataset | None = None,
    *,
    stationarity: xr.Dataset | None = None,
) -> str:
    """The self-contained HTML page of a fit.

    Parameters
    ----------
    model
        A fitted `StitchedLDS`.
    run
        What was run.
    latents, stationarity
        What its ``transform`` and its ``stationarity`` gave, where they should be shown.

    Returns
    -------
    str
        HTML. It asks no network for anything and forbids itself to.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the model is not fitted.
    """
    part = dynamics_part(model, latents, stationarity=stationarity)
    return page_html(run, [run_part(run), part, citations_part(part.citations)], units=UNITS)


def write_dynamics_report(
    path: str | os.PathLike[str],
    model: "StitchedLDS",
    run: RunInfo,
    latents: Mapping[str, xr.Dataset] | xr.Dataset | None = None,
    *,
    stationarity: xr.Dataset | None = None,
) -> None:
    """Write the page of `dynamics_report` to a file, atomically."""
    write_html(path, dynamics_report(model, run, latents, stationarity=stationarity))
