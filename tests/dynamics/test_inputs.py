"""Odd inputs: a right answer, or one clear sentence."""

import dask.array as da
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import xarray as xr
import zarr

import antidrome as ad
from antidrome.dynamics import simulate
from antidrome.errors import InputError

QUICK = {"shrinkage": 0.0, "coupling": np.inf, "zero_lag": "never", "private_noise": "white"}
QUICK |= {"n_starts": 1, "max_iterations": 15, "seed": 0}


@pytest.fixture(scope="module")
def truth():
    return simulate(16, 2, 160, seed=6)


@pytest.fixture(scope="module")
def parts(truth):
    return {"a": (truth.activity[:80, :10], range(10)), "b": (truth.activity[80:, 6:], range(6, 16))}


def fit(recordings, n=2, **given):
    settings = {key: value for key, value in given.items() if key in ad.StitchedLDS().get_params()}
    rest = {key: value for key, value in given.items() if key not in settings}
    return ad.StitchedLDS(n, **{**QUICK, **settings}).fit(recordings, progress=False, **rest)


def test_sessions_without_shared_neurons_are_warned_of(truth):
    apart = {"a": (truth.activity[:80, :8], range(8)), "b": (truth.activity[80:, 8:], range(8, 16))}
    model = fit(apart)
    assert model.overlap_.n_groups == 2
    assert any("share 0 neurons" in note for note in model.notes_)
    assert np.isfinite(model.predict_correlation(np.arange(16)).values).all()


def test_a_constant_neuron_is_left_out_and_named(parts):
    values, labels = parts["a"]
    constant = values.copy()
    constant[:, 3] = 7.0
    model = fit({**parts, "a": (constant, labels)})
    assert any("1 neurons do not vary" in note and "3" in note for note in model.notes_)
    assert "3" not in model.neurons_


def test_a_column_of_nan_is_a_neuron_that_was_not_seen(parts):
    values, labels = parts["a"]
    holes = values.copy()
    holes[:, 7] = np.nan
    model, without = (
        fit({**parts, "a": (holes, labels)}),
        fit({**parts, "a": (np.delete(values, 7, axis=1), np.delete(labels, 7))}),
    )
    names = [str(i) for i in range(16)]
    found, expected = (one.predict_covariance(names).values for one in (model, without))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_infinite_entries_are_counted(parts):
    values, labels = parts["a"]
    infinite = values.copy()
    infinite[4, 2] = np.inf
    model = fit({**parts, "a": (infinite, labels)})
    assert any("1 infinite" in note for note in model.notes_)


@pytest.mark.parametrize("kind", ["int", "uint8", "float16", "big endian", "bool", "readonly", "fortran"])
def test_number_types(kind, truth):
    scaled = np.round(20 * truth.activity[:, :10] + 100)
    made = {
        "int": scaled.astype(np.int64),
        "uint8": np.clip(scaled, 0, 255).astype(np.uint8),
        "float16": truth.activity[:, :10].astype(np.float16),
        "big endian": truth.activity[:, :10].astype(">f4"),
        "bool": truth.activity[:, :10] > truth.activity[:, :10].mean(axis=0),
        "readonly": truth.activity[:, :10].copy(),
        "fortran": np.asfortranarray(truth.activity[:, :10]),
    }[kind]
    made.setflags(write=kind != "readonly")
    found = fit(made).predict_correlation(np.arange(10)).values
    expected = fit(made.astype(np.float64)).predict_correlation(np.arange(10)).values
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_other_containers_hold_the_same_data(truth, parts, tmp_path):
    expected = fit(parts).predict_covariance(np.arange(16)).values

    def hdf5(values):
        file = h5py.File(tmp_path / f"{values[0, 0]}.h5", "w")
        return file.create_dataset("x", data=values)

    def on_zarr(values):
        return zarr.create_array(str(tmp_path / f"{values[0, 0]}.zarr"), data=values, chunks=(20, 4))

    def lazily(values):
        return xr.DataArray(da.from_array(values, (33, 3)), dims=("time", "neuron"))

    for make in (hdf5, on_zarr, lambda x: da.from_array(x, (17, 4)), scipy.sparse.csr_array, lazily):
        made = {}
        for name, (values, labels) in parts.items():
            stored = make(values)
            if isinstance(stored, xr.DataArray):
                made[name] = stored.assign_coords(neuron=[str(i) for i in labels])
            else:
                made[name] = (stored, labels)
        np.testing.assert_allclose(fit(made).predict_covariance(np.arange(16)).values, expected, rtol=1e-6, atol=1e-9)


def test_data_frames_carry_their_labels(truth, parts):
    frames = {name: pd.DataFrame(values, columns=list(labels)) for name, (values, labels) in parts.items()}
    expected = fit(parts).predict_covariance(np.arange(16)).values
    np.testing.assert_allclose(fit(frames).predict_covariance(np.arange(16)).values, expected)


def test_paths_are_read(parts, tmp_path):
    made = {}
    for name, (values, labels) in parts.items():
        array = xr.DataArray(
            values,
            dims=("time", "neuron"),
            coords={"time": (np.arange(80) + 0.5) / 10, "neuron": [str(i) for i in labels]},
            name="dff",
            attrs={"frame_rate_hz": 10.0},
        )
        ad.write(array, tmp_path / f"{name}.zarr", format="zarr")
        made[name] = tmp_path / f"{name}.zarr"
    expected = fit(parts, frame_rate_hz=10.0).predict_covariance(np.arange(16)).values
    np.testing.assert_allclose(fit(made).predict_covariance(np.arange(16)).values, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: x[:, :1], "1 neuron; correlations need"),
        (lambda x: x[:3], "largest lag"),
        (lambda x: x[:, 0], r"shape \(160,\)"),
        (lambda x: np.full((50, 4), np.nan), "nothing to fit"),
        (lambda x: x.astype(complex), "real numbers"),
        (lambda x: x.astype(str), "real numbers"),
        (lambda x: {"a": (x, ["n"] * 16)}, "must be unique"),
        (lambda x: {"a": x[:, :3], "b": x[:, :4]}, "no neuron labels"),
        (lambda x: None, "expected"),
        (lambda x: [], "No recording"),
    ],
)
def test_what_cannot_be_fitted_is_said_in_a_sentence(truth, make, message):
    with pytest.raises(InputError, match=message):
        fit(make(truth.activity))


@pytest.mark.parametrize("n_neurons", [1, 2, 3])
def test_few_neurons(truth, n_neurons):
    values = truth.activity[:, :n_neurons]
    if n_neurons == 1:
        with pytest.raises(InputError, match="1 neuron"):
            ad.StitchedLDS("auto").fit(values, progress=False)
        return
    model = ad.StitchedLDS(1, seed=0).fit(values, progress=False)
    assert np.isfinite(model.predict_correlation(np.arange(n_neurons)).values).all()
    assert np.isfinite(model.transform(values)["latent"]).all()


def test_sessions_of_very_different_length(truth):
    made = {"long": (truth.activity[:150, :10], range(10)), "short": (truth.activity[150:153, 6:], range(6, 16))}
    model = fit(made)
    assert np.isfinite(model.predict_covariance(np.arange(16)).values).all()
    assert np.isfinite(model.transform(made)["short"]["latent"]).all()
