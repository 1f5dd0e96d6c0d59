"""suite2p's results as it writes them for MATLAB: Fall.mat."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from antidrome.errors import FileFormatError, InputError, UnsafeFileError
from antidrome.recordings import read, read_with_neuropil


@pytest.fixture
def fall(tmp_path: Path, traces: np.ndarray) -> dict[str, Any]:
    """What suite2p puts into Fall.mat."""
    return {
        "F": traces.T, "Fneu": traces.T * 2, "spks": traces.T * 3, "ops": {"fs": 15.0, "meanImg": np.ones((9, 9))},
        "iscell": np.c_[[1, 0, 1, 1, 0, 1], np.linspace(0, 1, 6)], "stat": {"npix": np.arange(6.0)},
    }  # fmt: skip


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_fall_of_suite2p_is_read_as_its_folder_is(
    tmp_path: Path, traces: np.ndarray, fall: dict[str, Any], save_mat73: Callable[..., None], version: str
) -> None:
    path = tmp_path / "m7" / "suite2p" / "plane0" / "Fall.mat"
    path.parent.mkdir(parents=True)
    (save_mat73 if version == "7.3" else scipy.io.savemat)(path, fall)
    recording, neuropil = read_with_neuropil(path)
    cells = [0, 2, 3, 5]
    assert np.array_equal(recording.values, traces[:, cells])
    assert neuropil is not None
    assert np.array_equal(neuropil.values, traces[:, cells] * 2)
    assert recording["neuron"].values.tolist() == ["0", "2", "3", "5"]
    assert (recording.attrs["quantity"], recording.attrs["frame_rate_hz"]) == ("fluorescence", 15.0)
    assert recording.attrs["session_id"] == "m7"
    assert recording.attrs["notes"] == [
        "2 of 6 ROIs are no cell: left out (iscell)",
        "frame rate 15 Hz from the settings (ops.fs) of Fall.mat",
    ]
    named, none = read_with_neuropil(path, series="F")
    assert none is None
    assert np.array_equal(named.values, recording.values)
    assert np.array_equal(read(path, series="spks").values, traces[:, cells] * 3)
    assert read(path, accepted_only=False, frame_rate_hz=30.0)["accepted"].values.sum() == 4
    assert read(path, series="ops/meanImg", frame_rate_hz=1.0).shape == (9, 9)


def test_fall_that_contradicts_itself_or_accepts_nothing(tmp_path: Path, fall: dict[str, Any]) -> None:
    scipy.io.savemat(tmp_path / "a.mat", fall | {"iscell": np.zeros((6, 2))})
    with pytest.raises(InputError, match=r"iscell accepts none of 6 ROIs.*--no-accepted-only"):
        read(tmp_path / "a.mat")
    scipy.io.savemat(tmp_path / "b.mat", fall | {"iscell": np.ones((5, 2))})
    with pytest.raises(FileFormatError, match=r"iscell has shape \(5, 2\), expected \(6, 2\)"):
        read(tmp_path / "b.mat", series="F")
    one = {name: fall[name][:1] for name in ("F", "Fneu", "iscell")}
    scipy.io.savemat(tmp_path / "c.mat", one)
    with pytest.raises(InputError, match="neither times nor a frame rate"):
        read(tmp_path / "c.mat")
    assert read(tmp_path / "c.mat", frame_rate_hz=30.0).shape == (120, 1)


def test_what_fall_holds_is_held_against_the_cap(
    tmp_path: Path, fall: dict[str, Any], save_mat73: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_mat73(tmp_path / "Fall.mat", fall)
    monkeypatch.setattr("antidrome.recordings.options.DEFAULT_MAX_BYTES", 1000)
    with pytest.raises(UnsafeFileError, match=r"F.* declares .* more than the cap"):
        read(tmp_path / "Fall.mat")
    assert read(tmp_path / "Fall.mat", max_bytes=2**20).sizes["neuron"] > 0
