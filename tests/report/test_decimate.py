"""Decimation keeps extremes, sums and variances, and says nothing where nothing was measured."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from antidrome.report.decimate import bin_factor, bin_times, max_bins, min_max, sum_bins, thinned


@given(st.integers(1, 500), st.integers(1, 60))
def test_the_factor_is_the_smallest_that_fits(n_frames, most):
    factor = bin_factor(n_frames, most)
    assert -(-n_frames // factor) <= most
    assert factor == 1 or -(-n_frames // (factor - 1)) > most


def test_extremes_come_in_their_order_in_time(rng):
    trace = rng.standard_normal((3, 100))
    first, second = min_max(trace, 7)
    for i in range(15):
        piece = trace[1, 7 * i : 7 * i + 7]
        low, high = np.argmin(piece), np.argmax(piece)
        want = piece[sorted((low, high))]
        np.testing.assert_allclose([first[1, i], second[1, i]], want, rtol=1e-6)


def test_sums_and_missing_samples():
    values = np.array([[1.0, np.nan, 2.0, np.nan, np.nan, 3.0]])
    np.testing.assert_array_equal(sum_bins(values, 2), [[1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(sum_bins(values, 3), [[3.0, 3.0]])
    np.testing.assert_array_equal(max_bins(np.array([[np.nan, np.nan, 4.0]]), 2), [[np.nan, 4.0]])
    first, second = min_max(np.array([[np.nan, np.nan, 4.0]]), 2)
    assert np.isnan(first[0, 0])
    assert np.isnan(second[0, 0])


def test_bins_last_as_long_as_their_frames_even_across_a_gap():
    time_s = np.array([0.0, 1.0, 2.0, 10.0, 11.0])
    centre, duration = bin_times(time_s, 2)
    np.testing.assert_allclose(centre, [0.5, 6.0, 11.0])
    np.testing.assert_allclose(duration, [2.0, 2.0, 1.0])


def test_a_thinned_trace_keeps_its_spikes_beside_missing_samples():
    trace = np.full(40_000, -70.0)
    trace[::50] = np.nan
    trace[[1010, 2020]] = 40.0, -90.0
    time, values = thinned(np.arange(40_000.0), trace)
    assert {1010, 2020} <= set(time.tolist())
    assert np.isfinite(values).all()
