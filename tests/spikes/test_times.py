"""Spike times: mass becomes spikes, times are finer than frames, intervals hold the truth."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import antidrome as ad
from antidrome.errors import InputError
from antidrome.spikes.times import place_with_uncertainty
from antidrome.spikes.variational.levels import LARGEST_LOGIT


def edges(n, width=0.1):
    return np.column_stack([np.arange(n) * width, np.arange(1, n + 1) * width])


def test_a_certain_spike_lies_in_the_middle_of_its_frame():
    expected = np.zeros(20)
    expected[7] = 1.0
    found = place_with_uncertainty(expected, edges(20))
    np.testing.assert_allclose(found.time_s, 0.75)
    np.testing.assert_allclose([found.low_s[0], found.high_s[0]], [0.705, 0.795])
    assert found.probability == pytest.approx(1.0)


def test_a_spike_between_two_frames_lies_between_them():
    expected = np.zeros(20)
    expected[7], expected[8] = 0.25, 0.75
    found = place_with_uncertainty(expected, edges(20))
    assert found.time_s[0] == pytest.approx(0.8 + 0.1 / 3)


def test_a_burst_gives_as_many_spikes_as_its_mass():
    expected = np.r_[np.zeros(5), 2.0, 1.0, np.zeros(5), 0.3, 0, np.nan]
    found = place_with_uncertainty(expected, edges(len(expected)))
    assert len(found.time_s) == 3
    assert (np.diff(found.time_s) > 0).all()
    assert (found.low_s < found.time_s).all()
    assert (found.time_s < found.high_s).all()


@pytest.mark.parametrize("steps_per_s", [400, 640, 1600])
def test_the_least_that_a_network_can_say_is_no_spike(steps_per_s):
    edges = np.arange(60 * steps_per_s + 1) / steps_per_s
    least = np.full(len(edges) - 1, 1 / (1 + np.exp(LARGEST_LOGIT)))
    assert len(place_with_uncertainty(least, np.column_stack([edges[:-1], edges[1:]])).time_s) == 0


def test_nothing_gives_nothing():
    assert len(place_with_uncertainty(np.full(10, 0.01), edges(10)).time_s) == 0


@pytest.mark.parametrize("rate", [10.0, 30.0, 60.0, 100.0, 200.0])
def test_as_many_spikes_are_placed_at_every_frame_rate(rate):
    """Spikes that no frame is sure of get their times; a little of everything everywhere gets none."""
    n = round(40 * rate)
    frames = edges(n, 1 / rate)
    far = (frames.mean(axis=1)[:, None] - np.arange(1.0, 40.0, 2.0)) / 0.15
    weak = np.exp(-0.5 * far**2).sum(axis=1) / (0.15 * rate * np.sqrt(2 * np.pi))
    assert len(place_with_uncertainty(weak, frames).time_s) == 20
    assert len(place_with_uncertainty(np.full(n, 0.15 / rate), frames).time_s) == 0


def test_spikes_that_were_expected_and_got_no_time_are_told(unchecked_types):
    from antidrome.spikes.grid import FrameGrid
    from antidrome.spikes.times import placed

    time_s = np.arange(6) / 30
    recording = xr.DataArray(np.zeros((6, 2)), {"time": time_s, "neuron": ["a", "b"]}, ("time", "neuron"))
    rows = [np.array([0.0, 0.9, 0.0, 0.0, 0.4, np.nan]), np.asarray(np.nan)]
    found = placed(rows, recording, FrameGrid.of(time_s, 30.0), 30.0, 1)
    assert found.sizes["spike"] == 1
    assert found.attrs == {"frame_rate_hz": 30.0, "expected_spikes": 1.3}


def test_isolated_spikes_are_found_within_their_intervals():
    rng = np.random.default_rng(0)
    rate, true = 30.0, np.arange(3.0, 58.0, 4.0) + rng.uniform(-0.5, 0.5, 14)
    fine = np.arange(int(60 * rate) * 16) / (16 * rate)
    since = np.maximum(fine[:, None] - true, 0)
    response = (np.exp(-since / 0.5) - np.exp(-since / 0.02)).sum(axis=1)
    dff = response.reshape(-1, 16).mean(axis=1) + 0.04 * rng.standard_normal(1800)
    recording = ad.recordings.from_array(dff[:, None], rate, quantity="dff")
    recording = recording.assign_coords(time=(np.arange(1800) + 0.5) / rate)
    times = ad.SpikeVAE().spike_times(recording)
    spikes = ad.SpikeVAE().predict(recording, progress=False)
    xr.testing.assert_allclose(ad.SpikeVAE().spike_times(recording, result=spikes), times, rtol=1e-3)
    error = np.abs(times["time_s"].values[:, None] - true).min(axis=0)
    assert np.median(error) < 1 / rate
    near = np.abs(times["time_s"].values[:, None] - true).argmin(axis=0)
    inside = (times["low_s"].values[near] <= true) & (true <= times["high_s"].values[near])
    assert inside.mean() >= 0.6
    assert set(times["neuron"].values) == {str(recording["neuron"].values[0])}


def test_a_result_is_enough_where_nothing_is_missing(unchecked_types):
    from antidrome.spikes.grid import FrameGrid
    from antidrome.spikes.times import expected_of

    counts = np.array([[0.1, np.nan], [0.9, np.nan], [0.0, np.nan]], np.float32)
    result = xr.Dataset({"expected_spikes": (("time", "neuron"), counts)}, {"neuron": ["a", "b"]})
    recording = result["expected_spikes"]
    whole, gap = FrameGrid.of(np.arange(3) / 30, 30.0), FrameGrid.of(np.array([0, 1, 5]) / 30, 30.0)
    rows = list(expected_of(result, recording, whole, 1))
    np.testing.assert_array_equal(rows[0], counts[:, 0])
    assert rows[1].ndim == 0
    for known, grid, steps in ((result, gap, 1), (result, whole, 2), (None, whole, 1)):
        assert expected_of(known, recording, grid, steps) is None
    np.testing.assert_array_equal(next(expected_of(result.isel(neuron=0), recording[:, [0]], whole, 1)), counts[:, 0])
    with pytest.raises(InputError, match="Got a DataArray; expected the Dataset that"):
        expected_of(recording, recording, whole, 1)
    for other in (result.isel(neuron=[0]), result.isel(time=[0, 1]), result.assign_coords(neuron=["a", "c"])):
        with pytest.raises(InputError, match="of other neurons or frames than the recording"):
            expected_of(other, recording, whole, 1)
    first, second = (one.assign_coords(time=t + np.arange(3) / 30) for one, t in ((result, 0.0), (recording, 20.0)))
    with pytest.raises(InputError, match="of other neurons or frames than the recording"):
        expected_of(first, second, whole, 1)


def test_results_on_disk_are_read_a_block_at_a_time():
    from antidrome.spikes.grid import FrameGrid
    from antidrome.spikes.times import expected_of

    read = []

    def noted(block):
        read.append(block.shape[1])
        return block

    counts = np.random.default_rng(0).random((20, 5)).astype(np.float32)
    on_disk = da.from_array(counts, chunks=(20, (2, 3))).map_blocks(noted, dtype="f4", meta=np.empty((0, 0), "f4"))
    result = xr.Dataset({"expected_spikes": (("time", "neuron"), on_disk)}, {"neuron": list("abcde")})
    rows = expected_of(result, result["expected_spikes"], FrameGrid.of(np.arange(20) / 30, 30.0), 1)
    first = next(rows)
    assert read == [2]
    np.testing.assert_array_equal([first, *rows], counts.T)
    assert read == [2, 3]


def test_an_artefact_makes_no_more_rows_than_a_table_holds():
    expected = np.array([0.0, 1e30, 0.0, 2.0])
    edges = np.column_stack([np.arange(4.0), np.arange(1.0, 5.0)])
    found = place_with_uncertainty(expected, edges)
    assert len(found.time_s) == 10_002
