"""suite2p folders as suite2p lays them out."""

from collections.abc import Callable
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings import lazy, read, read_with_neuropil

OPS = {"fs": 30.0, "tau": 1.0, "nplanes": 1, "meanImg": np.zeros((4, 4), "f4")}


@pytest.fixture
def iscell() -> np.ndarray:
    """ROIs 1 and 4 of six are no cells."""
    return np.array([[1, 0.9], [0, 0.1], [1, 0.8], [1, 0.7], [0, 0.4], [1, 0.6]])


def test_cells_are_read_with_rate_and_neuropil(
    make_suite2p: Callable[..., Path], traces: np.ndarray, iscell: np.ndarray
) -> None:
    folder = make_suite2p(traces.T, traces.T * 0.5, iscell, OPS)
    recording, neuropil = read_with_neuropil(folder)
    cells = [0, 2, 3, 5]
    assert np.array_equal(recording.values, traces[:, cells])
    assert neuropil is not None
    assert np.array_equal(neuropil.values, traces[:, cells] * np.float32(0.5))
    assert list(neuropil["neuron"].values) == list(recording["neuron"].values) == ["0", "2", "3", "5"]
    assert recording.attrs["frame_rate_hz"] == 30.0
    assert recording.attrs["quantity"] == "fluorescence"
    assert recording.attrs["session_id"] == "m1"
    assert recording.attrs["notes"] == ["2 of 6 ROIs in plane0 left out: no cells (iscell.npy)"]
    assert list(recording["cell_probability"].values) == [0.9, 0.8, 0.7, 0.6]
    assert np.array_equal(recording["roi_id"].values, cells)


@pytest.mark.parametrize("place", ["m1", "m1/suite2p", "m1/suite2p/plane0"])
def test_the_folders_above_work_too(
    make_suite2p: Callable[..., Path], traces: np.ndarray, tmp_path: Path, place: str
) -> None:
    make_suite2p(traces.T, ops=OPS)
    assert read(tmp_path / place).shape == traces.shape


def test_all_rois_on_request(make_suite2p: Callable[..., Path], traces: np.ndarray, iscell: np.ndarray) -> None:
    recording = read(make_suite2p(traces.T, None, iscell, OPS), accepted_only=False)
    assert recording.sizes["neuron"] == 6
    assert recording["accepted"].values.tolist() == [True, False, True, True, False, True]


def test_version_1_keeps_the_rate_in_settings(make_suite2p: Callable[..., Path], traces: np.ndarray) -> None:
    folder = make_suite2p(traces.T, ops={"fs": np.float32(15.0), "tau": 0.7}, settings_name="settings.npy")
    assert read(folder).attrs["frame_rate_hz"] == 15.0


def test_a_rate_from_the_user_needs_no_pickle(make_suite2p: Callable[..., Path], traces: np.ndarray) -> None:
    folder = make_suite2p(traces.T)
    (folder / "ops.npy").write_bytes(b"not a pickle at all")
    assert read(folder, frame_rate_hz=20.0).attrs["frame_rate_hz"] == 20.0
    with pytest.raises(FileFormatError, match=r"ops\.npy"):
        read(folder)


def test_no_rate_asks_for_one(make_suite2p: Callable[..., Path], traces: np.ndarray) -> None:
    with pytest.raises(InputError, match="pass frame_rate_hz"):
        read(make_suite2p(traces.T))


def test_planes_are_joined(make_suite2p: Callable[..., Path], traces: np.ndarray, tmp_path: Path) -> None:
    for plane in (0, 1, 10):
        make_suite2p(traces.T + plane, traces.T, ops=OPS, folder=f"m1/suite2p/plane{plane}")
    make_suite2p(traces.T, ops=OPS, folder="m1/suite2p/combined")
    recording, neuropil = read_with_neuropil(tmp_path / "m1")
    assert recording.sizes["neuron"] == 18
    assert recording["neuron"].values[[0, 6, 12]].tolist() == ["plane0/0", "plane1/0", "plane10/0"]
    assert recording["plane"].values[[0, 6, 12]].tolist() == [0, 1, 10]
    assert neuropil is not None
    assert np.array_equal(recording.values[:, 12:], traces + 10)


def test_planes_of_different_length_are_refused(
    make_suite2p: Callable[..., Path], traces: np.ndarray, tmp_path: Path
) -> None:
    make_suite2p(traces.T, ops=OPS, folder="m1/suite2p/plane0")
    make_suite2p(traces.T[:, 1:], ops=OPS, folder="m1/suite2p/plane1")
    with pytest.raises(InputError, match="read each plane folder by itself"):
        read(tmp_path / "m1")


def test_no_iscell_takes_all_and_says_so(make_suite2p: Callable[..., Path], traces: np.ndarray) -> None:
    recording = read(make_suite2p(traces.T, ops=OPS))
    assert recording.sizes["neuron"] == 6
    assert "no iscell.npy" in recording.attrs["notes"][0]


def test_no_cell_at_all_is_refused(make_suite2p: Callable[..., Path], traces: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"accepts none of 6 .* accepted_only=False \(--no-accepted-only\)"):
        read(make_suite2p(traces.T, None, np.zeros((6, 2)), OPS))


def test_a_plane_without_cells_is_left_out(
    make_suite2p: Callable[..., Path], traces: np.ndarray, iscell: np.ndarray, tmp_path: Path
) -> None:
    for plane, accepted in enumerate((iscell, np.zeros((6, 2)), iscell)):
        make_suite2p(traces.T + plane, traces.T, accepted, OPS, folder=f"m1/plane{plane}")
    recording, neuropil = read_with_neuropil(tmp_path / "m1")
    assert np.unique(recording["plane"]).tolist() == [0, 2]
    assert np.array_equal(recording.values[:, 4:], traces[:, [0, 2, 3, 5]] + 2)
    assert neuropil is not None
    assert neuropil.shape == recording.shape
    assert recording.attrs["notes"][1] == "plane1 is left out: none of its 6 ROIs is accepted (iscell.npy)"
    assert read(tmp_path / "m1", accepted_only=False).sizes["neuron"] == 18
    for plane in (0, 2):
        np.save(tmp_path / "m1" / f"plane{plane}" / "iscell.npy", np.zeros((6, 2)))
    with pytest.raises(InputError, match="3 planes accept none of 18 ROIs"):
        read(tmp_path / "m1")


def test_files_that_disagree_are_refused(make_suite2p: Callable[..., Path], traces: np.ndarray) -> None:
    with pytest.raises(FileFormatError, match=r"iscell\.npy has shape \(5, 2\)"):
        read(make_suite2p(traces.T, None, np.ones((5, 2)), OPS))
    with pytest.raises(FileFormatError, match=r"iscell\.npy has shape \(6, 0\)"):
        read(make_suite2p(traces.T, None, np.ones((6, 0)), OPS, folder="m3/plane0"))
    with pytest.raises(FileFormatError, match="they must agree"):
        read(make_suite2p(traces.T, traces.T[:, 1:], None, OPS, folder="m2/plane0"))


def test_large_folders_stay_on_disk(
    make_suite2p: Callable[..., Path], traces: np.ndarray, iscell: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lazy, "LAZY_BYTES", 100)
    recording, neuropil = read_with_neuropil(make_suite2p(traces.T, traces.T, iscell, OPS))
    assert isinstance(recording.data, da.Array)
    assert neuropil is not None
    assert isinstance(neuropil.data, da.Array)
    assert np.array_equal(recording.values, traces[:, [0, 2, 3, 5]])


def test_a_folder_of_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"no F\.npy"):
        read(tmp_path)


@pytest.mark.parametrize("rate", [np.array(15.0), np.array([15.0]), np.array([[15]]), "15.0", [15.0]])
def test_the_rate_may_be_an_array_of_one(make_suite2p: Callable[..., Path], traces: np.ndarray, rate: object) -> None:
    assert read(make_suite2p(traces.T, ops={"fs": rate})).attrs["frame_rate_hz"] == 15.0


def test_combined_is_read_where_there_are_no_planes_and_names_no_session(
    make_suite2p: Callable[..., Path], traces: np.ndarray
) -> None:
    combined = make_suite2p(traces.T, ops=OPS, folder="m1/suite2p/combined")
    for path in (combined, combined.parent, combined.parent.parent):
        recording = read(path)
        assert np.array_equal(recording.values, traces)
        assert recording.attrs["session_id"] == "m1"
    make_suite2p(traces.T + 1, ops=OPS, folder="m1/suite2p/plane0")
    assert np.array_equal(read(combined.parent).values, traces + 1)


def test_a_series_is_of_the_same_rois_and_frames(
    make_suite2p: Callable[..., Path], traces: np.ndarray, iscell: np.ndarray
) -> None:
    folder = make_suite2p(traces.T, iscell=iscell, ops=OPS)
    np.save(folder / "F_chan2.npy", traces.T * 2)
    second = read(folder, series="F_chan2")
    assert np.array_equal(second.values, traces[:, [0, 2, 3, 5]] * 2)
    assert second.attrs["quantity"] == "fluorescence"
    assert read(folder, series="spks").attrs["quantity"] == "unknown"
    with pytest.raises(InputError, match=r"iscell\.npy is 6 × 2, and no trace of the ROIs, as F is 6 × 120"):
        read(folder, series="iscell")
    with pytest.raises(InputError, match=r"has no series 'F_chan3'; its files are 'F', 'F_chan2', 'iscell'"):
        read(folder, series="F_chan3")


def test_a_rate_of_zero_is_none(make_suite2p: Callable[..., Path], traces: np.ndarray) -> None:
    folder = make_suite2p(traces.T, ops={"fs": 0.0})
    with pytest.raises(InputError, match="m1 has neither times nor a frame rate: pass frame_rate_hz"):
        read(folder.parent.parent)
    assert read(folder, frame_rate_hz=15.0).attrs["frame_rate_hz"] == 15.0


def test_traces_that_are_said_to_be_dff_have_no_neuropil(make_suite2p: Callable[..., Path], traces: np.ndarray) -> None:
    folder = make_suite2p(traces.T, traces.T * 0.5, ops=OPS)
    recording, neuropil = read_with_neuropil(folder, quantity="dff")
    assert recording.attrs["quantity"] == "dff"
    assert neuropil is None
