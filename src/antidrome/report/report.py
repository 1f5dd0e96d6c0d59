"""From spikes results to the page on disk."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from antidrome.core.works import FORMATS
from antidrome.errors import InputError
from antidrome.report.attributes import listed
from antidrome.report.citations import citations_part
from antidrome.report.heatmap import rows_each
from antidrome.report.page import Part, RunInfo, page_html, write_html
from antidrome.report.session import MAX_BINS, MAX_NEURONS, SessionView, session_view
from antidrome.report.spikes_part import UNITS, spikes_part


def spikes_report(
    results: Iterable[xr.Dataset],
    run: RunInfo,
    *,
    card: Mapping[str, Any] | None = None,
    parts: Sequence[Part] = (),
    max_neurons: int = MAX_NEURONS,
    max_bins: int = MAX_BINS,
) -> str:
    """The self-contained HTML page of one or several spikes results.

    Parameters
    ----------
    results
        One dataset a session, as `SpikeVAE.predict` returns it, with the trace as ``dff`` where it should be drawn;
        may be dask-backed: each is read once, block by block.
    run
        What was run.
    card
        The model card's metadata, from which "How far to trust it" quotes.
    parts
        What further stages contribute.
    max_neurons, max_bins
        Neurons and bins in the page, shared by all sessions; what is left out is said on the page.

    Returns
    -------
    str
        HTML. It asks no network for anything and forbids itself to.

    Raises
    ------
    InputError
        If there is no result, or one is not a spikes result.
    """
    return page(session_views(results, max_neurons=max_neurons, max_bins=max_bins), run, card=card, parts=parts)


def session_views(
    results: Iterable[xr.Dataset], *, max_neurons: int = MAX_NEURONS, max_bins: int = MAX_BINS
) -> list[SessionView]:
    """What the page shows of each result; see `spikes_report`."""
    datasets = list(results)
    if not datasets:
        raise InputError("There is no result to report on: pass at least one spikes result.")
    total = sum(dataset.sizes.get("neuron", 0) for dataset in datasets)
    return [
        session_view(
            dataset,
            max_neurons=_share(dataset, total, max_neurons),
            max_bins_total=max_bins // len(datasets),
            max_rows=rows_each(len(datasets)),
        )
        for dataset in datasets
    ]


def page(
    views: Sequence[SessionView],
    run: RunInfo,
    *,
    card: Mapping[str, Any] | None = None,
    parts: Sequence[Part] = (),
) -> str:
    """The page of sessions that are gathered already, and of further stages."""
    keys = [*_citation_keys(views), *(key for part in parts for key in part.citations)]
    return page_html(run, [spikes_part(views, run, card or {}), *parts, citations_part(keys)], units=UNITS)


def write_page(
    path: str | os.PathLike[str],
    views: Sequence[SessionView],
    run: RunInfo,
    *,
    card: Mapping[str, Any] | None = None,
    parts: Sequence[Part] = (),
) -> None:
    """Write the page of `page` to a file, atomically."""
    write_html(path, page(views, run, card=card, parts=parts))


def _share(dataset: xr.Dataset, total: int, max_neurons: int) -> int:
    n_neurons = dataset.sizes.get("neuron", 0)
    return n_neurons if total <= max_neurons else max(1, int(np.floor(max_neurons * n_neurons / total)))


def _citation_keys(views: Iterable[SessionView]) -> list[str]:
    keys: list[str] = []
    for view in views:
        keys += listed(view.attrs.get("citations"))
        source_format = view.attrs.get("source_format")
        keys += [FORMATS[source_format]] if source_format in FORMATS else []
    return [str(key) for key in keys]
