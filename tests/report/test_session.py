"""What the page says of a session agrees with the result, in one pass, whatever its size."""

import re

import numpy as np
import pytest
import xarray as xr

from antidrome.errors import InputError
from antidrome.report import heatmap
from antidrome.report import session as module
from antidrome.report.page import RunInfo
from antidrome.report.report import session_views
from antidrome.report.session import session_view
from antidrome.report.spikes_part import _browser_caption, spikes_part


def test_the_table_holds_the_results_own_numbers(fake_spikes):
    result = fake_spikes(5, 900)
    view = session_view(result)
    np.testing.assert_allclose(view.table["mean_rate_hz"], result["rate_hz"].mean("time"), rtol=1e-5)
    np.testing.assert_allclose(view.table["expected_spikes"], result["expected_spikes"].sum("time"), rtol=1e-5)
    np.testing.assert_allclose(view.table["amplitude"], result["amplitude"])
    assert view.duration_s == pytest.approx(30)


def test_blocks_and_dask_change_nothing(fake_spikes, monkeypatch):
    result = fake_spikes(7, 300)
    whole = session_view(result)
    monkeypatch.setattr(module, "BLOCK_VALUES", 600)
    parts = session_view(result.chunk({"neuron": 3}))
    for name, channel in whole.channels.items():
        assert parts.channels[name].text() == channel.text()
    np.testing.assert_array_equal(parts.heat_map.codes()[0], whole.heat_map.codes()[0])


def test_a_single_frame_lasts_as_long_as_the_recording_says(fake_spikes):
    view = session_view(fake_spikes(2, 1))
    np.testing.assert_allclose(view.bin_s, [1 / 30])


def test_large_recordings_are_decimated_and_capped(fake_spikes):
    view = session_view(fake_spikes(30, 3000), max_neurons=10, max_bins_total=5000)
    assert view.shown.size == 10
    assert view.shown[0] == 0
    assert view.shown[-1] == 29
    assert view.factor == 6
    assert len(view.neurons) == 30
    assert view.table["mean_rate_hz"].size == 30


def test_missing_frames_are_counted_and_not_taken_for_silence(fake_spikes):
    result = fake_spikes(2, 300)
    result["dff"][10:20, 0] = np.nan
    result["expected_spikes"][:, 1] = np.nan
    view = session_view(result)
    assert view.table["missing_frames"].tolist() == [10, 0]
    for name in ("mean_rate_hz", "expected_spikes", "expected_spikes_sd"):
        assert np.isnan(view.table[name][1]), f"{name} of nothing observed"
    codes, _ = view.heat_map.codes()
    assert (codes[1] == 255).all()


def test_spikes_that_were_put_into_missing_frames_do_not_count(fake_spikes):
    """Rates are per time observed: what inference puts where nothing was recorded follows from its prior."""
    result = fake_spikes(2, 300)
    whole = session_view(result).table
    result["dff"][100:200, 0] = np.nan
    result["expected_spikes"][100:200, 0] = 7.0
    part, counts = session_view(result).table, result["expected_spikes"].values
    outside = np.r_[counts[:100, 0], counts[200:, 0]].sum()
    seconds = 200 / result.attrs["frame_rate_hz"]
    assert part["expected_spikes"][0] == pytest.approx(outside, rel=1e-5)
    assert part["mean_rate_hz"][0] == pytest.approx(outside / seconds, rel=1e-5)
    assert part["mean_rate_hz"][1] == whole["mean_rate_hz"][1]


def test_the_heat_map_keeps_a_gap_in_time_empty(fake_spikes):
    result = fake_spikes(2, 300)
    time = result["time"].values.copy()
    time[150:] += 10
    codes, _ = session_view(result.assign_coords(time=time)).heat_map.codes()
    assert codes.shape == (2, 300)  # 20 s, of which the middle 10 s were not recorded
    assert (codes[0, :74] < 255).all()
    assert (codes[0, 76:224] == 255).all()
    assert (codes[0, 226:] < 255).all()


def test_a_pause_was_not_recorded(fake_spikes):
    result = fake_spikes(2, 1800)
    time = result["time"].values.copy()
    time[900:] += 60
    view = session_view(result.assign_coords(time=time))
    assert view.recorded_s == pytest.approx(60)
    assert view.duration_s == pytest.approx(120)
    run = RunInfo(title="", lede="", created="", command="", model="default", seed=0, config={}, versions={})
    page = spikes_part([view], run, {}).sections["run"]
    assert "1 min within 2 min" in page
    whole = spikes_part([session_view(result)], run, {}).sections["run"]
    assert "1 min within" not in whole
    for said in (page, whole):
        assert re.search(r"1 min\s*</[^>]*>\s*<[^>]*>\s*recorded at 30 Hz", said)


def test_what_is_drawn_of_trials_lies_where_frames_were_recorded(fake_spikes):
    """Trials of 125 frames with pauses of 10 s, in bins of 7 frames: 17 whole ones and one of 6."""
    result, n_trials = fake_spikes(2, 2500), 20
    trial = np.repeat(np.arange(n_trials), 125)
    time = result["time"].values + 10.0 * trial
    result["expected_spikes"][:] = 0
    result["expected_spikes"][::125] = 5
    view = session_view(result.assign_coords(time=time), max_bins_total=800)
    assert (view.factor, view.time_s.size) == (7, 18 * n_trials)
    assert np.abs(view.time_s[:, None] - time).min(axis=1).max() < 1 / 30
    assert view.bin_s.sum() == pytest.approx(view.recorded_s)
    channel = view.channels["count"]
    codes = np.frombuffer(channel.rows[0], "<u2").reshape(2, channel.width)[0, : view.time_s.size]
    spikes = np.flatnonzero(channel.offset[0] + channel.scale[0] * codes > 2.5)
    np.testing.assert_allclose(view.time_s[spikes], time[::125] + 3 / 30)


def test_the_caption_tells_the_length_of_a_whole_bin(fake_spikes):
    """The first trial has a single frame."""
    result = fake_spikes(1, 1001)
    time = result["time"].values + np.where(np.arange(1001), 60.0, 0.0)
    view = session_view(result.assign_coords(time=time), max_bins_total=300)
    assert _browser_caption(view).startswith("Drawn in bins of 4 frames (133 ms)")


def test_rates_are_those_of_a_rounded_clock(fake_spikes):
    result = fake_spikes(2, 1800)
    rounded = session_view(result.assign_coords(time=np.round(result["time"].values, 2)))
    np.testing.assert_allclose(rounded.table["mean_rate_hz"], session_view(result).table["mean_rate_hz"])
    assert rounded.recorded_s == pytest.approx(60)


def test_simulated_spikes_give_a_measured_correlation(fake_spikes):
    result = fake_spikes(3, 600)
    assert session_view(result).agreement == {}
    result["true_spikes"] = (result["expected_spikes"] > 0.5).astype("float32")
    assert 0.9 < session_view(result).agreement["mean_r_lag0"] <= 1


@pytest.mark.parametrize("n_frames", [1, 2])
def test_the_shortest_recordings_have_a_page(fake_spikes, n_frames):
    view = session_view(fake_spikes(1, n_frames))
    assert view.n_frames == n_frames


def test_other_datasets_are_refused_with_a_sentence():
    with pytest.raises(InputError, match="has no expected_spikes; it holds x"):
        session_view(xr.Dataset({"x": ("time", [1.0])}))


def test_many_sessions_share_the_rows_of_the_overview(fake_spikes, monkeypatch):
    monkeypatch.setattr(heatmap, "MAX_ROWS_TOGETHER", 60)
    result = fake_spikes(30, 300)
    assert [view.heat_map.rows.size for view in session_views([result] * 2)] == [30] * 2
    views = session_views([result] * 4)
    assert [view.heat_map.rows.size for view in views] == [20] * 4
    assert views[0].heat_map.rows[[0, -1]].tolist() == [0, 29]
    assert len(views[0].heat_map.codes()[0]) == 20
