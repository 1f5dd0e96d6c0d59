"""Charts whose data do not change while the page is looked at: one bokeh figure, a title, a caption, a CSV button."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from antidrome.core.names import unique
from antidrome.report.page import render

if TYPE_CHECKING:
    from bokeh.model import Model
    from bokeh.models import GlyphRenderer
    from bokeh.plotting import figure as Figure  # noqa: N812
    from markupsafe import Markup

BLUE, ORANGE, GREY, GREEN = "#0072B2", "#D55E00", "#59636e", "#009E73"
"""Okabe and Ito's colour-blind-safe palette; the page's script exchanges them for lighter ones in the dark."""
INKS = {"blue": BLUE, "orange": ORANGE, "grey": GREY, "green": GREEN}
Ink = Literal["blue", "orange", "grey", "green"]
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#E69F00", "#7A7A7A", "#8C6BB1")
"""One a series, where there are many; the page's script leaves them as they are."""
MAX_NAME = 28
"""Characters of a name in a legend."""


@dataclass(frozen=True)
class Chart:
    """One figure of the page with what stands around it.

    Attributes
    ----------
    name
        Of the figure, unique in the page; `frame(name, …)` makes it.
    title, caption
        Above and below the figure.
    plot
        The bokeh figure.
    """

    name: str
    title: str
    caption: str
    plot: "Model"


def panels(charts: Sequence[Chart]) -> tuple["Markup", dict[str, "Model"]]:
    """The charts as HTML for a section of a `Part`, and their figures for its `figures`."""
    return render("panels", charts=charts), {f"figure-{chart.name}": chart.plot for chart in charts}


def frame(name: str, height: int, *, x_label: str = "", y_label: str = "", **options: Any) -> "Figure":
    """An empty figure in the page's dress, called ``{name}-plot``; `options` go to `bokeh.plotting.figure`."""
    from bokeh.plotting import figure

    plot = figure(name=f"{name}-plot", height=height, sizing_mode="stretch_width", min_border_left=64, **options)
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.update(background_fill_alpha=0, border_fill_alpha=0, outline_line_color=None, output_backend="canvas")
    for axis in plot.axis:
        axis.update(axis_line_color=None, minor_tick_line_color=None, major_tick_line_color=None)
        axis.update(axis_label_text_font_style="normal", axis_label_text_font_size="12px")
        axis.update(major_label_text_font_size="11px")
    plot.xaxis.axis_label, plot.yaxis.axis_label = x_label, y_label
    plot.grid.grid_line_alpha = 0.6
    plot.xgrid.visible = False
    return plot


def draw(
    plot: "Figure",
    kind: str,
    data: Mapping[str, Any],
    *,
    series: str,
    ink: Ink | None = None,
    legend: bool | str = False,
    **glyph: Any,
) -> "GlyphRenderer":
    """Draw one series; what it holds is what the chart's CSV says of it.

    Parameters
    ----------
    plot
        Figure made by `frame`.
    kind
        A glyph method of bokeh figures: ``"line"``, ``"scatter"``, ``"segment"``, ``"quad"``, ``"image"`` …
    data
        Columns by name (all of one length); `glyph` refers to them (``x="time_s", y="rate_hz"``).
    series
        Name of the series in the CSV, and in the legend if that has no shorter one.
    ink
        Colour of the page's palette, exchanged in the dark.
    legend
        Whether the series is named in the figure's legend, or what it is called there.
    """
    from bokeh.models import ColumnDataSource

    # a tag, since the page finds its models by name, and a series may be called like one of them
    source = ColumnDataSource({key: _plain(values) for key, values in data.items()}, tags=[series])
    if ink is not None:
        glyph["color"] = INKS[ink]
    if legend:
        glyph["legend_label"] = series if legend is True else legend
    renderer = getattr(plot, kind)(source=source, **glyph)
    renderer.tags = [ink] if ink is not None else []
    if legend:
        plot.legend.update(background_fill_alpha=0, border_line_alpha=0, label_text_font_size="11px")
    return renderer


def legend_names(names: Iterable[Any]) -> dict[str, str]:
    """Each name as a legend has room for it: long ones without their middle, numbered where two would be one."""
    whole = list(dict.fromkeys(map(str, names)))
    return dict(zip(whole, unique([_without_middle(name) for name in whole], key=str), strict=True))


def _without_middle(name: str) -> str:
    if len(name) <= MAX_NAME:
        return name
    tail = (MAX_NAME - 1) // 2
    return f"{name[: MAX_NAME - 1 - tail]}…{name[-tail:]}"


def _plain(values: Any) -> list[Any]:
    """Values as the page's JSON carries them, and as a CSV shows them."""
    import numpy as np

    return np.asarray(values).tolist()
