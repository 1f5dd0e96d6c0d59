"""What is drawn of the results of `StitchedLDS`."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from antidrome.plotting.drawing import Matrix, Picture, Series
from antidrome.plotting.shapes import along, row, traces


def latents(found: Any) -> Picture:
    """Latent states with a band of one posterior SD."""
    shown, covariance = (
        along(found["latent"], "component"),
        along(found["latent_covariance"], "component", "component_2"),
    )
    if not np.isin(covariance["component"], covariance["component_2"]).all():  # some of one axis were selected alone
        picture = traces(shown, "component")
        return _titled(picture, f"Latent states, {picture.title}")
    picture = traces(shown, "component", np.sqrt(covariance.sel(component_2=covariance["component"])))
    return _titled(picture, f"Latent states ± SD, {picture.title}")


def predicted(found: Any) -> Picture:
    """Imputed or forecast activity with a band of one SD."""
    picture = traces(found["mean"], spread=found["sd"])
    return _titled(picture, f"Predicted activity ± SD, {picture.title}")


def sampled(found: Any) -> Picture:
    """Activity that was drawn from the fit."""
    picture = traces(found["activity"])
    return _titled(picture, f"Activity drawn from the fit, {picture.title}")


def is_matrix(thing: Any) -> bool:
    """Whether a thing is an array (neuron, neuron_2)."""
    return set(getattr(thing, "dims", ())) == {"neuron", "neuron_2"} and not hasattr(thing, "data_vars")


def matrix(found: Any) -> Matrix:
    """Covariances or correlations between neurons."""
    found = found.transpose("neuron", "neuron_2")
    names = (tuple(str(name) for name in found[axis].values) for axis in ("neuron", "neuron_2"))
    units = found.attrs.get("units", "")
    label = units if units not in ("", "1") else ""
    return Matrix(str(found.attrs.get("long_name", "")), label, np.asarray(found.values, float), *names)


def eigenvalues(values: np.ndarray, title: str) -> Picture:
    """(mode,) complex, beside the unit circle."""
    circle = np.exp(2j * np.pi * np.linspace(0, 1, 200))
    shown = (Series(circle.real, circle.imag, "line", "unit circle"),)
    shown += (Series(values.real, values.imag, "points", "eigenvalues"),)
    return Picture(title, "real part", "imaginary part", shown)


def modes(found: Any) -> Picture:
    """The table of `StitchedLDS.dynamics_table`."""
    values = row(along(found, "mode")["real"]) + 1j * row(along(found, "mode")["imag"])
    return eigenvalues(values, f"Dynamics of {values.size} dimension{'s' * (values.size != 1)}")


def orders(found: Any) -> Picture:
    """The curve of `StitchedLDS.select_order`."""
    order = row(found["order"])
    series = (
        Series(order, row(found["correlation"]), "line", "lagged"),
        Series(order, row(found["correlation_zero_lag"]), "line", "zero lag alone"),
    )
    best = f": {found.attrs['best']}" if "best" in found.attrs else ""
    return Picture(f"Number of dimensions{best}", "dimensions", "correlation of held-out pairs", series)


def gaps(found: Any) -> Picture:
    """How far each session is from the shared system, beside what chance gives."""
    found = along(found, "session")
    places = np.arange(found.sizes["session"], dtype=float)
    n_deviating = int(found["deviates"].sum())
    series = (
        Series(places, row(found["gap"]), "points", "session"),
        Series(places, row(found["expected_gap"]), "points", "by chance"),
    )
    names = tuple(str(name) for name in found["session"].values)
    return Picture(f"{n_deviating} of {places.size} sessions deviate", "session", "gap", series, x_names=names)


def _titled(picture: Picture, title: str) -> Picture:
    return dataclasses.replace(picture, title=title)
