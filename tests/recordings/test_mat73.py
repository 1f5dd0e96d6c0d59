"""MATLAB 7.3 files with texts, cells and structs beside the traces."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from antidrome.errors import InputError
from antidrome.recordings import read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test writes its file."""
    return tmp_path / "a.mat"


def test_texts_are_no_traces(path: Path, traces: np.ndarray, save_mat73: Callable[..., None]) -> None:
    save_mat73(path, {"trace": traces[:, 0], "animal": "mouse number 1", "fs": 20.0})
    recording = read(path)
    np.testing.assert_allclose(recording.values, traces[:, :1])
    with pytest.raises(InputError, match="has no array 'animal'; it has 'fs' 1, 'trace' 120"):
        read(path, series="animal")


def test_a_matrix_outside_structs_comes_first(path: Path, traces: np.ndarray, save_mat73: Callable[..., None]) -> None:
    save_mat73(path, {"F": traces, "fs": 20.0, "settings": {"kernel": np.ones((3, 4))}})
    assert np.array_equal(read(path).values, traces)
    save_mat73(path, {"trace": traces[:, 0], "fs": 20.0, "settings": {"kernel": np.ones((3, 4))}})
    with pytest.raises(InputError, match="has the vector 'trace' and, in a struct, the matrix 'settings/kernel'"):
        read(path)


def test_labels_in_cells(path: Path, traces: np.ndarray, save_mat73: Callable[..., None]) -> None:
    names = ["a", "bé", "cell 3", "d", "e", "f"]
    save_mat73(path, {"dff": traces, "fs": 20.0, "labels": names})
    assert read(path)["neuron"].values.tolist() == names
    save_mat73(path, {"dff": traces, "fs": 20.0, "labels": [*names[:5], np.ones(3)]})
    assert read(path)["neuron"].values.tolist() == list("012345")


def test_empty_variables_are_their_shape_alone(path: Path, traces: np.ndarray, save_mat73: Callable[..., None]) -> None:
    save_mat73(path, {"data": {"dff": traces}, "fs": 20.0})
    with h5py.File(path, "r+") as file:
        for name, kind, shape in (("labels", "cell", [1, 0]), ("extra", "double", [0, 0])):
            file[name] = np.array(shape, "u8")
            file[name].attrs["MATLAB_class"] = np.bytes_(kind)
            file[name].attrs["MATLAB_empty"] = np.uint8(1)
    recording = read(path)
    assert np.array_equal(recording.values, traces)
    assert recording["neuron"].values.tolist() == list("012345")
    with pytest.raises(InputError, match="has no array 'extra'"):
        read(path, series="extra")
