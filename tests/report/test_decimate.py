"""Decimation keeps extremes, sums and variances, and says nothing where nothing was measured."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from antidrome.report.decimate import Bins, bin_factor, max_bins, min_max, sum_bins, thinned


def regular(n_frames, factor):
    return Bins(factor, np.arange(n_frames))


@given(st.integers(1, 500), st.integers(1, 60))
def test_the_factor_is_the_smallest_that_fits(n_frames, most):
    factor = bin_factor(n_frames, most)
    assert -(-n_frames // factor) <= most
    assert factor == 1 or -(-n_frames // (factor - 1)) > most


def test_extremes_come_in_their_order_in_time(rng):
    trace = rng.standard_normal((3, 100))
    first, second = min_max(trace, regular(100, 7))
    for i in range(15):
        piece = trace[1, 7 * i : 7 * i + 7]
        low, high = np.argmin(piece), np.argmax(piece)
        want = piece[sorted((low, high))]
        np.testing.assert_allclose([first[1, i], second[1, i]], want, rtol=1e-6)


def test_sums_and_missing_samples():
    values = np.array([[1.0, np.nan, 2.0, np.nan, np.nan, 3.0]])
    np.testing.assert_array_equal(sum_bins(values, regular(6, 2)), [[1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(sum_bins(values, regular(6, 3)), [[3.0, 3.0]])
    np.testing.assert_array_equal(max_bins(np.array([[np.nan, np.nan, 4.0]]), regular(3, 2)), [[np.nan, 4.0]])
    first, second = min_max(np.array([[np.nan, np.nan, 4.0]]), regular(3, 2))
    assert np.isnan(first[0, 0])
    assert np.isnan(second[0, 0])


@given(st.integers(1, 500), st.integers(1, 60))
def test_without_pauses_every_bin_but_the_last_is_whole(n_frames, most):
    bins = Bins.at_most(most, np.arange(n_frames) / 30)
    assert bins.factor == bin_factor(n_frames, most)
    np.testing.assert_array_equal(bins.places, np.arange(n_frames))


def test_no_bin_spans_a_pause():
    """A trial of 5 frames, 60 s of pause, a trial of 4: a bin across the pause would lie half a minute from both."""
    time_s = np.r_[0:5, 65:69].astype(float)
    bins = Bins.at_most(5, time_s)
    assert (bins.factor, bins.count) == (2, 5)
    centre, duration = bins.times(time_s, 1.0)
    np.testing.assert_allclose(centre, [0.5, 2.5, 4.0, 65.5, 67.5])
    np.testing.assert_allclose(duration, [2.0, 2.0, 1.0, 2.0, 2.0])
    np.testing.assert_array_equal(sum_bins(np.ones((1, 9)), bins), [[2, 2, 1, 2, 2]])


def test_lost_frames_leave_their_places_empty():
    time_s = np.array([0.0, 1.0, 2.0, 4.0, 5.0, 6.0, 7.0])
    bins = Bins.at_most(2, time_s)
    assert bins.factor == 4
    np.testing.assert_array_equal(bins.split(np.arange(7.0)[None])[0], [[0, 1, 2, np.nan], [3, 4, 5, 6]])
    np.testing.assert_allclose(bins.times(time_s, 1.0)[1], [3, 4])


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 40)), min_size=1, max_size=30), st.integers(1, 60))
def test_no_bin_is_empty_or_lasts_longer_than_its_places(trials, most):
    """A long stretch, and trials (frame periods of pause, frames) behind it."""
    steps = np.concatenate([np.ones(1200, int), *(np.r_[pause, np.ones(n - 1, int)] for pause, n in trials)])
    frames = np.cumsum(steps)
    bins = Bins.at_most(most, frames / 30)
    assert bins.count <= most
    starts = np.flatnonzero(np.diff(bins.places // bins.factor, prepend=-1))
    assert starts.size == bins.count
    assert (frames[np.append(starts[1:], frames.size) - 1] - frames[starts]).max() < bins.factor
    assert sum_bins(np.ones((1, frames.size)), bins).sum() == frames.size


def test_a_thinned_trace_keeps_its_spikes_beside_missing_samples():
    trace = np.full(40_000, -70.0)
    trace[::50] = np.nan
    trace[[1010, 2020]] = 40.0, -90.0
    time, values = thinned(np.arange(40_000.0), trace)
    assert {1010, 2020} <= set(time.tolist())
    assert np.isfinite(values).all()
