"""Laws that every estimator obeys, whatever its method: one table, one test a law."""

import copy
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

RATE_HZ = 30.0


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


@cache
def _fluorescence() -> xr.DataArray:
    return ad.spikes.simulate(3, 20, RATE_HZ, 1)["dff"]


@cache
def _activity() -> xr.DataArray:
    truth = ad.dynamics.simulate(n_neurons=12, n_components=2, n_frames=300, seed=3)
    return xr.DataArray(
        np.asarray(truth.activity, float),
        dims=("time", "neuron"),
        coords={"time": (np.arange(300) + 0.5) / RATE_HZ, "neuron": [f"n{i:02d}" for i in range(12)]},
        attrs={"frame_rate_hz": RATE_HZ},
    )


@cache
def _points() -> xr.DataArray:
    draw = np.random.default_rng(0)
    points = draw.standard_normal((400, 2)) @ draw.standard_normal((2, 6))
    return xr.DataArray(points, dims=("point", "coordinate"))


def _simulator(theta, rng):
    return theta + 0.2 * rng.standard_normal(theta.shape)


def _snpe(seed):
    from antidrome.mechanism.densities.network import MixtureSettings
    from antidrome.mechanism.training import TrainingSettings

    training = TrainingSettings(epochs=30, batch=50, learning_rate=5e-3, patience=8, drops=0)
    density = MixtureSettings(components=1, hidden=(8,))
    return ad.SNPE("npe", n_simulations=120, training=training, density=density, diagnose=False, seed=seed)


def _fit_snpe(estimator, data):
    from antidrome.mechanism import Uniform

    return estimator.fit(_simulator, {"a": Uniform(-1, 1), "b": Uniform(-1, 1)}, data, progress=False)


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
        data=_fluorescence,
        answer=_spikes,
        permutes="columns",
        missing=True,
        notes=lambda estimator, data: estimator.predict(data, RATE_HZ, progress=False).attrs["notes"],
    ),
    "StitchedLDS": Entry(
        make=lambda seed: ad.StitchedLDS(2, n_starts=1, zero_lag="never", seed=seed),
        fit=lambda estimator, data: estimator.fit([data], progress=False, **_rate_of(data)),
        data=_activity,
        answer=_covariance,
        permutes="pairs",
        missing=True,
    ),
    "TwoNN": Entry(
        make=lambda seed: ad.TwoNN(seed=seed),
        fit=lambda estimator, data: estimator.fit(data, progress=False),
        data=_points,
        answer=lambda estimator, data: {"dimension": np.array([estimator.dimension_, estimator.standard_error_])},
        permutes="none",
        missing=False,
    ),
    "SNPE": Entry(
        make=_snpe,
        fit=_fit_snpe,
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
    return ad.dimension.nearest_neighbours(_points().values, 20, metric=metric, progress=False)


RESULTS: dict[str, Callable[[], xr.Dataset | xr.DataArray]] = {
    "spikes.simulate": lambda: ad.spikes.simulate(2, 20, RATE_HZ, 1),
    "SpikeVAE.predict": lambda: ad.SpikeVAE().predict(_fluorescence(), n_samples=2, progress=False),
    "StitchedLDS.predict_covariance": lambda: fitted("StitchedLDS").predict_covariance("n00", "n01"),
    "StitchedLDS.predict_correlation": lambda: fitted("StitchedLDS").predict_correlation("n00", "n01"),
    "StitchedLDS.transform": lambda: next(iter(fitted("StitchedLDS").transform([_activity()]).values())),
    "StitchedLDS.sample": lambda: fitted("StitchedLDS").sample(10, seed=1),
    "StitchedLDS.dynamics_table": lambda: fitted("StitchedLDS").dynamics_table(),
    "StitchedLDS.select_order": lambda: ad.StitchedLDS().select_order([_activity()], orders=(1, 2), progress=False),
    "nearest_neighbours": _graph,
    "gride": lambda: ad.dimension.gride(_graph()),
    "local_dimension": lambda: ad.dimension.local_dimension(_graph()),
    "linear_dimension": lambda: ad.dimension.linear_dimension(_points(), n_shuffles=2),
    "block_analysis": lambda: ad.dimension.block_analysis(_points(), progress=False),
    "estimate": lambda: ad.dimension.estimate(_points(), progress=False),
    "population": lambda: ad.dimension.population(_points(), n_draws=1, n_shuffles=1, progress=False),
    "layers": lambda: ad.dimension.layers({"net": {"layer": _points().values}}, progress=False),
    "TwoNN.to_dataset": lambda: fitted("TwoNN").to_dataset(),
    "TwoNN.scale_ by blocks": lambda: ad.TwoNN(scale="blocks").fit(_points(), progress=False).scale_,
    "SNPE.sample": lambda: fitted("SNPE").sample(5),
    "SNPE.rounds_": lambda: fitted("SNPE").rounds_,
    "Posterior.summary": lambda: fitted("SNPE").posterior_.summary(),
    "Posterior.covariance": lambda: fitted("SNPE").posterior_.covariance(),
}


@pytest.mark.parametrize("name", list(RESULTS))
def test_every_variable_of_a_result_states_its_unit(name):
    """By an attribute ``units``, or a coordinate ``unit`` where it differs from parameter to parameter."""
    result = RESULTS[name]()
    variables = {"": result} if isinstance(result, xr.DataArray) else dict(result.data_vars)
    numbers = {key: one for key, one in variables.items() if one.dtype.kind in "biuf"}
    assert [key for key, one in numbers.items() if "units" not in one.attrs and "unit" not in one.coords] == []


def test_the_unit_of_distances_is_that_of_their_metric(tmp_path):
    """And it is the same after saving and loading."""
    assert {m: _graph(m)["distance"].attrs["units"] for m in ("euclidean", "cosine")} == {
        "euclidean": "as the points",
        "cosine": "rad",
    }
    model = ad.TwoNN(metric="cosine").fit(_points(), progress=False)
    model.save(tmp_path / "m.safetensors")
    for one in (model, ad.TwoNN.load(tmp_path / "m.safetensors")):
        assert one.to_dataset()["distance"].attrs["units"] == "rad"
        assert one.to_dataset()["dimension"].attrs["units"] == "1"
