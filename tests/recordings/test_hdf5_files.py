"""Plain HDF5."""

from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

from antidrome.errors import FileFormatError, InputError, UnsafeFileError
from antidrome.recordings import read


def test_a_dataset_with_times_and_labels_beside(tmp_path: Path, traces: np.ndarray) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["session/dff"] = traces.T
        file["session/timestamps"] = np.arange(120) / 25
        file["session/roi_ids"] = np.arange(6) + 100
        file["other/time"] = np.arange(120) / 1000
    recording = read(tmp_path / "a.h5")
    assert isinstance(recording.data, da.Array)
    assert np.array_equal(recording.values, traces)
    assert recording.attrs["frame_rate_hz"] == pytest.approx(25.0)
    assert recording["neuron"].values[0] == "100"
    assert recording.attrs["quantity"] == "dff"


def test_the_rate_may_be_an_attribute(tmp_path: Path, traces: np.ndarray) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["F"] = traces
        file["F"].attrs["fs"] = 12.5
    assert read(tmp_path / "a.h5").attrs["frame_rate_hz"] == 12.5


@pytest.mark.parametrize("said", ["percent", "%", b"%", np.array(["dF/F (%)"], "S")])
@pytest.mark.parametrize("suffix", [".h5", ".nc", ".zarr"])
@pytest.mark.parametrize("name", ["dff", "traces"])
def test_units_are_those_that_the_array_states(
    tmp_path: Path, traces: np.ndarray, said: Any, suffix: str, name: str
) -> None:
    """Percent must not become a fraction, neither for the kind of file nor because the caller names the quantity."""
    path, text = tmp_path / f"a{suffix}", np.ravel(np.array(said, "S")).astype(str).item()
    if suffix == ".zarr":
        zarr.open_group(path, mode="w").create_array(name, data=traces).attrs["units"] = text
    elif suffix == ".nc":
        xr.Dataset({name: (("time", "neuron"), traces, {"units": text})}).to_netcdf(path, engine="h5netcdf")
    else:
        with h5py.File(path, "w") as file:
            file[name] = traces
            file[name].attrs["units"] = said
            file[name].attrs["quantity"] = np.array(["dff"], "S") if isinstance(said, np.ndarray) else b"dff"
    for quantity in (None, "dff"):
        assert read(path, frame_rate_hz=12.5, quantity=quantity).attrs["units"] == "percent"


def test_units_of_another_quantity_than_asked_are_not_kept(tmp_path: Path, traces: np.ndarray) -> None:
    for said in ({"quantity": "dff", "units": "percent"}, {"quantity": "unknown", "units": "unknown"}):
        file = xr.Dataset({"F": (("time", "neuron"), traces, said)}, attrs={"fs": 12.5})
        file.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
        assert read(tmp_path / "a.nc", quantity="fluorescence").attrs["units"] == "a.u."


@pytest.mark.parametrize(
    "said",
    [np.array([12.5]), np.array([[12.5]]), "12.5", "12.5 Hz", b"12.5", np.float32(12.5), np.array(["12.5"], "S")],
)
def test_the_rate_may_be_written_oddly(tmp_path: Path, traces: np.ndarray, said: Any) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["F"] = traces
        file.attrs["fs"] = said
        file.attrs["t"] = "yesterday"
    assert read(tmp_path / "a.h5").attrs["frame_rate_hz"] == 12.5


@pytest.mark.parametrize("said", [np.array([12.5, 13.0]), "fast", np.array([], "f8"), h5py.Empty("f8"), True])
def test_what_is_no_rate_is_none(tmp_path: Path, traces: np.ndarray, said: Any) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["F"] = traces
        file.attrs["fs"] = said
    with pytest.raises(InputError, match="neither times nor a frame rate"):
        read(tmp_path / "a.h5")


def test_several_are_listed_by_path(tmp_path: Path, traces: np.ndarray) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a/F"] = traces
        file["b/F"] = traces * 2
    with pytest.raises(InputError, match="'a/F' 120 × 6, 'b/F' 120 × 6"):
        read(tmp_path / "a.h5", frame_rate_hz=1.0)
    assert np.array_equal(read(tmp_path / "a.h5", frame_rate_hz=1.0, series="b/F").values, traces * 2)


def test_blocks_follow_the_stored_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("F", data=np.ones((1000, 50), "f4"), chunks=(100, 4))
    monkeypatch.setattr("antidrome.recordings.lazy.BLOCK_BYTES", 1000 * 4 * 10)
    recording = read(tmp_path / "a.h5", frame_rate_hz=1.0)
    assert recording.chunks is not None
    assert recording.chunks[0] == (1000,)
    assert recording.chunks[1][0] == 8, "a multiple of the four neurons stored together, within ten"


def test_lazy_arrays_travel_to_another_process(tmp_path: Path, traces: np.ndarray) -> None:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["F"] = traces
    recording = read(tmp_path / "a.h5", frame_rate_hz=1.0)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(np.asarray, recording.data).result().sum() == pytest.approx(traces.sum())


@pytest.mark.parametrize("text", ["S8", h5py.string_dtype()], ids=["fixed length", "variable length"])
def test_times_and_labels_settle_the_axes(tmp_path: Path, traces: np.ndarray, text: str | np.dtype) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["s/dff"] = traces[:4]
        file["s/time"] = np.arange(4) / 10
        file.create_dataset("s/neuron", data=[f"n{i}" for i in range(6)], dtype=text)
    recording = read(tmp_path / "a.h5")
    assert np.array_equal(recording.values, traces[:4])
    assert recording["neuron"].values.tolist() == ["n0", "n1", "n2", "n3", "n4", "n5"]
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["s/time"]
        file["s/time"] = np.arange(5) / 10
    with pytest.raises(InputError, match="'time' has 5 entries, but 's/dff'"):
        read(tmp_path / "a.h5")


def test_labels_that_would_fill_the_memory_are_refused(
    tmp_path: Path, traces: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antidrome.recordings.hdf5_files.SMALL_BYTES", 5000)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["dff"] = traces
        file.create_dataset("neuron", shape=6, dtype="S1000")
    with pytest.raises(UnsafeFileError, match=r"a\.h5: /neuron declares"):
        read(tmp_path / "a.h5", frame_rate_hz=30.0)


@pytest.mark.parametrize("place", ["", "session/", "session/day1/"])
def test_times_and_rates_of_the_groups_around_hold_too(tmp_path: Path, traces: np.ndarray, place: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["session/day1/F"] = traces
        file[f"{place}t"] = np.arange(120) / 20
        file["session/other/t"] = np.arange(7)
    assert read(tmp_path / "a.h5")["time"].values[1] == 0.05
    if place != "session/day1/":
        with h5py.File(tmp_path / "a.h5", "r+") as file:
            file["session/day1/t"] = np.arange(120) / 10
        assert read(tmp_path / "a.h5")["time"].values[1] == 0.1, "the nearest counts"


@pytest.mark.parametrize("around", [{"fs": 3000.0}, {"time": np.arange(6.0)}, {"fs": 3000.0, "time": np.arange(120.0)}])
def test_clocks_around_do_not_speak_against_a_nearer_one(tmp_path: Path, traces: np.ndarray, around: dict) -> None:
    with h5py.File(tmp_path / "rate.h5", "w") as file, h5py.File(tmp_path / "times.h5", "w") as other:
        file["session/F"], other["session/F"] = traces, traces
        file["session"].attrs["fs"] = 20.0
        other["session/t"] = np.arange(120) / 20
        for name, values in around.items():
            file[name], other[name] = values, values
    for name in ("rate.h5", "times.h5"):
        recording = read(tmp_path / name)
        assert recording.shape == (120, 6)
        assert recording.attrs["frame_rate_hz"] == pytest.approx(20.0)


def test_a_file_whose_root_is_no_group_is_refused(tmp_path: Path, traces: np.ndarray) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["F"] = traces
    data = bytearray(path.read_bytes())
    header = int.from_bytes(data[64:72], "little")  # of the root (superblock 0), whose first message says its kind
    assert data[header + 16] == 0x11
    data[header + 16] = 0
    path.write_bytes(data)
    with pytest.raises(FileFormatError, match="the file is damaged"):
        read(path, frame_rate_hz=30.0)
