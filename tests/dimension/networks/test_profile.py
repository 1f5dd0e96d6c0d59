"""The dimension of every layer: whole and class by class, streamed and in memory, resumed, several networks."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from antidrome.dimension.estimator import TwoNN
from antidrome.dimension.networks import profile
from antidrome.dimension.networks.extraction import chosen_rows, record
from antidrome.dimension.networks.profile import layers
from antidrome.errors import InputError, ResumeError

QUICK = {"linear": False, "scale": False, "progress": False}


@pytest.fixture
def points(rng) -> np.ndarray:
    """A sheet in six dimensions."""
    return (rng.uniform(size=(160, 2)) @ rng.normal(size=(2, 6))).astype(np.float32)


def test_arrays_are_measured_as_they_are(rng) -> None:
    arrays = {"first": rng.normal(size=(300, 4)), "second": rng.uniform(size=(300, 2)) @ rng.normal(size=(2, 50))}
    found = layers(arrays, progress=False)
    assert found["dimension"].dims == ("network", "layer", "class")
    for name, values in arrays.items():
        expected = TwoNN().fit(values, progress=False).dimension_
        assert float(found["dimension"].sel(layer=name).squeeze()) == pytest.approx(expected, rel=1e-12)
    second = found.sel(layer="second").squeeze()
    assert float(second["pca_dimension"]) == 2
    assert int(second["width"]) == 50
    assert list(found["relative_depth"].values.ravel()) == [0, 1]
    assert float(second["dimension_by_points"].sel(fraction=1)) == float(second["dimension"])
    assert "lower bounds" in found.attrs["estimated_at"]
    assert "ansuini2019" in found.attrs["citations"]


def test_given_activations_are_chosen_drawn_and_reduced_as_asked(rng, torch, convolutional, tmp_path) -> None:
    maps = (rng.uniform(size=(200, 2)) @ rng.normal(size=(2, 60))).reshape(200, 4, 5, 3)
    arrays = {"maps": maps, "sequence": maps[..., 0], "last": maps[:, :, 0, 0]}
    mean = layers(arrays, reduce="mean", **QUICK)
    assert mean["width"].values.ravel().tolist() == [4, 5, 4]
    expected = TwoNN().fit(maps.mean(axis=(2, 3)), progress=False).dimension_
    assert mean["dimension"].sel(layer="maps").item() == pytest.approx(expected, rel=1e-12)
    fewer = layers(arrays, at="la*", max_points=150, classes=np.arange(200) % 2, **QUICK)
    assert fewer["layer"].values.tolist() == ["last"]
    assert fewer["n_points"].sel({"class": "all"}).item() == fewer["n_points"].values.ravel()[1:].sum() == 150
    images = rng.normal(size=(60, 3, 8, 8)).astype(np.float32)
    recorded = record(convolutional, images, "0.*", store=tmp_path, progress=False)
    later, at_once = (
        layers(given, images, "0.*", reduce="mean", max_points=50, **QUICK) for given in (recorded, convolutional)
    )
    assert later["width"].values.tolist() == at_once["width"].values.tolist()
    np.testing.assert_allclose(later["dimension"], at_once["dimension"], rtol=1e-6)
    flat, mean = (layers(recorded, reduce=how, store=tmp_path / "kept", **QUICK) for how in ("flatten", "mean"))
    assert (flat["dimension"] != mean["dimension"]).sel(layer="0.0").all(), "other points than before"


def test_streamed_and_in_memory_agree(perceptron, points, tmp_path) -> None:
    labels = np.arange(160) % 2
    streamed = layers(perceptron, points, classes=labels, progress=False)
    stored = record(perceptron, points, store=tmp_path, progress=False)
    arrays = {name: np.array(values) for name, values in stored.items()}
    in_memory = layers(arrays, classes=labels, progress=False)
    assert list(streamed["layer"].values) == list(in_memory["layer"].values) == ["input", "0", "2:input", "2"]
    for name in ("dimension", "standard_error", "pca_dimension", "n_points", "dimension_by_points"):
        np.testing.assert_allclose(streamed[name], in_memory[name], rtol=1e-9, err_msg=name)
    assert list(streamed["class"].values) == ["all", "0", "1"]
    assert streamed["n_points"].sel(layer="0").values.tolist() == [[160, 80, 80]]
    assert bool(streamed["last_hidden"].sel(layer="2:input").item())
    assert int(streamed["last_hidden"].sum()) == 1
    xr.testing.assert_allclose(streamed, layers(stored, classes=labels, progress=False))


def test_an_executor_finds_the_same(perceptron, points, tmp_path) -> None:
    with ThreadPoolExecutor(2) as pool:
        elsewhere = layers(perceptron, points, store=tmp_path / "a", executor=pool, **QUICK)
    xr.testing.assert_allclose(elsewhere, layers(perceptron, points, store=tmp_path / "b", **QUICK), rtol=1e-12)


def test_an_interrupted_call_goes_on(perceptron, points, tmp_path, monkeypatch) -> None:
    expected = layers(perceptron, points, store=tmp_path / "whole", **QUICK)
    measured: list[int] = []
    measure = profile.measure

    def counting(*arguments, **keywords):
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(1)
        return measure(*arguments, **keywords)

    monkeypatch.setattr(profile, "measure", counting)
    with pytest.raises(KeyboardInterrupt):
        layers(perceptron, points, store=tmp_path / "stopped", **QUICK)
    measured[:] = [1] * 3
    again = layers(perceptron, points, store=tmp_path / "stopped", **QUICK)
    assert len(measured) == 5, "two of four estimates were there already"
    xr.testing.assert_identical(again, expected)
    layers(perceptron, points, store=tmp_path / "stopped", **QUICK)
    assert len(measured) == 5
    layers(perceptron, points, store=tmp_path / "stopped", **{**QUICK, "discard_fraction": 0.2})
    assert len(measured) == 9, "other settings are measured anew"
    with pytest.raises(ResumeError, match="rows from 0 on differ"):
        layers(perceptron, points + 1, store=tmp_path / "stopped", **QUICK)


def test_numbers_of_numpy_are_taken(unchecked_types, perceptron, points, tmp_path) -> None:
    told = {"seed": 3, "batch_size": 50, "max_points": 100}
    expected = layers(perceptron, points, store=tmp_path, **told, **QUICK)
    for store in (tmp_path, tmp_path / "other"):
        again = layers(perceptron, points, store=store, **{k: np.int64(v) for k, v in told.items()}, **QUICK)
        xr.testing.assert_identical(again, expected)


@pytest.mark.parametrize("damaged", [lambda text: text[:100], lambda text: json.dumps(json.loads(text) | {"rows": []})])
def test_damaged_estimates_are_made_again(perceptron, points, tmp_path, damaged) -> None:
    expected = layers(perceptron, points, store=tmp_path, **QUICK)
    file = next(tmp_path.rglob("estimates.json"))
    file.write_text(damaged(file.read_text()))
    xr.testing.assert_identical(layers(perceptron, points, store=tmp_path, **QUICK), expected)
    assert json.loads(file.read_text())["rows"]


def test_several_networks_share_a_result(torch, perceptron, points) -> None:
    other = torch.nn.Sequential(torch.nn.Linear(6, 20))
    found = layers({"deep": perceptron, "flat": other}, points, **QUICK)
    assert list(found["network"].values) == ["deep", "flat"]
    missing = found.sel(network="flat", layer="2")
    assert np.isnan(missing["dimension"]).all()
    assert "not a layer of this network" in str(missing["reason"].values)
    assert int(missing["width"]) == 0
    same = found["dimension"].sel(layer="input").values
    np.testing.assert_array_equal(same[0], same[1])


def test_a_class_too_small_says_why(perceptron, points) -> None:
    labels = np.array(["many"] * 157 + ["few"] * 3)
    found = layers(perceptron, points, classes=labels, **QUICK).sel(layer="0").squeeze()
    few = found.sel({"class": "few"})
    assert np.isnan(few["dimension"])
    assert "Only 3 of 3 points" in str(few["reason"].item()) or "too few" in str(few["reason"].item())
    assert np.isfinite(found["dimension"].sel({"class": "many"}))


def test_a_constant_layer_says_why(rng) -> None:
    found = layers({"dead": np.zeros((100, 5)), "alive": rng.normal(size=(100, 3))}, **QUICK)
    assert "equal" in str(found["reason"].sel(layer="dead").item())
    assert np.isfinite(found["dimension"].sel(layer="alive").item())


def test_labels_follow_the_points_that_are_drawn(perceptron, points) -> None:
    labels = (points[:, 0] > np.median(points[:, 0])).astype(int)
    found = layers(perceptron, points, classes=labels, max_points=120, **QUICK)
    assert found["n_points"].sel({"class": "all", "layer": "0"}).item() == 120
    per_class = found["n_points"].sel(layer="0").values.ravel()[1:]
    assert per_class.sum() == 120
    with pytest.raises(InputError, match="120 labels for 160 data points"):
        layers(perceptron, points, at="input", classes=labels[:120], max_points=120, **QUICK)
    stored = layers(perceptron, points, at="input", max_points=120, **QUICK)
    assert stored["dimension"].item() == found["dimension"].sel({"layer": "input", "class": "all"}).item()


def test_labels_of_all_points_go_with_those_that_were_drawn_and_recorded(perceptron, points, tmp_path) -> None:
    labels = (points[:, 0] > np.median(points[:, 0])).astype(int)
    drawn = {"at": "input", "max_points": 120, "seed": 3}
    expected = layers(perceptron, points, classes=labels, **drawn, **QUICK)
    kept = record(perceptron, points, store=tmp_path / "kept", progress=False, **drawn)
    both = layers({"net": perceptron, "kept": kept}, points, classes=labels, **drawn, **QUICK)
    of_drawn = labels[chosen_rows(160, 120, 3)]
    for name, given, options in (("all", labels, drawn), ("drawn", of_drawn, drawn), ("as kept", labels, {"seed": 3})):
        found = layers(kept, classes=given, **options, **QUICK)
        np.testing.assert_array_equal(found["n_points"], expected["n_points"], err_msg=name)
        np.testing.assert_allclose(found["dimension"], expected["dimension"], rtol=1e-6, err_msg=name)
    np.testing.assert_array_equal(both["n_points"], np.repeat(expected["n_points"], 2, axis=0))
    for wrong in ({**drawn, "seed": 4}, {**drawn, "classes": labels[:150]}):
        with pytest.raises(InputError, match=r"labels for 120 data points; .* were drawn when they were recorded"):
            layers(kept, **{"classes": labels, **wrong}, **QUICK)
    whole = record(perceptron, points, "input", store=tmp_path / "whole", progress=False)
    with pytest.raises(InputError, match=r"161 labels for 160 data points; .* also where some"):
        layers(whole, classes=np.append(labels, 0), **QUICK)


@pytest.mark.parametrize("kind", ["torch", "jax", "numpy"])
def test_labels_may_be_arrays_and_tensors_without_axes(torch, rng, kind) -> None:
    wrapped = {"torch": torch.tensor, "jax": pytest.importorskip("jax.numpy").asarray, "numpy": np.array}[kind]
    labels = [wrapped(i % 2) for i in range(60)]
    found = layers({"a": rng.normal(size=(60, 3))}, classes=labels, at="a", **QUICK)
    assert found["class"].values.tolist() == ["all", "0", "1"]
    assert found["n_points"].values.ravel().tolist() == [60, 30, 30]


@pytest.mark.parametrize(
    ("network", "settings", "message"),
    [
        ({}, {}, "mapping is empty"),
        ({"a": np.zeros((5, 2)), "b": np.zeros((6, 2))}, {}, "same data points"),
        ({"a": np.zeros((0, 2))}, {}, "Layer 'a'"),
        ({"a": np.zeros((5, 2)), "b": "x.onnx"}, {}, "both arrays and networks"),
        ({"a": np.zeros((5, 2))}, {"classes": np.zeros(4)}, "4 labels for 5 data points"),
        ({"a": np.zeros((5, 2))}, {"classes": np.zeros((5, 2))}, "one label for each"),
        ({"a": np.zeros((5, 2))}, {"classes": ["all"] * 5}, "the name of all points together"),
        ({"a": np.zeros((5, 2))}, {"classes": [1.0, np.nan, 2.0, 2.0, np.nan]}, r"data point 1 \(2 of 5"),
        ({"a": np.zeros((5, 2))}, {"classes": np.array(["u", None, 2, 2, 2], object)}, r"data point 1 \(1 of 5"),
        ({"a": np.zeros((5, 2))}, {"classes": np.array([1, "1", 2, 2, 2], object)}, "differ as text"),
        ({"a": np.zeros((5, 2))}, {"classes": [1, "1", 2, 2, 2]}, "differ as text"),
        ({"a": np.zeros((5, 2))}, {"classes": ["u", float("nan"), "v", "v", "u"]}, r"data point 1 \(1 of 5"),
        ({"a": np.zeros((5, 2))}, {"classes": pd.Series(["u", None, *"uvv"], dtype="string")}, "data point 1"),
        ({"a": np.zeros((5, 2))}, {"classes": [[1], [1, 2], 3, 3, 3]}, "neither numbers nor text"),
        ({"a": np.zeros((5, 2))}, {"classes": [1, 2, 2], "max_points": 3}, "3 labels for 5 data points"),
        ({"a": np.zeros((5, 2))}, {"at": "b"}, "No layer matches 'b'"),
        ({"a": np.zeros((5, 2))}, {"discard_fraction": 1.5}, "discard_fraction is 1.5"),
    ],
)
def test_hostile_arguments_are_sentences(network, settings, message) -> None:
    with pytest.raises(InputError, match=message):
        layers(network, **{**QUICK, **settings})


def test_classes_of_several_types_and_wrong_ones_before_anything_is_recorded(perceptron, points) -> None:
    mixed = np.array(["u", 7] * (len(points) // 2), dtype=object)
    found = layers({"a": points}, classes=mixed, **QUICK)
    assert sorted(found["class"].values) == ["7", "all", "u"]
    assert (found["n_points"].sel({"class": "7"}) == len(points) // 2).all()

    class Untouched:
        shape, dtype = points.shape, points.dtype

        def __getitem__(self, _rows):
            raise AssertionError("read although the labels are wrong")

    with pytest.raises(InputError, match="has no label"):
        layers(perceptron, Untouched(), classes=np.full(len(points), np.nan), **QUICK)
