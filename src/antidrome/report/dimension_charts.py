"""The page's figures of intrinsic dimensions: across layers, classes and scales, of points and of populations."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from antidrome.dimension.controls import dimension_against_accuracy
from antidrome.errors import InputError
from antidrome.report.charts import COLOURS, Chart, draw, frame, legend_names
from antidrome.report.decimate import evenly_spread

if TYPE_CHECKING:
    import xarray as xr
    from bokeh.plotting import figure as Figure  # noqa: N812

MAX_SERIES = len(COLOURS)
"""Lines in one figure; more are left to the tables."""
TOOLS = "pan,box_zoom,reset,save"
HEIGHT = 320
LOG = "log"


def layers_chart(found: "xr.Dataset") -> Chart:
    """Dimension of each layer with its interval, and principal components beside it, against relative depth."""
    plot = frame(
        "dimension-layers",
        380,
        x_label="relative depth",
        y_label="dimension (logarithmic)",
        y_axis_type=LOG,
        tools=TOOLS,
    )
    whole = found.sel({"class": "all"})
    labels = legend_names(found["network"].values[:MAX_SERIES])
    for index, (name, label) in enumerate(labels.items()):
        one = whole.isel(network=index)
        known = np.isfinite(one["dimension"].values)
        order = np.argsort(one["relative_depth"].values[known], kind="stable")
        data: dict[str, Any] = {
            key: one[key].values[known][order]
            for key in ("relative_depth", "dimension", "low", "high", "pca_dimension")
        }
        data["layer"] = [str(layer) for layer in one["layer"].values[known][order]]
        curve = _Series(f"{name}: ID", f"{label}: ID", COLOURS[index])
        _curve(plot, data, curve, x="relative_depth", y="dimension")
        if np.isfinite(data["pca_dimension"]).any():
            dashed = _Series(f"{name}: PCA, 90 %", f"{label}: PCA, 90 %", COLOURS[index])
            _dashed(plot, data, dashed, x="relative_depth", y="pca_dimension")
    _legend_beside(plot)
    caption = (
        "TwoNN with its 90 % interval, and principal components for 90 % of the variance (dashed), of all points. "
        "Estimates at this number of points and this scale; above about 20 they are lower bounds."
        f"{_left_out(found.sizes['network'], 'networks')}"
    )
    return Chart("dimension-layers", "Intrinsic dimension across layers", caption, plot)


def layer_scale_charts(found: "xr.Dataset") -> list[Chart]:
    """Dimension of the layers of each network against the number of points."""
    charts, networks = [], legend_names(found["network"].values[:MAX_SERIES])
    for index, network in enumerate(networks.values()):
        one = found.isel(network=index).sel({"class": "all"})
        known = np.flatnonzero(np.isfinite(one["dimension_by_points"].values).sum(axis=1) > 1)
        if known.size == 0:
            continue
        shown = known[evenly_spread(known.size, MAX_SERIES)]
        key = f"dimension-layers-scale-{index + 1}"
        plot = frame(key, HEIGHT, x_label="points", y_label="dimension", x_axis_type=LOG, tools=TOOLS)
        layers = legend_names(one["layer"].values[shown])
        for colour, place in zip(COLOURS, shown, strict=False):
            layer = one.isel(layer=int(place))
            name = str(layer["layer"].item())
            data = {
                "points": float(layer["n_points"]) * found["fraction"].values,
                "dimension": layer["dimension_by_points"].values,
            }
            _dots(plot, data, _Series(name, layers[name], colour), x="points", y="dimension")
        _legend_beside(plot)
        caption = (
            "Means over disjoint blocks of the points. A curve that still rises at its right end is a lower bound; one"
            f" that is flat can be trusted.{_left_out(known.size, 'layers, evenly spread')}"
        )
        charts.append(Chart(key, f"Dependence on the number of points: {network}", caption, plot))
    return charts


def classes_charts(found: "xr.Dataset") -> list[Chart]:
    """Spread of the dimension over the classes, layer by layer, for each network."""
    if found.sizes["class"] < 3:
        return []
    charts, networks = [], legend_names(found["network"].values[:MAX_SERIES])
    for index, network in enumerate(networks.values()):
        values = found["dimension"].isel(network=index).drop_sel({"class": "all"})
        known = np.flatnonzero(np.isfinite(values.values).sum(axis=1) > 1)
        if known.size == 0:
            continue
        depth = found["relative_depth"].values[index, known]
        table = values.values[known]
        mean, sd = np.nanmean(table, axis=1), np.nanstd(table, axis=1, ddof=1)
        key = f"dimension-classes-{index + 1}"
        plot = frame(key, HEIGHT, x_label="relative depth", y_label="dimension", tools=TOOLS)
        every = {
            "relative_depth": np.repeat(depth, table.shape[1]),
            "dimension": table.ravel(),
            "class": [str(c) for c in values["class"].values] * known.size,
            "layer": [str(values["layer"].values[k]) for k in known for _ in range(table.shape[1])],
        }
        draw(
            plot, "scatter", every, series="single classes", ink="grey", legend=True, size=4, fill_alpha=0.4,
            line_color=None, x="relative_depth", y="dimension",
        )  # fmt: skip
        data = {"relative_depth": depth, "dimension": mean, "low": mean - sd, "high": mean + sd}
        mean_curve = _Series("mean over classes ± SD", "mean over classes ± SD", COLOURS[0])
        _curve(plot, data, mean_curve, x="relative_depth", y="dimension")
        caption = f"{found.sizes['class'] - 1} classes, each estimated from its own points."
        charts.append(Chart(key, f"Class by class: {network}", caption, plot))
    return charts


def accuracy_chart(found: "xr.Dataset", accuracy: Mapping[str, float]) -> Chart | None:
    """Dimension of the last hidden layer of each network against its accuracy."""
    rows: dict[str, list[Any]] = {"network": [], "accuracy": [], "dimension": [], "low": [], "high": []}
    for name in found["network"].values:
        one = found.sel({"network": name, "class": "all"})
        last = np.flatnonzero(one["last_hidden"].values)
        if str(name) not in accuracy or last.size == 0:
            continue
        layer = one.isel(layer=int(last[-1]))
        if np.isfinite(layer["dimension"]):
            rows["network"].append(str(name))
            rows["accuracy"].append(float(accuracy[str(name)]))
            for key in ("dimension", "low", "high"):
                rows[key].append(float(layer[key]))
    if len(rows["network"]) < 2:
        return None
    tips = [("network", "@network"), ("dimension", "@dimension"), ("accuracy", "@accuracy")]
    x_label = "dimension of the last hidden layer"
    plot = frame(
        "dimension-accuracy", HEIGHT, x_label=x_label, y_label="accuracy", tools=f"{TOOLS},hover", tooltips=tips
    )  # fmt: skip
    draw(plot, "segment", rows, series="90 % interval", ink="grey", x0="low", x1="high", y0="accuracy", y1="accuracy")
    draw(plot, "scatter", rows, series="network", ink="orange", size=8, x="dimension", y="accuracy")
    caption = f"{len(rows['network'])} networks. {_correlation(rows['dimension'], rows['accuracy'])}"
    return Chart("dimension-accuracy", "Dimension and accuracy", caption, plot)


def _correlation(dimension: list[float], accuracy: list[float]) -> str:
    try:
        found = dimension_against_accuracy(dimension, accuracy)
    except InputError as problem:
        return str(problem)
    interval = f"{found.level:.0%} interval {found.lower:.2f} to {found.upper:.2f}"
    return f"Correlation {found.r:.2f} ({interval}, p = {found.p_value:.2g} by permutation)."


def estimators_chart(found: "Mapping[str, xr.Dataset]") -> Chart:
    """Every estimator's value with its interval."""
    labels = list(dict.fromkeys(str(name) for one in found.values() for name in one["estimator"].values))
    plot = frame(
        "dimension-estimators", HEIGHT, y_label="dimension", x_range=(0.5, len(labels) + 0.5), tools=TOOLS
    )  # fmt: skip
    many = len(found) > 1
    shown = list(found.items())[:MAX_SERIES]
    names = legend_names(name for name, _ in shown)
    for index, (name, one) in enumerate(shown):
        where = [labels.index(str(label)) + 1 for label in one["estimator"].values]
        shift = 0.5 * (index - (len(shown) - 1) / 2) / max(1, len(shown))
        data = {key: one[key].values for key in ("dimension", "low", "high")}
        data |= {"place": np.array(where) + shift, "estimator": [str(label) for label in one["estimator"].values]}
        draw(
            plot, "segment", data, series=f"{name} (90 % interval)", color=COLOURS[index], x0="place",
            x1="place", y0="low", y1="high", line_width=1.6,
        )  # fmt: skip
        draw(
            plot, "scatter", data, series=name, color=COLOURS[index], legend=many and names[name], size=8,
            x="place", y="dimension",
        )  # fmt: skip
    plot.xaxis.ticker = list(range(1, len(labels) + 1))
    plot.xaxis.major_label_overrides = {i + 1: label.replace("_", " ") for i, label in enumerate(labels)}
    caption = "All from one graph of exact neighbours, with 90 % intervals. They look at different scales."
    return Chart("dimension-estimators", "Estimators", caption, plot)


def points_scale_charts(found: "Mapping[str, xr.Dataset]") -> list[Chart]:
    """Dimension against the number of points (blocks), and against distance (Gride)."""
    charts, names = [], legend_names(found)
    blocks = {name: one for name, one in found.items() if "block_dimension" in one}
    if blocks:
        plot = frame(
            "dimension-blocks", HEIGHT, x_label="points", y_label="dimension", x_axis_type=LOG, tools=TOOLS
        )  # fmt: skip
        for colour, (name, one) in zip(COLOURS, blocks.items(), strict=False):
            data = {"points": one["block_points"].values, "dimension": one["block_dimension"].values}
            series = _Series(name, names[name], colour)
            _with_errors(plot, data, one["block_standard_error"].values, series, x="points")
        caption = "Means over disjoint blocks ± standard error. Flat: a plateau. Rising to the right: a lower bound."
        charts.append(Chart("dimension-blocks", "Dependence on the number of points", caption, plot))
    plot = frame(
        "dimension-gride", HEIGHT, x_label="distance to the outer neighbour", y_label="dimension", tools=TOOLS
    )  # fmt: skip
    for colour, (name, one) in zip(COLOURS, found.items(), strict=False):
        data = {"distance": one["gride_distance"].values, "dimension": one["gride"].values}
        data["rank"] = one["scale_rank"].values
        series = _Series(name, names[name], colour)
        _with_errors(plot, data, one["gride_standard_error"].values, series, x="distance")
    caption = "Gride, from the ratios of the distances to neighbours n and 2n, n = 1, 2, 4 …; ± standard error."
    return [*charts, Chart("dimension-gride", "Dependence on distance", caption, plot)]


def population_charts(found: "Mapping[str, xr.Dataset]") -> list[Chart]:
    """Dimension of populations against the number of neurons and of points, with the shifted control."""
    axes = (
        ("neurons", "n_neurons", "dimension_by_neurons", "Dependence on the number of neurons"),
        ("points", "n_points_drawn", "dimension_by_points", "Dependence on the number of points"),
    )
    charts, names = [], legend_names(found)
    for key, along, name, title in axes:
        plot = frame(
            f"dimension-population-{key}", HEIGHT, x_label=key, y_label="dimension", x_axis_type=LOG, tools=TOOLS
        )  # fmt: skip
        for colour, (session, one) in zip(COLOURS, found.items(), strict=False):
            table = one[name].values
            draws = np.isfinite(table).sum(axis=1)
            mean = np.where(draws > 0, np.nansum(table, axis=1) / np.maximum(draws, 1), np.nan)
            data = {key: one[along].values, "dimension": mean}
            _dots(plot, data, _Series(session, names[session], colour), x=key, y="dimension")
            if key == "neurons":
                control = {key: one[along].values, "dimension": one["shuffled_by_neurons"].values}
                dashed = _Series(f"{session}, neurons shifted", f"{names[session]}, neurons shifted", colour)
                _dashed(plot, control, dashed, x=key, y="dimension")
        _legend_beside(plot)
        caption = f"Means over random subsets of {key}."
        if key == "neurons":
            caption += (
                " Dashed: one of these subsets, its neurons shifted once against one another in time, which share"
                " nothing; the table has the mean over several shifts of all neurons."
            )
        charts.append(Chart(f"dimension-population-{key}", title, caption + _left_out(len(found), "sessions"), plot))
    return charts


class _Series(NamedTuple):
    """One line of a figure: its name in the CSV and in the legend, and its colour."""

    name: str
    label: str
    colour: str


def _curve(plot: "Figure", data: Mapping[str, Any], series: _Series, *, x: str, y: str) -> None:
    """A line with dots, and whiskers from `low` to `high`."""
    draw(
        plot, "segment", data, series=f"{series.name} (from, to)", color=series.colour, x0=x, x1=x, y0="low",
        y1="high", line_alpha=0.6,
    )  # fmt: skip
    _dots(plot, data, series, x=x, y=y)


def _dots(plot: "Figure", data: Mapping[str, Any], series: _Series, *, x: str, y: str) -> None:
    name, label, colour = series
    draw(plot, "line", data, series=name, legend=label, color=colour, line_width=1.6, x=x, y=y)
    draw(plot, "scatter", data, series=f"{name} (points)", color=colour, size=6, x=x, y=y)


def _dashed(plot: "Figure", data: Mapping[str, Any], series: _Series, *, x: str, y: str) -> None:
    name, label, colour = series
    draw(plot, "line", data, series=name, legend=label, color=colour, line_dash=[5, 4], line_width=1.3, x=x, y=y)


def _with_errors(plot: "Figure", data: dict[str, Any], error: np.ndarray, series: _Series, *, x: str) -> None:
    data = data | {"low": data["dimension"] - error, "high": data["dimension"] + error}
    _curve(plot, data, series, x=x, y="dimension")


def _legend_beside(plot: "Figure") -> None:
    """The legend right of the figure, where it covers nothing."""
    if plot.legend:
        plot.legend.update(spacing=0, padding=4, margin=4, click_policy="hide")
        plot.add_layout(plot.legend[0], "right")


def _left_out(n: int, what: str) -> str:
    return f" {MAX_SERIES} of {n} {what}; the tables have all." if n > MAX_SERIES else ""
