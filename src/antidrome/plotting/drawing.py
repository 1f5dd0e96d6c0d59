"""A picture, described once as curves and points with labels, as bokeh or matplotlib draw it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from antidrome.errors import InputError


@dataclass(frozen=True)
class Series:
    """A curve or points: `x` and `y` (n,), how they are drawn, and their name in the legend (none if empty)."""

    x: np.ndarray
    y: np.ndarray
    kind: Literal["line", "points"] = "line"
    name: str = ""


@dataclass(frozen=True)
class Picture:
    """What is drawn: series, and what the axes mean."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]


def bokeh_figure(picture: Picture) -> Any:
    """The picture as a bokeh figure."""
    from bokeh.palettes import Colorblind
    from bokeh.plotting import figure

    drawn = figure(
        title=picture.title, x_axis_label=picture.x_label, y_axis_label=picture.y_label, width=760, height=420
    )
    for place, series in enumerate(picture.series):
        options = {"color": Colorblind[8][place % 8], **({"legend_label": series.name} if series.name else {})}
        if series.kind == "line":
            drawn.line(series.x, series.y, **options)
        else:
            drawn.scatter(series.x, series.y, size=4, **options)
    if any(series.name for series in picture.series):
        drawn.legend.click_policy = "hide"
    return drawn


def matplotlib_axes(picture: Picture) -> Any:
    """The picture as matplotlib `Axes`; raises InputError where matplotlib is not installed."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise InputError("matplotlib is not installed: pip install matplotlib, or use backend='bokeh'.") from error
    _, axes = pyplot.subplots(figsize=(7.6, 4.2), layout="constrained")
    for series in picture.series:
        style = {"linewidth": 1} if series.kind == "line" else {"linestyle": "none", "marker": ".", "markersize": 4}
        axes.plot(series.x, series.y, label=series.name or None, **style)
    axes.set(title=picture.title, xlabel=picture.x_label, ylabel=picture.y_label)
    if any(series.name for series in picture.series):
        axes.legend(frameon=False)
    return axes
