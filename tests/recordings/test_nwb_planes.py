"""Several planes of one NWB file as one recording, and which of several series a name means."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings import read, read_spikes, read_with_neuropil, write
from antidrome.recordings.nwb_planes import join_planes, plane_names

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning:nwbinspector")


@pytest.fixture
def planes(make_nwb: Callable[..., Path], traces: np.ndarray) -> Path:
    """Two planes with all that suite2p gives, one ROI of each not accepted."""
    series = {
        f"{kind}/plane{i}": traces * (factor + i)
        for kind, factor in (("Fluorescence", 1), ("Neuropil", 10), ("Deconvolved", 100))
        for i in range(2)
    }
    return make_nwb(series, columns={"iscell": [1, 1, 0, 1, 1, 1]})


def test_planes_are_joined(planes: Path, traces: np.ndarray) -> None:
    recording, neuropil = read_with_neuropil(planes, series="plane0,plane1")
    kept = traces[:, [0, 1, 3, 4, 5]]
    np.testing.assert_array_equal(recording.values, np.c_[kept, kept * 2])
    labels = [f"plane{i}/{roi}" for i in range(2) for roi in (0, 1, 3, 4, 5)]
    assert recording["neuron"].values.tolist() == labels
    assert recording["series"].values.tolist() == ["plane0"] * 5 + ["plane1"] * 5
    assert recording["roi_id"].values.tolist() == [0, 1, 3, 4, 5] * 2
    assert recording.attrs["series"] == "ophys/Fluorescence/plane0,ophys/Fluorescence/plane1"
    assert (recording.attrs["quantity"], recording.attrs["frame_rate_hz"]) == ("fluorescence", 30.0)
    assert recording.attrs["notes"][0].startswith("plane0: 1 of 6 ROIs")
    assert neuropil is not None
    np.testing.assert_array_equal(neuropil.values, np.c_[kept * 10, kept * 11])
    assert neuropil["neuron"].values.tolist() == labels
    assert read(planes, series="plane0, plane1", accepted_only=False).shape == (120, 12)
    assert read(planes, series=recording.attrs["series"]).shape == (120, 10), "what it says is what reads it again"


def test_a_name_that_fits_neuropil_as_well_means_the_trace(planes: Path, traces: np.ndarray) -> None:
    recording = read(planes, series="plane1", accepted_only=False)
    np.testing.assert_array_equal(recording.values, traces * 2)
    np.testing.assert_array_equal(read(planes, series="Neuropil/plane1", accepted_only=False).values, traces * 11)
    with pytest.raises(InputError, match=r"series= \(--series NAME\), or several planes.*'ophys/Fluorescence/plane0'"):
        read(planes)
    with pytest.raises(InputError, match="names a series twice"):
        read(planes, series="plane0,Fluorescence/plane0")
    with pytest.raises(InputError, match="series = 'plane7' fits 0 series"):
        read(planes, series="plane0,plane7")


def test_results_of_planes_go_into_a_copy_and_come_back(planes: Path, tmp_path: Path) -> None:
    recording = read(planes, series="plane0,plane1").load()
    result = xr.Dataset(
        {"expected_spikes": recording.drop_attrs().assign_attrs(units="spikes per frame")}, attrs=recording.attrs
    )
    for _ in range(2):  # the second replaces the result of the first
        write(result, tmp_path / "b.nwb", source=planes)
        write(result, tmp_path / "b.nwb", source=tmp_path / "b.nwb")
    found = read_spikes(tmp_path / "b.nwb")
    np.testing.assert_array_equal(found["expected_spikes"].values, recording.values)
    assert found["neuron"].values.tolist() == recording["neuron"].values.tolist()
    assert read(tmp_path / "b.nwb", series="plane0,plane1").shape == recording.shape


def test_planes_of_other_clocks_are_not_joined(make_nwb: Callable[..., Path], traces: np.ndarray) -> None:
    path = make_nwb({"Fluorescence/plane0": traces, "DfOverF/plane1": traces, "Fluorescence/plane2": traces[:100]})
    with pytest.raises(InputError, match="'plane0' and 'plane1' differ in quantity"):
        read(path, series="plane0,plane1")
    with pytest.raises(InputError, match="'plane0' and 'plane2' have 120 and 100 frames"):
        read(path, series="plane0,plane2")
    plane = read(path, series="plane0")
    paths = ["a/plane0", "a/plane1"]
    with pytest.raises(InputError, match="run at 30 and 15 Hz"):
        join_planes([plane, plane.assign_attrs(frame_rate_hz=15.0)], paths, "x")
    with pytest.raises(InputError, match=r"up to 0\.5 s apart, more than a frame"):
        join_planes([plane, plane.assign_coords(time=plane["time"] + 0.5)], paths, "x")
    joined = join_planes([plane, plane.assign_coords(time=plane["time"] + 0.01)], paths, "x")
    assert "up to 0.01 s apart; the times are those of 'plane0'" in joined.attrs["notes"][-1]


def test_names_of_planes() -> None:
    assert plane_names(["ophys/F/plane0", "ophys/F/plane1"]) == ["plane0", "plane1"]
    assert plane_names(["ophys/F0/traces", "ophys/F1/traces"]) == ["F0/traces", "F1/traces"]
