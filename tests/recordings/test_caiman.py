"""CaImAn's HDF5 and NWB: C + YrA or F_dff, never C alone."""

from collections.abc import Callable
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings import read


def test_dff_is_preferred(make_caiman: Callable[..., Path], traces: np.ndarray) -> None:
    path = make_caiman({"C": traces.T, "YrA": traces.T, "F_dff": traces.T * 2, "idx_components": None})
    recording = read(path)
    assert isinstance(recording.data, da.Array)
    assert np.array_equal(recording.values, traces * 2)
    assert (recording.attrs["quantity"], recording.attrs["units"], recording.attrs["frame_rate_hz"]) == (
        "dff",
        "1",
        30.0,
    )
    assert recording.attrs["source_format"] == "caiman"
    assert any("not evaluated" in note for note in recording.attrs["notes"])


@pytest.mark.parametrize("residual", ["YrA", "R"])
def test_the_residual_is_added(make_caiman: Callable[..., Path], traces: np.ndarray, residual: str) -> None:
    path = make_caiman({"C": traces.T, residual: traces.T[:, ::-1], "F_dff": None, "idx_components": np.array([4, 0])})
    recording = read(path)
    assert np.array_equal(recording.values, (traces + traces[::-1])[:, [0, 4]])
    assert list(recording["neuron"].values) == ["0", "4"]
    assert recording.attrs["quantity"] == "fluorescence"
    assert "4 of 6 components are rejected and left out" in recording.attrs["notes"]
    assert read(path, accepted_only=False)["accepted"].values.tolist() == [True, False, False, False, True, False]


def test_the_denoised_trace_alone_is_refused(make_caiman: Callable[..., Path], traces: np.ndarray) -> None:
    path = make_caiman({"C": traces.T, "S": traces.T, "YrA": None, "F_dff": None})
    with pytest.raises(FileFormatError, match="only the denoised trace C"):
        read(path)
    with pytest.raises(InputError, match="denoised"):
        read(path, series="C")


def test_the_choice_is_obeyed(make_caiman: Callable[..., Path], traces: np.ndarray) -> None:
    path = make_caiman({"C": traces.T, "YrA": traces.T, "F_dff": traces.T})
    assert read(path, series="C+YrA").attrs["quantity"] == "fluorescence"
    with pytest.raises(InputError, match="expected 'F_dff'"):
        read(path, series="other")


def test_the_rate(make_caiman: Callable[..., Path], traces: np.ndarray) -> None:
    path = make_caiman({"F_dff": traces.T}, rate_hz=None)
    with pytest.raises(InputError, match="pass frame_rate_hz"):
        read(path)
    assert read(path, frame_rate_hz=7.5).attrs["frame_rate_hz"] == 7.5
    replaced = read(make_caiman({"F_dff": traces.T}, name="b.hdf5"), frame_rate_hz=7.5)
    assert "7.5 Hz as given replaces 30 Hz" in " ".join(replaced.attrs["notes"])


def test_fields_that_disagree_are_refused(make_caiman: Callable[..., Path], traces: np.ndarray) -> None:
    with pytest.raises(FileFormatError, match="YrA is"):
        read(make_caiman({"C": traces.T, "YrA": traces.T[:3]}, name="a.hdf5"))
    with pytest.raises(FileFormatError, match="F_dff is"):
        read(make_caiman({"C": traces.T, "F_dff": traces.T[:3]}, name="b.hdf5"))
    with pytest.raises(FileFormatError, match="names component 9"):
        read(make_caiman({"F_dff": traces.T, "idx_components": np.array([9])}, name="c.hdf5"))
    with pytest.raises(FileFormatError, match="no trace"):
        read(make_caiman({"C": None}, name="d.hdf5"))


@pytest.mark.parametrize("rate", [np.array([[15.0]]), np.array(15), "15.0"])
def test_the_rate_may_be_written_oddly(make_caiman: Callable[..., Path], traces: np.ndarray, rate: object) -> None:
    path = make_caiman({"F_dff": traces.T}, rate)
    assert read(path).attrs["frame_rate_hz"] == 15.0


def test_a_rate_of_zero_is_none(make_caiman: Callable[..., Path], traces: np.ndarray) -> None:
    path = make_caiman({"F_dff": traces.T}, 0.0)
    with pytest.raises(InputError, match="neither times nor a frame rate: pass frame_rate_hz"):
        read(path)


@pytest.fixture
def saved_nwb(make_nwb: Callable[..., Path], traces: np.ndarray) -> Callable[..., Path]:
    """A file as ``estimates.save_NWB`` lays it out, with what ``C`` leaves of the traces."""

    def save(residuals: np.ndarray | None) -> Path:
        import h5py
        import pynwb

        no, keep = [False] * 6, [True, True, False, True, False, True]
        path = make_nwb(
            {"Fluorescence/RoiResponseSeries": traces, "Fluorescence/Background_Fluorescence_Response": traces * 2},
            columns={"keep": keep, "accepted": no, "rejected": no},
        )
        with h5py.File(path, "r+") as file:
            file["processing/ophys/ImageSegmentation/PlaneSegmentation"].attrs["description"] = "CNMF_ROIs"
        if residuals is not None:
            with pynwb.NWBHDF5IO(str(path), "a") as io:
                nwbfile = io.read()
                left = pynwb.TimeSeries(name="residuals", data=residuals, unit="NA", rate=30.0)
                nwbfile.processing["ophys"].add(left)
                io.write(nwbfile)
        return path

    return save


def test_of_nwb_the_residuals_are_added_and_its_own_choice_is_taken(
    saved_nwb: Callable[..., Path], traces: np.ndarray
) -> None:
    path = saved_nwb(traces[::-1])
    recording = read(path)
    assert isinstance(recording.data, da.Array)
    np.testing.assert_array_equal(recording.values, (traces + traces[::-1])[:, [0, 1, 3, 5]])
    assert recording.attrs["quantity"] == "fluorescence"
    assert "column 'keep': its choice is taken" in recording.attrs["notes"][0]
    assert any("denoised trace plus residual" in note for note in recording.attrs["notes"])
    assert read(path, accepted_only=False).sizes["neuron"] == 6


def test_of_nwb_a_denoised_trace_alone_is_refused(saved_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    with pytest.raises(FileFormatError, match="is the denoised trace C of CaImAn, without its residual"):
        read(saved_nwb(None))
    with pytest.raises(FileFormatError, match=r"residuals is \(50, 6\), C is \(120, 6\); save the estimates again"):
        read(saved_nwb(traces[:50]))
