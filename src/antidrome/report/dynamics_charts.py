"""The page's figures of a linear dynamical system."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from antidrome.recordings.arguments import counted
from antidrome.report.charts import COLOURS, Chart, Ink, draw, frame, legend_names
from antidrome.report.dynamics_view import DynamicsView, Trajectory

TOOLS = "pan,box_zoom,wheel_zoom,reset,save"
SAVE = "save"


def overlap_chart(view: DynamicsView) -> Chart:
    """Which session has recorded which neurons."""
    plot = frame(
        "dynamics-overlap",
        70 + 22 * min(max(len(view.sessions), 3), 20),
        x_label="neuron (sorted by the sessions that saw it)",
        y_label="session",
        x_range=(0, max(view.n_neurons, 1)),
        y_range=(len(view.sessions) + 0.5, 0.5),
        tools="hover,save",
        tooltips=[("session", "@session"), ("neurons", "@count")],
    )
    session, first, last = view.runs.T if view.runs.size else np.zeros((3, 0), dtype=int)
    names = [view.sessions[k] for k in session]
    data = {
        "session": names, "left": first, "right": last, "top": session + 0.6, "bottom": session + 1.4,
        "count": last - first,
    }  # fmt: skip
    edges = {key: key for key in ("left", "right", "top", "bottom")}
    draw(plot, "quad", data, series="recorded", ink="blue", line_color=None, fill_alpha=0.75, **edges)
    plot.yaxis.ticker = list(range(1, len(view.sessions) + 1)) if len(view.sessions) <= 20 else [1, len(view.sessions)]
    caption = (
        f"Each row a session; {100 * view.share_never_together:.1f} % of the pairs of neurons were never recorded"
        " together and are predicted."
    )
    return Chart("dynamics-overlap", "Who recorded whom", caption, plot)


def shared_chart(view: DynamicsView) -> Chart:
    """Neurons that two sessions share."""
    n = len(view.sessions)
    plot = frame(
        "dynamics-shared", 260, x_label="session", y_label="session", x_range=(0.5, n + 0.5), y_range=(n + 0.5, 0.5),
        tools="hover,save", tooltips=[("sessions", "@first, @second"), ("shared neurons", "@shared")],
    )  # fmt: skip
    i, j = np.divmod(np.arange(n * n), max(n, 1))
    shared = view.shared[i, j]
    data = {
        "x": j + 1, "y": i + 1, "first": [view.sessions[k] for k in i], "second": [view.sessions[k] for k in j],
        "shared": shared, "alpha": 0.06 + 0.94 * shared / max(int(view.shared.max(initial=1)), 1),
    }  # fmt: skip
    draw(
        plot, "rect", data, series="shared neurons", ink="blue", x="x", y="y", width=0.94, height=0.94,
        fill_alpha="alpha", line_color=None,
    )  # fmt: skip
    ticks = list(range(1, n + 1)) if n <= 12 else [1, n]
    plot.xaxis.ticker = plot.yaxis.ticker = ticks
    return Chart("dynamics-shared", "Shared neurons", _ties(view), plot)


def _ties(view: DynamicsView) -> str:
    if len(view.sessions) == 1:
        return "One session: its neurons with themselves."
    groups = int(view.component.max(initial=0)) + 1
    tied = "All sessions are tied together" if groups == 1 else f"The sessions fall into {counted(groups, 'group')}"
    return f"{tied} by shared neurons with independent loadings; {view.n_components} are needed for each tie."


def loss_chart(view: DynamicsView) -> Chart:
    """The loss along the iterations of the solver."""
    plot = frame("dynamics-loss", 240, x_label="iteration", y_label="loss (data's constant left out)", tools=SAVE)
    data = {"iteration": np.arange(1, len(view.losses) + 1), "loss": view.losses}
    draw(plot, "line", data, series="loss", ink="blue", line_width=1.6, x="iteration", y="loss")
    caption = "Squared error of all lagged covariances between neurons recorded together, per time step."
    return Chart("dynamics-loss", "Loss", caption, plot)


def likelihood_chart(view: DynamicsView) -> Chart:
    """The log-likelihood along EM."""
    plot = frame("dynamics-likelihood", 240, x_label="iteration of EM", y_label="log-likelihood", tools=SAVE)
    data = {"iteration": np.arange(1, len(view.log_likelihoods) + 1), "log_likelihood": view.log_likelihoods}
    draw(plot, "line", data, series="log-likelihood", ink="blue", line_width=1.6, x="iteration", y="log_likelihood")
    return Chart("dynamics-likelihood", "Refinement", "It never falls from one iteration of EM to the next.", plot)


def spectrum_chart(view: DynamicsView) -> Chart:
    """Eigenvalues of A in the complex plane."""
    modes = view.modes
    unit = "s" if "time_constant_s" in modes else "frames"
    tips = [("modulus", "@modulus{0.0000}"), ("time constant", "@told")]
    plot = frame(
        "dynamics-spectrum", 260, x_label="real part", y_label="imaginary part", match_aspect=True,
        tools=f"{TOOLS},hover",
        tooltips=tips,
    )  # fmt: skip
    angle = np.linspace(0, 2 * np.pi, 121)
    circle = {"real": np.cos(angle), "imag": np.sin(angle)}
    plot.hover.renderers = []
    draw(plot, "line", circle, series="unit circle", ink="grey", line_width=1, line_alpha=0.6, x="real", y="imag")
    data = {name: modes[name].values for name in ("real", "imag", "modulus")}
    constants = modes[f"time_constant_{unit}"].values
    data["time_constant"] = constants
    data["told"] = ["not measured" if np.isnan(one) else f"{one:.3f} {unit}" for one in constants.tolist()]
    points = draw(plot, "scatter", data, series="eigenvalue", ink="orange", size=9, x="real", y="imag")
    plot.hover.renderers = [points]
    caption = "Eigenvalues of A: near the circle slow, off the real axis oscillating."
    return Chart("dynamics-spectrum", "Spectrum", caption, plot)


def trajectory_charts(view: DynamicsView) -> list[Chart]:
    """Latent states: over time for one dimension, a plane for two, three projections for three and more."""
    if not view.trajectories:
        return []
    n = view.trajectories[0].states.shape[1]
    if n == 1:
        return [_trajectory(view, None, 0, "Latent state over time")]
    pairs = list(combinations(range(min(n, 3)), 2))
    return [_trajectory(view, a, b, f"Components {a + 1} and {b + 1}") for a, b in pairs]


def _trajectory(view: DynamicsView, first: int | None, second: int, title: str) -> Chart:
    name = f"dynamics-trajectory-{'time' if first is None else first + 1}-{second + 1}"
    over_time = "time (s)" if view.frame_rate_hz else "frame"
    x_label = over_time if first is None else f"component {first + 1}"
    plot = frame(name, 300, x_label=x_label, y_label=f"component {second + 1}", tools=TOOLS, active_scroll="wheel_zoom")
    few = len(view.trajectories) <= 6
    names = legend_names(one.session_id for one in view.trajectories)
    for index, one in enumerate(view.trajectories):
        data = {"time_s": one.time_s, "y": one.states[:, second]}
        data["x"] = one.time_s if first is None else one.states[:, first]
        colour = COLOURS[index % len(COLOURS)]
        draw(
            plot, "line", data, series=one.session_id, legend=few and names[one.session_id], color=colour,
            line_width=1, line_alpha=0.75, x="x", y="y", muted_alpha=0.06,
        )  # fmt: skip
    if few:
        plot.legend.click_policy = "mute"
        plot.legend.update(spacing=0, padding=4, margin=4)
    many = " Click a session in the legend to dim it." if few and len(view.trajectories) > 1 else ""
    return Chart(name, title, f"Smoothed latent states, {_thinned(view.trajectories)}one line a session.{many}", plot)


def _thinned(trajectories: Sequence[Trajectory]) -> str:
    """What of the trajectories is drawn, where that is not everything."""
    step = max(one.step for one in trajectories)
    n_shown, n_all = (sum(getattr(one, name) for one in trajectories) for name in ("n_shown", "n_stretches"))
    stretches = f"{n_shown} of {n_all} stretches between pauses, evenly spread; " if n_shown < n_all else ""
    return stretches + (f"one of every {step} time steps; " if step > 1 else "")


def pairs_chart(view: DynamicsView) -> Chart | None:
    """Predicted against measured correlations."""
    if max(view.seen.shape[1], view.held_out.shape[1]) < 3:
        return None
    plot = frame(
        "dynamics-pairs", 320, x_label="predicted correlation", y_label="measured correlation", tools=TOOLS
    )  # fmt: skip
    texts = []
    kinds: tuple[tuple[str, Ink, np.ndarray], ...] = (
        ("recorded together", "blue", view.seen),
        ("held out", "orange", view.held_out),
    )
    for series, ink, values in kinds:
        if values.shape[1] < 3:
            continue
        data = {"predicted": values[0], "measured": values[1]}
        draw(
            plot, "scatter", data, series=series, ink=ink, legend=True, size=4, fill_alpha=0.35, line_color=None,
            x="predicted", y="measured",
        )  # fmt: skip
        r, slope = agreement(*values)
        texts.append(f"{series}: r = {r:.3f}, slope {slope:.2f} ({values.shape[1]:,} pairs)")
    everything = np.concatenate([view.seen, view.held_out], axis=1)
    low, high = (float(x) for x in np.percentile(everything, [0.5, 99.5]))
    line = {"predicted": [low, high], "measured": [low, high]}
    draw(plot, "line", line, series="equal", ink="grey", line_dash=[5, 4], x="predicted", y="measured")
    if plot.legend:
        plot.legend.location = "top_left"
    caption = "; ".join(texts) + ". Held-out pairs were hidden from the fits that predicted them."
    return Chart("dynamics-pairs", "Predicted and measured pairs", caption[0].upper() + caption[1:], plot)


def curve_chart(view: DynamicsView) -> Chart | None:
    """Held-out correlation over the number of dimensions."""
    curve = view.curve
    known = np.isfinite(curve["correlation"].values)
    if known.sum() < 2:
        return None
    plot = frame("dynamics-order", 320, x_label="latent dimensions", y_label="held-out correlation", tools=SAVE)
    lines: tuple[tuple[str, str, Ink], ...] = (
        ("correlation", "time lags", "blue"),
        ("correlation_zero_lag", "lag 0 alone", "orange"),
    )
    for name, series, ink in lines:
        values = curve[name].values
        data = {"dimensions": curve["order"].values, "correlation": values}
        if np.isfinite(values).sum() < 2:
            continue
        draw(plot, "line", data, series=series, ink=ink, legend=True, line_width=1.6, x="dimensions", y="correlation")
        draw(plot, "scatter", data, series=f"{series} (points)", ink=ink, size=6, x="dimensions", y="correlation")
    plot.legend.location = "bottom_right"
    caption = f"Correlation of predicted and measured covariances of hidden pairs; {view.n_components} were taken."
    return Chart("dynamics-order", "Held-out pairs choose the dimensions", caption, plot)


def agreement(predicted: np.ndarray, measured: np.ndarray) -> tuple[float, float]:
    """Correlation, and slope of measured on predicted; 0 where nothing varies."""
    a, b = predicted - predicted.mean(), measured - measured.mean()
    if not (a @ a) > 0 or not (b @ b) > 0:
        return 0.0, 0.0
    return float(a @ b / np.sqrt((a @ a) * (b @ b))), float(a @ b / (a @ a))
