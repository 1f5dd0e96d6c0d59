"""The page's bokeh figures: empty frames with names, which the page's script fills for the chosen session and neuron.

No text of the user's enters a figure, and nothing here needs JavaScript code in strings (``CustomJS``): the page can
forbid ``eval``.
"""

from typing import TYPE_CHECKING, Any

from antidrome.report.charts import BLUE, GREEN, GREY, ORANGE, frame

if TYPE_CHECKING:
    from bokeh.model import Model
    from bokeh.models import GlyphRenderer
    from bokeh.plotting import figure as Figure  # noqa: N812

TIME_TOOLS = {
    "tools": "xpan,xbox_zoom,xwheel_zoom,reset,save",
    "active_scroll": "xwheel_zoom",
    "active_drag": "xbox_zoom",
}


def browser(*, trace: bool, band: bool) -> "Model":
    """Trace above, expected rate below, one shared time axis.

    Parameters
    ----------
    trace
        Whether a fluorescence trace is known.
    band
        Whether the posterior SD is known.
    """
    from bokeh.layouts import column
    from bokeh.models import Range1d

    time = Range1d(0, 1, name="time")
    plots = [_trace_plot(time)] if trace else []
    plots.append(_rate_plot(time, band=band, toolbar=not trace))
    return column(*plots, sizing_mode="stretch_width", spacing=2)


def _trace_plot(time: Any) -> "Figure":
    from bokeh.models import ColumnDataSource, HoverTool, Range1d

    plot = frame("trace", 230, x_range=time, y_range=Range1d(0, 1), **TIME_TOOLS)
    plot.yaxis.axis_label = "ΔF/F"
    plot.xaxis.visible = False
    source = ColumnDataSource({"t": [], "y": []}, name="trace")
    line = plot.line("t", "y", source=source, color=GREY, line_width=1.1, name="trace-line")
    baseline = ColumnDataSource({"t": [], "y": []}, name="baseline")
    plot.line("t", "y", source=baseline, color=ORANGE, line_width=1.4, line_dash=[5, 4], name="baseline-line")
    likely = ColumnDataSource({"t": [], "y0": [], "y1": [], "alpha": []}, name="likely")
    plot.segment("t", "y0", "t", "y1", source=likely, color=BLUE, alpha="alpha", line_width=1.3, name="likely-marks")
    plot.add_tools(_hover(HoverTool, line, [("time", "@t{0.000} s"), ("ΔF/F", "@y{0.000}")]))
    return plot


def _rate_plot(time: Any, *, band: bool, toolbar: bool) -> "Figure":
    from bokeh.models import ColumnDataSource, HoverTool, Range1d

    plot = frame("rate", 190, x_range=time, y_range=Range1d(0, 1), **TIME_TOOLS)
    plot.toolbar_location = "above" if toolbar else None
    plot.yaxis.axis_label = "rate (spikes/s)"
    plot.xaxis.axis_label = "time (s)"
    empty: dict[str, list[float]] = {key: [] for key in ("t", "rate", "low", "high", "count", "sd")}
    source = ColumnDataSource(empty, name="rate")
    if band:
        plot.varea("t", "low", "high", source=source, color=BLUE, alpha=0.22, name="rate-band")
    line = plot.line("t", "rate", source=source, color=BLUE, line_width=1.5, name="rate-line")
    truth = ColumnDataSource({"t": [], "y": []}, name="truth")
    plot.scatter("t", "y", source=truth, marker="inverted_triangle", size=6, color=GREEN, name="truth-marks")
    tips = [("time", "@t{0.000} s"), ("rate", "@rate{0.00} spikes/s")]
    tips.append(("spikes here", "@count{0.000} ± @sd{0.000}" if band else "@count{0.000}"))
    plot.add_tools(_hover(HoverTool, line, tips))
    return plot


def overview(time: Any | None = None) -> "Model":
    """Heat map of all neurons' rates; with `time`, a draggable window shows what the browser shows."""
    from bokeh.models import BoxAnnotation, ColumnDataSource, LinearColorMapper, Range1d, RangeTool

    plot = frame("overview", 260, x_range=Range1d(0, 1), y_range=Range1d(1, 0), tools="tap,save")
    plot.xaxis.axis_label = "time (s)"
    plot.yaxis.axis_label = "neuron (row)"
    mapper = LinearColorMapper(palette=["#ffffff", BLUE], low=0, high=254, nan_color="#00000000", name="rates")
    empty: dict[str, list[float]] = {key: [] for key in ("image", "x", "y", "dw", "dh")}
    source = ColumnDataSource(empty, name="overview")
    plot.image("image", "x", "y", "dw", "dh", source=source, color_mapper=mapper, name="overview-image")
    row = ColumnDataSource({"left": [], "right": [], "top": [], "bottom": []}, name="overview-row")
    plot.quad("left", "right", "top", "bottom", source=row, fill_alpha=0, line_color=ORANGE, line_width=1.6, name="row")
    if time is not None:
        window = BoxAnnotation(name="window", fill_color=ORANGE, fill_alpha=0.16, line_color=ORANGE, line_width=1.4)
        window.update(level="overlay", editable=True, propagate_hover=True, line_alpha=0.9, line_dash="solid")
        plot.add_tools(RangeTool(x_range=time, overlay=window, start_gesture="pan"))
    return plot


def small_histogram(name: str, label: str) -> "Model":
    """Histogram of one number per neuron, with a line at the current neuron's value."""
    from bokeh.models import ColumnDataSource, DataRange1d, Range1d, Span

    plot = frame(name, 200, x_range=Range1d(0, 1), y_range=DataRange1d(start=0), tools="save")
    plot.xaxis.axis_label = label
    plot.yaxis.axis_label = "neurons"
    plot.yaxis.ticker.min_interval = 1
    plot.xgrid.visible = False
    source = ColumnDataSource({"left": [], "right": [], "top": []}, name=name)
    plot.quad("left", "right", "top", 0, source=source, color=BLUE, alpha=0.75, line_color=None, name=f"{name}-bars")
    plot.add_layout(Span(dimension="height", location=0, line_color=ORANGE, line_width=2, name=f"{name}-here"))
    return plot


def _hover(tool: Any, renderer: "GlyphRenderer", tips: list[tuple[str, str]]) -> Any:
    return tool(renderers=[renderer], tooltips=tips, mode="vline", line_policy="nearest", visible=False)
