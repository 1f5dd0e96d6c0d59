"""Recordings in groups of Zarr stores and NetCDF files."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

from antidrome.errors import FileFormatError, InputError, UnsafeFileError
from antidrome.recordings import read

pytestmark = pytest.mark.filterwarnings("ignore:.*onsolidated", "ignore:.*does not have a Zarr V3")


def dataset(traces: np.ndarray) -> xr.Dataset:
    return xr.Dataset(
        {"dff": (("time", "neuron"), traces)},
        coords={"time": np.arange(120) / 25, "neuron": list("abcdef")},
    )


@pytest.mark.parametrize("version", [2, 3])
def test_plain_zarr_arrays_in_groups(tmp_path: Path, traces: np.ndarray, version: int) -> None:
    store = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=version)  # pyright: ignore[reportArgumentType]
    store.attrs["frame_rate_hz"] = 25.0
    store.create_array("day1/ophys/dff", data=traces)
    recording = read(tmp_path / "a.zarr")
    np.testing.assert_array_equal(recording.values, traces)
    assert (recording.attrs["frame_rate_hz"], recording.attrs["quantity"]) == (25.0, "dff")
    store.create_array("day2/F", data=traces * 2)
    store.create_array("day2/roi_ids", data=np.arange(6) + 7)
    with pytest.raises(
        InputError, match=r"several arrays: 'day1/ophys/dff' 120 × 6, .*'day2/F' 120 × 6.*--series NAME"
    ):
        read(tmp_path / "a.zarr")
    recording = read(tmp_path / "a.zarr", series="day2/F")
    np.testing.assert_array_equal(recording.values, traces * 2)
    assert recording["neuron"].values[0] == "7"
    with pytest.raises(InputError, match=r"has no array 'F'; it has .*'day2/F' 120 × 6"):
        read(tmp_path / "a.zarr", series="F")


def test_an_array_outside_groups_comes_first(tmp_path: Path, traces: np.ndarray) -> None:
    store = zarr.open_group(tmp_path / "a.zarr", mode="w")
    store.create_array("F", data=traces)
    store.create_array("raw/F", data=traces * 2)
    np.testing.assert_array_equal(read(tmp_path / "a.zarr", frame_rate_hz=30.0).values, traces)
    np.testing.assert_array_equal(read(tmp_path / "a.zarr", frame_rate_hz=30.0, series="raw/F").values, traces * 2)


@pytest.mark.parametrize("consolidated", [True, False])
def test_zarr_groups_that_xarray_wrote(tmp_path: Path, traces: np.ndarray, consolidated: bool) -> None:
    for i, group in enumerate(("m1/day1", "m1/day2")):
        dataset(traces * (i + 1)).to_zarr(tmp_path / "a.zarr", group=group, mode="a", consolidated=consolidated)
    recording = read(tmp_path / "a.zarr", series="m1/day2/dff")
    np.testing.assert_array_equal(recording.values, traces * 2)
    assert recording["neuron"].values.tolist() == list("abcdef")
    assert recording.attrs["frame_rate_hz"] == pytest.approx(25.0)


def test_netcdf_groups(tmp_path: Path, traces: np.ndarray) -> None:
    path = tmp_path / "a.nc"
    xr.Dataset(attrs={"session_id": "mouse 7"}).to_netcdf(path, engine="h5netcdf")
    dataset(traces).to_netcdf(path, engine="h5netcdf", group="day1", mode="a")
    recording = read(path)
    np.testing.assert_array_equal(recording.values, traces)
    assert recording["neuron"].values.tolist() == list("abcdef")
    assert recording.attrs["session_id"] == "mouse 7"
    path = tmp_path / "b.nc"
    for i in (1, 2):
        dataset(traces * i).to_netcdf(path, engine="h5netcdf", group=f"day{i}", mode="a")
    with pytest.raises(InputError, match=r"several arrays: 'day1/dff' 120 × 6, 'day2/dff' 120 × 6"):
        read(path)
    np.testing.assert_array_equal(read(path, series="day2/dff").values, traces * 2)


def test_coordinates_of_the_file_hold_for_its_groups(tmp_path: Path, traces: np.ndarray) -> None:
    path = tmp_path / "a.nc"
    whole = dataset(traces)
    whole.coords.to_dataset().to_netcdf(path, engine="h5netcdf")
    whole.drop_vars(["time", "neuron"]).to_netcdf(path, engine="h5netcdf", group="day1", mode="a")
    whole.coords.to_dataset().to_zarr(tmp_path / "a.zarr")
    whole.drop_vars(["time", "neuron"]).to_zarr(tmp_path / "a.zarr", group="day1", mode="a")
    for place in (path, tmp_path / "a.zarr"):
        recording = read(place)
        assert recording["neuron"].values.tolist() == list("abcdef")
        assert recording.attrs["frame_rate_hz"] == pytest.approx(25.0)


def test_groups_without_arrays_and_with_links(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "a.zarr", mode="w").create_group("empty")
    with pytest.raises(FileFormatError, match="it has no array"):
        read(tmp_path / "a.zarr")
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file.create_group("day1")["F"] = h5py.ExternalLink("other.h5", "F")
    with pytest.raises(UnsafeFileError, match="link into another file"):
        read(tmp_path / "a.nc", series="day1/F")
