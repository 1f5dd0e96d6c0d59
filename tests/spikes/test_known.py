"""Known spikes: times and counts on the grid, and what cannot be used."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings import from_array
from antidrome.spikes.grid import FrameGrid
from antidrome.spikes.known import known_counts, notes_on_known, opened_known
from antidrome.spikes.opening import open_recording, open_sessions

RATE_HZ = 10.0


@pytest.fixture
def recording():
    array = from_array(
        np.random.default_rng(0).standard_normal((20, 3)), RATE_HZ, quantity="dff", neuron=["a", "b", "c"]
    )
    time = (np.arange(20) + 0.5) / RATE_HZ
    return array.assign_coords(time=time + np.where(np.arange(20) >= 10, 0.3, 0.0))


def place(known, recording, steps=1, chosen=(0, 1, 2)):
    grid = FrameGrid.of(recording["time"].values, RATE_HZ)
    return known_counts(opened_known(known, recording), recording, np.array(chosen), grid, RATE_HZ, steps)


def test_times_fall_into_their_frames_and_gaps_are_unknown(recording):
    counts = place({"b": [0.02, 0.05, 0.31, 1.15, 1.35]}, recording)
    assert counts.shape == (3, 23)
    assert np.isnan(counts[[0, 2]]).all()
    assert counts[1, 0] == 2
    assert counts[1, 3] == 1
    assert np.isnan(counts[1, 10:13]).all()
    assert counts[1, 13] == 1
    assert np.nansum(counts[1]) == 4


def test_times_fall_into_steps_of_their_frames(recording):
    counts = place({"a": [0.02, 0.08]}, recording, steps=2)
    assert counts.shape == (3, 46)
    np.testing.assert_array_equal(counts[0, :3], [1, 1, 0])


def test_counts_by_frame(recording):
    values = np.full((20, 1), np.nan)
    values[:5] = 1
    counts = place(xr.DataArray(values, dims=("time", "neuron"), coords={"neuron": ["c"]}), recording)
    assert np.nansum(counts[2]) == 5
    assert np.isnan(counts[:2]).all()


def test_what_cannot_be_used_is_refused(recording):
    with pytest.raises(InputError, match=r"all of its 2 spikes \(1000 to 5000\) lie far behind the recording"):
        place({"b": [1000.0, 5000.0]}, recording)
    with pytest.raises(InputError, match="expected a list of finite times in seconds"):
        place({"b": ["early"]}, recording)
    assert np.nansum(place({"b": [2.6, 2.7]}, recording)) == 0, "the electrode may have run longer"
    assert place(None, recording) is None
    with pytest.raises(InputError, match="no neuron 'd'"):
        place({"d": [1.0]}, recording)
    with pytest.raises(InputError, match="finite times"):
        place({"a": [np.nan]}, recording)
    with pytest.raises(InputError, match="2 spike trains for 3 neurons"):
        place([[1], [2]], recording)
    bad = xr.DataArray(np.full((20, 1), -1.0), dims=("time", "neuron"), coords={"neuron": ["a"]})
    with pytest.raises(InputError, match="negative"):
        place(bad, recording)
    with pytest.raises(InputError, match="dimensions"):
        place(bad.isel(time=slice(5)), recording)


def test_counts_of_one_neuron_are_not_taken_for_times(recording):
    with pytest.raises(InputError, match=r"neuron 'b': a whole number for each of the 20 frames looks like counts"):
        place({"b": [0, 1] * 10}, recording)


def test_counts_may_have_labels_of_any_type_and_usual_names_of_axes(recording):
    numbered = recording.assign_coords(neuron=["0", "1", "2"])
    counts = xr.DataArray(np.eye(20)[:, :3], dims=("frame", "roi"))
    for given in (counts, counts.assign_coords(roi=[0, 1, 2]), counts.rename(frame="time", roi="neuron").T):
        placed = place(given, numbered)
        np.testing.assert_array_equal(placed[:, :3], np.eye(3))
    assert opened_known(None, recording) is None
    with pytest.raises(InputError, match="no neuron '0'"):
        opened_known(counts, recording)
    with pytest.raises(InputError, match=r"other times than the recording \(100.05 to"):
        opened_known(recording.fillna(0).clip(0).assign_coords(time=recording["time"] + 100), recording)


def test_counts_of_frames_without_a_time_and_what_is_no_count_are_refused(recording):
    counts = recording.fillna(0).clip(0)
    elsewhere = recording["time"].values + 100
    elsewhere[3] = np.nan
    with pytest.raises(InputError, match="other times than the recording"):
        opened_known(counts.assign_coords(time=elsewhere), recording)
    with pytest.raises(InputError, match="values of type object"):
        opened_known(counts.astype(object), recording)
    with pytest.raises(InputError, match="negative or infinite"):
        opened_known(counts + np.inf, recording)


def test_spike_times_keep_their_units_and_gaps_and_are_no_counts(recording):
    expected = place({"a": [0.12, 0.48]}, recording)
    in_ms = xr.DataArray([120.0, 480.0], dims="spike", attrs={"units": "ms"})
    for times in (np.array([120, 480], "timedelta64[ms]"), in_ms, np.array([0.12, 0.48], object)):
        np.testing.assert_array_equal(place({"a": times}, recording), expected)
    with pytest.raises(InputError, match="finite times"):
        place({"a": np.ma.array([0.12, 0.48], mask=[False, True])}, recording)
    with pytest.raises(InputError, match="looks like counts"):
        place({"a": np.arange(20) % 2}, recording)


def test_known_spikes_that_no_frame_saw_are_counted(recording):
    time_s = recording["time"].values
    trains = opened_known({"a": time_s, "b": []}, recording)
    assert notes_on_known(trains, recording, RATE_HZ) == notes_on_known(None, recording, RATE_HZ) == []
    assert notes_on_known(opened_known(recording.fillna(0).clip(0), recording), recording, RATE_HZ) == []
    in_frames = opened_known({"a": np.array([1, 4, 12, 17]), "b": np.array([1, 2])}, recording)
    (note,) = notes_on_known(in_frames, recording, RATE_HZ)
    assert note.startswith("3 of 6 true spikes lie before the first or after the last frame, or in a gap")


def test_tables_and_results_are_not_known_spikes(recording):
    found = xr.Dataset({"time_s": ("spike", [1.0]), "neuron": ("spike", ["a"])})
    for given in (recording.to_pandas(), recording.to_pandas()["a"], found, 3, iter([[1.0]]), {(1.0,)}, "a.npy"):
        with pytest.raises(InputError, match=f"known_spikes: got a {type(given).__name__}, expected times in seconds"):
            opened_known(given, recording)
    for given in (recording.values, recording.values.T):
        with pytest.raises(InputError, match="may be trains or counts"):
            opened_known(given, recording)


def test_trains_are_matched_as_scores_match_them(recording):
    by_label = {"a": np.array([0.12]), "b": np.array([0.31, 0.48]), "c": np.array([])}
    expected = place(by_label, recording)
    for trains in (pd.Series(by_label)[["c", "b", "a"]], pd.Series(list(by_label.values())), list(by_label.values())):
        np.testing.assert_array_equal(place(trains, recording), expected)
    with pytest.raises(InputError, match="name a neuron more than once"):
        opened_known(pd.concat([pd.Series(by_label)] * 2), recording)
    with pytest.raises(InputError, match="more than once"):
        opened_known({1: [0.1], "1": [0.2]}, recording.assign_coords(neuron=["1", "2", "3"]))


def test_a_dataset_is_no_set_of_sessions(recording):
    with pytest.raises(InputError, match=r"got a Dataset with variables 'dff', 'neuropil'"):
        open_sessions(xr.Dataset({"dff": recording, "neuropil": recording}), None, None)
    with pytest.raises(InputError, match=r"A list of 2 recordings was given; expected one, or {session: recording}"):
        open_sessions([recording, recording], None, None)
    with pytest.raises(InputError, match="this takes one at a time"):
        open_recording({"a": recording}, None)


def test_spikes_between_frames_of_an_uneven_clock_are_kept():
    """Intervals of up to one and a half periods are no gaps: their spikes belong to the nearest frame."""
    time_s = (np.arange(20) + 0.5) / RATE_HZ
    time_s[10:] += 0.04
    recording = from_array(np.zeros((20, 1)), quantity="dff", neuron=["a"], time=time_s)
    recording.attrs["frame_rate_hz"] = RATE_HZ
    times = time_s[9] + np.array([0.051, 0.06, 0.069, 0.071, 0.08, 0.089])
    grid = FrameGrid.of(time_s, RATE_HZ)
    for steps in (1, 3):
        counts = known_counts({"a": times}, recording, np.array([0]), grid, RATE_HZ, steps)
        before, after = counts[0].reshape(20, steps)[9:11]
        assert (before.sum(), before[-1], after.sum(), after[0]) == (3, 3, 3, 3)
    assert notes_on_known({"a": times}, recording, RATE_HZ) == []
