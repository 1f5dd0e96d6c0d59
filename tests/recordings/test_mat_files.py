"""MATLAB files: versions 5 to 7.2 by scipy, 7.3 as HDF5, and the ground-truth layout."""

import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antidrome.errors import AntidromeError, FileFormatError, InputError, UnsafeFileError
from antidrome.recordings import mat_guard, mat_variables, read, read_ground_truth_mat


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("version", ["5", "4"])
def test_a_matrix_with_its_rate(tmp_path: Path, traces: np.ndarray, compressed: bool, version: str) -> None:
    content = {"dff": traces.T, "fs": 30.0}
    scipy.io.savemat(tmp_path / "a.mat", content, do_compression=compressed and version == "5", format=version)
    recording = read(tmp_path / "a.mat")
    assert np.array_equal(recording.values, traces)
    assert recording.attrs["frame_rate_hz"] == 30.0
    assert recording.attrs["source_format"] == "mat"


def test_several_matrices_are_listed(tmp_path: Path, traces: np.ndarray) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"F": traces, "Fneu": traces, "ops": {"fs": 30.0}, "name": "text"})
    with pytest.raises(InputError, match="'F' 120 × 6, 'Fneu' 120 × 6"):
        read(tmp_path / "a.mat")
    assert read(tmp_path / "a.mat", series="F", frame_rate_hz=30.0).shape == (120, 6)


def test_a_vector_with_times(tmp_path: Path, traces: np.ndarray) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"trace": traces[:, 0], "time": np.arange(120) / 20})
    recording = read(tmp_path / "a.mat")
    assert recording.shape == (120, 1)
    assert recording.attrs["frame_rate_hz"] == pytest.approx(20.0)


@pytest.mark.parametrize("compressed", [False, True])
def test_structs_are_looked_into(tmp_path: Path, traces: np.ndarray, compressed: bool) -> None:
    names = np.array([f"cell {i}" for i in range(6)], dtype=object)
    inner = {"dff": traces, "fs": 30.0, "neuron": names}
    for content, name in (({"data": inner}, "data/dff"), ({"a": {"b": {"c": inner}}, "n": 3}, "a/b/c/dff")):
        scipy.io.savemat(tmp_path / "a.mat", content, do_compression=compressed)
        for series in (None, name):
            recording = read(tmp_path / "a.mat", series=series)
            assert np.array_equal(recording.values, traces)
            assert recording.attrs["frame_rate_hz"] == 30.0
            assert recording.attrs["quantity"] == "dff"
            assert recording["neuron"].values.tolist() == names.tolist()


def test_a_matrix_outside_structs_comes_first(tmp_path: Path, traces: np.ndarray) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"F": traces, "fs": 30.0, "ops": {"fs": 15.0, "mean_image": np.ones((9, 9))}})
    assert np.array_equal(read(tmp_path / "a.mat").values, traces)
    assert read(tmp_path / "a.mat", series="ops/mean_image").shape == (9, 9)
    scipy.io.savemat(tmp_path / "b.mat", {"n": 3.0, "day1": {"F": traces}, "day2": {"F": traces}})
    with pytest.raises(InputError, match="'day1/F' 120 × 6, 'day2/F' 120 × 6"):
        read(tmp_path / "b.mat")


def test_times_and_labels_settle_the_axes(tmp_path: Path, traces: np.ndarray) -> None:
    content = {"dff": traces[:4], "time": np.arange(4) / 10, "roi_id": np.arange(6.0) + 3}
    scipy.io.savemat(tmp_path / "a.mat", content)
    recording = read(tmp_path / "a.mat")
    assert np.array_equal(recording.values, traces[:4])
    assert recording["neuron"].values.tolist() == ["3", "4", "5", "6", "7", "8"]


def test_a_matrix_in_a_container_is_named(tmp_path: Path, traces: np.ndarray) -> None:
    cell, two = np.empty((1, 1), dtype=object), np.empty((1, 2), dtype=object)
    cell[0, 0], two[0, 0], two[0, 1] = traces, traces, traces
    structs = np.array([(traces,), (traces,)], dtype=[("dff", object)])
    for value, said in (
        (cell, r"'data' is a cell array of 1 × 1 that holds numbers \(120 × 6\): .*x = data\{1\}"),
        (two, r"'data' is a cell array of 1 × 2 that holds 2 arrays, first 120 × 6"),
        (structs, r"'data' is an array of 1 × 2 structs: .*x = data\(1\)\.dff"),
        (scipy.sparse.csc_matrix(traces), r"'data' is a sparse matrix of 120 × 6: .*x = full\(data\)"),
    ):
        scipy.io.savemat(tmp_path / "a.mat", {"data": value, "fs": 30.0})
        with pytest.raises(FileFormatError, match="no array of frames × neurons; .*" + said):
            read(tmp_path / "a.mat")
        with pytest.raises(InputError, match=said):
            read(tmp_path / "a.mat", series="data")
    scipy.io.savemat(tmp_path / "b.mat", {"data": {"session": cell}})
    with pytest.raises(FileFormatError, match=r"'data/session' is a cell .*x = data\.session\{1\}"):
        read(tmp_path / "b.mat")


def test_an_array_of_structs_without_fields_holds_nothing() -> None:
    assert mat_variables.containers({"settings": np.zeros((1, 3), dtype=[])}) == {}


def test_structs_in_structs_end_somewhere(tmp_path: Path, traces: np.ndarray) -> None:
    content: dict[str, Any] = {"dff": traces}
    for _ in range(12):
        content = {"s": content}
    scipy.io.savemat(tmp_path / "a.mat", content)
    with pytest.raises(FileFormatError, match="no array of frames × neurons"):
        read(tmp_path / "a.mat", frame_rate_hz=30.0)


@pytest.fixture
def mat73(tmp_path: Path, traces: np.ndarray) -> Path:
    """A 7.3 file as MATLAB writes it: 512 bytes of text, then HDF5 with the axes reversed."""
    path = tmp_path / "v73.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["dff"] = traces  # MATLAB sees neurons × frames
        file["fs"] = np.array([[30.0]])
        file["#refs#/x"] = np.zeros((3, 3))
        for name in ("dff", "fs"):
            file[name].attrs["MATLAB_class"] = np.bytes_("single")
    text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 ."
    with open(path, "r+b") as stream:
        stream.write(text.ljust(124) + b"\x00\x02IM")
    return path


def test_version_73_is_lazy_and_turned_as_matlab_sees_it(mat73: Path, traces: np.ndarray) -> None:
    recording = read(mat73)
    assert isinstance(recording.data, da.Array)
    assert np.array_equal(recording.values, traces)
    assert recording.attrs["frame_rate_hz"] == 30.0
    assert recording.attrs["source_format"] == "mat"
    assert "6 × 120 taken as neuron,time" in recording.attrs["notes"][0]
    assert read(mat73, orientation="time,neuron").shape == (6, 120)


def test_a_cell_array_of_version_73_is_named(mat73: Path, traces: np.ndarray) -> None:
    with h5py.File(mat73, "r+") as file:
        del file["dff"]
        file["#refs#/y"] = traces
        file["s/data"] = np.array([[file["#refs#/y"].ref]], dtype=h5py.ref_dtype)
        file["s/data"].attrs["MATLAB_class"] = np.bytes_("cell")
    with pytest.raises(FileFormatError, match=r"'s/data' is a cell array of 1 × 1: .*x = s\.data\{1\}"):
        read(mat73)


def test_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mat_guard, "_SUSPECT_BYTES", 2**20)
    scipy.io.savemat(tmp_path / "a.mat", {"dff": np.zeros((2000, 1000))}, do_compression=True)
    assert (tmp_path / "a.mat").stat().st_size < 100_000
    with pytest.raises(UnsafeFileError, match="exhaust memory"):
        read(tmp_path / "a.mat", frame_rate_hz=1.0)


def test_the_cap_counts_what_comes_out(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"dff": np.zeros((200, 100))}, do_compression=True)
    with pytest.raises(UnsafeFileError, match="more than the cap"):
        read(tmp_path / "a.mat", frame_rate_hz=1.0, max_bytes=50_000)


def test_broken_files(tmp_path: Path, traces: np.ndarray) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"dff": traces}, do_compression=True)
    content = (tmp_path / "a.mat").read_bytes()
    (tmp_path / "b.mat").write_bytes(content[:-50])
    with pytest.raises(FileFormatError, match="cut short"):
        read(tmp_path / "b.mat", frame_rate_hz=1.0)
    (tmp_path / "c.mat").write_bytes(b"nonsense" * 100)
    with pytest.raises(FileFormatError, match="not a MATLAB file"):
        read(tmp_path / "c.mat", frame_rate_hz=1.0)


@pytest.mark.parametrize("n_bytes", [8, 7])
def test_a_cell_of_a_billion_is_refused(tmp_path: Path, n_bytes: int) -> None:
    """A cell array that declares 2³⁰ members in a hundred bytes, or as many in dimensions of an odd size."""
    dims = struct.pack("<IIii", 5, n_bytes, 2**15, 2**15)
    body = struct.pack("<IIII", 6, 8, 1, 0) + dims + struct.pack("<HH4s", 1, 1, b"x\0\0\0")
    packed = zlib.compress(struct.pack("<II", 14, len(body)) + body)
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    (tmp_path / "a.mat").write_bytes(header + struct.pack("<II", 15, len(packed)) + packed)
    with pytest.raises(FileFormatError):
        read(tmp_path / "a.mat", frame_rate_hz=1.0)


@pytest.mark.filterwarnings("ignore")
def test_numbers_of_an_unknown_type_never_reach_scipy(tmp_path: Path, traces: np.ndarray) -> None:
    """SciPy's reader dies (SIGSEGV) of a number type that does not exist, in a matrix or in a struct."""
    for content, compressed in (({"dff": traces}, False), ({"dff": traces}, True), ({"s": {"x": traces}}, False)):
        path = tmp_path / "a.mat"
        scipy.io.savemat(path, content, do_compression=compressed)
        raw = path.read_bytes()
        body = zlib.decompress(raw[136:]) if compressed else raw
        tag = struct.pack("<II", 9 if traces.dtype == np.float64 else 7, traces.nbytes)
        assert body.count(tag) == 1
        body = body.replace(tag, struct.pack("<II", 11, traces.nbytes))
        if compressed:
            packed = zlib.compress(body)
            body = raw[:128] + struct.pack("<II", 15, len(packed)) + packed
        path.write_bytes(body)
        with pytest.raises(FileFormatError, match="unknown type 11"):
            read(path, frame_rate_hz=30.0)


@pytest.mark.parametrize("in_struct", [False, True])
def test_texts_without_dimensions_never_reach_scipy(tmp_path: Path, traces: np.ndarray, in_struct: bool) -> None:
    """SciPy's reader dies (SIGSEGV) of them."""
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"s": {"name": "abcdefgh"}} if in_struct else {"name": "abcdefgh"})
    dims = struct.pack("<IIii", 5, 8, 1, 8)
    assert path.read_bytes().count(dims) == 1
    path.write_bytes(path.read_bytes().replace(dims, struct.pack("<IIii", 5, 0, 1, 8)))
    with pytest.raises(FileFormatError, match="is damaged"):
        read(path, frame_rate_hz=30.0)


def test_flags_that_are_none_never_reach_scipy(tmp_path: Path, traces: np.ndarray) -> None:
    """SciPy skips their tag unread: whatever it says, the rest is read as if it were sound."""
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"dff": traces})
    sound = path.read_bytes()
    for tag in (struct.pack("<HHI", 6, 0xF6FF, 8), struct.pack("<II", 6, 16), struct.pack("<II", 5, 8)):
        path.write_bytes(sound[:136] + tag + sound[144:])
        with pytest.raises(FileFormatError, match="does not begin with its flags"):
            read(path, frame_rate_hz=30.0)


def test_numbers_that_are_promised_have_to_be_there(tmp_path: Path, traces: np.ndarray) -> None:
    """SciPy would take what comes next in the file for them."""
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"dff": traces, "rate": 30.0})
    sound = path.read_bytes()
    assert sound[145] & 0x08 == 0
    path.write_bytes(sound[:145] + bytes([sound[145] | 0x08]) + sound[146:])  # complex, without an imaginary part
    with pytest.raises(FileFormatError, match="lacks its numbers"):
        read(path, frame_rate_hz=30.0)
    scipy.io.savemat(
        path, {"dff": traces, "z": np.array([1j]), "s": scipy.sparse.eye(3), "e": np.zeros((0, 0)), "t": "x"}
    )
    assert read(path, frame_rate_hz=30.0, series="dff").shape == traces.shape


def test_files_of_every_version_and_kind_pass() -> None:
    """SciPy's own examples, made by MATLAB: functions, objects, sparse and complex numbers among them."""
    folder = Path(scipy.io.__file__).parent / "matlab" / "tests" / "data"
    names = [path for path in folder.glob("*.mat") if not re.match("corrupted|malformed|bad_|broken", path.name)]
    if not names:
        pytest.skip("this SciPy came without its examples")
    for path in names:
        mat_guard.guard_mat5(path, 2**30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(st.data(), st.booleans())
def test_random_damage_gives_a_sentence_or_a_recording(tmp_path: Path, data: st.DataObject, in_struct: bool) -> None:
    content: dict[str, Any] = {"dff": np.arange(40.0).reshape(20, 2), "neuron": np.array(["a", "b"], dtype=object)}
    scipy.io.savemat(tmp_path / "a.mat", {"s": content} if in_struct else content, do_compression=not in_struct)
    raw = bytearray((tmp_path / "a.mat").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(124, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a.mat").write_bytes(bytes(raw))
    try:
        assert read(tmp_path / "a.mat", frame_rate_hz=1.0).ndim == 2
    except AntidromeError as error:
        assert str(error)


def attached(trials: list[dict[str, Any]]) -> dict[str, Any]:
    """``CAttached``: a 1 × trials cell of structs."""
    cell = np.empty((1, len(trials)), dtype=object)
    for i, trial in enumerate(trials):
        cell[0, i] = trial
    return {"CAttached": cell}


@pytest.fixture
def trial(rng: np.random.Generator) -> Callable[..., dict[str, Any]]:
    def make(n_frames: int = 50, **changes: Any) -> dict[str, Any]:
        fields = {
            "fluo_time": 1.0 + np.arange(n_frames) / 20.0,
            "fluo_mean": rng.normal(0, 0.1, n_frames),
            "events_AP": np.array([31000.0, 12500.0]),
            "ephys": np.zeros(10),
        }
        return fields | changes

    return make


def test_ground_truth(tmp_path: Path, trial: Callable[..., dict[str, Any]]) -> None:
    first, second = trial(), trial(30)
    scipy.io.savemat(tmp_path / "CAttached_cell_1.mat", attached([first, second]))
    (recording, spikes), (other, _) = read_ground_truth_mat(tmp_path / "CAttached_cell_1.mat")
    assert np.array_equal(recording.values[:, 0], first["fluo_mean"])
    assert np.array_equal(recording["time"].values, first["fluo_time"])
    assert spikes.tolist() == [1.25, 3.1], "seconds on the clock of the frames, sorted"
    assert recording.attrs["quantity"] == "dff"
    assert recording.attrs["frame_rate_hz"] == pytest.approx(20.0)
    assert (recording.attrs["session_id"], other.attrs["session_id"]) == ("CAttached_cell_1-0", "CAttached_cell_1-1")
    assert list(recording["neuron"].values) == ["CAttached_cell_1"]


def test_ground_truth_gaps_are_counted(tmp_path: Path, trial: Callable[..., dict[str, Any]]) -> None:
    time, values = 1.0 + np.arange(50) / 20.0, np.ones(50)
    time[3] = np.nan
    values[7] = np.nan
    empty = trial(fluo_mean=np.zeros(0), fluo_time=np.zeros(0))
    silent = trial(events_AP=np.zeros((0, 0)))
    content = attached([trial(fluo_time=time[:, None], fluo_mean=values[None]), empty, silent])
    scipy.io.savemat(tmp_path / "a.mat", content)
    (recording, _), (_, no_spikes) = read_ground_truth_mat(tmp_path / "a.mat")
    assert recording.sizes["time"] == 49
    assert np.isnan(recording.values[6, 0])
    assert recording.attrs["notes"] == [
        "1 frame without a time dropped",
        "1 of 3 trials has no fluorescence: left out",
    ]
    assert no_spikes.shape == (0,)


def test_ground_truth_of_another_layout(tmp_path: Path, trial: Callable[..., dict[str, Any]]) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"x": 1})
    with pytest.raises(FileFormatError, match="no variable CAttached"):
        read_ground_truth_mat(tmp_path / "a.mat")
    scipy.io.savemat(tmp_path / "b.mat", attached([{"fluo_time": np.arange(3.0), "fluo_mean": np.arange(3.0)}]))
    with pytest.raises(FileFormatError, match="no field events_AP"):
        read_ground_truth_mat(tmp_path / "b.mat")
    scipy.io.savemat(tmp_path / "c.mat", attached([trial(fluo_time=np.arange(3.0))]))
    with pytest.raises(FileFormatError, match="trial 0: 3 times for 50"):
        read_ground_truth_mat(tmp_path / "c.mat")
    scipy.io.savemat(tmp_path / "d.mat", attached([trial()]))
    with pytest.raises(InputError, match="read_ground_truth_mat"):
        read(tmp_path / "d.mat")


@pytest.mark.data
@pytest.mark.skipif("ANTIDROME_GROUND_TRUTH" not in os.environ, reason="set it to a folder of CAttached .mat files")
def test_every_public_file_is_read() -> None:
    for path in sorted(Path(os.environ["ANTIDROME_GROUND_TRUTH"]).rglob("CAttached*.mat")):
        assert read_ground_truth_mat(path)


def test_a_single_neuron_beside_a_struct_of_settings_is_not_taken_for_an_image_in_it(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    ops = {"meanImg": draw.standard_normal((64, 48)), "nx": 64.0}
    trace = draw.standard_normal((1, 500))
    scipy.io.savemat(tmp_path / "a.mat", {"dff": trace, "fs": 20.0, "ops": ops})
    np.testing.assert_array_equal(read(tmp_path / "a.mat").values, trace.T)
    scipy.io.savemat(tmp_path / "b.mat", {"trace": trace, "fs": 20.0, "ops": ops})
    with pytest.raises(InputError, match="the vector 'trace' and, in a struct, the matrix 'ops/meanImg': choose"):
        read(tmp_path / "b.mat")
    assert read(tmp_path / "b.mat", series="trace").shape == (500, 1)


def test_labels_that_repeat_are_classes(tmp_path: Path) -> None:
    traces = np.random.default_rng(0).standard_normal((6, 300))
    kinds = np.array(["pyr", "int", "pyr", "pyr", "int", "pyr"], dtype=object)
    scipy.io.savemat(tmp_path / "a.mat", {"dff": traces, "fs": 20.0, "labels": kinds})
    recording = read(tmp_path / "a.mat")
    assert recording.shape == (300, 6)
    assert any("'labels' repeats its values" in note for note in recording.attrs["notes"])
