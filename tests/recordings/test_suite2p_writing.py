"""A suite2p-shaped spks.npy: every ROI has its row."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from antidrome.errors import FileFormatError, InputError, UnsafeFileError
from antidrome.recordings import read, read_spikes, write

OPS = {"fs": 30.0}


def test_every_roi_has_a_row_and_the_rest_is_zero(
    tmp_path: Path, make_suite2p: Callable[..., Path], traces: np.ndarray, result: xr.Dataset
) -> None:
    folder = make_suite2p(traces.T, None, np.array([[1, 1], [0, 0], [1, 1], [1, 1], [0, 0], [1, 1]]), OPS)
    labels = read(folder)["neuron"].values
    part = result.isel(neuron=slice(4)).assign_coords(neuron=labels)
    write(part, tmp_path / "out", format="suite2p", source=folder)
    spikes = np.load(tmp_path / "out" / "spks.npy", allow_pickle=False)
    assert spikes.dtype == np.float32
    assert spikes.shape == (6, 120) == np.load(folder / "F.npy").shape
    assert np.array_equal(spikes[[0, 2, 3, 5]], part["expected_spikes"].values.T)
    assert not spikes[[1, 4]].any()
    back = read_spikes(tmp_path / "out")
    xr.testing.assert_equal(back["expected_spikes"], part["expected_spikes"].drop_vars(["good", "area"]))
    assert np.array_equal(back["rate_hz"].values, part["rate_hz"].values)
    assert back.attrs == part.attrs


def test_nothing_inferred_is_zero_in_the_array_and_comes_back_missing(tmp_path: Path, result: xr.Dataset) -> None:
    lacking = result.copy(deep=True)
    lacking["expected_spikes"][:, 1] = np.nan
    lacking["expected_spikes"][[0, 7, 8], 4] = np.nan
    write(lacking, tmp_path / "out", format="suite2p")
    assert np.isfinite(np.load(tmp_path / "out" / "spks.npy")).all()
    back = read_spikes(tmp_path / "out")["expected_spikes"].values
    assert np.array_equal(back, lacking["expected_spikes"].values, equal_nan=True)


def test_planes_get_their_folders(
    tmp_path: Path, make_suite2p: Callable[..., Path], traces: np.ndarray, result: xr.Dataset
) -> None:
    for plane in (0, 1):
        make_suite2p(traces.T[:3], ops=OPS, folder=f"m1/suite2p/plane{plane}")
    both = result.assign_coords(neuron=read(tmp_path / "m1")["neuron"].values)
    write(both, tmp_path / "out", format="suite2p", source=tmp_path / "m1")
    for plane in (0, 1):
        spikes = np.load(tmp_path / "out" / f"plane{plane}" / "spks.npy")
        assert np.array_equal(spikes, both["expected_spikes"].values.T[3 * plane : 3 * plane + 3])
    assert np.array_equal(read_spikes(tmp_path / "out")["expected_spikes"].values, both["expected_spikes"].values)


def test_without_a_source_the_rows_are_the_neurons(tmp_path: Path, result: xr.Dataset) -> None:
    write(result, tmp_path / "out", format="suite2p")
    assert np.array_equal(np.load(tmp_path / "out" / "spks.npy"), result["expected_spikes"].values.T)
    write(result, tmp_path / "out", format="suite2p")


def test_the_users_own_folder_is_never_overwritten(
    make_suite2p: Callable[..., Path], traces: np.ndarray, result: xr.Dataset
) -> None:
    folder = make_suite2p(traces.T, ops=OPS)
    with pytest.raises(InputError, match="nothing is overwritten"):
        write(result, folder, format="suite2p", source=folder)
    assert not np.load(folder / "spks.npy").any()


def test_another_recording_is_refused(
    tmp_path: Path, make_suite2p: Callable[..., Path], traces: np.ndarray, result: xr.Dataset
) -> None:
    folder = make_suite2p(traces.T, ops=OPS)
    with pytest.raises(InputError, match="6 of 6 neurons of the result are not ROIs"):
        write(result.assign_coords(neuron=list("abcdef")), tmp_path / "out", format="suite2p", source=folder)
    with pytest.raises(InputError, match="120 frames, the result 100"):
        write(result.isel(time=slice(100)), tmp_path / "out", format="suite2p", source=folder)
    with pytest.raises(InputError, match="no expected_spikes"):
        write(result.drop_vars("expected_spikes"), tmp_path / "out", format="suite2p")


def test_a_damaged_sidecar(tmp_path: Path, result: xr.Dataset) -> None:
    write(result, tmp_path / "out", format="suite2p")
    sidecar = tmp_path / "out" / "antidrome.json"
    text = sidecar.read_text()
    for broken in (text[:-10], "[]", "{}", text.replace('".": {', '"../..": {')):
        sidecar.write_text(broken)
        with pytest.raises(FileFormatError, match=r"antidrome\.json"):
            read_spikes(tmp_path / "out")


def test_a_pickle_in_a_result_is_called_unsafe(tmp_path: Path, result: xr.Dataset) -> None:
    write(result, tmp_path / "out", format="suite2p")
    np.save(tmp_path / "out" / "spks.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(UnsafeFileError, match=r"spks\.npy holds Python objects"):
        read_spikes(tmp_path / "out")
