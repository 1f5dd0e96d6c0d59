"""Text tables as programs of other labs and countries write them: headings of time, rounding, encodings, Inscopix."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from antidrome.errors import FileFormatError, InputError, UnsafeFileError
from antidrome.recordings import csv_files, csv_text, read
from antidrome.recordings.csv_files import load_table


def table(path: Path, first: list[str], names: list[str], traces: np.ndarray, delimiter: str = ",") -> Path:
    lines = [delimiter.join(names)] if names else []
    lines += [delimiter.join([t, *map("{:.4f}".format, row)]) for t, row in zip(first, traces, strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "unit_s"),
    [("Zeit (s)", 1), ("Time (min)", 60), ("t (msec)", 1e-3), ("Time (milliseconds)", 1e-3), ("Time_us", 1e-6),
     ("Elapsed time (s)", 1), ("Frame Time (s)", 1), ("Temps [s]", 1), ("t/s", 1), ("Zeit in ms", 1e-3),
     ("ReconstructedTime", 1), ("clock_ms", 1e-3), ("Time [µs]", 1e-6), ("Time (d)", 86_400), ("time_ns", 1e-9)],
)  # fmt: skip
def test_headings_of_time(tmp_path: Path, traces: np.ndarray, name: str, unit_s: float) -> None:
    times = 0.5 + np.arange(120) / 20
    path = table(tmp_path / "a.csv", [f"{t / unit_s:.9g}" for t in times], [name, *"abcdef"], traces)
    recording = read(path)
    assert recording["neuron"].values.tolist() == list("abcdef")
    np.testing.assert_allclose(recording["time"].values, times, rtol=1e-6)


@pytest.mark.parametrize("name", ["X", "Frame #", "Slice", "Frame number", "Frame No.", "#", "", "Time point"])
@pytest.mark.parametrize("start", [0, 1])
def test_a_first_column_that_counts_is_an_index(tmp_path: Path, traces: np.ndarray, name: str, start: int) -> None:
    path = table(tmp_path / "a.csv", [str(i + start) for i in range(120)], [name, *"abcdef"], traces)
    with pytest.raises(InputError, match=r"a\.csv has neither times nor a frame rate \(its headings are .*'a', 'b'"):
        read(path)
    recording = read(path, frame_rate_hz=30.0)
    assert recording["neuron"].values.tolist() == list("abcdef")
    assert "counts the rows" in " ".join(recording.attrs["notes"])


@pytest.mark.parametrize("name", ["X", "Distance (um)", "Time (frames)", "timing"])
def test_any_other_first_column_that_rises_is_asked_about(tmp_path: Path, traces: np.ndarray, name: str) -> None:
    path = table(tmp_path / "a.csv", [str(33 * i + i % 2) for i in range(120)], [name, *"abcdef"], traces)
    with pytest.raises(InputError) as caught:
        read(path, frame_rate_hz=30.0)
    assert f"the first column '{name}' rises at every step (0, 34, 66, …)" in str(caught.value)
    assert "call it 'time' (s)" in str(caught.value)


def test_an_index_beside_times_is_left_out(tmp_path: Path, traces: np.ndarray) -> None:
    first = [f"{7 * i},{i / 20:.2f}" for i in range(120)]
    recording = read(table(tmp_path / "a.csv", first, ["X", "Zeit (s)", *"abcdef"], traces))
    assert recording["neuron"].values.tolist() == list("abcdef")
    assert "'X' rises like an index" in " ".join(recording.attrs["notes"])
    first = [f"{i},{i / 20:.2f}" for i in range(120)]
    recording = read(table(tmp_path / "b.csv", first, ["Slice", "my_clock_s", *"abcdef"], traces))
    assert recording["neuron"].values.tolist() == list("abcdef")
    assert recording.attrs["frame_rate_hz"] == pytest.approx(20.0)


@pytest.mark.parametrize("name", ["trial", "Session", "trial_id"])
def test_a_column_of_trials_or_sessions_is_no_neuron(tmp_path: Path, traces: np.ndarray, name: str) -> None:
    first = [f"{i / 20:.2f},{1 + i // 40}" for i in range(120)]
    recording = read(table(tmp_path / "a.csv", first, ["time", name, *"abcdef"], traces))
    assert recording["neuron"].values.tolist() == list("abcdef")
    assert f"column {name!r} says to which" in " ".join(recording.attrs["notes"])


def test_few_rows_that_rise_are_a_trace(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("left,right\n1,2\n2,3\n3,1\n4,5\n")
    assert read(tmp_path / "a.csv", frame_rate_hz=10.0)["neuron"].values.tolist() == ["left", "right"]


@pytest.mark.parametrize("names", [[], ["time", *"abcdef"], ["", *"abcdef"], ["Zeit (s)", *"abcdef"]])
def test_times_that_were_rounded_are_even(tmp_path: Path, traces: np.ndarray, names: list[str]) -> None:
    """The median step of 30 Hz at two decimals is 0.03 s, or 33.3 Hz."""
    recording = read(table(tmp_path / "a.csv", [f"{i / 30:.2f}" for i in range(120)], names, traces))
    assert recording.shape == (120, 6)
    assert recording.attrs["frame_rate_hz"] == pytest.approx(30.0, rel=1e-3)
    np.testing.assert_allclose(recording["time"].values, np.arange(120) / 30, atol=0.0051)
    assert "the times are rounded to steps of 0.01 s" in " ".join(recording.attrs["notes"])


def test_times_with_a_gap_or_without_need_are_kept(tmp_path: Path, traces: np.ndarray) -> None:
    times = np.arange(120) / 30
    for name, kept in (("a", np.where(np.arange(120) < 60, times, times + 1 / 30)), ("b", times)):
        texts = [f"{t:.{2 if name == 'a' else 5}f}" for t in kept]
        recording = read(table(tmp_path / f"{name}.csv", texts, ["time", *"abcdef"], traces))
        assert recording["time"].values.tolist() == [float(text) for text in texts]
        assert [note[:21] for note in recording.attrs["notes"]] == ["the times are rounded"] * (name == "a")


def test_times_without_a_header_that_are_not_even_are_asked_about(tmp_path: Path, traces: np.ndarray) -> None:
    texts = [f"{i / 30 + (i > 60) * 0.2:.2f}" for i in range(120)]
    with pytest.raises(InputError, match="has no name and rises"):
        read(table(tmp_path / "a.csv", texts, [], traces), frame_rate_hz=30.0)


INSCOPIX = """ , C00, C01, C02, C03
Time(s)/Cell Status, accepted, rejected, accepted, undecided
0.0,1.5,2.5,3.5,4.5
0.05,1.25,2.25,3.25,4.25
0.1,1.75,2.75,3.75,4.75
"""


def test_inscopix(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(INSCOPIX)
    recording = read(tmp_path / "a.csv")
    assert recording["neuron"].values.tolist() == ["C00", "C02"]
    assert recording.attrs["frame_rate_hz"] == pytest.approx(20.0)
    assert "2 of 4 neurons are not accepted" in recording.attrs["notes"][0]
    every = read(tmp_path / "a.csv", accepted_only=False)
    assert every["accepted"].values.tolist() == [True, False, True, False]
    np.testing.assert_array_equal(every.values[1], [1.25, 2.25, 3.25, 4.25])
    (tmp_path / "b.csv").write_text(INSCOPIX.replace("accepted", "undecided"))
    undecided = read(tmp_path / "b.csv")
    assert undecided["neuron"].values.tolist() == ["C00", "C02", "C03"]
    assert "no neuron is accepted yet" in undecided.attrs["notes"][0]
    (tmp_path / "c.csv").write_text(INSCOPIX.replace("accepted", "rejected").replace("undecided", "rejected"))
    with pytest.raises(InputError, match=r"c\.csv accepts none of 4 neurons: .*--no-accepted-only"):
        read(tmp_path / "c.csv")
    (tmp_path / "d.csv").write_text(INSCOPIX.replace("1.25", "oops"))
    with pytest.raises(FileFormatError, match="line 4, column 'C00': 'oops' is not a number"):
        read(tmp_path / "d.csv")


@pytest.mark.parametrize("named", [True, False])
def test_dates_are_times(tmp_path: Path, traces: np.ndarray, named: bool) -> None:
    index = pd.date_range("2024-05-06 23:59:59", periods=120, freq="50ms")
    pd.DataFrame(traces, index=index, columns=list("abcdef")).to_csv(tmp_path / "a.csv", header=named)
    recording = read(tmp_path / "a.csv")
    np.testing.assert_allclose(recording["time"].values, np.arange(120) / 20)
    np.testing.assert_array_equal(recording.values.astype("f4"), traces)
    assert recording["neuron"].values.tolist() == (list("abcdef") if named else [str(i) for i in range(6)])
    pd.DataFrame(traces, index=index - index[0]).to_csv(tmp_path / "b.csv", index_label="t")
    np.testing.assert_allclose(read(tmp_path / "b.csv")["time"].values, np.arange(120) / 20)


def test_a_wrong_date_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("when,a\n2024-05-06T07:00:00.0Z,1\n2024-05-06T07:00:00.1Z,2\nlater,3\n")
    with pytest.raises(FileFormatError, match="line 4, column 'when': 'later' is no date or time of day"):
        read(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("Time;a\n0:00:00,0;1,5\n0:00:00,5;2,5\n0:00:01,0;3,5\n")
    recording = read(tmp_path / "b.csv")
    assert recording["time"].values.tolist() == [0.0, 0.5, 1.0]
    assert recording.values[:, 0].tolist() == [1.5, 2.5, 3.5]


def test_dates_in_another_order_are_blamed_and_not_the_decimal_commas_beside_them(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Zeit;A\n" + "".join(f"01.01.2024 10:00:{i:02d};1,{i:03d}\n" for i in range(9)))
    with pytest.raises(FileFormatError, match=r"line 2, column 'Zeit': '01\.01\.2024 10:00:00' .* as 2026-01-31 12:00"):
        read(tmp_path / "a.csv")


def test_comments_are_left_out_and_may_be_the_header(tmp_path: Path, traces: np.ndarray) -> None:
    (tmp_path / "a.csv").write_text("# mouse 7\n# dF/F, percent\n\ntime,a,b\n0,1,2\n1,3,4\n# laser off\n2,5,6\n")
    recording = read(tmp_path / "a.csv")
    assert recording["neuron"].values.tolist() == ["a", "b"]
    assert recording.values[:, 0].tolist() == [1, 3, 5]
    assert "3 lines that begin with #" in recording.attrs["notes"][0]
    for delimiter in (" ", ",", "\t"):
        np.savetxt(
            tmp_path / "b.txt", np.c_[np.arange(120) / 20, traces], delimiter=delimiter,
            header=delimiter.join(["time_s", *"abcdef"]),
        )  # fmt: skip
        recording = read(tmp_path / "b.txt")
        assert recording["neuron"].values.tolist() == list("abcdef")
        assert recording.attrs["frame_rate_hz"] == pytest.approx(20.0)
    np.testing.assert_array_equal(recording.values.astype("f4"), traces)
    (tmp_path / "c.csv").write_text("#1,#2\n1,2\n3,x\n")
    with pytest.raises(FileFormatError, match="line 3, column '#2': 'x'"):
        read(tmp_path / "c.csv", frame_rate_hz=1.0)


def test_tabs_and_decimal_commas(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("Zeit (s)\ta,1\tb\n0,00\t1,5\t2\n0,05\t1,25\t1.5\n")
    with pytest.raises(FileFormatError, match=r"column 'Zeit \(s\)': '0,00' is not a number"):
        read(tmp_path / "a.tsv")
    (tmp_path / "a.tsv").write_text("Zeit (s)\ta,1\tb\n0,00\t1,5\t2\n0,05\t1,25\t3\n")
    recording = read(tmp_path / "a.tsv")
    assert recording["neuron"].values.tolist() == ["a,1", "b"]
    assert recording.values.tolist() == [[1.5, 2.0], [1.25, 3.0]]


@pytest.mark.parametrize(
    ("name", "text", "blamed"),
    [("a.csv", "time;a\n0,0000;0,5\n0,0333;1.000,5\n", r"line 3, column 'a': '1\.000,5' .* parted by points"),
     ("b.tsv", "time\ta\n0\t500\n1\t1,000\n", r"line 3, column 'a': '1,000' .* parted by commas"),
     ("c.csv", 'time,a\n0,500\n1,"1,000.5"\n', r"line 3, column 'a': '1,000\.5' .* parted by commas"),
     ("d.csv", "Zeit [s];A\n0,000;1.210,50\n0,050;1.211,50\n", r"column 'A': '1\.210,50' .* parted by points")],
)  # fmt: skip
def test_grouped_thousands_are_blamed(tmp_path: Path, name: str, text: str, blamed: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(FileFormatError, match=blamed):
        read(tmp_path / name)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
@pytest.mark.parametrize("packed", [True, False])
def test_encodings_and_gzip(tmp_path: Path, encoding: str, packed: bool) -> None:
    content = "time\tWürfel\n0\t1,5\n1\t2\n2\t2,5\n".encode(encoding)
    path = tmp_path / ("a.tsv.gz" if packed else "a.tsv")
    path.write_bytes(gzip.compress(content) if packed else content)
    recording = read(path)
    assert recording["neuron"].values.tolist() == ["Würfel"]
    assert recording.values[:, 0].tolist() == [1.5, 2.0, 2.5]
    assert recording.attrs["session_id"] == "a"
    assert load_table(path)[0] == ["time", "Würfel"]


def test_damaged_and_other_gzip_files(tmp_path: Path, traces: np.ndarray) -> None:
    np.savetxt(tmp_path / "a.csv", traces, delimiter=",")
    content = gzip.compress((tmp_path / "a.csv").read_bytes())
    (tmp_path / "cut.csv.gz").write_bytes(content[:-2000])
    (tmp_path / "bad.csv.gz").write_bytes(content[:2000] + b"\xff" * 40 + content[2040:])
    for name in ("cut", "bad"):
        with pytest.raises(FileFormatError, match=rf"{name}\.csv\.gz is damaged or cut short"):
            read(tmp_path / f"{name}.csv.gz", frame_rate_hz=30.0)
    (tmp_path / "a.npy.gz").write_bytes(content)
    with pytest.raises(FileFormatError, match="packed by gzip"):
        read(tmp_path / "a.npy.gz")


def test_gzip_does_not_exhaust_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"0,0\n" * 500_000))
    with pytest.raises(UnsafeFileError, match="more than the cap"):
        read(tmp_path / "a.csv.gz", frame_rate_hz=30.0, max_bytes=1_000_000)
    monkeypatch.setattr(csv_text, "_SUSPECT_BYTES", 2**20)
    with pytest.raises(UnsafeFileError, match="more than 200-fold"):
        read(tmp_path / "a.csv.gz", frame_rate_hz=30.0)
    monkeypatch.setattr(csv_files, "MAX_CSV_BYTES", 100)
    with pytest.raises(UnsafeFileError, match="more than the cap"):
        read(tmp_path / "a.csv.gz", frame_rate_hz=30.0)
