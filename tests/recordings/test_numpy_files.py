"""Plain arrays with a frame rate."""

from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings import lazy, read


def test_npy_guesses_the_orientation_and_says_so(tmp_path: Path, traces: np.ndarray) -> None:
    for name, values in (("a.npy", traces), ("b.npy", traces.T)):
        np.save(tmp_path / name, values)
        recording = read(tmp_path / name, frame_rate_hz=30.0)
        assert np.array_equal(recording.values, traces)
        assert "the longer axis is time" in recording.attrs["notes"][0]
    assert recording.attrs["source_format"] == "npy"
    assert recording.attrs["session_id"] == "b"


def test_npy_obeys_the_orientation(tmp_path: Path, traces: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", traces)
    recording = read(tmp_path / "a.npy", frame_rate_hz=30.0, orientation="neuron,time", quantity="dff")
    assert recording.shape == (6, 120)
    assert recording.attrs["notes"] == []
    assert recording.name == "dff"


@pytest.mark.parametrize("orientation", ["time,neuron", "neuron,time"])
def test_large_npy_files_stay_on_disk(
    tmp_path: Path, traces: np.ndarray, monkeypatch: pytest.MonkeyPatch, orientation: str
) -> None:
    monkeypatch.setattr(lazy, "LAZY_BYTES", 100)
    monkeypatch.setattr(lazy, "BLOCK_BYTES", 2 * traces[:, 0].nbytes)
    np.save(tmp_path / "a.npy", traces if orientation == "time,neuron" else traces.T)
    recording = read(tmp_path / "a.npy", frame_rate_hz=30.0, orientation=orientation)
    assert isinstance(recording.data, da.Array)
    assert recording.data.chunks == (traces.shape[:1], (2,) * (traces.shape[1] // 2))
    assert np.array_equal(recording.values, traces)


def test_npy_needs_a_rate(tmp_path: Path, traces: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", traces)
    with pytest.raises(InputError, match=r"a\.npy has neither times nor a frame rate: pass frame_rate_hz"):
        read(tmp_path / "a.npy")


def test_one_trace_is_one_neuron(tmp_path: Path, traces: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", traces[:, 0])
    assert read(tmp_path / "a.npy", frame_rate_hz=30.0).shape == (120, 1)


def test_npz_uses_what_stands_beside(tmp_path: Path, traces: np.ndarray) -> None:
    labels = np.array(["a", "b", "c", "d", "e", "f"])
    np.savez(tmp_path / "a.npz", dff=traces, fs=25.0, neuron=labels)
    recording = read(tmp_path / "a.npz")
    assert recording.attrs["frame_rate_hz"] == 25.0
    assert recording.attrs["quantity"] == "dff"
    assert list(recording["neuron"].values) == list(labels)
    np.savez(tmp_path / "b.npz", traces=traces.T, timestamps=2 + np.arange(120) / 20)
    assert read(tmp_path / "b.npz")["time"].values[0] == 2.0


@pytest.mark.parametrize(
    ("time", "said", "first_s"),
    [
        (np.arange(120), "numbers of frames", 0.5 / 30),
        (np.arange(1, 121), "numbers of frames", 0.5 / 30),
        (np.arange(50, 170), "numbers of frames", 50 / 30),
        (1000 * (2 + np.arange(120) / 30), "milliseconds", 2.0),
        (np.round(1e6 * (2 + np.arange(120) / 30)), "microseconds", 2.0),
    ],
)
def test_the_frame_rate_of_a_file_says_what_its_times_are(
    tmp_path: Path, traces: np.ndarray, time: np.ndarray, said: str, first_s: float
) -> None:
    np.savez(tmp_path / "a.npz", dff=traces, time=time, fs=30.0)
    np.savez(tmp_path / "b.npz", dff=traces, time=time)
    for recording in (read(tmp_path / "a.npz"), read(tmp_path / "b.npz", frame_rate_hz=30.0)):
        assert recording.attrs["frame_rate_hz"] == pytest.approx(30, rel=1e-3)
        assert recording["time"].values[0] == pytest.approx(first_s)
        assert recording["time"].values[-1] == pytest.approx(first_s + 119 / 30)
        assert f"times taken for {said}" in recording.attrs["notes"][0]


@pytest.mark.parametrize("fs", [20.0, 30_000.0])
def test_a_frame_rate_against_the_times_is_refused_with_both(tmp_path: Path, traces: np.ndarray, fs: float) -> None:
    np.savez(tmp_path / "a.npz", dff=traces, time=np.arange(120) / 30 + 0.7, fs=fs)
    with pytest.raises(InputError, match=rf"a\.npz: the frame rate is given as {fs:g} Hz, .* run at 30 Hz"):
        read(tmp_path / "a.npz")
    recording = read(tmp_path / "a.npz", frame_rate_hz=30.0)
    assert recording.attrs["frame_rate_hz"] == 30.0
    assert recording["time"].values[0] == 0.7


def test_a_frame_rate_that_agrees_with_the_times_adds_nothing(tmp_path: Path, traces: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", dff=traces, time=np.arange(120) / 29.97, fs=30.0)
    recording = read(tmp_path / "a.npz")
    assert recording.attrs["frame_rate_hz"] == pytest.approx(29.97)
    assert recording.attrs["notes"] == []


def test_npz_with_several_arrays_lists_them(tmp_path: Path, traces: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", F=traces, Fneu=traces * 2, fs=30.0)
    with pytest.raises(InputError, match="'F' 120 × 6, 'Fneu' 120 × 6"):
        read(tmp_path / "a.npz")
    assert np.array_equal(read(tmp_path / "a.npz", series="Fneu").values, traces * 2)
    with pytest.raises(InputError, match="no array 'G'"):
        read(tmp_path / "a.npz", series="G")


def test_npz_without_a_recording(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", fs=30.0, names=np.array(["a", "b"]), time=np.arange(3.0))
    with pytest.raises(FileFormatError, match="no array of frames × neurons"):
        read(tmp_path / "a.npz")


@pytest.fixture
def wide(rng: np.random.Generator) -> np.ndarray:
    """Thirty frames of a hundred neurons."""
    return rng.normal(size=(30, 100)).astype(np.float32)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("beside", [("time",), ("neuron",), ("time", "neuron")])
def test_times_and_labels_settle_the_axes(
    tmp_path: Path, wide: np.ndarray, turned: bool, beside: tuple[str, ...]
) -> None:
    columns = {"time": np.arange(30) / 10, "neuron": (np.arange(100) + 7).astype("U8")}
    chosen = {name: columns[name] for name in beside}
    np.savez(tmp_path / "a.npz", dff=wide.T if turned else wide, **chosen)
    recording = read(tmp_path / "a.npz", frame_rate_hz=10.0)
    assert np.array_equal(recording.values, wide)
    assert recording.attrs["frame_rate_hz"] == pytest.approx(10.0)
    assert recording["time"].values[0] == (0 if "time" in beside else 0.05)
    assert recording["neuron"].values[0] == ("7" if "neuron" in beside else "0")
    assert recording.attrs["notes"] == [
        f"orientation of 'dff' {'100 × 30' if turned else '30 × 100'} taken as "
        f"{'neuron,time' if turned else 'time,neuron'} ('{beside[0]}' has {columns[beside[0]].size} entries); "
        "pass orientation= (--orientation) to decide it"
    ]


def test_the_orientation_asked_for_wins_over_what_stands_beside(tmp_path: Path, wide: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", dff=wide, time=np.arange(30) / 10, fs=5.0)
    recording = read(tmp_path / "a.npz", orientation="neuron,time")
    assert recording.shape == (100, 30)
    assert recording.attrs["frame_rate_hz"] == 5.0
    assert (
        "'time' has 30 entries, but 'dff' (30 × 100, read as neuron,time) has 100 frames; it is left out"
        in (recording.attrs["notes"])
    )


def test_times_that_do_not_fit_are_named(tmp_path: Path, wide: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", dff=wide.T, time=np.arange(31) / 10, neuron=np.arange(99))
    said = r"'time' has 31 entries, but 'dff' \(100 × 30, read as time,neuron\) has 100 frames"
    with pytest.raises(InputError, match=rf"a\.npz: {said}: correct it, or pass frame_rate_hz"):
        read(tmp_path / "a.npz")
    notes = read(tmp_path / "a.npz", frame_rate_hz=10.0, orientation="neuron,time").attrs["notes"]
    assert notes == [
        "'time' has 31 entries, but 'dff' (100 × 30, read as neuron,time) has 30 frames; it is left out",
        "'neuron' has 99 entries, but 'dff' (100 × 30, read as neuron,time) has 100 neurons; it is left out",
    ]


def test_labels_of_frames_are_no_neurons(tmp_path: Path, traces: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", dff=traces, labels=np.arange(120) % 3)
    assert read(tmp_path / "a.npz", frame_rate_hz=30.0).shape == traces.shape


def test_a_frame_rate_that_is_none_leaves_the_word_to_the_user(tmp_path: Path, traces: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", dff=traces, fs=0.0)
    with pytest.raises(InputError, match="neither times nor a frame rate"):
        read(tmp_path / "a.npz")
    recording = read(tmp_path / "a.npz", frame_rate_hz=30.0)
    assert recording.attrs["frame_rate_hz"] == 30.0
    assert "'fs' of a.npz is no frame rate and is left out" in recording.attrs["notes"]


def test_times_in_a_column_are_no_second_matrix(tmp_path: Path, traces: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", trace=traces, time=np.arange(120)[:, None] / 20)
    assert read(tmp_path / "a.npz").attrs["frame_rate_hz"] == pytest.approx(20.0)
    np.savez(tmp_path / "b.npz", F=traces, spks=traces, fs=20.0)
    with pytest.raises(InputError, match=r"several arrays: 'F' 120 × 6, 'spks' 120 × 6; choose one"):
        read(tmp_path / "b.npz")


def test_an_array_without_a_name(tmp_path: Path, traces: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", **{"": traces, "fs": np.array(25.0)})
    recording = read(tmp_path / "a.npz")
    assert recording.attrs["frame_rate_hz"] == 25.0
    np.testing.assert_array_equal(recording.values, traces)
