"""Several planes of one NWB file as one recording, and which of several series a name means."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pynwb
import pytest
import xarray as xr

from antidrome.errors import InputError
from antidrome.pipeline.cache import SessionCache
from antidrome.pipeline.config import ReadingConfig
from antidrome.pipeline.infer import _complete
from antidrome.pipeline.sessions import session_from_recording
from antidrome.recordings import read, read_spikes, read_with_neuropil, write
from antidrome.recordings.nwb_planes import join_planes, plane_names
from antidrome.spikes.results import label

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


@pytest.fixture
def depths(tmp_path: Path, traces: np.ndarray) -> Path:
    """Two planes with a ROI table each, whose ROIs have the same numbers."""
    from pynwb.ophys import DfOverF, ImageSegmentation, OpticalChannel, PlaneSegmentation, RoiResponseSeries

    nwbfile = pynwb.NWBFile("made for a test", "two-depths", datetime(2024, 5, 6, tzinfo=UTC))
    device, module = nwbfile.create_device("m"), nwbfile.create_processing_module("ophys", "optical physiology")
    module.add(segmentation := ImageSegmentation())
    module.add(container := DfOverF())
    for i in range(2):
        channel = OpticalChannel(name="o", description="green", emission_lambda=510.0)
        plane = nwbfile.create_imaging_plane(
            name=f"plane{i}", optical_channel=channel, description="layer", device=device, excitation_lambda=920.0,
            indicator="GCaMP6f", location=f"depth{i}",
        )  # fmt: skip
        table = PlaneSegmentation(name=f"table{i}", description="cells", imaging_plane=plane)
        segmentation.add_plane_segmentation(table)
        for roi in range(3):
            table.add_roi(pixel_mask=[(roi, i, 1.0)])
        region = table.create_roi_table_region(region=[0, 1, 2], description="all")
        data = traces[:, 3 * i : 3 * i + 3]
        container.add_roi_response_series(
            RoiResponseSeries(name=f"plane{i}", data=data, unit="1", rate=30.0, rois=region)
        )
    with pynwb.NWBHDF5IO(str(tmp_path / "depths.nwb"), "w") as io:
        io.write(nwbfile)
    return tmp_path / "depths.nwb"


def inferred(recording: xr.DataArray) -> xr.Dataset:
    """A result as inference labels it."""
    return label({"expected_spikes": recording.values}, recording, {"frame_rate_hz": 30.0})


def region(path: Path) -> tuple[str, str, list[int]]:
    """The ROI table of written spikes, the place of its plane, and the rows."""
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        rois = io.read().processing["ophys"]["expected_spikes"].rois
        return rois.table.name, rois.table.imaging_plane.location, rois.data[:].tolist()


def test_spikes_go_to_the_rois_of_their_own_plane(depths: Path, tmp_path: Path) -> None:
    for i in range(2):
        result = inferred(read(depths, series=f"plane{i}").isel(neuron=[2, 0]))
        assert region(write(result, tmp_path / f"{i}.nwb")) == (f"table{i}", f"depth{i}", [2, 0])
    unsaid = result.drop_attrs(deep=False).assign_attrs(frame_rate_hz=30.0)
    with pytest.raises(InputError, match=r"'ophys/DfOverF/plane0', 'ophys/DfOverF/plane1' all have.*assign_attrs"):
        write(unsaid, tmp_path / "other.nwb", source=depths)


def test_binned_and_resampled_spikes_go_to_the_plane_that_they_name(depths: Path, tmp_path: Path) -> None:
    result = inferred(read(depths, series="plane1"))
    binned = result.coarsen(time=2).mean(keep_attrs=True).assign_attrs(result.attrs, frame_rate_hz=15.0)
    finer = result.interp(time=np.arange(0.1, 3.9, 1 / 50)).assign_attrs(result.attrs, frame_rate_hz=50.0)
    for made in (binned, finer, result.interp(time=np.arange(0.1, 3.0, 1 / 30)).assign_attrs(result.attrs)):
        path = write(made, tmp_path / "out.nwb")
        assert region(path) == ("table1", "depth1", [0, 1, 2])
        np.testing.assert_allclose(read_spikes(path)["time"], made["time"])
        with pytest.raises(InputError, match=r"not frames of .*another recording\? Without source= .* file of its own"):
            write(made.assign_coords(time=made["time"] + 2.0), path)
    nameless = binned.drop_attrs(deep=False).assign_attrs(frame_rate_hz=15.0)
    with pytest.raises(InputError, match="all have the neurons of the result"):
        write(nameless, tmp_path / "other.nwb", source=depths)
    write(binned.drop_attrs(deep=False), tmp_path / "own.nwb")


def test_spikes_of_joined_planes_say_where_each_neuron_is(depths: Path, tmp_path: Path) -> None:
    result = inferred(read(depths, series="plane0,plane1"))
    path = write(result, tmp_path / "out.nwb")
    xr.testing.assert_identical(read_spikes(path), result)
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        table = io.read().processing["ophys"]["expected_spikes"].rois.table
        tables = [f"ImageSegmentation/table{i}" for i in (0, 0, 0, 1, 1, 1)]
        assert (list(table["roi_table"][:]), list(table["roi_row"][:])) == (tables, [0, 1, 2, 0, 1, 2])
    write(result.isel(neuron=[4]), tmp_path / "one.nwb")
    assert region(tmp_path / "one.nwb") == ("table1", "depth1", [1])
    with pytest.raises(InputError, match="another recording"):
        write(result.assign_coords(neuron=list("abcdef")), tmp_path / "x.nwb")


@pytest.mark.slow
def test_what_predict_gives_goes_to_its_own_plane(depths: Path, tmp_path: Path) -> None:
    from antidrome import SpikeVAE

    result = SpikeVAE().predict(read(depths, series="plane1"), progress=False)
    assert region(write(result, tmp_path / "one.nwb")) == ("table1", "depth1", [0, 1, 2])


def test_a_run_keeps_the_series_of_its_recording(depths: Path, tmp_path: Path) -> None:
    recording, cache = read(depths, series="plane1"), SessionCache(tmp_path, "day", {})
    session = session_from_recording("day", str(depths), recording, ReadingConfig())
    stale = inferred(recording).assign_attrs(series="other", block_attributes=[{}])
    assert _complete(stale.copy(), session, cache).attrs["series"] == "ophys/DfOverF/plane1"
    nameless = session_from_recording(
        "day", "", recording.drop_attrs().assign_attrs(frame_rate_hz=30.0), ReadingConfig()
    )
    assert "series" not in _complete(stale, nameless, cache).attrs


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
