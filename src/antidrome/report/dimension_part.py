"""What the intrinsic dimension contributes to each section of the page."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from antidrome.recordings.arguments import counted
from antidrome.report.attributes import listed
from antidrome.report.charts import Chart, panels
from antidrome.report.dimension_charts import (
    accuracy_chart,
    classes_charts,
    estimators_chart,
    layer_scale_charts,
    layers_chart,
    points_scale_charts,
    population_charts,
)
from antidrome.report.page import Part, render
from antidrome.report.statement import Statement
from antidrome.report.table import shown

if TYPE_CHECKING:
    import xarray as xr

UNITS = "Dimensions have no unit; they are estimated at the stated number of points and at the scale of neighbours."
MAX_ROWS = 1000
CAVEATS = (
    "Flattening or pooling a layer, normalising it, and the number of points change the figure more than the estimator"
    " does: compare figures that were made alike.",
    "Estimates can rise from one layer to the next although the dimension of the set of points cannot (Schulte and"
    " Rügamer 2026): they describe the points at the scale of their neighbours.",
)


def population_part(found: "Mapping[str, xr.Dataset]", unmeasured: Mapping[str, str] | None = None) -> Part:
    """The share of the page of populations' dimensions.

    Parameters
    ----------
    found
        Session id to what `antidrome.dimension.population` returned.
    unmeasured
        Other sessions, and why their dimension is not known.
    """
    statements = [Statement("care", f"{name}: not measured. {reason}") for name, reason in (unmeasured or {}).items()]
    for name, one in found.items():
        sentences = listed(one.attrs.get("conclusions", one.attrs["verdict"]))  # early files call them the verdict
        statements.append(Statement("fact", f"{name}: {' '.join(sentences)}"))
    rows = [
        [
            name,
            shown(one.attrs["n_neurons"], 0),
            shown(one.attrs["n_points"], 0),
            _plus_minus(one),
            shown(one["shuffled_dimension"].mean(), 1),
            shown(one["dimension_apart"], 1),
            shown(one["pca_dimension"], 0),
            shown(one["participation_ratio"], 1),
        ]
        for name, one in found.items()
    ]
    columns = ["session", "neurons", "points", "dimension ± SE", "neurons shifted", "without neighbours in time"]
    columns += ["PCA, 90 %", "participation ratio"]
    return _part("Dimension of the population", population_charts(found), statements, columns, rows, found.values())


def points_part(found: "Mapping[str, xr.Dataset]") -> Part:
    """The share of the page of sets of points.

    Parameters
    ----------
    found
        Name to what `antidrome.dimension.estimate` returned.
    """
    statements = []
    for name, one in found.items():
        reliable = one.attrs["verdict"] == "reliable" and not int(one.attrs["lower_bound"])
        bound = " A lower bound." if int(one.attrs["lower_bound"]) else ""
        text = f"{name}: {one.attrs['verdict']}. {one.attrs['reason']}{bound}"
        statements.append(Statement("good" if reliable else "care", text))
        statements += [Statement("fact", f"{name}: {note}") for note in listed(one.attrs["notes"])]
    rows = [
        [
            name,
            str(row["estimator"].item()).replace("_", " "),
            shown(row["dimension"], 2),
            shown(row["standard_error"], 2),
            f"{shown(row['low'], 2)} – {shown(row['high'], 2)}",
            shown(one["n_points"], 0),
            shown(one["n_used"], 0),
        ]
        for name, one in found.items()
        for row in (one.sel(estimator=label) for label in one["estimator"].values)
    ]
    columns = ["points", "estimator", "dimension", "standard error", "90 % interval", "N", "ratios"]
    charts = [estimators_chart(found), *points_scale_charts(found)]
    return _part("Intrinsic dimension of points", charts, statements, columns, rows, found.values())


def layers_part(found: "xr.Dataset", accuracy: Mapping[str, float] | None = None) -> Part:
    """The share of the page of the layers of networks.

    Parameters
    ----------
    found
        What `antidrome.dimension.layers` returned.
    accuracy
        Network to its accuracy, where the figure against the dimension of the last hidden layer is wanted.
    """
    against = accuracy_chart(found, accuracy) if accuracy else None
    charts = [layers_chart(found), *([against] if against else []), *layer_scale_charts(found), *classes_charts(found)]
    rows, present = [], []
    for name in found["network"].values:
        for layer in found["layer"].values:
            one = found.sel({"network": name, "layer": layer, "class": "all"})
            if not int(one["width"]):
                continue
            present.append(one)
            rows.append(
                [
                    str(name),
                    str(layer),
                    shown(one["relative_depth"], 2),
                    shown(one["width"], 0),
                    _plus_minus(one),
                    shown(one["pca_dimension"], 0),
                    shown(one["n_points"], 0),
                    str(one["verdict"].item()) or str(one["reason"].item()),
                ]
            )
    statements = [_layers_statement(present)]
    if accuracy is not None and against is None:
        text = "Dimension is not drawn against accuracy: of fewer than two networks both are known."
        statements.append(Statement("care", text))
    statements += [Statement("fact", note) for note in listed(found.attrs["notes"])]
    columns = ["network", "layer", "relative depth", "width", "dimension ± SE", "PCA, 90 %", "N", "verdict"]
    return _part("Dimension across layers", charts, statements, columns, rows, [found])


def _layers_statement(layers: "Sequence[xr.Dataset]") -> Statement:
    """How many of the layers' estimates can be relied on."""
    estimates = [one for one in layers if math.isfinite(float(one["dimension"]))]
    reliable = sum(str(one["verdict"].item()) == "reliable" for one in estimates)
    bounds = sum(bool(one["lower_bound"] == 1) for one in estimates)
    missing = len(layers) - len(estimates)
    text = f"{counted(reliable, 'estimate', 'is', of=len(estimates))} reliable; {counted(bounds, 'lower bound')}"
    text += f"; {counted(missing, 'layer', 'has')} none." if missing else "."
    return Statement("good" if reliable == len(layers) and not bounds else "care", text)


def _part(
    title: str,
    charts: Sequence[Chart],
    statements: list[Statement],
    columns: list[str],
    rows: list[list[str]],
    results: "Iterable[xr.Dataset]",
) -> Part:
    html, figures = panels(charts)
    everything = [*statements, *(Statement("fact", text) for text in CAVEATS)]
    table = {"columns": columns, "rows": rows[:MAX_ROWS], "n_left_out": max(0, len(rows) - MAX_ROWS)}
    keys = {key for one in results for key in listed(one.attrs["citations"])}
    return Part(
        sections={
            "results": render("dimension_results", title=title, charts=html),
            "trust": render("dimension_trust", title=title, statements=everything),
            "tables": render("dimension_tables", title=title, **table),
        },
        figures=figures,
        citations=sorted(keys),
    )


def _plus_minus(one: "xr.Dataset") -> str:
    if not math.isfinite(float(one["dimension"])):
        return "–"
    return f"{shown(one['dimension'], 1)} ± {shown(one['standard_error'], 2)}"
