"""Arrays behind dask, read block by block."""

from pathlib import Path

import dask.array as da
import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

from antidrome.errors import FileFormatError
from antidrome.recordings import lazy, read
from antidrome.recordings.lazy import neuron_blocks
from antidrome.recordings.recording import as_recording


@pytest.mark.parametrize("per_block", [1, 2, 3, 4, 7])
def test_what_lies_together_is_read_once(per_block: int) -> None:
    read = []

    def noted(values: np.ndarray) -> np.ndarray:
        read.append(values.shape[1])
        return values

    traces = np.random.default_rng(0).random((20, 14))
    on_disk = da.from_array(traces, chunks=(20, (5, 1, 6, 2))).map_blocks(noted, dtype=float, meta=np.empty((0, 0)))
    blocks = [slice(first, min(first + per_block, 14)) for first in range(0, 14, per_block)]
    parts = list(neuron_blocks(xr.DataArray(on_disk, dims=("time", "neuron")), blocks[1:]))
    assert sum(read) <= 14 + 5  # what two blocks share
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), traces[:, per_block:])
    assert [part.sizes["neuron"] for part in parts] == [block.stop - block.start for block in blocks[1:]]


def test_what_is_chunked_in_time_is_not_held_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy, "HELD_BYTES", 20 * 3 * 8)
    traces = np.random.default_rng(0).random((20, 14))
    on_disk = xr.DataArray(da.from_array(traces, chunks=(5, 14)), dims=("time", "neuron"))
    loaded, load = [], xr.DataArray.load

    def noted(array: xr.DataArray) -> xr.DataArray:
        loaded.append(array.sizes["neuron"])
        return load(array)

    monkeypatch.setattr(xr.DataArray, "load", noted)
    parts = list(neuron_blocks(on_disk, [slice(first, first + 2) for first in range(0, 14, 2)]))
    assert set(loaded) == {2}
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), traces)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2"])
@pytest.mark.parametrize("file", ["frames.npy", "neurons.npy", "frames.zarr", "neurons.zarr", "frames.h5", "turned.h5"])
def test_a_slice_of_frames_reads_these_frames_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, dtype: str
) -> None:
    monkeypatch.setattr(lazy, "LAZY_BYTES", 0)
    monkeypatch.setattr(lazy, "BLOCK_BYTES", 2000)
    values = (100 * np.random.default_rng(0).random((200, 30))).astype(dtype)
    if dtype != "i2":
        values[5, 3] = np.inf
    stored, path, kind = np.ascontiguousarray(values.T if file[0] != "f" else values), tmp_path / file, file[-3:]
    if kind == "npy":
        np.save(path, stored)
    elif kind == "arr":
        zarr.create_array(path, data=stored)
    else:
        with h5py.File(path, "w") as opened:
            opened["dff"] = stored
    n_read, source = [], {"npy": lazy.NpySource, "arr": lazy.NamedSource, ".h5": lazy.Hdf5Source}[kind]
    get = source.__getitem__
    monkeypatch.setattr(source, "__getitem__", lambda self, key: (n_read.append((one := get(self, key)).size), one)[1])
    recording = read(path, frame_rate_hz=30.0, orientation="neuron,time" if file[0] != "f" else "time,neuron")
    expected = np.where(np.isinf(values), np.nan, values)
    for same in (recording, as_recording(recording)):
        n_read.clear()
        np.testing.assert_array_equal(same[20:30].values, expected[20:30])
        assert sum(n_read) == 10 * 30
    for part in ({"time": [7, 2], "neuron": slice(None, None, -4)}, {"neuron": [20, 3]}, {"time": 5}, {"neuron": 3}):
        found = recording.isel(part)
        np.testing.assert_array_equal(found.values, xr.DataArray(expected, dims=recording.dims).isel(part))
        assert found.dtype == (np.float64 if dtype == "f8" else np.float32)


@pytest.mark.parametrize("name", ["a.nc", "a.zarr"])
@pytest.mark.parametrize("dims", [("time", "neuron"), ("neuron", "time")])
def test_one_sample_of_a_store_is_read(tmp_path: Path, name: str, dims: tuple[str, str]) -> None:
    traces = np.random.default_rng(0).random((60, 4))
    stored = xr.DataArray(traces, dims=("time", "neuron"), name="dff").transpose(*dims)
    stored.to_netcdf(tmp_path / name) if name == "a.nc" else stored.to_zarr(tmp_path / name, zarr_format=2)
    recording = read(tmp_path / name, frame_rate_hz=10.0)
    for part in ({"time": 5, "neuron": 3}, {"time": -1, "neuron": -2}, {"time": 5}, {"neuron": 3}):
        np.testing.assert_array_equal(recording.isel(part).values, stored.isel(part).values)


@pytest.mark.parametrize("later", [np.zeros((50, 4)), np.zeros((60, 4), np.float32), None])
def test_an_array_file_that_changed_is_not_read_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: np.ndarray | None
) -> None:
    monkeypatch.setattr(lazy, "LAZY_BYTES", 0)
    np.save(tmp_path / "a.npy", np.zeros((60, 4)))
    recording = read(tmp_path / "a.npy", frame_rate_hz=10.0)
    np.save(tmp_path / "a.npy", later) if later is not None else (tmp_path / "a.npy").unlink()
    with pytest.raises(FileFormatError, match=r"was changed while it was read|No such file"):
        recording.load()


@pytest.mark.filterwarnings("ignore:RoiResponseSeries .* should be transposed:UserWarning")
@pytest.mark.parametrize("program", ["suite2p", "caiman", "nwb", "nwb, neurons first"])
def test_a_slice_of_frames_of_accepted_neurons_reads_these_frames_alone(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, request: pytest.FixtureRequest, program: str
) -> None:
    monkeypatch.setattr(lazy, "LAZY_BYTES", 0)
    monkeypatch.setattr(lazy, "BLOCK_BYTES", 3 * 8 * 200)
    traces, accepted = rng.random((200, 12)), np.arange(12) % 4 != 3
    accepted[:3] = False  # a whole block
    traces[7, 5] = np.inf
    make = request.getfixturevalue(f"make_{program.partition(',')[0]}")
    if program == "suite2p":
        path = make(traces.T, None, np.stack([accepted, accepted], axis=1), {"fs": 30.0})
    elif program == "caiman":
        path = make({"F_dff": traces.T, "idx_components": np.flatnonzero(accepted)})
    else:
        stored = traces if program == "nwb" else traces.T
        path = make({"DfOverF/dff": stored}, n_rois=12, columns={"accepted": accepted})
    n_read = []
    for source in (lazy.NpySource, lazy.Hdf5Source):
        get = source.__getitem__
        monkeypatch.setattr(
            source, "__getitem__", lambda self, key, get=get: (n_read.append((one := get(self, key)).size), one)[1]
        )
    recording = read(path)
    expected = np.where(np.isinf(traces), np.nan, traces)[:, accepted]
    np.testing.assert_array_equal(recording[20:30].values, expected[20:30])
    assert sum(n_read) <= 10 * 9
    assert recording.chunks == ((200,), (2, 2, 2)), "those of one block of the file"
    for part in ({"time": 7, "neuron": 3}, {"time": [9, 7]}, {"neuron": [5, 0, 5]}, {"neuron": slice(None, None, -2)}):
        np.testing.assert_array_equal(recording.isel(part), xr.DataArray(expected, dims=recording.dims).isel(part))
