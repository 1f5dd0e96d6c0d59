"""What a fit says of recordings does not depend on how these are given: one table of ways, one of uses."""

from functools import cache

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
            attrs={"frame_rate_hz": RATE_HZ},
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

SPIKES = {
    "predict": lambda model, given: model.predict(given, progress=False)["expected_spikes"],
    "reconstruct": lambda model, given: model.reconstruct(given),
}


def values_of(found):
    """Numbers in an order that does not depend on that of the answer."""
    if isinstance(found, dict):
        return {name: values_of(found[name]) for name in sorted(found)}
    for dim in ("session", "neuron"):
        found = found.sortby(dim) if dim in getattr(found, "coords", ()) else found
    return np.asarray(found, float)


@cache
def fitted():
    settings = {"shrinkage": 0.0, "coupling": np.inf, "zero_lag": "never", "private_noise": "white", "n_starts": 1}
    return ad.StitchedLDS(2, **settings).fit(sessions(), progress=False)


@cache
def of_dynamics(use):
    return values_of(DYNAMICS[use](fitted(), sessions()))


@pytest.mark.parametrize("use", list(DYNAMICS))
@pytest.mark.parametrize("way", list(WAYS))
def test_dynamics_of_recordings_however_they_are_given(way, use):
    found = values_of(DYNAMICS[use](fitted(), WAYS[way](sessions())))
    np.testing.assert_equal(list(found), list(of_dynamics(use)))
    for name, values in found.items():
        np.testing.assert_allclose(values, of_dynamics(use)[name], rtol=1e-6, atol=1e-7, err_msg=name)


OF_ONE = ("permuted", "reversed", "transposed", "tables", "in ms", "dask")


@pytest.mark.parametrize("use", list(SPIKES))
@pytest.mark.parametrize("way", OF_ONE)
def test_spikes_of_a_recording_however_it_is_given(way, use):
    model, recording = ad.SpikeVAE(), ad.spikes.simulate(4, 20, 30.0, 1)["dff"]
    given = WAYS[way]({"one": recording})["one"]
    found, expected = (values_of(SPIKES[use](model, one)) for one in (given, recording))
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-4)
