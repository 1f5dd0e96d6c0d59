"""Arrays behind dask, read block by block."""

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from antidrome.errors import FileFormatError
from antidrome.recordings import lazy, read
from antidrome.recordings.lazy import neuron_blocks


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
