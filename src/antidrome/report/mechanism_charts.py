"""Charts of a fitted posterior: predicted traces over the measured one, training, weights, calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from antidrome.report.charts import Chart, Ink, draw, frame
from antidrome.report.decimate import thinned
from antidrome.report.mechanism_view import MechanismView, Traces

if TYPE_CHECKING:
    from bokeh.plotting import figure as Figure  # noqa: N812

TOOLS = {"tools": "xpan,xbox_zoom,xwheel_zoom,reset,save", "active_drag": "xbox_zoom"}


def result_charts(view: MechanismView) -> list[Chart]:
    """Traces, where there are any, and the rounds."""
    charts = [] if view.traces is None else [_traces(view.traces)]
    if any(len(training) for training, _ in view.curves):
        charts.append(_training(view))
    if len(view.posterior.reports) > 1:
        charts.append(_effective(view))
    return charts


def calibration_charts(view: MechanismView) -> list[Chart]:
    """Ranks of each parameter, and coverage of the joint posterior; none without a diagnosis."""
    return [] if view.diagnosis is None else [_ranks(view), _coverage(view)]


def _traces(traces: Traces) -> Chart:
    plot = frame("traces", 300, x_label="time (ms)", y_label="voltage (mV)", **TOOLS)
    for i, trace in enumerate(traces.predicted_mv):
        t, v = thinned(traces.time_ms, trace)
        name = f"predicted {i + 1}"
        draw(plot, "line", {"time_ms": t, "voltage_mv": v}, series=name, ink="blue", x="time_ms", y="voltage_mv",
             line_alpha=0.35, line_width=1)  # fmt: skip
    t, v = thinned(traces.time_ms, traces.measured_mv)
    draw(plot, "line", {"time_ms": t, "voltage_mv": v}, series="measured", ink="orange", legend=True, x="time_ms",
         y="voltage_mv", line_width=1.2)  # fmt: skip
    caption = (
        f"Voltage simulated at {len(traces.predicted_mv)} posterior samples (blue), over the measured one (orange)."
        " Noise differs from simulation to simulation: look at counts, shapes and levels, not at single spike times."
    )
    return Chart("traces", "Posterior predictive traces", caption, plot)


def _training(view: MechanismView) -> Chart:
    plot = frame("training", 220, x_label="epoch, all rounds in a row", y_label="loss (nats)", **TOOLS)
    start = 0
    for r, (training, validation) in enumerate(view.curves):
        epoch = start + 1 + np.arange(len(training))
        both: tuple[tuple[str, np.ndarray, Ink], ...] = (
            ("training", training, "grey"),
            ("validation", validation, "blue"),
        )
        for label, values, ink in both:
            data = {"epoch": epoch, "loss": _robust(values)}
            draw(plot, "line", data, series=f"{label}, round {r + 1}" if r else label, ink=ink, legend=r == 0,
                 x="epoch", y="loss", line_width=1.5)  # fmt: skip
        start += len(training)
    caption = "Mean negative log density of the true parameters; the weights with the lowest validation loss are kept."
    return Chart("training", "Training", caption, plot)


def _effective(view: MechanismView) -> Chart:
    from bokeh.models import DataRange1d

    y_range = DataRange1d(start=0)
    plot = frame("effective", 220, x_label="round", y_label="simulations", tools="save", y_range=y_range)
    rounds = [report.round for report in view.posterior.reports]
    used = [float(report.trained_on) for report in view.posterior.reports]
    both: tuple[tuple[str, list[float], Ink], ...] = (
        ("in training", used, "grey"),
        ("effective", [report.effective for report in view.posterior.reports], "blue"),
    )
    for name, values, ink in both:
        data = {"round": rounds, "simulations": values}
        draw(plot, "line", data, series=name, ink=ink, legend=True, x="round", y="simulations", line_width=2)
        draw(plot, "scatter", data, series=name, ink=ink, x="round", y="simulations", size=7)
    plot.xaxis.ticker = rounds
    caption = "Simulations that entered the training of each round, and what the importance weights leave of them."
    return Chart("effective", "Effective simulations", caption, plot)


def _ranks(view: MechanismView) -> Chart:
    assert view.diagnosis is not None
    table = view.diagnosis.calibration
    plot = frame("ranks", 260, x_label="rank of the truth among posterior samples", y_label="share below", tools="save")
    level = table["level"].values
    _diagonal(plot, level, "rank")
    for name, curve in zip(table["parameter"].values.tolist(), table["rank_curve"].values, strict=True):
        draw(plot, "line", {"rank": level, "share": curve}, series=str(name), ink="blue", x="rank", y="share",
             line_alpha=0.6, line_width=1.4)  # fmt: skip
    caption = (
        "Simulation-based calibration, one line a parameter: on the diagonal if its marginal is right; an S that"
        " starts above it means too narrow."
    )
    return Chart("ranks", "Ranks of the true parameters", caption, plot)


def _coverage(view: MechanismView) -> Chart:
    assert view.diagnosis is not None
    table = view.diagnosis.calibration
    plot = frame("coverage", 260, x_label="credible level", y_label="share of truths inside", tools="save")
    level = table["level"].values
    _diagonal(plot, level, "level")
    both: tuple[tuple[str, str, Ink], ...] = (
        ("highest density", "coverage_curve", "blue"),
        ("TARP", "tarp_curve", "green"),
    )
    for name, key, ink in both:
        draw(plot, "line", {"level": level, "share": table[key].values}, series=name, ink=ink, legend=True,
             x="level", y="share", line_width=2)  # fmt: skip
    caption = "Below the diagonal, regions are too small (overconfident); above, too large (cautious)."
    return Chart("coverage", "Coverage of credible regions", caption, plot)


def _diagonal(plot: Figure, level: np.ndarray, across: str) -> None:
    draw(plot, "line", {across: level, "share": level}, series="exact", ink="grey", x=across, y="share",
         line_dash=[5, 4], line_width=1)  # fmt: skip


def _robust(values: np.ndarray) -> np.ndarray:
    """Without the first, enormous losses, which would hide the others."""
    finite = values[np.isfinite(values)]
    if len(finite) < 5:
        return values
    top = np.median(finite) + 10 * max(float(np.quantile(finite, 0.75) - np.quantile(finite, 0.25)), 0.1)
    return np.where(values > top, np.nan, values)
