"""`antidrome.plot`: one look at a recording, a result or a fitted estimator, in bokeh or matplotlib.

What is drawn is described once, as curves and points with labels; either library draws that.
"""

from __future__ import annotations

from typing import Any

from antidrome.errors import InputError
from antidrome.plotting.drawing import bokeh_figure, matplotlib_axes
from antidrome.plotting.pictures import picture_of


def plot(thing: Any, *, backend: str = "bokeh") -> Any:
    """Draw a recording, a result or a fitted estimator.

    Parameters
    ----------
    thing
        A recording (time, neuron); a result of `predict`, `sample` or `spike_times` of `SpikeVAE`; one session's
        result of `transform`, `impute` or `forecast` of `StitchedLDS`, or what its `sample`, `predict_covariance`,
        `predict_correlation`, `dynamics_table`, `select_order` or `stationarity` gives; a result of `estimate`,
        `gride`, `block_analysis`, `linear_dimension`, `population` or `layers` of `antidrome.dimension`; a fitted
        `SpikeVAE`, `StitchedLDS`, `TwoNN` or `SNPE`; a posterior, or samples of it (sample, parameter).
    backend
        "bokeh", or "matplotlib" where it is installed.

    Returns
    -------
    A bokeh figure, or a matplotlib `Axes`. Estimators have it as a method, `model.plot()`, recordings and other
    labelled results as `recording.antidrome.plot()`.

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
        return bokeh_figure(picture)
    if backend == "matplotlib":
        return matplotlib_axes(picture)
    raise InputError(f"backend is {backend!r}; it can be 'bokeh' or 'matplotlib'.")
