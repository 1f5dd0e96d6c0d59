"""Text tables whose rows are neurons, whose columns are numbered, or whose thousands are parted by points."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings import read

TIME_S = np.arange(600) / 30


@pytest.fixture
def dff() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(20, 600))


@pytest.mark.parametrize("orientation", [None, "neuron,time"])
def test_times_in_the_first_row_are_no_neuron(tmp_path: Path, dff: np.ndarray, orientation: str | None) -> None:
    np.savetxt(tmp_path / "a.csv", np.vstack([TIME_S, dff]), delimiter=",")
    recording = read(tmp_path / "a.csv", orientation=orientation)
    assert dict(recording.sizes) == {"time": 600, "neuron": 20}
    np.testing.assert_allclose(recording["time"], TIME_S, atol=1e-9)
    np.testing.assert_allclose(recording.sel(neuron="7"), dff[7])
    assert "the first row has no name, rises in even steps and is taken as time in seconds" in recording.attrs["notes"]


def test_frame_numbers_in_the_first_row_are_no_neuron(tmp_path: Path, dff: np.ndarray) -> None:
    np.savetxt(tmp_path / "a.csv", np.vstack([np.arange(600), dff]), delimiter=",")
    recording = read(tmp_path / "a.csv", frame_rate_hz=30, orientation="neuron,time")
    np.testing.assert_allclose(recording.values, dff.T)
    assert "the first row counts the columns and is left out" in recording.attrs["notes"]


def test_a_first_row_that_may_be_times_is_asked_about(tmp_path: Path, dff: np.ndarray) -> None:
    np.savetxt(tmp_path / "a.csv", np.vstack([np.cumsum(np.arange(600)), dff]), delimiter=",")
    with pytest.raises(InputError, match=r"the first row has no name and rises .* turn the table"):
        read(tmp_path / "a.csv", frame_rate_hz=30)


@pytest.mark.parametrize("n_frames", [400, 100])
@pytest.mark.parametrize("orientation", [None, "time,neuron"])
def test_numbers_of_columns_beside_times_are_labels_in_short_trials_too(
    tmp_path: Path, n_frames: int, orientation: str | None
) -> None:
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(n_frames, 300)), columns=range(1, 301))
    table.insert(0, "time", np.arange(n_frames) / 30)
    table.to_csv(tmp_path / "a.csv", index=False)
    recording = read(tmp_path / "a.csv", orientation=orientation)
    assert recording["neuron"].values[[0, -1]].tolist() == ["1", "300"]
    np.testing.assert_allclose(recording.sel(neuron="17"), table[17])


def test_points_between_thousands_are_no_decimal_points(tmp_path: Path) -> None:
    rows = ["987,5;12"] * 150 + ["1.015;13"] * 10
    (tmp_path / "late.csv").write_text("\n".join(["a;b", *rows]))
    with pytest.raises(FileFormatError, match=r"'1\.015'.* thousands are parted by points"):
        read(tmp_path / "late.csv", frame_rate_hz=30)
    (tmp_path / "whole.csv").write_text("\n".join(["a;b", *["987;12", "1.015;13"] * 20]))
    with pytest.raises(FileFormatError, match=r"'1\.015'.* may be a number of thousands"):
        read(tmp_path / "whole.csv", frame_rate_hz=30)
    (tmp_path / "decimals.csv").write_text("\n".join(["a;b", *["0.987;1.204", "1.015;1.310"] * 20]))
    assert read(tmp_path / "decimals.csv", frame_rate_hz=30).values[1].tolist() == [1.015, 1.31]


def test_whole_means_that_imagej_writes_without_decimals_are_no_thousands(tmp_path: Path) -> None:
    means = np.round(np.random.default_rng(0).normal(180, 12, (300, 4, 60))).mean(axis=2)
    means[:3, 0] = 180
    rows = [[str(i + 1), *(f"{m:.0f}" if m == int(m) else f"{m:.3f}" for m in row)] for i, row in enumerate(means)]
    lines = ["\t".join(row) for row in [[" ", "Mean1", "Mean2", "Mean3", "Mean4"], *rows]]
    (tmp_path / "Results.txt").write_text("\n".join(lines))
    np.testing.assert_allclose(read(tmp_path / "Results.txt", frame_rate_hz=30), means, atol=5e-4)
