"""Text tables of Fiji, Excel and pandas that are not one column a neuron."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings import read


def write(path: Path, columns: dict[str, np.ndarray], **options: object) -> Path:
    pd.DataFrame(columns).to_csv(path, index=False, **options)
    return path


@pytest.mark.parametrize("named", [True, False])
def test_of_the_measures_of_fiji_the_mean_is_read(tmp_path: Path, traces: np.ndarray, named: bool) -> None:
    columns: dict[str, np.ndarray] = {" ": np.arange(1, 121)}
    means = []
    for roi in range(6):
        place = f"(cell {roi})" if named else str(roi + 1)
        means.append(f"Mean{place}")
        columns |= {f"Area{place}": np.full(120, 40.0), f"Mean{place}": traces[:, roi], f"Min{place}": traces[:, 0] - 1}
    recording = read(write(tmp_path / "Results.csv", columns), frame_rate_hz=20.0)
    np.testing.assert_allclose(recording.values, traces)
    assert recording["neuron"].values.tolist() == means
    assert "(area, mean, min) the mean is read" in recording.attrs["notes"][-1]
    without = {name: column for name, column in columns.items() if not name.startswith("Mean")}
    with pytest.raises(InputError, match=r"several measures of each region \(area, min\): leave the columns of one"):
        read(write(tmp_path / "b.csv", without), frame_rate_hz=20.0)


def test_names_that_only_look_like_one_measure_are_neurons(tmp_path: Path, traces: np.ndarray) -> None:
    names = ["Mean1", "Mean2", "x1", "td", "cell 3", "Area1"]
    path = write(tmp_path / "a.csv", {"time": np.arange(120) / 20, **dict(zip(names, traces.T, strict=True))})
    assert read(path)["neuron"].values.tolist() == names


@pytest.mark.parametrize("named", ["neuron", "cell_id", "Slice"])
def test_a_row_for_each_neuron_and_frame_is_refused(tmp_path: Path, traces: np.ndarray, named: str) -> None:
    long = {"time": np.repeat(np.arange(120) / 20, 6), named: np.tile(np.arange(6), 120), "dff": traces.ravel()}
    with pytest.raises(InputError, match=rf"column '{named}' repeats its numbers.*table\.pivot"):
        read(write(tmp_path / "a.csv", long))
    assert read(write(tmp_path / "b.csv", {"time": np.arange(120) / 20, named: np.arange(120) % 6})).shape == (120, 1)


def test_columns_that_count_are_no_neurons_wherever_they_stand(tmp_path: Path, traces: np.ndarray) -> None:
    columns = {"X0": np.arange(120), "Y0": traces[:, 0], "X1": np.arange(120), "Y1": traces[:, 1]}
    recording = read(write(tmp_path / "Plot Values.csv", columns), frame_rate_hz=20.0)
    assert recording["neuron"].values.tolist() == ["Y0", "Y1"]
    few = {"time": np.arange(4) / 20, "a": np.arange(4), "b": traces[:4, 0]}
    assert read(write(tmp_path / "b.csv", few))["neuron"].values.tolist() == ["a", "b"]


@pytest.mark.parametrize("head", ["sep=;\n", '"sep=;"\r\n'])
def test_the_line_of_excel_that_names_the_delimiter(tmp_path: Path, traces: np.ndarray, head: str) -> None:
    path = write(tmp_path / "a.csv", {"Zeit (s)": np.arange(120) / 20, "a": traces[:, 0]}, sep=";", decimal=",")
    path.write_text(head + path.read_text())
    recording = read(path)
    assert recording["neuron"].values.tolist() == ["a"]
    np.testing.assert_allclose(recording.values[:, 0], traces[:, 0])
    assert recording.attrs["notes"] == []


@pytest.mark.parametrize("head", ["time,a,b,\n", "time,a,b\n", ""])
def test_rows_that_end_with_a_delimiter(tmp_path: Path, traces: np.ndarray, head: str) -> None:
    rows = "".join(f"{i / 20},{a},{b},\n" for i, (a, b) in enumerate(traces[:, :2]))
    (tmp_path / "a.csv").write_text(head + rows)
    recording = read(tmp_path / "a.csv")
    np.testing.assert_allclose(recording.values, traces[:, :2])
    assert "all rows end with a delimiter" in recording.attrs["notes"][0]
    (tmp_path / "b.csv").write_text(
        (head + rows).replace(",\n", ",nan\n").replace("b,nan", "b").replace("a,b", "a,b,c")
    )
    assert read(tmp_path / "b.csv").shape == (120, 3), "a neuron that was never measured is one"
    if head:
        (tmp_path / "c.csv").write_text("time,a,b,c\n" + rows)
        assert read(tmp_path / "c.csv")["neuron"].values.tolist() == ["a", "b", "c"]


def test_what_is_no_table_of_numbers_is_told_what_to_do(tmp_path: Path, traces: np.ndarray) -> None:
    labelled = {"time": np.arange(120) / 20, "animal": np.full(120, "m1"), "a": traces[:, 0]}
    with pytest.raises(FileFormatError, match="'m1' is not a number, nor is any cell of its column: remove the column"):
        read(write(tmp_path / "a.csv", labelled))
    dated = {"frame": np.arange(120), "at": [f"2026-01-31 12:00:{i / 20:06.3f}" for i in range(120)], "a": traces[:, 0]}
    with pytest.raises(
        FileFormatError, match=r"column 'at': '2026-01-31 12:00:00.000' is not a number: dates and clock"
    ):
        read(write(tmp_path / "d.csv", dated))
    with pytest.raises(
        FileFormatError, match="is not a number: cells are parted by commas, semicolons, tabs or blanks"
    ):
        read(write(tmp_path / "e.csv", {"time": np.arange(120), "a": traces[:, 0]}, sep="|"))
    (tmp_path / "b.csv").write_text("My recording\ntime,a,b\n0,1,2\n1,2,3\n")
    with pytest.raises(FileFormatError, match="remove lines above the header"):
        read(tmp_path / "b.csv")
    (tmp_path / "c.dat").write_text("time\ta\n0\t1\n")
    with pytest.raises(FileFormatError, match=r"a text table needs a name that ends in \.csv"):
        read(tmp_path / "c.dat")


def test_archives_of_other_programs_are_told_what_to_do(tmp_path: Path) -> None:
    for name, member, said in (
        ("a.xlsx", "xl/workbook.xml", "is an Excel workbook: save the sheet"),
        ("a.zip", "g/zarr.json", "is a Zarr store in a zip archive: unpack it"),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(member, "{}")
        with pytest.raises(FileFormatError, match=said):
            read(tmp_path / name)


@pytest.mark.parametrize(("head", "mark"), [("time,a;b,c", ","), ("time,a\tb,c", ","), ("time;a (x, y);b", ";")])
def test_a_name_in_the_header_may_hold_another_delimiter(tmp_path: Path, traces: np.ndarray, head: str, mark: str):
    n = head.count(mark) + 1
    rows = "".join(mark.join(f"{value}" for value in [i / 20, *traces[i, : n - 1]]) + "\n" for i in range(120))
    (tmp_path / "a.csv").write_text(f"{head}\n{rows}")
    recording = read(tmp_path / "a.csv", frame_rate_hz=20.0)
    assert recording["neuron"].values.tolist() == head.split(mark)[-recording.shape[1] :]


def test_of_a_single_region_of_fiji_the_mean_is_read(tmp_path: Path, traces: np.ndarray) -> None:
    measures = {"Area": np.full(120, 40.0), "Mean": traces[:, 0], "Min": traces[:, 1], "Max": traces[:, 2]}
    for index in ({}, {" ": np.arange(1, 121)}):
        recording = read(write(tmp_path / "a.csv", index | measures), frame_rate_hz=20.0)
        np.testing.assert_allclose(recording.values[:, 0], traces[:, 0])
        assert recording["neuron"].values.tolist() == ["Mean"]
        assert "(area, mean, min, max) the mean is read" in recording.attrs["notes"][-1]
    without = {name: column for name, column in measures.items() if name != "Mean"}
    assert read(write(tmp_path / "b.csv", without), frame_rate_hz=20.0).sizes["neuron"] == 3


@pytest.mark.parametrize("error", ["#DIV/0!", "#NV", "#N/A", "#WERT!"])
@pytest.mark.parametrize(("head", "row"), [(["c1,c2"], 5), ([], 5), ([], 0), (["# of Excel", "c1,c2"], 0)])
def test_an_error_of_excel_is_a_missing_sample(
    tmp_path: Path, traces: np.ndarray, error: str, head: list[str], row: int
) -> None:
    lines = [f"{a:.4f},{b:.4f}" for a, b in traces[:, :2]]
    lines[row] = f"{error},{traces[row, 1]:.4f}"
    (tmp_path / "a.csv").write_text("\n".join([*head, *lines]))
    recording = read(tmp_path / "a.csv", frame_rate_hz=20.0)
    expected = traces[:, :2].astype(np.float64)
    expected[row, 0] = np.nan
    np.testing.assert_allclose(recording.values, expected, atol=1e-4)


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("form", [".0f", ".5g"])
def test_a_line_that_counts_the_columns_is_no_frame(tmp_path: Path, traces: np.ndarray, start: int, form: str) -> None:
    values = np.maximum(traces - 1.0, 0) * 1000
    lines = [",".join(str(i + start) for i in range(6)), *(",".join(f"{v:{form}}" for v in row) for row in values)]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    recording = read(tmp_path / "a.csv", frame_rate_hz=20.0)
    np.testing.assert_allclose(recording.values, values, rtol=1e-4, atol=0.5)
    assert any("is taken as a header" in note for note in recording.attrs["notes"])


@pytest.mark.parametrize("form", [".0f", ".3f"])
def test_a_line_that_counts_the_frames_is_one_of_numbers(tmp_path: Path, traces: np.ndarray, form: str) -> None:
    """A row for each neuron, and the numbers of the frames above them."""
    values = np.abs(traces).T * 1000
    lines = [",".join(str(i + 1) for i in range(120)), *(",".join(f"{v:{form}}" for v in row) for row in values)] * 1
    (tmp_path / "a.csv").write_text("\n".join([lines[0], *lines[1:], *lines[1:]]))
    for orientation in (None, "neuron,time"):
        recording = read(tmp_path / "a.csv", frame_rate_hz=20.0, orientation=orientation)
        assert dict(recording.sizes) == {"time": 120, "neuron": 12}
        np.testing.assert_allclose(recording.values[:, :6], values.T, atol=0.5)


def test_a_first_frame_of_few_spikes_is_kept(tmp_path: Path, rng: np.random.Generator) -> None:
    counts = np.vstack([[1, 2, 3], rng.poisson(2.0, (40, 3))])
    np.savetxt(tmp_path / "a.csv", counts, fmt="%d", delimiter=",")
    np.testing.assert_array_equal(read(tmp_path / "a.csv", frame_rate_hz=20.0).values, counts)
    np.savetxt(tmp_path / "b.csv", np.vstack([[1, 2, 3], counts[1:] + 500]), fmt="%d", delimiter=",")
    np.testing.assert_array_equal(read(tmp_path / "b.csv", frame_rate_hz=20.0).values, counts[1:] + 500)


@pytest.mark.parametrize("head", ["", ",a,b\n"])
def test_times_of_few_digits_without_a_name_are_no_neuron(tmp_path: Path, rng: np.random.Generator, head: str) -> None:
    traces = rng.normal(500.0, 20.0, (1200, 2))
    rows = "".join(f"{990 + i / 30:.5g},{a:.5g},{b:.5g}\n" for i, (a, b) in enumerate(traces))
    (tmp_path / "a.csv").write_text(head + rows)
    with pytest.raises(InputError, match=r"has no name and rises .*call it 'time'"):
        read(tmp_path / "a.csv")
    recording = read(tmp_path / "a.csv", frame_rate_hz=30.0)
    np.testing.assert_allclose(recording.values, traces, rtol=1e-4)
    assert "never falls" in recording.attrs["notes"][0]


def test_a_silent_neuron_that_fires_last_is_no_time(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("0,1.5\n" * 20 + "2,1.25\n3,2.5\n")
    assert read(tmp_path / "a.csv", frame_rate_hz=30.0).sizes["neuron"] == 2
