"""What looks like something else: traces that are corrected already, times beside times, files of others."""

import datetime

import numpy as np
import pytest
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings import check, delta_f_over_f, from_array, lazy, read, read_with_neuropil, write

pynwb = pytest.importorskip("pynwb")
N_FRAMES, N_ROIS = 60, 3


@pytest.fixture
def nwb(tmp_path, rng):
    """``nwb({"Fluorescence/Green": 0, …})`` writes series of ROI table 0, 1 …; a container may be DfOverF."""

    def made(series, unit="a.u."):
        from pynwb import ophys

        file = pynwb.NWBFile("s", "id", datetime.datetime.now(datetime.UTC))
        device = file.create_device("m")
        channel = ophys.OpticalChannel(name="o", description="d", emission_lambda=500.0)
        plane = file.create_imaging_plane(
            name="p", optical_channel=channel, description="d", device=device, excitation_lambda=600.0,
            imaging_rate=30.0, indicator="g", location="v1",
        )  # fmt: skip
        module = file.create_processing_module("ophys", "x")
        segmentation = ophys.ImageSegmentation()
        module.add(segmentation)
        tables, containers = {}, {}
        for path, number in series.items():
            container, name = path.split("/")
            if number not in tables:
                table = segmentation.create_plane_segmentation(name=f"T{number}", description="d", imaging_plane=plane)
                for i in range(N_ROIS):
                    table.add_roi(pixel_mask=[(i, i, 1.0)])
                tables[number] = table
            if container not in containers:
                kind = ophys.DfOverF if container == "DfOverF" else ophys.Fluorescence
                containers[container] = kind(name=container)
                module.add(containers[container])
            rois = tables[number].create_roi_table_region(region=list(range(N_ROIS)), description="all")
            values = 100 + rng.standard_normal((N_FRAMES, N_ROIS))
            containers[container].add_roi_response_series(
                ophys.RoiResponseSeries(name=name, data=values, rois=rois, unit=unit, rate=30.0)
            )
        with pynwb.NWBHDF5IO(str(tmp_path / "made.nwb"), "w") as io:
            io.write(file)
        return tmp_path / "made.nwb"

    return made


@pytest.mark.parametrize(
    ("series", "chosen", "neuropil"),
    [
        ({"Fluorescence/corrected": 0, "Fluorescence/Neuropil": 0}, None, None),
        ({"corrected_fluorescence/traces": 0, "neuropil_trace/traces": 0}, "corrected_fluorescence/traces", None),
        ({"Fluorescence/raw": 0, "Fluorescence/Neuropil": 0}, None, "Fluorescence/Neuropil"),
        ({"Fluorescence/MotionCorrected": 0, "Fluorescence/Neuropil": 0}, None, "Fluorescence/Neuropil"),
        ({"Fluorescence/Green": 0, "Fluorescence/Red": 0, "Fluorescence/NeuropilGreen": 0}, "Red", None),
        ({"Fluorescence/Green": 0, "Fluorescence/Red": 0, "Fluorescence/NeuropilGreen": 0}, "Green", "NeuropilGreen"),
        ({"Fluorescence/Green": 0, "Fluorescence/Plane1": 1, "Fluorescence/NeuropilGreen": 0}, "Plane1", None),
    ],
)
def test_only_the_neuropil_of_the_raw_trace_is_subtracted(nwb, series, chosen, neuropil):
    recording, found = read_with_neuropil(nwb(series), series=chosen)
    assert (found is None) == (neuropil is None)
    assert found is None or found.attrs["series"].endswith(neuropil)
    corrected = "corrected" in recording.attrs["series"]
    assert any("taken as corrected for neuropil" in note for note in recording.attrs["notes"]) == corrected


def test_what_is_said_to_be_dff_is_a_fraction_whatever_the_unit(nwb):
    path = nwb({"DfOverF/plane": 0}, unit="lumens")
    assert any(finding.id == "unit-missing" for finding in check(read(path)))
    recording = read(path, quantity="dff")
    assert recording.attrs["units"] == "1"
    assert any("'lumens'" in note for note in recording.attrs["notes"])


@pytest.fixture
def result(rng):
    values = rng.random((40, 2))
    traces = from_array(values, 30.0, quantity="dff")
    return xr.Dataset({"expected_spikes": (("time", "neuron"), values)}, traces.coords, {"frame_rate_hz": 30.0})


def test_a_recording_that_moved_is_not_replaced_by_its_result(nwb, result, tmp_path):
    path = nwb({"DfOverF/plane": 0})
    before = path.read_bytes()
    moved = result.assign_attrs(source=str(tmp_path / "elsewhere.nwb"), source_format="nwb")
    with pytest.raises(InputError, match="no longer where it was"):
        write(moved, path)
    np.save(tmp_path / "x.npy", np.zeros((3, 3)))
    with pytest.raises(InputError, match="is no nwb file"):
        write(result, tmp_path / "new.nwb", source=tmp_path / "x.npy")
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["own.zarr", "own.nc"])
def test_a_result_does_not_take_the_place_of_its_recording(result, tmp_path, name):
    traces = from_array(result["expected_spikes"].values, 30.0, quantity="dff")
    write(traces, tmp_path / name)
    read_back = read(tmp_path / name)
    with pytest.raises(InputError, match="is the recording itself"):
        write(result.assign_attrs(source=read_back.attrs["source"]), tmp_path / name)
    np.testing.assert_array_equal(read(tmp_path / name).values, traces.values)
    write(read_back.load(), tmp_path / name)


@pytest.mark.parametrize("name", ["own.zarr", "own.nc"])
def test_raw_traces_are_not_replaced_by_what_was_made_of_them(tmp_path, rng, name):
    raw = from_array(100 + rng.random((400, 2)), 30.0, quantity="fluorescence")
    write(raw, tmp_path / name)
    found = read(tmp_path / name).load()
    for made in (delta_f_over_f(found), found.isel(time=slice(200)), found.isel(neuron=[1])):
        with pytest.raises(InputError, match=r"is the recording itself, and would lose 'fluorescence' \(400 × 2\) of"):
            write(made, tmp_path / name)
    write(found.isel(neuron=[1, 0]), tmp_path / name)
    both = xr.Dataset({"dff": delta_f_over_f(raw), "fluorescence": raw})
    write(both, tmp_path / name)
    with pytest.raises(InputError, match="is the recording itself"):
        write(read(tmp_path / name, series="dff").load(), tmp_path / name)


@pytest.mark.parametrize("name", ["own.zarr", "own.nc"])
@pytest.mark.parametrize("turned", [True, False])
def test_traces_whose_quantity_was_given_when_they_were_read_may_be_written_back(tmp_path, rng, name, turned):
    traces = (100 + rng.random((400, 2))).astype(np.float32)
    dims = ("neuron", "time") if turned else ("time", "neuron")
    stored = xr.Dataset({"traces": (dims, traces.T if turned else traces)}, {"time": np.arange(400) / 30})
    stored.to_zarr(tmp_path / name, zarr_format=2) if name.endswith("zarr") else stored.to_netcdf(tmp_path / name)
    found = read(tmp_path / name, quantity="fluorescence").load()
    for made in (delta_f_over_f(found), found[:5], read(tmp_path / name)[:, :1]):
        with pytest.raises(InputError, match="would lose 'traces' "):
            write(made, tmp_path / name)
    write(found, tmp_path / name)
    again = read(tmp_path / name)
    assert again.attrs["quantity"] == "fluorescence"
    np.testing.assert_array_equal(again.values, traces)


def test_traces_in_groups_are_not_replaced(tmp_path, rng):
    for name, engine in (("g.nc", "h5netcdf"), ("g.zarr", "zarr")):
        day = xr.Dataset({"F": (("time", "neuron"), rng.random((40, 2)))}, {"time": np.arange(40) / 30})
        for group in ("monday", "tuesday"):
            if engine == "zarr":
                day.to_zarr(tmp_path / name, group=group, mode="a", zarr_format=2)
            else:
                day.to_netcdf(tmp_path / name, group=group, mode="a", engine="h5netcdf")
        with pytest.raises(InputError, match="is the recording itself"):
            write(read(tmp_path / name, series="monday/F").load(), tmp_path / name)


def test_a_recording_is_found_again_from_another_folder(tmp_path, nwb, monkeypatch):
    monkeypatch.chdir(nwb({"DfOverF/plane": 0}).parent)
    path = nwb({"DfOverF/plane": 0})
    assert read(path.name).attrs["source"] == str(path)


def test_a_folder_of_other_files_is_not_deleted(result, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "raw.tif").write_text("mine")
    with pytest.raises(InputError, match="folder of other files"):
        write(result, tmp_path / "data", format="zarr")
    assert (tmp_path / "data" / "raw.tif").read_text() == "mine"


def test_a_large_plane_without_cells_is_left_out_as_a_small_one_is(tmp_path, monkeypatch, rng):
    for plane in range(2):
        folder = tmp_path / "suite2p" / f"plane{plane}"
        folder.mkdir(parents=True)
        np.save(folder / "F.npy", rng.random((3, 50)).astype(np.float32))
        np.save(folder / "iscell.npy", np.full((3, 2), 1.0 - plane))
        np.save(folder / "ops.npy", {"fs": 30.0, "nplanes": 2})
    small = read(tmp_path / "suite2p")
    monkeypatch.setattr(lazy, "LAZY_BYTES", 10)
    large = read(tmp_path / "suite2p")
    assert large.attrs["notes"] == small.attrs["notes"]
    np.testing.assert_array_equal(large.values, small.values)


@pytest.mark.parametrize("header", ["", "roi\n"])
def test_most_frames_of_one_column_may_be_missing(tmp_path, rng, header):
    missing = rng.random(200) < 0.6
    missing[[0, -1]] = False
    lines = ["" if gone else "0.5" for gone in missing]
    (tmp_path / "one.csv").write_text(header + "\n".join(lines) + "\n")
    recording = read(tmp_path / "one.csv", frame_rate_hz=30.0)
    np.testing.assert_array_equal(np.isnan(recording.values[:, 0]), missing)


@pytest.mark.parametrize("header", ["", "roi\n", "roi\n\n"])
def test_a_blank_line_of_one_column_is_a_missing_frame(tmp_path, rng, header):
    values = [f"{value:.4f}" for value in rng.random(40)]
    for place in (3, 10, 11):
        values[place] = ""
    (tmp_path / "one.csv").write_text(header + "\n".join(values) + "\n\n\n")
    recording = read(tmp_path / "one.csv", frame_rate_hz=30.0)
    assert recording.shape == (40, 1)
    assert np.flatnonzero(np.isnan(recording.values[:, 0])).tolist() == [3, 10, 11]
    (tmp_path / "one.csv").write_text(header + "\n\n".join(value or "1" for value in values))
    assert read(tmp_path / "one.csv", frame_rate_hz=30.0).shape == (40, 1), "every second line is blank"


@pytest.mark.parametrize("other", ["timestamp_ms", "ComputerTimestamp"])
def test_a_second_column_of_times_is_no_neuron(tmp_path, rng, other):
    times = np.arange(50) / 30
    table = np.column_stack([times, rng.random((50, 2)), 5.0 + 1000 * times])
    np.savetxt(tmp_path / "two.csv", table, delimiter=",", header=f"time_s,ROI1,ROI2,{other}", comments="")
    recording = read(tmp_path / "two.csv")
    assert recording["neuron"].values.tolist() == ["ROI1", "ROI2"]
    assert any(other in note for note in recording.attrs["notes"])


def test_gaps_in_numbers_of_frames_are_told(tmp_path, rng):
    numbers = np.r_[:100, 150:250]
    array = xr.DataArray(rng.random((2, 200)), dims=("unit_id", "frame"), coords={"frame": numbers}, name="C")
    array.to_netcdf(tmp_path / "minian.nc", engine="h5netcdf")
    recording = read(tmp_path / "minian.nc", frame_rate_hz=30.0)
    assert any("numbers of frames have gaps (first: after 99)" in note for note in recording.attrs["notes"])
