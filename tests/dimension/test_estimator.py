"""`TwoNN` as people meet it."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import antidrome as ad
from antidrome.core.model_files import load_model, save_model
from antidrome.errors import InputError, ModelFileError


@pytest.fixture
def sheet(rng):
    return rng.random((800, 2)) @ rng.standard_normal((2, 30))


def test_fit_gives_all_it_promises(sheet) -> None:
    model = ad.TwoNN(seed=1).fit(sheet, progress=False)
    assert model.dimension_ == pytest.approx(2, rel=0.1)
    assert model.interval_[0] < model.dimension_ < model.interval_[1]
    assert model.verdict_ == "reliable"
    assert not model.lower_bound_
    assert model.fit_r_ > 0.99
    assert model.ks_distance_ < 0.1
    np.testing.assert_allclose(model.mu_, model.r2_ / model.r1_)
    assert model.n_points_ == 800
    assert model.n_used_ + model.n_zero_ + model.n_ties_ == 800
    assert model.scale_["dimension"].size == 3
    assert "facco2017" in ad.cite(model).keys


def test_scikit_learn_verbs(sheet) -> None:
    model = ad.TwoNN("mle", discard_fraction=0.2, seed=3)
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(method="censored").fit(sheet, progress=False) is model
    twice = [clone(model).fit(sheet, progress=False) for _ in range(2)]
    assert twice[0].standard_error_ == twice[1].standard_error_
    assert twice[0].dimension_ == twice[1].dimension_


@pytest.mark.parametrize("scale", ["gride", "blocks"])
def test_saved_and_loaded(sheet, scale, tmp_path) -> None:
    model = ad.TwoNN(scale=scale).fit(sheet, progress=False)
    model.save(tmp_path / "model.safetensors")
    loaded = ad.TwoNN.load(tmp_path / "model.safetensors")
    assert loaded.get_params() == model.get_params()
    assert loaded.to_dataset().identical(model.to_dataset())
    assert loaded.notes_ == model.notes_
    with pytest.raises(NotFittedError, match="not fitted yet"):
        ad.TwoNN().save(tmp_path / "no.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(ModelFileError, match="ZIP"):
        ad.TwoNN.load(tmp_path / "bad.safetensors")


@pytest.mark.parametrize("scale", ["gride", "blocks"])
def test_as_a_dataset_nothing_of_the_curve_is_lost(sheet, scale) -> None:
    model = ad.TwoNN(scale=scale).fit(sheet, progress=False)
    result = model.to_dataset()
    for name, values in model.scale_.data_vars.items():
        kept = result[f"{name}_at_scale" if hasattr(model, f"{name}_") else name]
        np.testing.assert_array_equal(kept, values)
        assert kept.dims == values.dims


def test_a_seed_of_numpy_is_saved(unchecked_types, sheet, tmp_path) -> None:
    ad.TwoNN(seed=np.int64(2)).fit(sheet, progress=False).save(tmp_path / "model.safetensors")
    assert ad.TwoNN.load(tmp_path / "model.safetensors").seed == 2


def test_a_file_of_which_something_is_missing_is_refused(sheet, tmp_path) -> None:
    path = tmp_path / "model.safetensors"
    ad.TwoNN().fit(sheet, progress=False).save(path)
    arrays, header = load_model(path, expected_class="TwoNN")
    save_model(path, arrays, class_name="TwoNN", config=header.config | {"unknown": 1}, extra=header.extra)
    with pytest.raises(ModelFileError, match="the file is damaged"):
        ad.TwoNN.load(path)
    save_model(path, arrays, class_name="TwoNN", config=header.config, extra={})
    with pytest.raises(ModelFileError, match="the file is damaged"):
        ad.TwoNN.load(path)


@pytest.mark.parametrize("given", ["distances", "graph"])
def test_blocks_need_the_points(sheet, given) -> None:
    distances = np.linalg.norm(sheet[:50, None] - sheet[:50], axis=-1)
    points = distances if given == "distances" else ad.dimension.nearest_neighbours(sheet, 2, progress=False)
    metric = "precomputed" if given == "distances" else "euclidean"
    with pytest.raises(InputError, match="needs the neighbours alone"):
        ad.TwoNN(scale="blocks", metric=metric).fit(points, progress=False)


def test_wrong_settings_are_said(sheet, unchecked_types) -> None:
    for settings, message in (
        ({"method": "linear"}, "method = 'linear'"),
        ({"discard_fraction": 1.0}, "discard_fraction is 1.0"),
        ({"scale": "all"}, "scale = 'all'"),
        ({"seed": -1}, "seed"),
        ({"level": 90}, "level is 90"),
        ({"n_bootstrap": 2}, "at least 20"),
    ):
        with pytest.raises(InputError, match=message):
            ad.TwoNN(**settings).fit(sheet, progress=False)


def test_few_points_still_speak(rng) -> None:
    model = ad.TwoNN().fit(rng.random((12, 2)), progress=False)
    assert model.verdict_ == "too few points"
    with pytest.raises(InputError, match="too few"):
        ad.TwoNN().fit(rng.random((2, 2)), progress=False)


def test_dimension_imports_no_engine() -> None:
    script = "import sys, antidrome.dimension.estimator, antidrome.dimension.estimating; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.data
def test_mnist_anchor(data_folder) -> None:
    import gzip

    with gzip.open(next((data_folder / "dimension" / "mnist").glob("t10k-images*"))) as stream:
        images = np.frombuffer(stream.read(), np.uint8, offset=16).reshape(-1, 784)[:2000]
    model = ad.TwoNN().fit(images, progress=False)
    assert model.dimension_ == pytest.approx(13.21, abs=0.01)
    assert ad.TwoNN("mle").fit(images, progress=False).dimension_ == pytest.approx(13.25, abs=0.01)
