"""Text tables whose rows are neurons: numbers or names of neurons in the first column, times or frames above."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from antidrome.errors import InputError
from antidrome.recordings import read
from antidrome.recordings.axes import named_by_number

TIME_S = np.arange(60) / 20


@pytest.fixture
def dff() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(0).normal(size=(9, 60)))


@pytest.mark.parametrize("orientation", [None, "neuron,time"])
@pytest.mark.parametrize(("n_neurons", "start"), [(9, 0), (9, 17), (3, 0), (3, 1)])
def test_numbers_of_neurons_before_their_traces_are_no_frame(
    tmp_path: Path, dff: pd.DataFrame, n_neurons: int, start: int, orientation: str | None
) -> None:
    table = dff[:n_neurons].set_axis(range(start, start + n_neurons))
    table.to_csv(tmp_path / "a.csv", header=False)
    recording = read(tmp_path / "a.csv", frame_rate_hz=20, orientation=orientation)
    assert np.array_equal(recording.values, table.to_numpy().T)
    assert "column 1 counts the rows and is left out" in recording.attrs["notes"]


def test_a_first_frame_of_few_whole_numbers_is_one(tmp_path: Path) -> None:
    spikes = np.random.default_rng(0).integers(0, 4, size=(3, 60))
    spikes[:, 0] = [0, 1, 2]
    np.savetxt(tmp_path / "a.csv", spikes, fmt="%d", delimiter=",")
    assert np.array_equal(read(tmp_path / "a.csv", frame_rate_hz=20).values, spikes.T)


@pytest.mark.parametrize("orientation", [None, "neuron,time"])
@pytest.mark.parametrize(
    ("corner", "n_neurons"),
    [("neuron", 9), ("roi", 2), ("roi", 5), ("Cell", 9), ("cell_id", 9), ("ROI #", 9), ("", 2), ("", 9), ("id", 9)],
)
def test_times_above_say_that_rows_are_neurons(
    tmp_path: Path, dff: pd.DataFrame, corner: str, n_neurons: int, orientation: str | None
) -> None:
    table = dff[:n_neurons].set_axis(TIME_S, axis=1).rename_axis(corner or None)
    table.to_csv(tmp_path / "a.csv")
    recording = read(tmp_path / "a.csv", orientation=orientation)
    assert np.array_equal(recording.values, table.to_numpy().T)
    np.testing.assert_allclose(recording["time"], TIME_S, atol=1e-9)
    assert named_by_number(recording) == (corner in ("", "id"))
    assert "names the neurons, and the other headings are taken as times" in recording.attrs["notes"][-1]


@pytest.mark.parametrize(
    ("headings", "start", "n_neurons"), [("{}", 0, 2), ("{}", 1, 5), ("{}", 0, 9), ("t{}", 0, 9), ("frame_{}", 1, 9)]
)
def test_numbers_of_frames_beside_those_of_neurons(
    tmp_path: Path, dff: pd.DataFrame, headings: str, start: int, n_neurons: int
) -> None:
    table = dff[:n_neurons].set_axis([headings.format(i + start) for i in range(60)], axis=1)
    table.set_axis(range(5, 5 + n_neurons)).rename_axis("roi").to_csv(tmp_path / "a.csv")
    with pytest.raises(InputError, match="neither times nor a frame rate"):
        read(tmp_path / "a.csv")
    recording = read(tmp_path / "a.csv", frame_rate_hz=20)
    assert np.array_equal(recording.values, table.to_numpy().T)
    assert recording["neuron"].values.tolist() == [str(i) for i in range(5, 5 + n_neurons)]


@pytest.mark.parametrize("names", [[5], [5, 17], [17, 5, 8]])
def test_numbers_of_frames_above_few_neurons_without_a_heading(
    tmp_path: Path, dff: pd.DataFrame, names: list[int]
) -> None:
    table = dff[: len(names)].set_axis(range(1, 61), axis=1).set_axis(names)
    table.to_csv(tmp_path / "a.csv")
    recording = read(tmp_path / "a.csv", frame_rate_hz=20)
    assert np.array_equal(recording.values, table.to_numpy().T)
    assert recording["neuron"].values.tolist() == list(map(str, names))


@pytest.mark.parametrize("corner", ["roi", None])
def test_headings_that_may_be_milliseconds_are_asked_about(
    tmp_path: Path, dff: pd.DataFrame, corner: str | None
) -> None:
    dff.set_axis(range(0, 3000, 50), axis=1).rename_axis(corner).to_csv(tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"headings '0', '50', '100' and 57 more .*pass orientation='time,neuron'"):
        read(tmp_path / "a.csv", frame_rate_hz=20)
    labels = read(tmp_path / "a.csv", frame_rate_hz=20, orientation="time,neuron")["neuron"].values
    assert labels[:2].tolist() == ["0", "50"]


def test_numbers_of_frames_on_both_sides_are_asked_about(tmp_path: Path, dff: pd.DataFrame) -> None:
    dff.T.rename_axis("roi").to_csv(tmp_path / "a.csv")
    with pytest.raises(InputError, match="pass orientation='neuron,time' if each row is a neuron, or 'time,neuron'"):
        read(tmp_path / "a.csv", frame_rate_hz=20)
    for orientation, values in (("neuron,time", dff.to_numpy()), ("time,neuron", dff.to_numpy().T)):
        recording = read(tmp_path / "a.csv", frame_rate_hz=20, orientation=orientation)
        assert np.array_equal(recording.values, values)


@pytest.mark.parametrize(("names", "timed"), [("abcdefghi", False), ("012345678", True)])
def test_the_orientation_that_is_given_is_never_advised(
    tmp_path: Path, dff: pd.DataFrame, names: str, timed: bool
) -> None:
    table = dff.T.set_axis(list(names), axis=1).set_index(pd.Index(TIME_S, name="time"))
    table.to_csv(tmp_path / "a.csv", index=timed)
    with pytest.raises(InputError, match=r"names its columns \('(a', 'b', 'c|time', '0', '1)'.* remove the first line"):
        read(tmp_path / "a.csv", frame_rate_hz=20, orientation="neuron,time")
