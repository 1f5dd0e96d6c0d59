"""Zarr and NetCDF as programs other than this one lay them out: names of dimensions, times and rates beside them."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

from antidrome.recordings import read

TIME_S = np.arange(120) / 20


def write(path: Path, dataset: xr.Dataset) -> Path:
    if path.suffix == ".zarr":
        dataset.to_zarr(path, zarr_format=2)
    else:
        dataset.to_netcdf(path, engine="h5netcdf")
    return path


@pytest.mark.parametrize("name", ["a.zarr", "a.nc"])
@pytest.mark.parametrize("times", ["timestamps", "time_s", "t", "time"])
@pytest.mark.parametrize("as_coordinate", [True, False])
def test_times_beside_frame_numbers(
    tmp_path: Path, traces: np.ndarray, name: str, times: str, as_coordinate: bool
) -> None:
    dataset = xr.Dataset(
        {"F": (("roi", "frame"), traces.T), times: ("frame", 1000 * TIME_S, {"units": "ms"})},
        coords={"frame": np.arange(120)},
    )
    recording = read(write(tmp_path / name, dataset.set_coords(times) if as_coordinate else dataset))
    assert np.array_equal(recording.values, traces)
    np.testing.assert_allclose(recording["time"].values, TIME_S)


@pytest.mark.parametrize("name", ["a.zarr", "a.nc"])
@pytest.mark.parametrize("as_coordinate", [True, False])
def test_the_rate_as_a_variable(tmp_path: Path, traces: np.ndarray, name: str, as_coordinate: bool) -> None:
    dataset = xr.Dataset({"F": (("time", "neuron"), traces), "fs": 20.0})
    path = write(tmp_path / name, dataset.set_coords("fs") if as_coordinate else dataset)
    assert read(path).attrs["frame_rate_hz"] == 20.0


def test_an_attribute_of_the_traces_counts_before_a_variable_beside(tmp_path: Path, traces: np.ndarray) -> None:
    dataset = xr.Dataset({"F": (("time", "neuron"), traces, {"frame_rate_hz": 20.0}), "fs": 30_000.0})
    assert read(write(tmp_path / "a.nc", dataset)).attrs["frame_rate_hz"] == 20.0


@pytest.mark.parametrize(("dim", "name", "as_coordinate"), [("frame", "t", False), ("sample", "time", True)])
def test_texts_are_no_times(tmp_path: Path, traces: np.ndarray, dim: str, name: str, as_coordinate: bool) -> None:
    texts = [f"trial {i // 40}" for i in range(120)]
    dataset = xr.Dataset({"F": ((dim, "roi"), traces), name: (dim, texts)}, attrs={"fs": 20.0})
    recording = read(write(tmp_path / "a.nc", dataset.set_coords(name) if as_coordinate else dataset))
    assert recording["time"].values[0] == 0.025


def test_times_beside_in_a_foreign_unit_are_left_out_and_noted(tmp_path: Path, traces: np.ndarray) -> None:
    dataset = xr.Dataset({"F": (("frame", "roi"), traces), "t": ("frame", np.arange(120.0), {"units": "frames"})})
    recording = read(write(tmp_path / "a.nc", dataset), frame_rate_hz=20.0)
    np.testing.assert_allclose(recording["time"].values, (np.arange(120) + 0.5) / 20)
    assert "'t' is in 'frames', which is no unit of time, and is left out" in recording.attrs["notes"]


def test_times_along_a_dimension_of_a_foreign_name_tell_the_axes(tmp_path: Path, traces: np.ndarray) -> None:
    wide = traces[:4]
    dataset = xr.Dataset(
        {"F": (("sample", "channel"), wide), "time": ("sample", TIME_S[:4])}, coords={"channel": list("abcdef")}
    )
    recording = read(write(tmp_path / "a.nc", dataset))
    assert np.array_equal(recording.values, wide)
    np.testing.assert_allclose(recording["time"].values, TIME_S[:4])
    assert recording["neuron"].values.tolist() == list("abcdef")
    assert recording.attrs["notes"] == []


def test_coordinates_that_nobody_knows_are_left_out_and_noted(tmp_path: Path, traces: np.ndarray) -> None:
    dataset = xr.Dataset({"F": (("sample", "channel"), traces)}, coords={"sample": TIME_S})
    recording = read(write(tmp_path / "a.nc", dataset), frame_rate_hz=30.0)
    assert recording["time"].values[0] == 0.5 / 30
    assert "the coordinate 'sample' is left out" in recording.attrs["notes"][-1]


@pytest.mark.parametrize("version", [2, 3])
def test_zeros_are_samples_where_zarr_python_fills_with_zeros(tmp_path: Path, traces: np.ndarray, version: int) -> None:
    rectified = np.maximum(traces, 0)
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=version)
    named = {"dimension_names": ["time", "neuron"]} if version == 3 else {}
    array = group.create_array("dff", data=rectified, **named)
    if version == 2:
        array.attrs["_ARRAY_DIMENSIONS"] = ["time", "neuron"]
    np.testing.assert_array_equal(read(tmp_path / "a.zarr", frame_rate_hz=20), rectified)


@pytest.mark.parametrize("version", [2, 3])
def test_missing_samples_of_stores_that_xarray_wrote_stay_missing(
    tmp_path: Path, traces: np.ndarray, version: int
) -> None:
    holed = np.where(np.arange(len(traces))[:, None] == 3, np.nan, np.maximum(traces, 0))
    dataset = xr.Dataset({"dff": (("time", "neuron"), holed)}, coords={"time": TIME_S})
    packed = {"dff": {"dtype": "int16", "scale_factor": 0.01, "_FillValue": -1}}
    dataset.to_zarr(tmp_path / "a.zarr", zarr_format=version, consolidated=False)
    dataset.to_zarr(tmp_path / "packed.zarr", zarr_format=version, consolidated=False, encoding=packed)
    np.testing.assert_array_equal(read(tmp_path / "a.zarr"), holed)
    np.testing.assert_array_equal(np.isnan(read(tmp_path / "packed.zarr")), np.isnan(holed))
