"""What the network is told does not depend on offset, order or company of a trace, and never is NaN."""

import numpy as np
import pytest

from antidrome.spikes.conditioning import (
    N_CHANNELS,
    N_SUMMARY,
    OFFSETS_S,
    _onset_profile,
    _steepest_rises,
    condition,
    noise_sd,
)


@pytest.fixture
def traces(rng):
    return (rng.standard_normal((4, 900)) * [[0.02], [0.1], [0.1], [1.0]] + rng.gamma(0.3, 0.5, (4, 900))).astype(
        np.float32
    )


def test_shapes(traces):
    channels, summary = condition(traces, 30.0)
    assert channels.shape == (4, 900, N_CHANNELS)
    assert summary.shape == (4, N_SUMMARY)


def test_offset_changes_nothing_and_gain_only_its_own_hint(traces):
    channels, summary = condition(traces, 30.0)
    moved_channels, moved_summary = condition(3 * traces + 7, 30.0)
    np.testing.assert_allclose(moved_channels, channels, atol=2e-3)
    different = np.flatnonzero(np.abs(moved_summary - summary).max(axis=0) > 1e-2)
    assert different.tolist() == [N_SUMMARY - 2]


def test_neurons_do_not_influence_one_another(traces):
    order = [2, 0, 3, 1]
    channels, summary = condition(traces, 30.0)
    other_channels, other_summary = condition(traces[order], 30.0)
    np.testing.assert_array_equal(other_channels, channels[order])
    np.testing.assert_array_equal(other_summary, summary[order])


def test_missing_frames_are_marked_and_the_rest_stays(traces):
    broken = traces.copy()
    broken[0, 100:110] = np.nan
    channels, summary = condition(broken, 30.0)
    assert np.isfinite(channels).all()
    assert np.isfinite(summary).all()
    assert channels[0, 95:115, 3].tolist() == [1] * 5 + [0] * 10 + [1] * 5
    np.testing.assert_allclose(summary[0], condition(traces, 30.0)[1][0], atol=0.1)


@pytest.mark.parametrize("n_frames", [2, 3, 40])
def test_short_constant_and_empty_traces_give_finite_input(n_frames):
    traces = np.zeros((2, n_frames), np.float32)
    traces[1] = np.nan
    channels, summary = condition(traces, 7.5)
    assert np.isfinite(channels).all()
    assert np.isfinite(summary).all()


def test_noise_is_found_under_spikes(rng):
    clean = np.convolve(rng.random(5000) < 0.02, np.exp(-np.arange(60) / 15))[:5000]
    noisy = clean + 0.07 * rng.standard_normal(5000)
    assert noise_sd(noisy[None])[0] == pytest.approx(0.07, rel=0.15)


def test_the_onset_profile_tells_an_instant_rise_from_a_slow_one(rng):
    spikes = (rng.random((1, 3000)) < 0.01).astype(float)
    decaying = np.exp(-np.arange(200) / 30)
    instant, slow = (
        np.apply_along_axis(np.convolve, 1, spikes, kernel)[:, :3000]
        for kernel in (decaying, decaying - np.exp(-np.arange(200) / 8))
    )
    traces = np.concatenate([instant, slow]) + 0.05 * rng.standard_normal((2, 3000))
    profile = _onset_profile(traces / 0.05, np.ones(traces.shape, bool), 30.0)
    at_onset = profile[:, OFFSETS_S.index(0.0)]
    assert at_onset[0] > 0.9
    assert at_onset[1] < 0.7


def test_the_steepest_rises_are_the_frames_of_isolated_spikes():
    trace = np.zeros((1, 500))
    trace[0, 50:] += 1
    trace[0, 300:] += 2
    onsets = _steepest_rises(trace, np.ones(trace.shape, bool), 3)
    assert {50, 300} <= set(onsets[0].tolist())
