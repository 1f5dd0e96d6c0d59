"""Points from files."""

import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import xarray as xr
import zarr

import antidrome as ad
from antidrome.dimension.points import as_points
from antidrome.dimension.reading import read_points
from antidrome.errors import FileFormatError, InputError, UnsafeFileError
from antidrome.recordings.sources import NamedSource


@pytest.fixture
def points(rng):
    return rng.random((12, 5))


@pytest.mark.parametrize(
    "kind", ["npy", "npz", "csv", "header.csv", "tsv", "zarr", "netcdf", "time.nc", "frame.nc", "frame.zarr"]
)
def test_every_format(kind, points, tmp_path) -> None:
    path = tmp_path / f"points.{kind}"
    match kind:
        case "npy":
            np.save(path, points)
        case "npz":
            np.savez(path, points=points, labels=np.arange(12))
        case "csv":
            np.savetxt(path, points, delimiter=",")
        case "header.csv":
            np.savetxt(path, points, delimiter=",", header="a,b,c,d,e", comments="")
        case "tsv":
            np.savetxt(path, points, delimiter="\t")
        case "zarr":
            zarr.create_array(path, shape=points.shape, dtype="float64")[:] = points
        case "netcdf":
            xr.Dataset({"points": (("point", "unit"), points)}).to_netcdf(path, engine="h5netcdf")
        case "time.nc":
            xr.Dataset({"rates": (("neuron", "time"), points.T)}).to_netcdf(path, engine="h5netcdf")
        case "frame.nc":
            xr.Dataset({"rates": (("cell", "frame"), points.T)}).to_netcdf(path, engine="h5netcdf")
        case "frame.zarr":
            xr.Dataset({"rates": (("cell", "frame"), points.T)}).to_zarr(path, consolidated=False)
    found, notes = read_points(path)
    np.testing.assert_allclose(np.asarray(found[...]), points)
    assert notes == []


def test_images_keep_their_axes(rng, tmp_path) -> None:
    np.savez(tmp_path / "images.npz", images=rng.random((9, 3, 4, 4)), mask=np.ones((4, 4)))
    assert read_points(tmp_path / "images.npz", series="images")[0].shape == (9, 3, 4, 4)
    with pytest.raises(InputError, match="several arrays"):
        read_points(tmp_path / "images.npz")
    with pytest.raises(InputError, match="has no array 'pictures'"):
        read_points(tmp_path / "images.npz", series="pictures")


def test_frames_of_a_recording(fake_spikes, tmp_path) -> None:
    result = fake_spikes(n_neurons=3, n_frames=40)
    ad.write(result, tmp_path / "spikes.nwb")
    assert read_points(tmp_path / "spikes.nwb", series="dff")[0].shape[1] == 3


def test_missing_points_are_dropped_on_request(points, tmp_path) -> None:
    points[3, 2] = np.nan
    np.save(tmp_path / "points.npy", points)
    found, notes = read_points(tmp_path / "points.npy", drop_missing=True)
    assert found.shape == (11, 5)
    assert notes == ["1 of 12 points has values that are not finite: left out."]


def test_names_and_counters_of_a_pandas_table_are_no_points(tmp_path) -> None:
    points = np.random.default_rng(0).random((30, 4))
    pd.DataFrame(points).to_csv(tmp_path / "points.csv")
    found, notes = read_points(tmp_path / "points.csv")
    np.testing.assert_array_equal(found, points)
    assert notes[0].endswith("is taken as a header")
    assert notes[1] == "column 1 counts the rows and is left out"


@pytest.mark.parametrize("header", ["time_s", "Time (ms)", None])
def test_the_times_of_a_recording_are_no_neuron(tmp_path, header) -> None:
    values = np.random.default_rng(0).random((40, 3))
    table = pd.DataFrame(np.column_stack([np.arange(40) / 16, values]))
    if header is not None:
        table.columns = [header, "n1", "n2", "n3"]
    table.to_csv(tmp_path / "traces.csv", index=False, header=header is not None)
    np.testing.assert_array_equal(read_points(tmp_path / "traces.csv", recording=True)[0], values)
    found, notes = read_points(tmp_path / "traces.csv")
    if header is None:
        np.testing.assert_array_equal(found, table.values)
    else:
        np.testing.assert_array_equal(found, values)
        assert notes == [f"column {header!r} holds the times of the rows and is left out"]


def test_a_feature_called_time_is_a_coordinate(tmp_path) -> None:
    points = np.random.default_rng(0).random((40, 2))
    pd.DataFrame(points, columns=["time_s", "speed"]).to_csv(tmp_path / "points.csv", index=False)
    found, notes = read_points(tmp_path / "points.csv")
    np.testing.assert_array_equal(found, points)
    assert notes == []


def test_frames_without_a_frame_rate_are_points(tmp_path) -> None:
    traces = np.random.default_rng(0).random((3, 40))
    scipy.io.savemat(tmp_path / "traces.mat", {"traces": traces})
    np.testing.assert_array_equal(read_points(tmp_path / "traces.mat")[0], traces.T)
    scipy.io.savemat(tmp_path / "both.mat", {"one": traces, "two": traces})
    with pytest.raises(InputError, match="one"):
        read_points(tmp_path / "both.mat")


@pytest.mark.parametrize("kind", ["h5", "npy", "csv"])
def test_the_axes_of_a_recording_can_be_told(kind, rng, tmp_path) -> None:
    wide, path = rng.random((12, 30)), tmp_path / f"a.{kind}"
    if kind == "h5":
        with h5py.File(path, "w") as file:
            file["rates"] = wide
    elif kind == "npy":
        np.save(path, wide)
    else:
        np.savetxt(path, wide, delimiter=",")
    for orientation, expected in (("time,neuron", wide), ("neuron,time", wide.T)):
        np.testing.assert_array_equal(read_points(path, orientation=orientation)[0], expected)


def test_what_cannot_be_read_is_said(tmp_path) -> None:
    (tmp_path / "words.csv").write_text("a,b\n1,2\n3,four\n")
    with pytest.raises(FileFormatError, match="line 3, column 'b': 'four' is not a number"):
        read_points(tmp_path / "words.csv")
    with pytest.raises(InputError, match="no such file"):
        read_points(tmp_path / "none.npy")
    (tmp_path / "model.pt").write_bytes(b"\x80\x02pickle")
    with pytest.raises(UnsafeFileError, match="pickle"):
        read_points(tmp_path / "model.pt")


def test_a_damaged_chunk_is_told_with_its_file(tmp_path) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(40, 3), dtype="float64")[:] = np.random.default_rng(0).random((40, 3))
    (tmp_path / "a.zarr" / "c" / "0" / "0").write_bytes(b"xx")
    points, _ = read_points(tmp_path / "a.zarr")
    with pytest.raises(FileFormatError, match=r"a\.zarr is damaged"):
        np.asarray(points)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    "encoding", [{}, {"dtype": "int16", "scale_factor": 1e-3, "_FillValue": -32768}, {"_FillValue": -9.0}]
)
def test_zarr_stores_are_decoded_as_netcdf_files(points, tmp_path, version, encoding) -> None:
    points[3, 2] = np.nan
    data = xr.Dataset({"a": (("point", "unit"), points)})
    data.to_netcdf(tmp_path / "a.nc", encoding={"a": encoding})
    data.to_zarr(tmp_path / "a.zarr", encoding={"a": encoding}, zarr_format=version, consolidated=False)
    expected, _ = read_points(tmp_path / "a.nc")
    np.testing.assert_allclose(expected, points, atol=1e-3)
    for path in (tmp_path / "a.zarr", tmp_path / "a.zarr" / "a"):
        found, _ = read_points(path)
        assert isinstance(found, NamedSource), "read in blocks"
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(as_points(found).take([4, 3]), expected[[4, 3]])


@pytest.mark.parametrize("version", [2, 3])
def test_an_encoded_zarr_array_is_decoded_whatever_lies_beside_it(points, tmp_path, version) -> None:
    encoding = {"dtype": "int16", "scale_factor": 1e-3, "_FillValue": -32768}
    data = xr.Dataset({"a": (("point", "unit"), points, {"units": "days since 2000-01-01"})})
    store = tmp_path / "a.zarr"
    data.to_zarr(store, encoding={"a": encoding}, zarr_format=version, consolidated=False)
    shutil.copytree(store / "a", tmp_path / "alone.zarr")
    group = zarr.open_group(store, mode="a", zarr_format=version)
    group.create_array("weights", shape=(5,), dtype="f8")
    names = {"dimension_names": ["point"]} if version == 3 else {"attributes": {"_ARRAY_DIMENSIONS": ["point"]}}
    group.create_array("other", shape=(7,), dtype="f8", **names)
    for path, series in ((store, "a"), (store / "a", None), (tmp_path / "alone.zarr", None)):
        found, _ = read_points(path, series=series)
        assert found.dtype.kind == "f"
        np.testing.assert_allclose(found, points, atol=1e-3)


def test_an_encoding_that_is_damaged_is_told_with_its_file(tmp_path) -> None:
    wrong = {"scale_factor": "much", "_ARRAY_DIMENSIONS": ["point", "unit"]}
    zarr.create_array(tmp_path / "a.zarr", shape=(4, 3), dtype="int16", zarr_format=2, attributes=wrong)
    with pytest.raises(FileFormatError, match=r"a\.zarr is damaged"):
        as_points(read_points(tmp_path / "a.zarr")[0])


def test_zeros_of_a_plain_zarr_array_with_named_axes_are_values(tmp_path) -> None:
    counts = np.arange(60).reshape(12, 5) % 3
    for place in ("alone.zarr", "group.zarr/counts"):
        if place != "alone.zarr":
            zarr.create_group(tmp_path / "group.zarr", zarr_format=2)
        names = {"_ARRAY_DIMENSIONS": ["point", "unit"]}
        array = zarr.create_array(tmp_path / place, shape=(12, 5), dtype="int32", zarr_format=2, attributes=names)
        array[:] = counts
        np.testing.assert_array_equal(read_points(tmp_path / place.split("/")[0])[0], counts)


def test_times_are_the_first_axis_of_three_in_either_format(rng, tmp_path) -> None:
    data = xr.Dataset({"a": (("trial", "time", "neuron"), rng.normal(size=(7, 12, 4)))})
    data.to_netcdf(tmp_path / "a.nc")
    data.to_zarr(tmp_path / "a.zarr", consolidated=False)
    for name in ("a.nc", "a.zarr"):
        np.testing.assert_array_equal(read_points(tmp_path / name)[0], data["a"].transpose("time", "trial", "neuron"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((0, 5)), r"a\.npy: The points have the shape \(0, 5\)"),
        (np.array([["a", "b"]]), "expected real numbers"),
    ],
)
def test_what_are_no_points_is_said_before_missing_ones_are_dropped(tmp_path, values, message) -> None:
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(InputError, match=message):
        read_points(tmp_path / "a.npy", drop_missing=True)
