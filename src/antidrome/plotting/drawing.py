"""A picture, described once as curves and points with labels, as bokeh or matplotlib draw it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from antidrome.errors import InputError

MOST_NAMES = 30


@dataclass(frozen=True)
class Series:
    """A curve, points or a band: `x` and `y` (n,), how they are drawn, and their name in the legend (none if empty).

    A band reaches from ``y - half_width`` to ``y + half_width`` and has the colour of the line of its place among the
    bands.
    """

    x: np.ndarray
    y: np.ndarray
    kind: Literal["line", "points", "band"] = "line"
    name: str = ""
    half_width: np.ndarray | None = None


@dataclass(frozen=True)
class Picture:
    """What is drawn: series, and what the axes mean; names stand at 0, 1, … of their axis."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    x_names: tuple[str, ...] = ()
    y_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Matrix:
    """A table (row, column) in colours, from `-largest` to `largest`, with a name for each row and column."""

    title: str
    label: str
    values: np.ndarray
    rows: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def largest(self) -> float:
        """The largest value, whatever its sign; 1 where there is none."""
        return float(np.nanmax(np.abs(self.values), initial=0.0)) or 1.0


def bokeh_figure(picture: Picture | Matrix) -> Any:
    """The picture as a bokeh figure."""
    from bokeh.palettes import Colorblind
    from bokeh.plotting import figure

    if isinstance(picture, Matrix):
        return _bokeh_matrix(picture)
    drawn = figure(
        title=picture.title, x_axis_label=picture.x_label, y_axis_label=picture.y_label, width=760, height=420
    )
    for place, series in _placed(picture.series):
        options = {"color": Colorblind[8][place % 8], **({"legend_label": series.name} if series.name else {})}
        if series.half_width is not None:
            low, high = series.y - series.half_width, series.y + series.half_width
            drawn.varea(series.x, low, high, fill_alpha=0.25, **options)
        elif series.kind == "line":
            drawn.line(series.x, series.y, **options)
        else:
            drawn.scatter(series.x, series.y, size=4, **options)
    if any(series.name for series in picture.series):
        drawn.legend.click_policy = "hide"
    for axis, names in ((drawn.xaxis, picture.x_names), (drawn.yaxis, picture.y_names)):
        _name_places(axis, names)
    return drawn


def _bokeh_matrix(matrix: Matrix) -> Any:
    from bokeh.models import LinearColorMapper
    from bokeh.palettes import RdBu11, interp_palette
    from bokeh.plotting import figure

    n_rows, n_columns = matrix.values.shape
    colours = interp_palette(RdBu11, 255)
    mapper = LinearColorMapper(palette=colours, low=-matrix.largest, high=matrix.largest, nan_color="lightgray")
    drawn = figure(
        title=matrix.title, width=560, height=480, x_range=(-0.5, n_columns - 0.5), y_range=(n_rows - 0.5, -0.5)
    )
    image = drawn.image([matrix.values], x=-0.5, y=-0.5, dw=n_columns, dh=n_rows, color_mapper=mapper)
    drawn.add_layout(image.construct_color_bar(title=matrix.label), "right")
    for axis, names in ((drawn.xaxis, matrix.columns), (drawn.yaxis, matrix.rows)):
        _name_places(axis, names)
    return drawn


def _name_places(axis: Any, names: tuple[str, ...]) -> None:
    if names:
        axis.ticker = _spread_out(len(names))
        axis.major_label_overrides = dict(enumerate(names))


def _spread_out(n: int) -> list[int]:
    """At most some thirty places of `n`, evenly spread."""
    return list(range(0, n, -(-n // MOST_NAMES)))


def _placed(series: tuple[Series, ...]) -> list[tuple[int, Series]]:
    """Every series with the number of its colour: bands count by themselves."""
    bands, others = ([one for one in series if (one.kind == "band") == is_band] for is_band in (True, False))
    return [*enumerate(bands), *enumerate(others)]


def matplotlib_axes(picture: Picture | Matrix) -> Any:
    """The picture as matplotlib `Axes`; raises InputError where matplotlib is not installed."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise InputError("matplotlib is not installed: pip install matplotlib, or use backend='bokeh'.") from error
    _, axes = pyplot.subplots(figsize=(7.6, 4.2), layout="constrained")
    if isinstance(picture, Matrix):
        image = axes.imshow(picture.values, cmap="RdBu_r", vmin=-picture.largest, vmax=picture.largest, aspect="auto")
        axes.figure.colorbar(image, label=picture.label)
        axes.set(title=picture.title)
        names = picture.columns, picture.rows
    else:
        _draw_series(axes, picture)
        names = picture.x_names, picture.y_names
    for axis, own in zip((axes.xaxis, axes.yaxis), names, strict=True):
        if own:
            places = _spread_out(len(own))
            axis.set_ticks(places, [own[place] for place in places])
    return axes


def _draw_series(axes: Any, picture: Picture) -> None:
    for place, series in _placed(picture.series):
        if series.half_width is not None:
            low, high = series.y - series.half_width, series.y + series.half_width
            axes.fill_between(series.x, low, high, alpha=0.25, color=f"C{place % 10}", label=series.name or None)
            continue
        style = {"linewidth": 1} if series.kind == "line" else {"linestyle": "none", "marker": ".", "markersize": 4}
        axes.plot(series.x, series.y, color=f"C{place % 10}", label=series.name or None, **style)
    axes.set(title=picture.title, xlabel=picture.x_label, ylabel=picture.y_label)
    if any(series.name for series in picture.series):
        axes.legend(frameon=False)
