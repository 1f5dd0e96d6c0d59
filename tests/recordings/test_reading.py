"""One door for all formats, and what it loads."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
import zarr

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings import from_array, read, read_with_neuropil, write
from antidrome.recordings.reading import detect_format


def test_formats_are_told_by_content(
    tmp_path: Path,
    traces: np.ndarray,
    make_nwb: Callable[..., Path],
    make_suite2p: Callable[..., Path],
    make_caiman: Callable[..., Path],
) -> None:
    np.save(tmp_path / "a.npy", traces)
    (tmp_path / "a.npy").rename(tmp_path / "renamed.dat")
    np.savez(tmp_path / "b.npz", traces)
    scipy.io.savemat(tmp_path / "c.mat", {"x": traces})
    zarr.create_array(tmp_path / "d", data=traces)
    formats = {
        "nwb": make_nwb({"DfOverF/dff": traces}),
        "suite2p": make_suite2p(traces.T),
        "caiman": make_caiman({"F_dff": traces.T}),
        "npy": tmp_path / "renamed.dat",
        "npz": tmp_path / "b.npz",
        "mat": tmp_path / "c.mat",
        "zarr": tmp_path / "d",
    }
    assert {name: detect_format(path) for name, path in formats.items()} == {name: name for name in formats}


def test_the_unknown_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_bytes(b"whatever")
    with pytest.raises(FileFormatError, match=r"a\.xyz is of no known format; known: NWB"):
        read(tmp_path / "a.xyz")
    (tmp_path / "fit.safetensors").write_bytes(b"whatever")
    with pytest.raises(FileFormatError, match=r"fit\.safetensors holds a model, no recording"):
        read(tmp_path / "fit.safetensors")
    (tmp_path / "b.npy").touch()
    with pytest.raises(FileFormatError, match=r"b\.npy is empty"):
        read(tmp_path / "b.npy")
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "c.npy")


def test_formats_without_neuropil_give_none(tmp_path: Path, traces: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", traces)
    recording, neuropil = read_with_neuropil(tmp_path / "a.npy", frame_rate_hz=30.0, session_id="monday")
    assert neuropil is None
    assert recording.attrs["session_id"] == "monday"


def test_no_file_library_is_loaded_before_a_file_is_met() -> None:
    """If this fails, import the library inside the reader's own module, and that module only from ``reading``."""
    script = (
        "import sys, antidrome.recordings as r; "
        "heavy = {'pynwb', 'hdmf', 'h5py', 'zarr', 'dask', 'jax', 'torch', 'pandas', 'scipy'} & set(sys.modules); "
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"loaded at import: {done.stderr}"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.ones((50, 3), bool), r"no array of real numbers; it has 'a' 50 × 3 of bool"),
        (np.ones((50, 3), complex), "complex128"),
        (np.full((50, 3), "b"), "<U1"),
        (np.zeros(50, [("x", "f4")]), r"50 of \[\('x'"),
        (np.float32(3), r"no array of frames × neurons; it has 'a' \(one number\)"),
        (np.zeros((50, 0)), "50 × 0"),
    ],
)
def test_what_is_no_recording_is_named_with_its_kind(tmp_path: Path, values: np.ndarray, words: str) -> None:
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(FileFormatError, match=words):
        read(tmp_path / "a.npy", frame_rate_hz=30.0)


def test_every_refusal_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "back.csv").write_text("time,a\n0,1\n2,1\n1,1\n")
    with pytest.raises(InputError, match=r"back\.csv: time runs backwards 1 times"):
        read(tmp_path / "back.csv")
    (tmp_path / "still.csv").write_text("time,a\n3,1\n3,1\n3,1\n")
    with pytest.raises(InputError, match=r"still\.csv has times that never increase"):
        read(tmp_path / "still.csv")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(InputError, match="is a pipe or a device"):
        read(tmp_path / "pipe.npy", frame_rate_hz=30.0)


def test_a_file_of_a_short_name_is_named_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "times", dff=np.zeros((9, 2)), time=np.r_[0.0:8.0, np.nan])
    (tmp_path / "times.npz").rename(tmp_path / "times")
    with pytest.raises(InputError, match=r"/times: 1 of 9 times are not finite"):
        read(tmp_path / "times")


@pytest.mark.parametrize("name", ["traces.csv", "traces.npy"])
def test_a_series_of_a_file_with_one_table_is_refused(tmp_path, name):
    values = np.random.default_rng(0).standard_normal((100, 2))
    np.save(tmp_path / "traces.npy", values)
    np.savetxt(tmp_path / "traces.csv", values, delimiter=",")
    with pytest.raises(InputError, match="holds one table"):
        read(tmp_path / name, frame_rate_hz=10.0, series="dff")
    assert read(tmp_path / name, frame_rate_hz=10.0).shape == (100, 2)


def test_a_misspelt_orientation_is_refused_also_where_the_file_names_its_axes(tmp_path: Path) -> None:
    write(from_array(np.zeros((30, 2)), 10.0), tmp_path / "a.nc")
    with pytest.raises(InputError, match="orientation = 'time,neurons', expected one of"):
        read(tmp_path / "a.nc", orientation="time,neurons")


@pytest.mark.parametrize(("file", "name"), [("mouse.12.csv", "mouse.12"), ("a.csv", "a"), ("b.1.csv.gz", "b.1")])
def test_the_session_is_called_as_its_file(tmp_path: Path, file: str, name: str) -> None:
    pd.DataFrame({"time": np.arange(40) / 20, "a": np.arange(40) ** 0.5}).to_csv(tmp_path / file, index=False)
    assert read(tmp_path / file).attrs["session_id"] == name


def test_what_is_no_path_is_said(unchecked_types) -> None:
    with pytest.raises(InputError, match="got a NoneType, expected the path of a file or folder"):
        read(None)
