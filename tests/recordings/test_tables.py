"""Tables as recordings: names of columns, times of the index, and columns that tell of the rows."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings import as_recording, check, from_array


def test_a_table_keeps_its_names_and_times() -> None:
    values, time = np.random.default_rng(0).random((60, 2)), np.arange(60) / 20 + 7
    named = as_recording(pd.DataFrame(values, columns=["a", "b"]), 20.0)
    assert (named["neuron"].values.tolist(), "neuron_labels" in named.attrs) == (["a", "b"], False)
    assert named["time"].values[0] == 0.025
    timed = as_recording(pd.DataFrame(values, index=time))
    np.testing.assert_allclose(timed["time"].values, time)
    assert timed["neuron"].values.tolist() == ["0", "1"]
    assert from_array(pd.Series(values[:, 0]), 20.0).shape == (60, 1)
    assert as_recording(pd.DataFrame(values, columns=range(5, 7)), 20.0)["neuron"].values.tolist() == ["5", "6"]
    zoned = pd.Timestamp("2024-10-27 01:59:58", tz="Europe/Berlin") + pd.to_timedelta(time, unit="s")
    np.testing.assert_allclose(as_recording(pd.DataFrame(values, index=zoned))["time"].values, time - 7)
    with pytest.raises(InputError, match=r"column 'time' that tells of its rows .* set_index\('time'\)"):
        as_recording(pd.DataFrame(values, index=pd.Index(time, name="time"), columns=["a", "b"]).reset_index(), 20.0)
    lacking = pd.DataFrame(values).mask(values > 0.9).convert_dtypes()
    assert as_recording(lacking, 20.0).isnull().sum() == (values > 0.9).sum()


@pytest.mark.parametrize("name", ["Time [ms]", "timestamp_ms", "t", "frame_number", "index", "Unnamed: 0", "Trial"])
def test_a_column_that_times_or_numbers_the_rows_is_refused_as_a_neuron(name: str) -> None:
    table = pd.DataFrame(np.random.default_rng(0).random((60, 2)), columns=["a", "b"])
    as_recording(table.assign(**{name: table["a"]}), 20.0)
    table[name] = (np.arange(60) / 20 * 1e3).round(-2)  # rounded times repeat
    with pytest.raises(InputError, match=r"that tells of its rows"):
        as_recording(table, 20.0)


@pytest.mark.parametrize("kind", [float, int])
def test_an_index_is_in_the_unit_of_its_name(kind: type) -> None:
    index = pd.Index((np.arange(60) * 50 + 7).astype(kind), name="time_ms")
    recording = as_recording(pd.DataFrame(np.random.default_rng(0).random((60, 2)), index=index))
    np.testing.assert_allclose(recording["time"].values, np.arange(60) / 20 + 7e-3)
    assert recording.attrs["frame_rate_hz"] == pytest.approx(20.0)


class OtherTable:
    """As tables of polars and Arrow are: columns with names, and no index."""

    def __init__(self, columns: dict[str, np.ndarray]) -> None:
        self.columns, self._of = list(columns), {name: pd.Series(column) for name, column in columns.items()}

    def __getitem__(self, name: str) -> pd.Series:
        return self._of[name]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.column_stack(list(self._of.values()))


def test_tables_of_other_packages_keep_their_names_and_have_no_times_among_them() -> None:
    values = np.random.default_rng(0).random((60, 2))
    columns = {"a": values[:, 0], "b": values[:, 1]}
    recording = as_recording(OtherTable(columns), 20.0)
    assert recording["neuron"].values.tolist() == ["a", "b"]
    np.testing.assert_array_equal(recording.values, values)
    with pytest.raises(InputError, match=r"column 'time' that tells of its rows"):
        as_recording(OtherTable({"time": np.arange(60) / 20, **columns}), 20.0)


def test_a_column_of_times_that_start_anew_is_no_neuron() -> None:
    table = pd.DataFrame({"time": np.tile(np.arange(30) / 20, 2), "a": np.random.default_rng(0).random(60)})
    with pytest.raises(InputError, match=r"column 'time' that tells of its rows"):
        as_recording(table, 20.0)


def test_an_index_that_cannot_be_read_as_times_is_not_thrown_away() -> None:
    table, dates = pd.DataFrame(np.random.default_rng(0).random((60, 2))), pd.date_range("2024-05-01", periods=60)
    for index in (dates.to_period(), dates.astype(str), dates.astype(object)):
        with pytest.raises(InputError, match="the index holds dates or times as"):
            as_recording(table.set_axis(index), 20.0)
    trials = pd.MultiIndex.from_product([range(2), np.arange(30) / 20], names=["trial", "time"])
    with pytest.raises(InputError, match="MultiIndex of 'trial', 'time'"):
        as_recording(table.set_axis(trials), 20.0)
    assert as_recording(table.set_axis([f"row {i}" for i in range(60)]), 20.0).shape == (60, 2)


def test_a_table_of_neurons_by_frames_keeps_its_names_and_times_too() -> None:
    values, time = np.random.default_rng(0).random((60, 2)), np.arange(60) / 20 + 7
    table = pd.DataFrame(values, index=time, columns=["a", "b"])
    turned = from_array(table.T, orientation="neuron,time")
    xr.testing.assert_equal(turned, from_array(table))
    assert turned.attrs["orientation"] == "neuron,time"


@pytest.mark.usefixtures("unchecked_types")
def test_a_table_is_checked_with_its_names_and_times():
    values, time = np.random.default_rng(0).random((900, 3)), np.arange(900) / 30
    table = pd.DataFrame(values, index=time).add_prefix("n")
    coords = {"time": time, "neuron": table.columns.to_numpy()}
    expected = check(xr.DataArray(values, coords, ("time", "neuron")))
    assert [finding.id for finding in check(table)] == [finding.id for finding in expected] != []
    with pytest.raises(InputError, match="column 'time' that tells of its rows"):
        check(table.rename_axis("time").reset_index())
    trials = pd.MultiIndex.from_product([range(9), np.arange(100) / 30], names=["trial", "time"])
    with pytest.raises(InputError, match="MultiIndex of 'trial', 'time'"):
        check(table.set_axis(trials))
