"""`antidrome.plot`: one look at a recording, a result or a fitted estimator, in bokeh or matplotlib.

What is drawn is described once, as curves and points with labels; either library draws that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from antidrome.errors import InputError

MOST_TRACES = 20
MOST_POINTS = 20_000


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


def plot(thing: Any, *, backend: str = "bokeh") -> Any:
    """Draw a recording, a result or a fitted estimator.

    Parameters
    ----------
    thing
        A recording (time, neuron); a result of `SpikeVAE.predict`; a result of `dimension.population` or
        `dimension.layers`; a fitted `TwoNN`, `StitchedLDS` or `SNPE`.
    backend
        "bokeh", or "matplotlib" where it is installed.

    Returns
    -------
    A bokeh figure, or a matplotlib `Axes`.

    Raises
    ------
    InputError
        If there is no picture of such a thing, the estimator is not fitted, or matplotlib is not installed.

    Examples
    --------
    >>> import antidrome as ad
    >>> recording = ad.spikes.simulate(n_neurons=2, duration_s=5, frame_rate_hz=30, seed=1)["dff"]
    >>> type(ad.plot(recording)).__name__
    'figure'
    """
    picture = picture_of(thing)
    if backend == "bokeh":
        return _bokeh(picture)
    if backend == "matplotlib":
        return _matplotlib(picture)
    raise InputError(f"backend is {backend!r}; it can be 'bokeh' or 'matplotlib'.")


def picture_of(thing: Any) -> Picture:
    """What `plot` draws of it; raises InputError if it knows no picture."""
    for knows, draw in PICTURES:
        if knows(thing):
            return draw(thing)
    raise InputError(
        f"There is no picture of a {type(thing).__name__}. Pass a recording (time, neuron), a result of"
        " SpikeVAE.predict or of antidrome.dimension, or a fitted TwoNN, StitchedLDS or SNPE."
    )


def _is_recording(thing: Any) -> bool:
    return getattr(thing, "dims", None) == ("time", "neuron") and not hasattr(thing, "data_vars")


def _recording(recording: Any) -> Picture:
    shown = recording.isel(neuron=slice(0, MOST_TRACES), time=_thin(recording.sizes["time"]))
    values, step = _stacked(np.asarray(shown.values, float))
    time, units = shown["time"].values, recording.attrs.get("units", "")
    left = recording.sizes["neuron"] - shown.sizes["neuron"]
    title = f"{shown.sizes['neuron']} neurons" + (f" of {recording.sizes['neuron']}" if left else "")
    label = f"neuron, {step:.3g}{' ' + units if units not in ('', '1') else ''} apart"
    series = tuple(Series(time, trace) for trace in values.T)
    return Picture(title, "time (s)", label, series)


def _is_spikes(thing: Any) -> bool:
    return "expected_spikes" in getattr(thing, "data_vars", ())


def _spikes(result: Any) -> Picture:
    """Expected rates of the first neurons, one above the other."""
    shown = result["rate_hz"] if "rate_hz" in result else result["expected_spikes"]
    picture = _recording(shown.transpose("time", "neuron").assign_attrs(units="spikes/s"))
    return Picture(f"Expected rates, {picture.title}", picture.x_label, picture.y_label, picture.series)


def _is_population(thing: Any) -> bool:
    return "dimension_by_neurons" in getattr(thing, "data_vars", ())


def _population(found: Any) -> Picture:
    counts = found["n_neurons"].values
    return Picture(
        f"Dimension {float(found['dimension']):.1f} ± {float(found['standard_error']):.1f}",
        "neurons",
        "intrinsic dimension",
        (
            Series(counts, found["dimension_by_neurons"].mean("draw").values, "line", "recorded"),
            Series(counts, found["shuffled_by_neurons"].values, "line", "shifted against one another"),
        ),
    )


def _is_layers(thing: Any) -> bool:
    return {"dimension", "relative_depth"} <= set(getattr(thing, "variables", ()))


def _layers(found: Any) -> Picture:
    whole = found.sel({name: "all" for name in found.dims if name == "class" and "all" in found[name].values})
    many = [whole.sel(network=one) for one in whole["network"].values] if "network" in whole.dims else [whole]
    series = tuple(
        Series(_row(one["relative_depth"]), _row(one["dimension"]), "line", str(one.coords.get("network", "")) and
               str(one["network"].values))
        for one in many
    )  # fmt: skip
    return Picture("Intrinsic dimension across layers", "relative depth", "intrinsic dimension", series)


def _is_fitted(name: str) -> Callable[[Any], bool]:
    return lambda thing: type(thing).__name__ == name and type(thing).__module__.startswith("antidrome.")


def _two_nn(model: Any) -> Picture:
    _require(model, "dimension_")
    from antidrome.dimension.two_nn import line_fit

    fit = line_fit(model.mu_, model.discard_fraction)
    end = np.array([0.0, fit.log_mu.max(initial=0.0)])
    return Picture(
        f"TwoNN: dimension {model.dimension_:.2f} ± {model.standard_error_:.2f}",
        "log μ",
        "−log(1 − F(μ))",
        (
            Series(fit.log_mu, fit.minus_log_survival, "points", "ratios"),
            Series(end, model.dimension_ * end, "line", "fit"),
        ),
    )


def _stitched_lds(model: Any) -> Picture:
    _require(model, "result_")
    eigenvalues = np.linalg.eigvals(model.result_.system.dynamics)
    circle = np.exp(2j * np.pi * np.linspace(0, 1, 200))
    return Picture(
        f"Dynamics of {model.n_components_} dimensions",
        "real part",
        "imaginary part",
        (
            Series(circle.real, circle.imag, "line", "unit circle"),
            Series(eigenvalues.real, eigenvalues.imag, "points", "eigenvalues"),
        ),
    )


def _snpe(model: Any) -> Picture:
    _require(model, "posterior_")
    samples = model.sample(4000)
    names = [str(name) for name in samples["parameter"].values]
    series = []
    for name, column in zip(names, samples.values.T, strict=True):
        density, edges = np.histogram(column, bins=60, density=True)
        scale = (edges[-1] - edges[0]) or 1.0
        series.append(Series((edges[1:] + edges[:-1]) / 2, density * scale, "line", name))
    return Picture("Posterior marginals", "parameter", "density × range", tuple(series))


PICTURES: tuple[tuple[Callable[[Any], bool], Callable[[Any], Picture]], ...] = (
    (_is_spikes, _spikes),
    (_is_population, _population),
    (_is_layers, _layers),
    (_is_recording, _recording),
    (_is_fitted("TwoNN"), _two_nn),
    (_is_fitted("StitchedLDS"), _stitched_lds),
    (_is_fitted("SNPE"), _snpe),
)


def _require(model: Any, attribute: str) -> None:
    if not hasattr(model, attribute):
        raise InputError(f"This {type(model).__name__} is not fitted yet; call fit first.")


def _thin(n: int) -> slice:
    return slice(None, None, max(1, -(-n // MOST_POINTS)))


def _row(values: Any) -> np.ndarray:
    return np.asarray(values.values, float).ravel()


def _stacked(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Traces one above the other, and the distance between them: their widest range, without the rarest values."""
    finite = np.where(np.isfinite(values), values, np.nan)
    if not np.isfinite(finite).any():
        return values, 1.0
    low, high = np.nanquantile(finite, [0.002, 0.998])
    step = float(high - low) or 1.0
    return values + step * np.arange(values.shape[1]), step


def _bokeh(picture: Picture) -> Any:
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


def _matplotlib(picture: Picture) -> Any:
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
