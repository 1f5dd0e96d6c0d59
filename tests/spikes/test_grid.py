"""Dropped frames become missing places on the grid, whatever the jitter; times of spikes that users give."""

import numpy as np

from antidrome.spikes.grid import LONGEST_GAP_S, FrameGrid, spike_seconds


def test_regular_times_need_no_grid():
    grid = FrameGrid.of(np.arange(50) / 30, 30.0)
    traces = np.ones((2, 50))
    assert grid.n_missing == 0
    assert grid.spread(traces) is traces
    assert grid.gather(traces) is traces


def test_dropped_frames_are_found_and_jitter_is_not(rng):
    kept = np.setdiff1d(np.arange(300), [40, 41, 200])
    time = kept / 30 + rng.uniform(-0.2, 0.2, len(kept)) / 30
    grid = FrameGrid.of(time, 30.0)
    assert grid.n_missing == 3
    values = rng.standard_normal((1, len(kept)))
    spread = grid.spread(values)
    assert np.flatnonzero(np.isnan(spread[0])).tolist() == [40, 41, 200]
    np.testing.assert_array_equal(grid.gather(spread), values)


def test_a_long_pause_is_shortened():
    time = np.r_[np.arange(30), 30 + 3600 * 30 + np.arange(30)] / 30
    grid = FrameGrid.of(time, 30.0)
    assert grid.n_missing == LONGEST_GAP_S * 30 - 1
    assert grid.n_missing + grid.n_left_out == 3600 * 30


def test_a_neuron_without_spikes_has_an_empty_list_of_any_shape():
    for none in ([], np.zeros((0, 0)), np.zeros((1, 0)), np.array([], dtype=object)):  # MATLAB's [] is 0 × 0
        assert spike_seconds(none, 100, "It").shape == (0,)
