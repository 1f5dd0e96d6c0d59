"""What is drawn of each kind of thing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from antidrome.errors import InputError
from antidrome.plotting import of_dynamics
from antidrome.plotting.drawing import Matrix, Picture, Series
from antidrome.plotting.shapes import along, has, is_array, row, traces
from antidrome.recordings.arguments import counted


def picture_of(thing: Any) -> Picture | Matrix:
    """What `plot` draws of it; raises InputError if it knows no picture."""
    for knows, draw in PICTURES:
        if knows(thing):
            return draw(thing)
    raise InputError(
        f"There is no picture of a {type(thing).__name__}. Pass a recording (time, neuron); a result of SpikeVAE, of"
        " StitchedLDS, or of estimate, gride, block_analysis, linear_dimension, population or layers of"
        " antidrome.dimension; a fitted SpikeVAE, StitchedLDS, TwoNN or SNPE; or a posterior."
    )


def _spikes(result: Any) -> Picture:
    """Expected rates of the first neurons, or what there is of them, one above the other."""
    of, units = ("rates", "spikes/s") if "rate_hz" in result else ("spikes", "spikes per frame")
    shown = result["rate_hz" if "rate_hz" in result else "expected_spikes"]
    picture = traces(shown.assign_attrs(units=units))
    return dataclasses.replace(picture, title=f"Expected {of}, {picture.title}")


def _raster(found: Any) -> Picture:
    """A point for each spike time, a row for each neuron that has spikes."""
    labels = found["neuron"].values.astype(str).tolist()
    row_of = {name: place for place, name in enumerate(dict.fromkeys(labels))}
    rows = np.array([row_of[label] for label in labels], float)
    title = f"{counted(rows.size, 'spike')} of {counted(len(row_of), 'neuron')}"
    series = (Series(row(found["time_s"]), rows, "points"),)
    return Picture(title, "time (s)", "neuron", series, y_names=tuple(row_of))


def _is_drawn(thing: Any) -> bool:
    return set(getattr(thing, "dims", ())) == {"sample", "time", "neuron"} and not hasattr(thing, "data_vars")


def _drawn(samples: Any) -> Picture:
    """Spike trains drawn from the posterior: their mean, with a band of one SD."""
    picture = traces(samples.mean("sample", keep_attrs=True), spread=samples.std("sample"))
    of = counted(samples.sizes["sample"], "sample")
    return dataclasses.replace(picture, title=f"Mean ± SD of {of}, {picture.title}")


def _population(found: Any) -> Picture:
    counts = found["n_neurons"].values
    return Picture(
        f"Dimension {float(found['dimension']):.1f} ± {float(found['standard_error']):.1f}",
        "neurons",
        "intrinsic dimension",
        (
            Series(counts, row(along(found["dimension_by_neurons"], "draw").mean("draw")), "line", "recorded"),
            Series(counts, found["shuffled_by_neurons"].values, "line", "shifted against one another"),
        ),
    )


def _is_layers(thing: Any) -> bool:
    return {"dimension", "relative_depth"} <= set(getattr(thing, "variables", ()))


def _layers(found: Any) -> Picture:
    """One curve a network; one a network and class, where some classes were selected."""
    many = along(found, "network", "layer", "class")
    whole = [place for place, name in enumerate(many["class"].values) if name == "all"]
    series = []
    for network, name in enumerate(many["network"].values):
        for group in whole or range(many.sizes["class"]):
            one = many.isel({"network": network, "class": group})
            depth = row(one["relative_depth"])
            order = np.argsort(depth)[: int(np.isfinite(depth).sum())]  # layers of other networks have no depth here
            of = str(name) if whole else f"{name}, {many['class'].values[group]}"
            series.append(Series(depth[order], row(one["dimension"])[order], "line", of))
    return Picture("Intrinsic dimension across layers", "relative depth", "intrinsic dimension", tuple(series))


def _estimate(found: Any) -> Picture:
    """Every scale that was measured: ranks of neighbours and parts of the points, beside the estimate itself."""
    found = along(found, "estimator", "scale_rank")
    names = [str(name) for name in found["estimator"].values]
    one = found.isel(estimator=names.index("two_nn") if "two_nn" in names else 0)
    value, name = float(one["dimension"].values.flat[0]), str(one["estimator"].values)
    nearest = row(found["gride_distance"].where(found["scale_rank"] == 1, drop=True))
    series = [Series(row(found["gride_distance"]), row(found["gride"]), "line", "neighbours of growing rank")]
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
    series = (Series(row(found["distance"]), row(found["dimension"])),)
    return Picture("Dimension at growing ranks", "distance of the neighbours", "intrinsic dimension", series)


def _blocks(found: Any) -> Picture:
    series = (Series(row(found["n_points"]), row(found["dimension"])),)
    title = f"Dimension of parts of the points{_verdict(found)}"
    return Picture(title, "points in a part", "intrinsic dimension", series)


def _linear(found: Any) -> Picture:
    title = f"{int(found['pca_dimension'])} components for {100 * found.attrs['share']:.0f} % of the variance"
    return Picture(title, "component", "variance", (Series(row(found["component"]), row(found["variance"])),))


def _is_fitted(name: str) -> Callable[[Any], bool]:
    return lambda thing: type(thing).__name__ == name and type(thing).__module__.startswith("antidrome.")


def _spike_vae(model: Any) -> Picture:
    """The size of a spike in every cell beside its noise; of a generative model without these, how the fit went."""
    _require(model, "generative_parameters_")
    found = model.generative_parameters_
    if not {"amplitude", "noise_sd"} <= set(found) or found["amplitude"].dims != found["noise_sd"].dims:
        return _training(model.report_["losses"])
    noise, amplitude = row(found["noise_sd"]), row(found["amplitude"])
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
    values = np.linalg.eigvals(model.result_.system.dynamics)
    return of_dynamics.eigenvalues(values, f"Dynamics of {counted(model.n_components_, 'dimension')}")


def _snpe(model: Any) -> Picture:
    _require(model, "posterior_")
    return _marginals(model.sample(4000))


def _is_posterior(thing: Any) -> bool:
    return _is_fitted("Posterior")(thing) or _is_fitted("ParameterDensity")(thing)


def _marginals(samples: Any) -> Picture:
    samples = along(samples, "parameter").transpose("sample", "parameter")
    names = [str(name) for name in samples["parameter"].values]
    series = []
    for name, column in zip(names, samples.values.T, strict=True):
        density, edges = np.histogram(column, bins=60, density=True)
        scale = (edges[-1] - edges[0]) or 1.0
        series.append(Series((edges[1:] + edges[:-1]) / 2, density * scale, "line", name))
    return Picture("Posterior marginals", "parameter", "density × range", tuple(series))


PICTURES: tuple[tuple[Callable[[Any], bool], Callable[[Any], Picture | Matrix]], ...] = (
    (has("expected_spikes", "time"), _spikes),
    (has("dimension_by_neurons", "n_neurons"), _population),
    (_is_layers, _layers),
    (has("dimension_at_scale"), _of_two_nn),
    (has("gride", "gride_distance", "dimension"), _estimate),
    (has("sd_over_blocks", "n_points", "dimension"), _blocks),
    (has("distance", "n_used", "dimension"), _gride),
    (has("pca_dimension", "variance"), _linear),
    (has("neuron", "time_s", "low_s", "probability"), _raster),
    (has("latent", "latent_covariance", "time"), of_dynamics.latents),
    (has("mean", "sd", "time"), of_dynamics.predicted),
    (has("activity", "latent", "time"), of_dynamics.sampled),
    (has("real", "imag", "modulus"), of_dynamics.modes),
    (has("correlation", "correlation_zero_lag", "order"), of_dynamics.orders),
    (has("gap", "expected_gap", "deviates"), of_dynamics.gaps),
    (of_dynamics.is_matrix, of_dynamics.matrix),
    (is_array("time", "neuron"), traces),
    (_is_drawn, _drawn),
    (is_array("sample", "parameter"), _marginals),
    (_is_posterior, lambda posterior: _marginals(posterior.sample(4000))),
    (_is_fitted("SpikeVAE"), _spike_vae),
    (_is_fitted("TwoNN"), _two_nn),
    (_is_fitted("StitchedLDS"), _stitched_lds),
    (_is_fitted("SNPE"), _snpe),
)


def _require(model: Any, attribute: str) -> None:
    if not hasattr(model, attribute):
        raise InputError(f"This {type(model).__name__} is not fitted yet; call fit first.")
