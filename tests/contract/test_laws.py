"""Laws that every estimator obeys, whatever its method: one table, one test a law."""

import copy
import importlib.util
import inspect
import pathlib
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone

import antidrome as ad
from antidrome.core.model_files import load_model
from antidrome.errors import AntidromeError


def _load():
    specification = importlib.util.spec_from_file_location("problems", pathlib.Path(__file__).with_name("problems.py"))
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


PROBLEMS = _load()
RATE_HZ = PROBLEMS.RATE_HZ


@dataclass(frozen=True)
class Entry:
    """One estimator, a small problem for it, and what is compared.

    Attributes
    ----------
    make
        The estimator for a seed.
    fit
        ``fit(estimator, data)``.
    data
        Rows of time or points, columns of neurons or coordinates; labelled.
    answer
        What the fitted estimator says of the data: arrays by name.
    permutes
        Whether the answer follows the columns ("columns"), or does not depend on their order ("none").
    missing
        Whether NaN is an allowed value.
    notes
        What the result says of the data.
    """

    make: Callable[[int], Any]
    fit: Callable[[Any, Any], Any]
    data: Callable[[], xr.DataArray]
    answer: Callable[[Any, xr.DataArray], dict[str, np.ndarray]]
    permutes: str
    missing: bool
    notes: Callable[[Any, xr.DataArray], list[str]] = lambda estimator, data: list(estimator.notes_)


def _spikes(estimator, data):
    result = estimator.predict(data, RATE_HZ, progress=False)
    return {"expected_spikes": result["expected_spikes"].values, "amplitude": result["amplitude"].values}


def _covariance(estimator, data):
    labels = list(map(str, data["neuron"].values)) if hasattr(data, "coords") else None
    return {"covariance": estimator.predict_covariance(labels or list(map(str, estimator.neurons_))).values}


TABLE = {
    "SpikeVAE": Entry(
        make=lambda seed: ad.SpikeVAE(seed=seed),
        fit=lambda estimator, data: estimator,
        data=PROBLEMS.fluorescence,
        answer=_spikes,
        permutes="columns",
        missing=True,
        notes=lambda estimator, data: estimator.predict(data, RATE_HZ, progress=False).attrs["notes"],
    ),
    "StitchedLDS": Entry(
        make=lambda seed: ad.StitchedLDS(2, n_starts=1, zero_lag="never", seed=seed),
        fit=lambda estimator, data: estimator.fit([data], progress=False, **_rate_of(data)),
        data=PROBLEMS.activity,
        answer=_covariance,
        permutes="pairs",
        missing=True,
    ),
    "TwoNN": Entry(
        make=lambda seed: ad.TwoNN(seed=seed),
        fit=lambda estimator, data: estimator.fit(data, progress=False),
        data=PROBLEMS.points,
        answer=lambda estimator, data: {"dimension": np.array([estimator.dimension_, estimator.standard_error_])},
        permutes="none",
        missing=False,
    ),
    "SNPE": Entry(
        make=PROBLEMS.snpe,
        fit=PROBLEMS.fit_snpe,
        data=lambda: xr.DataArray([0.3, -0.2], dims="feature"),
        answer=lambda estimator, data: {"samples": estimator.sample(50, seed=1).values},
        permutes="",
        missing=True,
    ),
}
EVERY = pytest.mark.parametrize("name", list(TABLE))


def _rate_of(data):
    return {} if hasattr(data, "coords") else {"frame_rate_hz": RATE_HZ}


@cache
def fitted(name, seed=0):
    entry = TABLE[name]
    return entry.fit(entry.make(seed), entry.data())


def answer(name, estimator, data=None):
    entry = TABLE[name]
    return entry.answer(estimator, entry.data() if data is None else data)


def assert_equal(first, second, **tolerance):
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_allclose(first[key], second[key], err_msg=key, **(tolerance or {"rtol": 0, "atol": 0}))


@EVERY
def test_equal_seeds_give_equal_results(name):
    entry = TABLE[name]
    again = entry.fit(entry.make(0), entry.data())
    assert_equal(answer(name, fitted(name)), answer(name, again))


@EVERY
def test_fitting_returns_the_estimator_and_leaves_its_settings(name):
    entry, estimator = TABLE[name], TABLE[name].make(3)
    before = copy.deepcopy(estimator.get_params())
    assert entry.fit(estimator, entry.data()) is estimator
    assert repr(estimator.get_params()) == repr(before)


@EVERY
def test_settings_can_be_read_set_and_cloned(name):
    estimator = TABLE[name].make(5)
    assert estimator.get_params()["seed"] == 5
    assert estimator.set_params(seed=6).seed == 6
    assert repr(clone(estimator).get_params()) == repr(estimator.get_params())
    with pytest.raises(ValueError, match="Invalid parameter"):
        estimator.set_params(no_such_setting=1)


@EVERY
def test_the_constructor_only_stores(name):
    estimator = type(TABLE[name].make(0))()
    assert set(vars(estimator)) == set(estimator.get_params(deep=False))


@EVERY
def test_a_saved_fit_says_the_same_when_loaded(name, tmp_path):
    estimator = fitted(name)
    path = tmp_path / "model.safetensors"
    estimator.save(path)
    assert_equal(answer(name, estimator), answer(name, type(estimator).load(path)))


@pytest.mark.parametrize("name", ["StitchedLDS", "TwoNN", "SNPE"])  # SpikeVAE stands here as it is shipped
def test_a_file_names_the_data_of_the_fit(name, tmp_path):
    estimator, entry = fitted(name), TABLE[name]
    hashes = []
    for one in (estimator, entry.fit(entry.make(0), entry.data() + 0.01)):
        one.save(tmp_path / "model.safetensors")
        type(one).load(tmp_path / "model.safetensors").save(tmp_path / "again.safetensors")
        hashes += [load_model(tmp_path / f"{file}.safetensors")[1].data_hash for file in ("model", "again")]
    assert hashes[0] == hashes[1] != hashes[2] == hashes[3]
    assert None not in hashes


@EVERY
def test_pickling_is_refused(name):
    with pytest.raises(TypeError, match="is not pickled"):
        pickle.dumps(fitted(name))


@EVERY
def test_it_names_the_works_behind_it(name):
    works = {"SpikeVAE": "speiser2017", "StitchedLDS": "nonnenmacher2017", "TwoNN": "ansuini2019",
             "SNPE": "papamakarios2016"}  # fmt: skip
    assert works[name] in ad.cite(fitted(name)).keys


@EVERY
def test_it_shows_itself_in_a_notebook(name):
    assert name in fitted(name)._repr_html_()


@EVERY
def test_a_file_of_another_class_is_refused(name, tmp_path):
    other = next(key for key in TABLE if key != name)
    path = tmp_path / "model.safetensors"
    fitted(other).save(path)
    with pytest.raises(AntidromeError):
        type(TABLE[name].make(0)).load(path)


@pytest.mark.parametrize("name", [name for name, entry in TABLE.items() if entry.permutes])
def test_permuted_columns_permute_results(name):
    entry, data = TABLE[name], TABLE[name].data()
    order = np.random.default_rng(2).permutation(data.shape[1])
    moved = data[:, order]
    if entry.permutes == "columns":  # by position
        first, second = answer(name, fitted(name)), answer(name, fitted(name), moved)
        assert_equal({key: value[..., order] for key, value in first.items()}, second, rtol=2e-3, atol=2e-4)
        return
    again = entry.fit(entry.make(0), moved)
    assert_equal(answer(name, fitted(name)), answer(name, again), rtol=1e-5, atol=1e-6)  # by label


@pytest.mark.parametrize("name", ["SpikeVAE", "StitchedLDS", "TwoNN"])
@pytest.mark.parametrize("kind", ["numpy", "dask"])
def test_numpy_xarray_and_dask_agree(name, kind):
    entry, data = TABLE[name], TABLE[name].data()
    given = data.values if kind == "numpy" else data.copy(data=da.from_array(data.values, chunks=(-1, 2)))
    estimator = entry.fit(entry.make(0), given)
    expected = answer(name, fitted(name))
    assert_equal(expected, answer(name, estimator, given), rtol=2e-3, atol=2e-4)


@EVERY
def test_infinite_values_are_counted_or_refused(name):
    entry = TABLE[name]
    broken = entry.data().copy(deep=True)
    broken[(0,) * broken.ndim] = np.inf
    try:
        estimator = entry.fit(entry.make(0), broken)
        found = answer(name, estimator, broken)
    except AntidromeError as error:
        assert re.search("(?i)finite", str(error))
        return
    assert all(np.isfinite(value).any() for value in found.values())
    notes = entry.notes(estimator, broken)
    assert any("1 infinite" in note for note in notes), notes


@EVERY
def test_missing_values_are_used_or_refused(name):
    entry = TABLE[name]
    broken = entry.data().copy(deep=True)
    broken[(0,) * broken.ndim] = np.nan
    if entry.missing:
        found = answer(name, entry.fit(entry.make(0), broken), broken)
        assert all(np.isfinite(value).any() for value in found.values())
        return
    with pytest.raises(AntidromeError, match=r"(?i)missing|nan|finite"):
        entry.fit(entry.make(0), broken)


@pytest.mark.parametrize("seed", [-1, 1.5, "one"])
@EVERY
def test_an_impossible_seed_is_refused(name, seed, unchecked_types):
    entry = TABLE[name]
    with pytest.raises(AntidromeError, match=r"(?i)seed"):
        answer(name, entry.fit(entry.make(seed), entry.data()))


@EVERY
def test_every_public_method_says_what_it_does(name):
    estimator = type(TABLE[name].make(0))
    public = [key for key in dir(estimator) if not key.startswith("_") and callable(getattr(estimator, key))]
    assert [key for key in public if not (getattr(estimator, key).__doc__ or "").strip()] == []


def _graph(metric="euclidean"):
    return ad.dimension.nearest_neighbours(PROBLEMS.points().values, 20, metric=metric, progress=False)


def _clamp():
    return ad.recordings.current_clamp_from_array(np.full(50, -65.0), np.zeros(50), 1000.0)


def _voltage():
    theta = ad.mechanism.models.eight_parameter_prior().sample(1, seed=0)
    return ad.mechanism.models.HodgkinHuxley().voltage(theta, every=1000)


def _agreement():
    truth = ad.spikes.simulate(2, 20, RATE_HZ, 1)
    return ad.spikes.metrics.evaluate(truth.rename(spike_count="expected_spikes"), [np.array([1.0, 2.0])] * 2)


RESULTS: dict[str, Callable[[], xr.Dataset | xr.DataArray]] = {
    "delta_f_over_f": lambda: ad.delta_f_over_f(100 + PROBLEMS.fluorescence().values, RATE_HZ),
    "from_array": lambda: ad.recordings.from_array(PROBLEMS.fluorescence().values, RATE_HZ),
    "as_recording": lambda: ad.recordings.as_recording(PROBLEMS.fluorescence()),
    "noise_level": lambda: ad.recordings.noise_level(PROBLEMS.fluorescence()),
    "current_clamp_from_array": _clamp,
    "evaluate": _agreement,
    "HodgkinHuxley.voltage": _voltage,
    "simulate": lambda: ad.spikes.simulate(2, 20, RATE_HZ, 1),
    "SpikeVAE.predict": lambda: ad.SpikeVAE().predict(PROBLEMS.fluorescence(), n_samples=2, progress=False),
    "SpikeVAE.sample": lambda: ad.SpikeVAE().sample(PROBLEMS.fluorescence(), n_samples=2),
    "SpikeVAE.reconstruct": lambda: ad.SpikeVAE().reconstruct(PROBLEMS.fluorescence()),
    "SpikeVAE.spike_times": lambda: ad.SpikeVAE().spike_times(PROBLEMS.fluorescence()),
    "StitchedLDS.predict_covariance": lambda: fitted("StitchedLDS").predict_covariance("n00", "n01"),
    "StitchedLDS.predict_correlation": lambda: fitted("StitchedLDS").predict_correlation("n00", "n01"),
    "StitchedLDS.transform": lambda: fitted("StitchedLDS").transform(PROBLEMS.activity()),
    "StitchedLDS.impute": lambda: fitted("StitchedLDS").impute(PROBLEMS.activity()),
    "StitchedLDS.forecast": lambda: fitted("StitchedLDS").forecast(PROBLEMS.activity(), 5),
    "StitchedLDS.co_smoothing": lambda: fitted("StitchedLDS").co_smoothing([PROBLEMS.activity()]),
    "StitchedLDS.stationarity": lambda: fitted("StitchedLDS").stationarity([PROBLEMS.activity()], n_draws=99),
    "StitchedLDS.align": lambda: fitted("StitchedLDS").align(fitted("StitchedLDS")),
    "StitchedLDS.sample": lambda: fitted("StitchedLDS").sample(10, seed=1),
    "StitchedLDS.dynamics_table": lambda: fitted("StitchedLDS").dynamics_table(),
    "StitchedLDS.select_order": lambda: ad.StitchedLDS().select_order(
        [PROBLEMS.activity()], orders=(1, 2), progress=False
    ),
    "nearest_neighbours": _graph,
    "gride": lambda: ad.dimension.gride(_graph()),
    "local_dimension": lambda: ad.dimension.local_dimension(_graph()),
    "linear_dimension": lambda: ad.dimension.linear_dimension(PROBLEMS.points(), n_shuffles=2),
    "block_analysis": lambda: ad.dimension.block_analysis(PROBLEMS.points(), progress=False),
    "estimate": lambda: ad.dimension.estimate(PROBLEMS.points(), progress=False),
    "population": lambda: ad.dimension.population(PROBLEMS.points(), n_draws=1, n_shuffles=1, progress=False),
    "layers": lambda: ad.dimension.layers({"net": {"layer": PROBLEMS.points().values}}, progress=False),
    "TwoNN.to_dataset": lambda: fitted("TwoNN").to_dataset(),
    "TwoNN.scale_ by blocks": lambda: ad.TwoNN(scale="blocks").fit(PROBLEMS.points(), progress=False).scale_,
    "SNPE.sample": lambda: fitted("SNPE").sample(5),
    "SNPE.map": lambda: fitted("SNPE").map(),
    "Posterior.summary": lambda: fitted("SNPE").posterior_.summary(),
    "ParameterDensity.labelled": lambda: fitted("SNPE").posterior_.density().labelled(np.zeros((1, 2))),
}
for _name in ("sample", "map", "mean", "covariance"):
    RESULTS[f"Posterior.{_name}"] = lambda name=_name: getattr(fitted("SNPE").posterior_, name)()
    RESULTS[f"ParameterDensity.{_name}"] = lambda name=_name: getattr(fitted("SNPE").posterior_.density(), name)()
READERS = {
    "read",
    "read_with_neuropil",
    "read_spikes",
    "read_current_clamp",
    "read_ground_truth_mat",
}  # as the file says


def test_no_public_result_is_left_out():
    labelled = re.compile(r"(xr|xarray(\.core\.\w+)?)\.Data(Array|set)\b")
    returns = {name: str(inspect.signature(one).return_annotation) for name, one in PROBLEMS.public(ad)}
    public = {name for name, kind in returns.items() if labelled.search(kind)}
    assert len(public) > 40
    assert public - READERS == {name for name in RESULTS if " " not in name}


@pytest.mark.parametrize("name", list(RESULTS))
def test_every_variable_of_a_result_states_its_unit(name):
    """By an attribute ``units``, or a coordinate ``unit`` where it differs from parameter to parameter."""
    assert _without_unit(RESULTS[name]()) == []


@EVERY
def test_every_labelled_attribute_of_a_fit_states_its_unit(name):
    found = {key: getattr(fitted(name), key, None) for key in dir(fitted(name)) if key.endswith("_") and key[0] != "_"}
    labelled = {key: one for key, one in found.items() if isinstance(one, xr.DataArray | xr.Dataset)}
    assert {key: missing for key, one in labelled.items() if (missing := _without_unit(one))} == {}


def _without_unit(result):
    variables = {"": result} if isinstance(result, xr.DataArray) else dict(result.data_vars)
    numbers = {key: one for key, one in variables.items() if one.dtype.kind in "biuf"}
    return [key for key, one in numbers.items() if "units" not in one.attrs and "unit" not in one.coords]


def test_the_unit_of_distances_is_that_of_their_metric(tmp_path):
    """And it is the same after saving and loading."""
    assert {m: _graph(m)["distance"].attrs["units"] for m in ("euclidean", "cosine")} == {
        "euclidean": "as the points",
        "cosine": "rad",
    }
    model = ad.TwoNN(metric="cosine").fit(PROBLEMS.points(), progress=False)
    model.save(tmp_path / "m.safetensors")
    for one in (model, ad.TwoNN.load(tmp_path / "m.safetensors")):
        assert one.to_dataset()["distance"].attrs["units"] == "rad"
        assert one.to_dataset()["dimension"].attrs["units"] == "1"
