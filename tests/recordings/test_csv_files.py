"""Text tables as people export them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from antidrome.errors import AntidromeError, FileFormatError, UnsafeFileError
from antidrome.recordings import csv_files, read


def save(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_header_and_time_column(tmp_path: Path) -> None:
    path = save(tmp_path / "a.csv", "time,left,right\n0.0,1,2\n0.1,3,\n0.2,nan,6\n")
    recording = read(path)
    assert list(recording["neuron"].values) == ["left", "right"]
    assert recording["time"].values.tolist() == [0.0, 0.1, 0.2]
    assert recording.attrs["frame_rate_hz"] == pytest.approx(10.0)
    assert np.array_equal(recording.values, [[1, 2], [3, np.nan], [np.nan, 6]], equal_nan=True)
    assert recording.attrs["notes"] == []


@pytest.mark.parametrize("header", ["time_ms", "Time (ms)", "t [ms]", "timestamps_ms"])
def test_milliseconds(tmp_path: Path, header: str) -> None:
    path = save(tmp_path / "a.csv", f"{header},a\n0,1\n100,2\n200,3\n")
    assert read(path).attrs["frame_rate_hz"] == pytest.approx(10.0)


def test_pandas_index_column_is_left_out(tmp_path: Path) -> None:
    recording = read(save(tmp_path / "a.csv", ",a,b\n0,1,2\n1,3,4\n2,5,6\n"), frame_rate_hz=10.0)
    assert list(recording["neuron"].values) == ["a", "b"]
    assert "counts the rows" in recording.attrs["notes"][0]


def test_no_header_guesses_orientation_and_time(tmp_path: Path, traces: np.ndarray) -> None:
    np.savetxt(tmp_path / "a.csv", traces.T, delimiter=",", fmt="%.9g")
    recording = read(tmp_path / "a.csv", frame_rate_hz=30.0)
    assert np.array_equal(recording.values.astype("f4"), traces)
    np.savetxt(tmp_path / "b.csv", np.c_[np.arange(120) / 30, traces], delimiter=",", fmt="%.9g")
    recording = read(tmp_path / "b.csv")
    assert recording.shape == (120, 6)
    assert "rises in even steps" in recording.attrs["notes"][0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", "time\ta\tb\n0\t1.5\t2\n1\t3\t4\n"),
        ("b.csv", "time;a;b\n0;1,5;2\n1;3;4\n"),
        ("c.txt", "0 1.5 2\n1 3 4\n2 5 6\n"),
        ("d.csv", "\ufefftime, a, b\r\n0, 1.5, 2\r\n1, 3, 4\r\n"),
        ("e.csv", '"time","a","b"\n0,1.5,2\n1,3,4\n'),
    ],
)
def test_dialects(tmp_path: Path, name: str, text: str) -> None:
    recording = read(save(tmp_path / name, text), frame_rate_hz=1.0)
    assert 1.5 in recording.values


def test_a_wrong_cell_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.csv", "time,a,b\n0,1,2\n1,oops,4\n")
    with pytest.raises(FileFormatError, match="line 3, column 'a': 'oops' is not a number"):
        read(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "is empty"), ("\n\n", "first line is"), ("a,b\n", "no rows"), ("a,b\n1,2,3\n", "2 names in its header"),
     ("1,2\n3,4\n5,6,7\n", "equal rows"), ("a,a\n1,2\n3,4\n", "unique"), ("a\0b\n1\n", "not text")],
)  # fmt: skip
def test_damaged_tables(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(AntidromeError, match=words):
        read(save(tmp_path / "a.csv", text), frame_rate_hz=1.0)


def test_other_encodings_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("zeit,Größe\n0,1\n".encode("latin1"))
    with pytest.raises(FileFormatError, match="not UTF-8"):
        read(tmp_path / "a.csv", frame_rate_hz=1.0)


def test_the_size_is_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_files, "MAX_CSV_BYTES", 10)
    with pytest.raises(UnsafeFileError, match="more than the cap"):
        read(save(tmp_path / "a.csv", "a,b\n1,2\n3,4\n"), frame_rate_hz=1.0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hnp.arrays(np.float64, st.tuples(st.integers(2, 9), st.integers(1, 4)),
               elements=st.floats(-1e6, 1e6, allow_subnormal=False) | st.just(np.nan)),
)  # fmt: skip
def test_numbers_come_back_exactly(tmp_path: Path, values: np.ndarray) -> None:
    rows = "\n".join(",".join("" if np.isnan(v) and values.shape[1] > 1 else repr(float(v)) for v in r) for r in values)
    header = ",".join(f"n{i}" for i in range(values.shape[1]))
    recording = read(save(tmp_path / "a.csv", f"{header}\n{rows}\n"), frame_rate_hz=1.0)
    assert np.array_equal(recording.values, values, equal_nan=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.text(alphabet="0123456789.,;\t\n\"' -ae_time", max_size=80))
def test_any_text_gives_a_sentence_or_a_recording(tmp_path: Path, text: str) -> None:
    try:
        assert read(save(tmp_path / "a.csv", text), frame_rate_hz=1.0).ndim == 2
    except AntidromeError as error:
        assert str(error)


def test_old_macintosh_line_ends_are_refused_with_the_remedy(tmp_path):
    path = tmp_path / "old.csv"
    path.write_bytes(b"a,b\r1,2\r3,4\r")
    with pytest.raises(FileFormatError, match="save it with line feeds"):
        read(path, frame_rate_hz=30)


def test_a_wrong_cell_is_named_among_decimal_commas(tmp_path):
    path = save(tmp_path / "a.csv", "time;a\n0,0;1,5\n0,1;oops\n0,2;2,5\n")
    with pytest.raises(FileFormatError, match="line 3, column 'a': 'oops' is not a number"):
        read(path)
