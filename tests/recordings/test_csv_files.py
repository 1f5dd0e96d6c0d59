"""Text tables as people export them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from antidrome.errors import AntidromeError, FileFormatError, InputError, UnsafeFileError
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


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("turned", [True, False])
def test_pandas_without_names(tmp_path: Path, traces: np.ndarray, index: bool, turned: bool) -> None:
    pd.DataFrame(traces.T if turned else traces).to_csv(tmp_path / "a.csv", index=index)
    recording = read(tmp_path / "a.csv", frame_rate_hz=30.0)
    assert np.array_equal(recording.values.astype("f4"), traces)
    assert recording["neuron"].values.tolist() == ["0", "1", "2", "3", "4", "5"]
    notes = " ".join(recording.attrs["notes"])
    assert "is taken as a header" in notes
    assert ("counts the rows" in notes) == index


def test_pandas_with_some_of_the_columns_and_rows(tmp_path: Path, traces: np.ndarray) -> None:
    pd.DataFrame(traces).iloc[20:, [1, 4]].to_csv(tmp_path / "a.csv")
    recording = read(tmp_path / "a.csv", frame_rate_hz=30.0)
    assert recording["neuron"].values.tolist() == ["1", "4"]
    assert np.array_equal(recording.values.astype("f4"), traces[20:, [1, 4]])


def test_pandas_with_times_as_its_index(tmp_path: Path, traces: np.ndarray) -> None:
    names = [f"n{i}" for i in range(6)]
    for columns in (names, None):
        pd.DataFrame(traces, index=np.arange(120) / 20, columns=columns).to_csv(tmp_path / "a.csv")
        recording = read(tmp_path / "a.csv")
        assert recording.attrs["frame_rate_hz"] == pytest.approx(20.0)
        assert np.array_equal(recording.values.astype("f4"), traces)
        assert "taken as time in seconds" in recording.attrs["notes"][-1]
    assert recording["neuron"].values.tolist() == [str(i) for i in range(6)]
    with pytest.raises(InputError, match="run at 20 Hz"):
        read(tmp_path / "a.csv", frame_rate_hz=30.0)


@pytest.mark.parametrize("steps", [[0, 33, 67, 100, 133], [0.0, 0.1, 0.2, 0.9, 1.0], [1, 2, 5, 6, 7]])
def test_an_unnamed_column_that_may_be_the_time_is_asked_about(tmp_path: Path, steps: list[float]) -> None:
    text = ",a,b\n" + "".join(f"{step},1.5,2.5\n" for step in steps)
    with pytest.raises(InputError, match=r"a\.csv: the first column has no name and rises .*call it 'time'"):
        read(save(tmp_path / "a.csv", text), frame_rate_hz=30.0)
    timed = ",time,a\n" + "".join(f"{step},{i / 10},1.5\n" for i, step in enumerate(steps))
    recording = read(save(tmp_path / "b.csv", timed))
    assert recording["neuron"].values.tolist() == ["a"]
    assert "rises like an index" in recording.attrs["notes"][0]


def test_counters_are_recognised_wherever_they_stand(tmp_path: Path) -> None:
    rows = "".join(f"{i / 10},{i},{7 + 2 * i},1.5,2.5\n" for i in range(6))
    recording = read(save(tmp_path / "a.csv", "time,frame,Frame_Number,n1,n2\n" + rows))
    assert recording["neuron"].values.tolist() == ["n1", "n2"]
    assert recording.attrs["notes"] == [
        "column 'frame' counts the rows and is left out",
        "column 'Frame_Number' numbers the rows, not without gaps, and is left out",
    ]


@pytest.mark.parametrize(
    "text", ["0,1,2\n3,4,5\n6,7,8\n", "0,1\n0.1,1.5\n0.2,1.7\n", "0\n0.5\n0.7\n", ",7\n3,8\n2,9\n"]
)
def test_a_first_frame_of_numbers_stays_one(tmp_path: Path, text: str) -> None:
    recording = read(save(tmp_path / "a.csv", text), frame_rate_hz=10.0, orientation="time,neuron")
    assert recording.sizes["time"] == 3
    assert recording.attrs["notes"] == []


@pytest.mark.parametrize(
    ("names", "mark"), [(["5"], "."), (["3", "12"], "."), (["3", "12"], ","), (["1", "2", "3"], ".")]
)
def test_whole_numbers_above_decimals_are_names(
    tmp_path: Path, traces: np.ndarray, names: list[str], mark: str
) -> None:
    table = pd.DataFrame(traces[:, : len(names)].round(3), columns=names)
    table.iloc[3, 0] = np.nan
    table.to_csv(tmp_path / "a.csv", index=False, sep="," if mark == "." else ";", decimal=mark)
    recording = read(tmp_path / "a.csv", frame_rate_hz=30.0)
    assert np.array_equal(recording.values.astype("f4"), table.values.astype("f4"), equal_nan=True)
    assert recording["neuron"].values.tolist() == names
    assert "is taken as a header" in recording.attrs["notes"][0]


def test_a_number_that_may_be_a_value_is_a_name_where_python_wrote_the_table(
    tmp_path: Path, traces: np.ndarray
) -> None:
    table = pd.DataFrame(traces[:, :1].astype(float) / 3 - 0.3)
    table.to_csv(tmp_path / "a.csv", index=False)
    assert np.array_equal(read(tmp_path / "a.csv", frame_rate_hz=30.0).values, table.values)
    rounded = table.round(2)
    rounded.iloc[7] = 1.0
    rounded.to_csv(tmp_path / "b.csv", index=False)
    assert np.array_equal(read(tmp_path / "b.csv", frame_rate_hz=30.0).values, rounded.values)


@pytest.mark.parametrize("first", [[0.0], [1.0], [120.0, 131.0]])
@pytest.mark.parametrize("form", ["%.8g", "%.17g"])
def test_a_first_frame_of_whole_numbers_is_kept_and_told(
    tmp_path: Path, traces: np.ndarray, first: list[float], form: str
) -> None:
    values = np.vstack([first, traces[:, : len(first)] + first - 1])
    np.savetxt(tmp_path / "a.csv", values, delimiter=",", fmt=form)
    recording = read(tmp_path / "a.csv", frame_rate_hz=30.0)
    np.testing.assert_allclose(recording.values, values, rtol=1e-4, atol=1e-5)
    line = ",".join(f"{value:g}" for value in first)
    assert f"the first line, '{line}', is taken as a frame" in recording.attrs["notes"][0]


def test_a_number_above_clock_times_is_a_name(tmp_path: Path) -> None:
    rows = "".join(f"0:00:0{i}.5,{1.013 + i % 3 / 10:.3f}\n" for i in range(9))
    recording = read(save(tmp_path / "a.csv", "0,1\n" + rows))
    assert recording.shape == (9, 1)
    assert recording["neuron"].values.tolist() == ["1"]


@pytest.mark.parametrize("rate_hz", [20, 29.97, 30, 50, 60, 64])
def test_whole_numbers_begin_rounded_times_a_frame_before_them_and_are_names_half_a_frame_before(
    tmp_path: Path, rate_hz: float
) -> None:
    for shift, n_frames in ((1.0, 41), (0.5, 40)):
        rows = "".join(f"{(i + shift) / rate_hz:.2f},{1.013 + i % 3 / 10:.4f}\n" for i in range(40))
        path = save(tmp_path / "a.csv", "0,1\n" + rows)
        assert csv_files.load_table(path)[1].shape == (n_frames, 2)


def test_numbers_above_times_are_names_and_the_first_time_is_none(tmp_path: Path, traces: np.ndarray) -> None:
    times = (np.arange(120) + 0.5) / 30
    pd.DataFrame(np.c_[times, traces[:, :2]]).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(InputError, match="the first column '0' rises at every step"):
        read(tmp_path / "a.csv", frame_rate_hz=30.0)
    rows = "".join(f"{(i + 1) / 10},{i}.5,2.5\n" for i in range(20))
    with pytest.raises(InputError, match="the first column '0' rises at every step"):
        read(save(tmp_path / "b.csv", "0,1,2\n" + rows))
    recording = read(save(tmp_path / "c.csv", "0,1,3\n" + rows))
    assert recording.values[0].tolist() == [1, 3], "the frame at 0 s"


@pytest.mark.parametrize("lines", ["0,126\n-0,132\n0,640\n", "0,12\n0,15\n0,09\n", "1,5\n0,07\n1,2E-05\n"])
def test_decimal_commas_of_one_neuron_are_not_two_neurons(tmp_path: Path, lines: str) -> None:
    with pytest.raises(InputError, match="no two numbers: write decimal points"):
        read(save(tmp_path / "a.csv", lines * 20), frame_rate_hz=30.0)
    recording = read(save(tmp_path / "b.csv", lines.replace("\n", ";\n") * 20), frame_rate_hz=30.0)
    assert recording.shape == (60, 1)
    assert recording.values[0, 0] == float(lines.split("\n")[0].replace(",", "."))


def test_whole_numbers_of_two_neurons_are_two(tmp_path: Path) -> None:
    recording = read(save(tmp_path / "a.csv", "0,12\n3,0\n-1,10\n" * 20), frame_rate_hz=30.0)
    assert recording.values[:3].tolist() == [[0, 12], [3, 0], [-1, 10]]


def test_a_counter_without_a_header_is_no_time(tmp_path: Path, traces: np.ndarray) -> None:
    pd.DataFrame(traces).to_csv(tmp_path / "a.csv", header=False)
    recording = read(tmp_path / "a.csv", frame_rate_hz=30.0)
    assert np.array_equal(recording.values.astype("f4"), traces)
    assert "counts the rows" in recording.attrs["notes"][0]


@pytest.mark.parametrize("n_whole", [1, 3, 150])
def test_decimal_commas_may_come_late(tmp_path: Path, n_whole: int) -> None:
    rows = ["0;0;0"] + ["1;0;0"] * (n_whole - 1) + ["2,03333;0,1;0,2", "3;1;2"]
    recording = read(save(tmp_path / "a.csv", "time;a.1;b\n" + "\n".join(rows)))
    assert recording.values[n_whole].tolist() == [0.1, 0.2]
    assert recording["time"].values[n_whole] == 2.03333


def test_points_between_semicolons_stay_points(tmp_path: Path) -> None:
    recording = read(save(tmp_path / "a.csv", "time;a,1;b\n0;0;0\n0.5;1.25;nan\n"))
    assert recording.values[1, 0] == 1.25
    late = save(tmp_path / "b.csv", "time;a\n" + "".join(f"{i};0\n" for i in range(150)) + "150;0.5\n")
    assert read(late).values[150, 0] == 0.5
    with pytest.raises(FileFormatError, match=r"line 3, column 'a': '1\.000,5' is not a number"):
        read(save(tmp_path / "c.csv", "time;a\n0;0\n1;1.000,5\n"))


def test_a_named_counter_says_that_rows_are_frames(tmp_path: Path) -> None:
    """Also where there are more neurons than frames, none of which has a name."""
    traces = np.random.default_rng(0).standard_normal((30, 40))
    pd.DataFrame(traces).rename_axis("frame").to_csv(tmp_path / "a.csv")
    np.testing.assert_array_equal(read(tmp_path / "a.csv", frame_rate_hz=30.0).values, traces)


def test_a_header_of_words_parted_by_blanks(tmp_path: Path) -> None:
    traces = np.random.default_rng(0).standard_normal((30, 3))
    np.savetxt(tmp_path / "a.csv", traces, header="x y z", comments="", fmt="%.17g")
    recording = read(tmp_path / "a.csv", frame_rate_hz=30.0)
    assert recording["neuron"].values.tolist() == ["x", "y", "z"]
    np.testing.assert_array_equal(recording.values, traces)
