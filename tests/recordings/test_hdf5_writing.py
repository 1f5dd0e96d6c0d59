"""HDF5 files on a full disk: wherever it is full, writing ends in one OSError, and the process lives on."""

import errno
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dask.array as da
import h5py
import numpy as np
import pytest
import xarray as xr

from antidrome.recordings import from_array, hdf5_writing, read_spikes, write
from antidrome.recordings.hdf5_writing import hdf5_writer

LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from antidrome.recordings import from_array, write
values = np.random.default_rng(0).random((2000, 40))
result = from_array(values, 30.0, quantity="dff").to_dataset(name="expected_spikes")
for n_bytes in (3_000, 60_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))
    for name in ("result.nc", "result.nwb", "result_suite2p"):
        for kind in (result, result.chunk(neuron=20)):
            target = Path(sys.argv[1]) / name
            try:
                write(kind, target, format="suite2p" if name.endswith("2p") else None)
            except OSError as error:
                assert error.filename == str(target), error
                sys.stdout.write(f"{error.errno} ")
"""


def results() -> xr.Dataset:
    values = np.random.default_rng(0).random((300, 12)).astype(np.float32)
    return from_array(values, 30.0, quantity="dff").to_dataset(name="expected_spikes")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_file_that_finds_no_room_leaves_nothing_and_ends_in_peace(
    tmp_path: Path, happened: Callable[[str], None]
) -> None:
    ended = subprocess.run([sys.executable, "-B", "-c", LIMITED, tmp_path], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.split() == [str(errno.EFBIG)] * 12
    left = list(tmp_path.iterdir())
    assert left == []
    happened(f"OSError that names the file; left over: {len(left)} files; the process ends with {ended.returncode}")


class InterruptedSink(hdf5_writing._Sink):
    """One in whose writing the user interrupts."""

    def write(self, content: object) -> int:
        signal.raise_signal(signal.SIGINT)
        return super().write(content)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Python's own handler, also where tests run in processes that ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("ending", ["nc", "nwb"])
@pytest.mark.parametrize("lazily", [False, True])
def test_an_interrupt_waits_for_the_library_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, lazily: bool
) -> None:
    target = write(results(), tmp_path / f"result.{ending}")
    before = target.read_bytes()
    monkeypatch.setattr(hdf5_writing, "_Sink", InterruptedSink)
    with pytest.raises(KeyboardInterrupt):
        write(results().chunk(neuron=3) if lazily else results(), target)
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("ending", ["nc", "nwb"])
def test_what_a_cluster_holds_is_fetched_block_by_block(tmp_path: Path, ending: str) -> None:
    from distributed import Client

    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None):
        held = results().chunk(neuron=4).persist()
        target = write(held.assign(rate_hz=2 * held["expected_spikes"]), tmp_path / f"result.{ending}")
    found, expected = read_spikes(target), results()["expected_spikes"].values
    np.testing.assert_array_equal(found["expected_spikes"].values, expected)
    np.testing.assert_array_equal(found["rate_hz"].values, 2 * expected)


@pytest.mark.parametrize("ending", ["nc", pytest.param("nwb", marks=pytest.mark.slow)])
def test_whichever_write_is_the_first_to_fail_it_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    import antidrome.recordings.hdf5_writing as module

    real, n_left = module._Sink._is_written, [0]

    def full_after_some(self, view):
        if n_left[0] == 0 and self._failure is None:
            self._failure = OSError(errno.ENOSPC, "No space left on device")
        n_left[0] -= 1
        return real(self, view)

    monkeypatch.setattr(module._Sink, "_is_written", full_after_some)
    target, n_failed = tmp_path / f"result.{ending}", 0
    while True:
        n_left[0] = n_failed
        try:
            write(results(), target)
        except OSError as error:
            assert (error.errno, error.filename) == (errno.ENOSPC, str(target))
            assert list(tmp_path.iterdir()) == []
            n_failed += 1
        else:
            break
    assert n_failed > 10
    xr.testing.assert_equal(read_spikes(target)["expected_spikes"], results()["expected_spikes"])


def test_no_further_block_is_computed_for_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []

    def block(values, block_info=None):
        computed.append(block_info[0]["chunk-location"])
        return values

    array = da.zeros((100, 40), chunks=(100, 1)).map_blocks(block, dtype=float, meta=np.empty((0, 0)))
    with pytest.raises(OSError, match="No space"), hdf5_writer(tmp_path / "a.h5", "w") as writer:
        place = writer.file.create_dataset("a", array.shape, "f8")
        writer._sink._failure = OSError(errno.ENOSPC, "No space left on device")
        writer.store([array], [place])
    assert 1 <= len(computed) < 40


@pytest.mark.parametrize("ending", ["nc", "nwb"])
def test_what_arrays_share_is_computed_once_whatever_their_blocks(tmp_path: Path, ending: str) -> None:
    calls = []

    def infer(values):
        calls.append(values.shape)
        return np.stack([values, 2 * values])

    recording = from_array(np.random.default_rng(0).random((50, 60)), 30.0, quantity="dff")
    pair = da.from_array(recording.values, chunks=(50, 7)).map_blocks(
        infer, new_axis=0, chunks=((2,), (50,), (7,) * 8 + (4,)), meta=np.empty((0, 0, 0))
    )
    dims = ("time", "neuron")
    result = xr.Dataset(
        {"expected_spikes": (dims, pair[0]), "rate_hz": (dims, pair[1]), "amplitude": ("neuron", pair[0].max(axis=0))},
        coords=recording.coords,
        attrs=recording.attrs,
    )
    found = read_spikes(write(result, tmp_path / f"a.{ending}"))
    assert len(calls) == 9
    np.testing.assert_array_equal(found["rate_hz"], 2 * recording.values)
    np.testing.assert_array_equal(found["amplitude"], recording.values.max(axis=0))


def test_a_file_that_is_there_is_added_to(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["old"] = np.arange(1000)
    with hdf5_writer(tmp_path / "a.h5", "r+") as writer:
        writer.file["new"] = writer.file["old"][()] + 1
        del writer.file["old"]
    with h5py.File(tmp_path / "a.h5") as file:
        assert list(file) == ["new"]
        assert file["new"][999] == 1000
