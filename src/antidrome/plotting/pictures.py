"""What is drawn of each kind of thing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from antidrome.errors import InputError
from antidrome.plotting.drawing import Picture, Series
from antidrome.recordings.arguments import counted
from antidrome.recordings.segments import times_s

MOST_TRACES = 20
MOST_POINTS = 20_000


def picture_of(thing: Any) -> Picture:
    """What `plot` draws of it; raises InputError if it knows no picture."""
    for knows, draw in PICTURES:
        if knows(thing):
            return draw(thing)
    raise InputError(
        f"There is no picture of a {type(thing).__name__}. Pass a recording (time, neuron); a result of"
        " SpikeVAE.predict, or of estimate, gride, block_analysis, linear_dimension, population or layers of"
        " antidrome.dimension; a fitted SpikeVAE, StitchedLDS, TwoNN or SNPE; or a posterior."
    )


def _has(*names: str) -> Callable[[Any], bool]:
    """Whether a thing is a dataset with these variables and axes."""
    return lambda thing: hasattr(thing, "data_vars") and set(names) <= {*thing.data_vars, *thing.dims}


def _is_array(first: str, second: str) -> Callable[[Any], bool]:
    """Whether a thing is an array along these axes, in any order; of the second one value may have been selected."""

    def knows(thing: Any) -> bool:
        dims, other = set(getattr(thing, "dims", ())), not hasattr(thing, "data_vars")
        return other and {first} <= dims <= {first, second} and second in {*dims, *thing.coords}

    return knows


def _along(found: Any, *axes: str) -> Any:
    """The same with these axes, also where one value was selected along them."""
    return found.expand_dims([axis for axis in axes if axis not in found.dims])


def _recording(recording: Any) -> Picture:
    recording = _along(recording, "neuron").transpose("time", "neuron")
    shown = recording.isel(neuron=slice(0, MOST_TRACES))
    times = times_s(shown)
    values, step = _stacked(np.asarray(shown.values, float))
    time, units = shown["time"].values if times is None else times, recording.attrs.get("units", "")
    left = recording.sizes["neuron"] - shown.sizes["neuron"]
    title = counted(shown.sizes["neuron"], "neuron") + (f" of {recording.sizes['neuron']}" if left else "")
    label = f"neuron, {step:.3g}{' ' + units if units not in ('', '1') else ''} apart"
    series = tuple(Series(time[some], trace[some]) for trace in values.T for some in [_telling(trace)])
    return Picture(title, "frame" if times is None else "time (s)", label, series)


def _spikes(result: Any) -> Picture:
    """Expected rates of the first neurons, or what there is of them, one above the other."""
    of, units = ("rates", "spikes/s") if "rate_hz" in result else ("spikes", "spikes per frame")
    shown = result["rate_hz" if "rate_hz" in result else "expected_spikes"]
    picture = _recording(shown.assign_attrs(units=units))
    return Picture(f"Expected {of}, {picture.title}", picture.x_label, picture.y_label, picture.series)


def _population(found: Any) -> Picture:
    counts = found["n_neurons"].values
    return Picture(
        f"Dimension {float(found['dimension']):.1f} ± {float(found['standard_error']):.1f}",
        "neurons",
        "intrinsic dimension",
        (
            Series(counts, _row(_along(found["dimension_by_neurons"], "draw").mean("draw")), "line", "recorded"),
            Series(counts, found["shuffled_by_neurons"].values, "line", "shifted against one another"),
        ),
    )


def _is_layers(thing: Any) -> bool:
    return {"dimension", "relative_depth"} <= set(getattr(thing, "variables", ()))


def _layers(found: Any) -> Picture:
    """One curve a network; one a network and class, where some classes were selected."""
    many = _along(found, "network", "layer", "class")
    whole = [place for place, name in enumerate(many["class"].values) if name == "all"]
    series = []
    for network, name in enumerate(many["network"].values):
        for group in whole or range(many.sizes["class"]):
            one = many.isel({"network": network, "class": group})
            depth = _row(one["relative_depth"])
            order = np.argsort(depth)[: int(np.isfinite(depth).sum())]  # layers of other networks have no depth here
            of = str(name) if whole else f"{name}, {many['class'].values[group]}"
            series.append(Series(depth[order], _row(one["dimension"])[order], "line", of))
    return Picture("Intrinsic dimension across layers", "relative depth", "intrinsic dimension", tuple(series))


def _estimate(found: Any) -> Picture:
    """Every scale that was measured: ranks of neighbours and parts of the points, beside the estimate itself."""
    found = _along(found, "estimator", "scale_rank")
    names = [str(name) for name in found["estimator"].values]
    one = found.isel(estimator=names.index("two_nn") if "two_nn" in names else 0)
    value, name = float(one["dimension"].values.flat[0]), str(one["estimator"].values)
    nearest = _row(found["gride_distance"].where(found["scale_rank"] == 1, drop=True))
    series = [Series(_row(found["gride_distance"]), _row(found["gride"]), "line", "neighbours of growing rank")]
    series.append(Series(nearest, np.full(nearest.size, value), "points", "TwoNN" if name == "two_nn" else name))
    title = f"Dimension {value:.2f} ± {float(one['standard_error'].values.flat[0]):.2f}{_verdict(found)}"
    return Picture(title, "distance of the neighbours", "intrinsic dimension", tuple(series))


def _verdict(found: Any) -> str:
    return f": {found.attrs['verdict']}" if "verdict" in found.attrs else ""


def _of_two_nn(found: Any) -> Picture:
    """Of what `TwoNN.to_dataset` gives, the curve that it holds."""
    curve = found[[name for name, values in found.data_vars.items() if values.dims]]
    return picture_of(curve.rename({name: str(name).removesuffix("_at_scale") for name in curve.data_vars}))


def _gride(found: Any) -> Picture:
    series = (Series(_row(found["distance"]), _row(found["dimension"])),)
    return Picture("Dimension at growing ranks", "distance of the neighbours", "intrinsic dimension", series)


def _blocks(found: Any) -> Picture:
    series = (Series(_row(found["n_points"]), _row(found["dimension"])),)
    title = f"Dimension of parts of the points{_verdict(found)}"
    return Picture(title, "points in a part", "intrinsic dimension", series)


def _linear(found: Any) -> Picture:
    title = f"{int(found['pca_dimension'])} components for {100 * found.attrs['share']:.0f} % of the variance"
    return Picture(title, "component", "variance", (Series(_row(found["component"]), _row(found["variance"])),))


def _is_fitted(name: str) -> Callable[[Any], bool]:
    return lambda thing: type(thing).__name__ == name and type(thing).__module__.startswith("antidrome.")


def _spike_vae(model: Any) -> Picture:
    """The size of a spike in every cell beside its noise; of a generative model without these, how the fit went."""
    _require(model, "generative_parameters_")
    found = model.generative_parameters_
    if not {"amplitude", "noise_sd"} <= set(found) or found["amplitude"].dims != found["noise_sd"].dims:
        return _training(model.report_["losses"])
    noise, amplitude = _row(found["noise_sd"]), _row(found["amplitude"])
    ends = np.array([0.0, np.nanmax(noise, initial=0.0)])
    return Picture(
        f"One spike in each of {found.sizes['neuron']} fitted cells",
        "noise SD (ΔF/F)",
        "amplitude of a spike (ΔF/F)",
        (
            Series(noise, amplitude, "points", "cells"),
            Series(ends, ends / 2, "line", "half of the noise: do not trust spikes below"),
        ),
    )


def _training(losses: Any) -> Picture:
    """Losses on held-out data, one curve a stage of the fit."""
    stages = {"": losses} if "held_out_loss" in losses else losses
    series = tuple(
        Series(np.asarray(one["step"], float), np.asarray(one["held_out_loss"], float), "line", name)
        for name, one in stages.items()
    )
    return Picture("Training", "step", "loss on held-out data", series)


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
        f"Dynamics of {counted(model.n_components_, 'dimension')}",
        "real part",
        "imaginary part",
        (
            Series(circle.real, circle.imag, "line", "unit circle"),
            Series(eigenvalues.real, eigenvalues.imag, "points", "eigenvalues"),
        ),
    )


def _snpe(model: Any) -> Picture:
    _require(model, "posterior_")
    return _marginals(model.sample(4000))


def _is_posterior(thing: Any) -> bool:
    return _is_fitted("Posterior")(thing) or _is_fitted("ParameterDensity")(thing)


def _marginals(samples: Any) -> Picture:
    samples = _along(samples, "parameter").transpose("sample", "parameter")
    names = [str(name) for name in samples["parameter"].values]
    series = []
    for name, column in zip(names, samples.values.T, strict=True):
        density, edges = np.histogram(column, bins=60, density=True)
        scale = (edges[-1] - edges[0]) or 1.0
        series.append(Series((edges[1:] + edges[:-1]) / 2, density * scale, "line", name))
    return Picture("Posterior marginals", "parameter", "density × range", tuple(series))


PICTURES: tuple[tuple[Callable[[Any], bool], Callable[[Any], Picture]], ...] = (
    (_has("expected_spikes", "time"), _spikes),
    (_has("dimension_by_neurons", "n_neurons"), _population),
    (_is_layers, _layers),
    (_has("dimension_at_scale"), _of_two_nn),
    (_has("gride", "gride_distance", "dimension"), _estimate),
    (_has("sd_over_blocks", "n_points", "dimension"), _blocks),
    (_has("distance", "n_used", "dimension"), _gride),
    (_has("pca_dimension", "variance"), _linear),
    (_is_array("time", "neuron"), _recording),
    (_is_array("sample", "parameter"), _marginals),
    (_is_posterior, lambda posterior: _marginals(posterior.sample(4000))),
    (_is_fitted("SpikeVAE"), _spike_vae),
    (_is_fitted("TwoNN"), _two_nn),
    (_is_fitted("StitchedLDS"), _stitched_lds),
    (_is_fitted("SNPE"), _snpe),
)


def _require(model: Any, attribute: str) -> None:
    if not hasattr(model, attribute):
        raise InputError(f"This {type(model).__name__} is not fitted yet; call fit first.")


def _telling(trace: np.ndarray) -> np.ndarray:
    """Places that are drawn: all, or of a longer trace both extremes of each of many bins, so that no event is lost."""
    n, bin_frames = trace.size, -(-2 * trace.size // MOST_POINTS)
    if n <= MOST_POINTS:
        return np.arange(n)
    bins = np.pad(trace, (0, -n % bin_frames), constant_values=np.nan).reshape(-1, bin_frames)
    low, high = np.where(np.isnan(bins), np.inf, bins).argmin(axis=1), np.where(np.isnan(bins), -np.inf, bins)
    return np.unique(np.arange(0, n, bin_frames)[:, None] + np.column_stack([low, high.argmax(axis=1)]))


def _row(values: Any) -> np.ndarray:
    return np.asarray(values.values, float).ravel()


def _stacked(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Traces one above the other, and the distance between them: their widest range, without the rarest values."""
    finite = np.where(np.isfinite(values), values, np.nan)
    if not np.isfinite(finite).any():
        return values, 1.0
    low, high = np.nanquantile(finite[:: -(-len(finite) // MOST_POINTS)], [0.002, 0.998])
    step = float(high - low) or 1.0
    return values + step * np.arange(values.shape[1]), step
