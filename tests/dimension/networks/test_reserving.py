"""One process at a time writes into a store; labels are checked before anything is recorded."""

import os
from pathlib import Path

import numpy as np
import pytest

from antidrome.core.locks import try_lock
from antidrome.dimension.networks.extraction import record
from antidrome.dimension.networks.profile import layers
from antidrome.dimension.networks.reserving import LOCK, reserved
from antidrome.errors import InputError

QUICK = {"linear": False, "scale": False, "progress": False}


@pytest.fixture
def points(rng) -> np.ndarray:
    return rng.normal(size=(60, 6)).astype(np.float32)


def test_a_store_in_use_is_refused_and_left_alone(perceptron, points, tmp_path) -> None:
    """Each open file has a lock of its own, so that one process stands for two."""
    store = tmp_path / "store"
    with reserved(store), pytest.raises(InputError, match="another process writes activations or estimates"):
        layers(perceptron, points, store=store, **QUICK)
    assert [path.name for path in store.iterdir()] == [LOCK]
    with reserved(store), pytest.raises(InputError, match="another process"):
        record(perceptron, points, store=store, progress=False)
    assert layers(perceptron, points, store=store, **QUICK).sizes["layer"] > 1


def test_a_network_may_be_called_lock(perceptron, points, tmp_path) -> None:
    found = layers({"lock": perceptron, "other": perceptron}, points, store=tmp_path, **QUICK)
    assert found["network"].values.tolist() == ["lock", "other"]


def test_a_store_is_reserved_until_the_estimates_are_written(perceptron, points, tmp_path, monkeypatch) -> None:
    free = []

    def told(self, *given) -> None:
        with open(tmp_path / LOCK, "a+b") as stream:
            free.append(try_lock(stream.fileno()))

    monkeypatch.setattr("antidrome.dimension.networks.saved_estimates.SavedEstimates.put", told)
    layers(perceptron, points, store=tmp_path, **QUICK)
    assert free
    assert not any(free)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_finished_store_that_may_only_be_read_is_read(perceptron, points, tmp_path: Path) -> None:
    expected = layers(perceptron, points, store=tmp_path, **QUICK)
    for path in [*tmp_path.rglob("*"), tmp_path]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert layers(perceptron, points, store=tmp_path, **QUICK).identical(expected)
    finally:
        for path in [tmp_path, *tmp_path.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_labels_of_another_number_are_refused_before_anything_is_recorded(perceptron, points, tmp_path) -> None:
    with pytest.raises(InputError, match="classes has 59 labels for 60 data points"):
        layers(perceptron, points, classes=np.zeros(59, int), store=tmp_path, **QUICK)
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_a_list_of_numpy_texts_is_classes(points) -> None:
    names = np.array(["cat", "dog"])[np.arange(60) % 2]
    given = layers({"a": points}, classes=names, **QUICK)
    assert layers({"a": points}, classes=list(names), **QUICK).identical(given)
    stamps = [np.datetime64("2026-01-01"), np.datetime64("2026-01-02")] * 30
    assert layers({"a": points}, classes=stamps, **QUICK).sizes["class"] == 3
