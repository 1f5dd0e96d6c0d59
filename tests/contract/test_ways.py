"""What a fit says of recordings does not depend on how these are given: one table of ways, one of uses."""

from functools import cache
from itertools import cycle
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import antidrome as ad

RATE_HZ = 10.0
N_NEURONS, N_FRAMES = 18, 300


@cache
def sessions():
    """Three sessions of one population that share neurons, each with an order of its own."""
    truth = ad.dynamics.simulate(n_neurons=N_NEURONS, n_components=2, n_frames=3 * N_FRAMES, seed=1)
    made = {}
    for k, (name, neurons) in enumerate({"mon": range(10), "tue": range(5, 15), "wed": range(17, 7, -1)}.items()):
        made[name] = xr.DataArray(
            truth.activity[N_FRAMES * k : N_FRAMES * (k + 1), list(neurons)],
            {"time": (np.arange(N_FRAMES) + 0.5) / RATE_HZ, "neuron": [f"n{i:02d}" for i in neurons]},
            ("time", "neuron"),
            attrs={"frame_rate_hz": RATE_HZ, "units": "1"},
        )
    return made


def each(way):
    """A way of giving one recording, for every session."""
    return lambda given: {name: way(one) for name, one in given.items()}


def permuted(recording):
    order = np.random.default_rng(recording.sizes["neuron"]).permutation(recording.sizes["neuron"])
    return recording.isel(neuron=order)


def among_strangers(recording):
    noise = np.random.default_rng(0).standard_normal((recording.sizes["time"], 2))
    strangers = xr.DataArray(noise, {"time": recording["time"], "neuron": ["a", "z"]}, ("time", "neuron"))
    return permuted(xr.concat([recording, strangers], "neuron")).assign_attrs(recording.attrs)


def as_table(recording):
    index = pd.Index(recording["time"].values * 1000, name="time_ms")
    return pd.DataFrame(recording.values, index, recording["neuron"].values)


def as_one_matrix(given):
    parts = [one.drop_attrs().assign_coords(session=("time", [name] * N_FRAMES)) for name, one in given.items()]
    return xr.concat(parts, "time", join="outer").assign_attrs(frame_rate_hz=RATE_HZ)


def in_percent(recording):
    return (100 * recording).assign_attrs(recording.attrs, units="percent")


WAYS = {
    "permuted": each(permuted),
    "reversed": each(lambda one: one.isel(neuron=slice(None, None, -1))),
    "transposed": each(lambda one: one.T),
    "other order of sessions": lambda given: dict(reversed(given.items())),
    "one matrix": as_one_matrix,
    "tables": each(as_table),
    "pairs": each(lambda one: (one.values, one["neuron"].values)),
    "later": each(lambda one: one.assign_coords(time=one["time"] + 1234.5)),
    "in ms": each(lambda one: one.assign_coords(time=("time", one["time"].values * 1000, {"units": "ms"}))),
    "in percent": each(in_percent),
    "one in percent": lambda given: {**given, "tue": in_percent(given["tue"])},
    "dask": each(lambda one: one.chunk({"time": 77, "neuron": 3})),
    "among strangers": each(among_strangers),
    "neurons that were not seen": each(lambda one: one.reindex(neuron=[f"n{i:02d}" for i in range(N_NEURONS)])),
}


def pairs_of(compared):
    """Predicted and measured, in the order of the predicted."""
    predicted, measured = compared[:2]
    order = np.argsort(predicted)
    return {"predicted": predicted[order], "measured": measured[order]}


DYNAMICS = {
    "transform": lambda model, given: {name: one["latent"] for name, one in model.transform(given).items()},
    "impute": lambda model, given: {name: one["mean"] for name, one in model.impute(given).items()},
    "forecast": lambda model, given: {name: one["mean"] for name, one in model.forecast(given, 5).items()},
    "score of seen pairs": lambda model, given: {"r": model.score(given, pairs="seen")},
    "compare_pairs": lambda model, given: pairs_of(model.compare_pairs(given, pairs="all")),
    "co_smoothing": lambda model, given: {"r": model.co_smoothing(given, n_folds=100)},
    "stationarity": lambda model, given: {"gap": model.stationarity(given, n_draws=99)["gap"]},
}


def values_of(found):
    """Numbers in an order that does not depend on that of the answer."""
    if isinstance(found, dict):
        return {name: values_of(found[name]) for name in sorted(found)}
    for dim in ("session", "neuron"):
        found = found.sortby(dim) if dim in getattr(found, "coords", ()) else found
    return np.asarray(found, float)


SCALINGS = ("neuron", "session", "none")
SETTINGS = {"shrinkage": 0.0, "coupling": np.inf, "zero_lag": "never", "private_noise": "white", "n_starts": 1}


def fit_of(given, scaling):
    return ad.StitchedLDS(2, scaling=scaling, **SETTINGS).fit(given, progress=False)


@cache
def fitted(scaling="neuron"):
    return fit_of(sessions(), scaling)


@cache
def loaded(scaling):
    with TemporaryDirectory() as folder:
        fitted(scaling).save(f"{folder}/fit.safetensors")
        return ad.StitchedLDS.load(f"{folder}/fit.safetensors")


@cache
def of_dynamics(use, scaling):
    return values_of(DYNAMICS[use](fitted(scaling), sessions()))


def agree(found, expected, **close):
    assert list(found) == list(expected)
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name], err_msg=name, **close)


@pytest.mark.parametrize("use", list(DYNAMICS))
@pytest.mark.parametrize("way", list(WAYS))
def test_dynamics_of_recordings_however_they_are_given(way, use):
    found = values_of(DYNAMICS[use](fitted(), WAYS[way](sessions())))
    agree(found, of_dynamics(use, "neuron"), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("use", list(DYNAMICS))
@pytest.mark.parametrize("scaling", SCALINGS)
def test_dynamics_of_a_fit_that_was_written(scaling, use):
    found = values_of(DYNAMICS[use](loaded(scaling), WAYS["one matrix"](sessions())))
    agree(found, of_dynamics(use, scaling), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("way", "scaling"), list(zip(sorted({*WAYS} - {"among strangers"}), cycle(SCALINGS), strict=False))
)
def test_a_fit_of_recordings_however_they_are_given(way, scaling):
    model, labels = fit_of(WAYS[way](sessions()), scaling), sorted(fitted(scaling).neurons_)
    assert sorted(model.neurons_) == labels
    found, expected = (one.predict_correlation(labels, labels, lag=1).values for one in (model, fitted(scaling)))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def of_neurons(found):
    """Label → values."""
    return {str(label): found.sel(neuron=label).values for label in found["neuron"].values}


SPIKES = {
    "predict": lambda model, given: of_neurons(model.predict(given, progress=False)["expected_spikes"]),
    "sample": lambda model, given: of_neurons(model.sample(given, n_samples=200).sum("time").mean("sample")),
    "reconstruct": lambda model, given: of_neurons(model.reconstruct(given)),
    "spike_times": lambda model, given: {
        str(label): train["time_s"].values for label, train in model.spike_times(given).groupby("neuron")
    },
    "noise_level": lambda model, given: of_neurons(ad.recordings.noise_level(ad.recordings.as_recording(given))),
}
OF_ONE = {
    **{way: WAYS[way] for way in ("permuted", "reversed", "transposed", "tables", "in ms", "in percent", "dask")},
    "one neuron": each(lambda one: one.isel(neuron=[1])),
    "in double precision": each(lambda one: one.astype(np.float64)),
}


@cache
def fluorescence():
    return ad.spikes.simulate(4, 20, 30.0, 1)["dff"]


@cache
def of_spikes(use):
    return SPIKES[use](ad.SpikeVAE(), fluorescence())


@pytest.mark.parametrize("use", list(SPIKES))
@pytest.mark.parametrize("way", list(OF_ONE))
def test_spikes_of_a_recording_however_it_is_given(way, use):
    found = SPIKES[use](ad.SpikeVAE(), OF_ONE[way]({"one": fluorescence()})["one"])
    assert set(found) <= set(of_spikes(use))
    assert found
    for label, values in found.items():
        np.testing.assert_allclose(values, of_spikes(use)[label], rtol=2e-3, atol=2e-4, err_msg=label)


@pytest.mark.parametrize("way", [way for way in OF_ONE if way != "one neuron"])
def test_the_score_of_spikes_however_the_recording_is_given(way):
    given = OF_ONE[way]({"one": fluorescence()})["one"]
    assert ad.SpikeVAE().score(given) == pytest.approx(ad.SpikeVAE().score(fluorescence()), rel=1e-3)
