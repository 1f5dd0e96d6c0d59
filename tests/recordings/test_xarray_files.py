"""Zarr (both versions, plain and by xarray) and NetCDF."""

import json
from pathlib import Path

import dask.array as da
import h5py
import numcodecs
import numpy as np
import pytest
import scipy.io
import xarray as xr
import zarr

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings import from_array, read, write

both_versions = pytest.mark.parametrize("zarr_format", [2, 3])


@both_versions
def test_a_plain_array(tmp_path: Path, traces: np.ndarray, zarr_format: int) -> None:
    zarr.create_array(tmp_path / "a.zarr", data=traces.T, chunks=(2, 50), zarr_format=zarr_format)
    recording = read(tmp_path / "a.zarr", frame_rate_hz=30.0)
    assert isinstance(recording.data, da.Array)
    assert recording.chunks is not None
    assert recording.chunks[0] == (120,)
    assert np.array_equal(recording.values, traces)
    with pytest.raises(InputError, match="pass frame_rate_hz"):
        read(tmp_path / "a.zarr")


@both_versions
def test_a_group(tmp_path: Path, traces: np.ndarray, zarr_format: int) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=zarr_format)
    group.create_array("F", data=traces)
    group.create_array("Fneu", data=traces * 2)
    group.create_array("timestamps", data=np.arange(120) / 10)
    group.create_array("roi_id", data=np.arange(6) * 2)
    with pytest.raises(InputError, match="'F' 120 × 6"):
        read(tmp_path / "a.zarr")
    recording = read(tmp_path / "a.zarr", series="Fneu")
    assert np.array_equal(recording.values, traces * 2)
    assert recording.attrs["frame_rate_hz"] == pytest.approx(10.0)
    assert list(recording["neuron"].values) == ["0", "2", "4", "6", "8", "10"]
    (tmp_path / "a.zarr" / ".DS_Store").write_bytes(b"stray")
    assert read(tmp_path / "a.zarr", series="F").shape == (120, 6)


def test_times_settle_the_axes_of_a_group(tmp_path: Path, traces: np.ndarray) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("dff", data=traces[:4])
    group.create_array("time", data=np.arange(4) / 10)
    assert np.array_equal(read(tmp_path / "a.zarr").values, traces[:4])


def test_the_rate_as_an_attribute(tmp_path: Path, traces: np.ndarray) -> None:
    array = zarr.create_array(tmp_path / "a.zarr", data=traces)
    array.attrs["frame_rate_hz"] = 7.5
    assert read(tmp_path / "a.zarr").attrs["frame_rate_hz"] == 7.5


@pytest.mark.parametrize("kind", ["zarr2", "zarr3", "netcdf4", "netcdf3"])
def test_what_xarray_writes(tmp_path: Path, traces: np.ndarray, kind: str) -> None:
    dataset = xr.Dataset(
        {"traces": (("roi", "time"), traces.T.astype("f8")), "mean_image": (("y", "x"), np.zeros((3, 4)))},
        coords={"time": ("time", np.arange(120) * 50.0, {"units": "ms"}), "roi": np.arange(6),
                "depth": ("roi", np.ones(6)), "trial": ("time", np.repeat([1, 2], 60))},
    )  # fmt: skip
    path = tmp_path / ("a.zarr" if kind.startswith("zarr") else "a.nc")
    if kind.startswith("zarr"):
        dataset.to_zarr(path, zarr_format=int(kind[-1]), consolidated=False)
        if kind == "zarr3":  # as some versions of Zarr write it
            group = json.loads((path / "zarr.json").read_text())
            (path / "zarr.json").write_text(json.dumps(group | {"consolidated_metadata": None}))
    else:
        dataset.to_netcdf(path, engine="h5netcdf" if kind == "netcdf4" else "scipy")
    recording = read(path, series="traces")
    assert isinstance(recording.data, da.Array)
    assert np.array_equal(recording.values, traces)
    assert recording.attrs["frame_rate_hz"] == pytest.approx(20.0)
    assert list(recording["depth"].values) == [1] * 6
    assert list(recording["trial"].values) == [1] * 60 + [2] * 60
    with pytest.raises(InputError, match="choose one with series="):
        read(path)


def test_dates_as_times(tmp_path: Path, traces: np.ndarray) -> None:
    dates = np.datetime64("2024-01-01", "ns") + np.arange(120) * np.timedelta64(50, "ms")
    xr.Dataset({"dff": (("time", "neuron"), traces)}, coords={"time": dates}).to_netcdf(
        tmp_path / "a.nc", engine="h5netcdf"
    )
    recording = read(tmp_path / "a.nc")
    assert recording["time"].values[20] == pytest.approx(1.0)
    assert recording.attrs["quantity"] == "dff"


@pytest.mark.parametrize("name", ["a.zarr", "a.nc"])
@pytest.mark.parametrize("units", [None, "nanoseconds", "microseconds", "milliseconds", "seconds", "minutes"])
def test_time_differences_as_times(tmp_path: Path, traces: np.ndarray, name: str, units: str | None) -> None:
    time = np.arange(120) * np.timedelta64(50, "ms").astype("timedelta64[ns]")
    dataset = xr.Dataset({"dff": (("time", "neuron"), traces)}, coords={"time": time})
    encoding = {"time": {"units": units, "dtype": "float64"}} if units else {}
    if name.endswith("nc"):
        dataset.to_netcdf(tmp_path / name, engine="h5netcdf", encoding=encoding)
    else:
        dataset.to_zarr(tmp_path / name, encoding=encoding, consolidated=False)
    recording = read(tmp_path / name)
    np.testing.assert_allclose(recording["time"], np.arange(120) / 20, atol=1e-12)
    assert recording.attrs["frame_rate_hz"] == pytest.approx(20.0)


@pytest.mark.parametrize("name", ["a.zarr", "a.nc"])
def test_percent_by_its_sign(tmp_path: Path, traces: np.ndarray, name: str) -> None:
    attrs = {"units": "%", "quantity": "dff", "frame_rate_hz": 30.0}
    dataset = xr.Dataset({"dff": (("time", "neuron"), traces, attrs)})
    dataset.to_netcdf(tmp_path / name, engine="h5netcdf") if name.endswith("nc") else dataset.to_zarr(
        tmp_path / name, consolidated=False
    )
    assert read(tmp_path / name).attrs["units"] == "percent"


def test_frame_numbers_beside_a_frame_rate(tmp_path: Path, traces: np.ndarray) -> None:
    dataset = xr.Dataset(
        {"dff": (("time", "neuron"), traces)}, coords={"time": np.arange(120)}, attrs={"frame_rate_hz": 30.0}
    )
    dataset.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    recording = read(tmp_path / "a.nc")
    np.testing.assert_allclose(recording["time"], (np.arange(120) + 0.5) / 30)
    assert "numbers of frames" in recording.attrs["notes"][0]


def test_foreign_dimension_names(tmp_path: Path, traces: np.ndarray) -> None:
    xr.Dataset({"F": (("x", "y"), traces.T)}).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    recording = read(tmp_path / "a.nc", frame_rate_hz=30.0)
    assert np.array_equal(recording.values, traces)
    assert "the longer axis is time" in recording.attrs["notes"][0]


@pytest.mark.parametrize("name", ["a.zarr", "a.nc"])
def test_a_recording_comes_back_as_it_was(tmp_path: Path, traces: np.ndarray, name: str) -> None:
    traces[3, 3] = np.nan
    recording = from_array(
        traces,
        30.0,
        quantity="dff",
        neuron=list("abcdeé"),
        coords={"accepted": np.arange(6) > 2},
        attrs={"session_id": "monday"},
        notes=["one", "two"],
    )
    write(recording, tmp_path / name)
    back = read(tmp_path / name)
    same = back.assign_attrs(source=recording.attrs["source"], source_format="array")
    xr.testing.assert_identical(same.compute(), recording)


def test_damaged_netcdf(tmp_path: Path) -> None:
    (tmp_path / "a.nc").write_bytes(b"CDF\x01" + b"\xff" * 100)
    with pytest.raises(FileFormatError, match="cannot be read as NetCDF"):
        read(tmp_path / "a.nc")
    with scipy.io.netcdf_file(tmp_path / "b.nc", "w") as file:
        file.createDimension("time", 3)
    with pytest.raises(FileFormatError, match="no array"):
        read(tmp_path / "b.nc")


def test_a_damaged_chunk_is_told_with_its_file(tmp_path: Path) -> None:
    traces = np.random.default_rng(0).standard_normal((300, 4))
    zarr.create_array(tmp_path / "plain.zarr", shape=traces.shape, dtype="float64")[:] = traces
    recording = from_array(traces, 30.0, quantity="dff")
    for name in ("labelled.zarr", "a.nc"):
        write(recording, tmp_path / name)
    for chunk in (*(tmp_path / "plain.zarr" / "c").rglob("*"), *(tmp_path / "labelled.zarr" / "dff").glob("*.*")):
        if chunk.is_file() and not chunk.name.startswith("."):
            chunk.write_bytes(b"xx")
    with h5py.File(tmp_path / "a.nc") as file:
        place = file["dff"].id.get_chunk_info(0).byte_offset
    with open(tmp_path / "a.nc", "r+b") as stream:
        stream.seek(place)
        stream.write(b"xx" * 20)
    for name in ("plain.zarr", "labelled.zarr", "a.nc"):
        with pytest.raises(FileFormatError, match=rf"{name} is damaged: .*Copy it again, or write it anew"):
            read(tmp_path / name, frame_rate_hz=30.0 if name == "plain.zarr" else None).compute()


def test_a_chunk_of_negative_size_is_a_sentence(tmp_path: Path) -> None:
    """Blosc takes the size of what it unpacks from the chunk, and asks Python for so many bytes."""
    traces = np.random.default_rng(0).standard_normal((300, 4))
    options = {"shape": traces.shape, "dtype": "float64", "zarr_format": 2, "compressors": numcodecs.Blosc()}
    zarr.create_array(tmp_path / "a.zarr", **options)[:] = traces
    (tmp_path / "a.zarr" / "0.0").write_bytes(b"\x02\x01\x32\x02" + b"\x95" * 56)
    with pytest.raises(FileFormatError, match=r"a\.zarr is damaged"):
        read(tmp_path / "a.zarr", frame_rate_hz=30.0).compute()


def test_damage_of_every_kind_in_a_classic_file_is_a_sentence(tmp_path, monkeypatch):
    """SciPy reads types of records as text, which need not be well formed."""
    (tmp_path / "a.nc").write_bytes(b"CDF\x01" + bytes(60))

    def fails(*args, **kwargs):
        raise SyntaxError("'(' was never closed")

    monkeypatch.setattr("xarray.open_dataset", fails)
    with pytest.raises(FileFormatError, match=r"a\.nc cannot be read as NetCDF: '\(' was never closed"):
        read(tmp_path / "a.nc", frame_rate_hz=30.0)
