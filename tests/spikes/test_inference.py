"""Cutting a recording into windows and joining them is invisible in the result."""

import jax
import numpy as np
import pytest

from antidrome.spikes import inference
from antidrome.spikes.counts import CountPosterior
from antidrome.spikes.inference import FASTEST_HZ, WINDOW, WindowPlan, group_size, infer_counts, spacing
from antidrome.spikes.recognition import RecognitionConfig, RecognitionNetwork


@pytest.fixture(scope="module")
def network():
    config = RecognitionConfig(channels=8, first_width=5, width=3, dilations=(1, 2), recurrent=8)
    return RecognitionNetwork(config, key=jax.random.key(3))


@pytest.mark.parametrize("n_frames", [1, 255, 256, 257, 2047, 2048, 2049, 9000])
def test_join_undoes_cut(n_frames):
    plan = WindowPlan.of(n_frames)
    x = np.arange(2 * n_frames, dtype=np.float32).reshape(2, n_frames)
    windows = plan.cut(x[..., None])
    assert windows.shape == (2 * plan.count, plan.window, 1)
    np.testing.assert_array_equal(plan.join(windows[..., 0]), x)


def test_windows_agree_with_one_pass(network, rng, monkeypatch):
    trace = rng.standard_normal((1, 4 * WINDOW - 100)).astype(np.float32)
    cut = infer_counts(network, trace, 30.0)
    monkeypatch.setattr("antidrome.spikes.inference.WINDOW", 8 * WINDOW)
    whole = infer_counts(network, trace, 30.0)
    np.testing.assert_allclose(cut.mean, whole.mean, rtol=2e-2, atol=1e-4)


def test_every_frame_of_a_fast_recording_has_a_value(network, rng):
    rate = 3 * FASTEST_HZ - 1
    traces = rng.standard_normal((2, 700)).astype(np.float32)
    traces[0, 300:320] = np.nan
    posterior = infer_counts(network, traces, rate)
    assert group_size(rate) == 3
    assert posterior.logit.shape == (2, 700)
    assert np.isfinite(posterior.mean).all()


def test_groups_keep_the_expected_number_of_spikes(network, rng):
    traces = rng.standard_normal((1, 2000)).astype(np.float32)
    fast = float(np.sum(infer_counts(network, traces, 2 * FASTEST_HZ).mean))
    grouped = [traces[:, phase : phase + 1998].reshape(1, -1, 2).mean(axis=2) for phase in (0, 1)]
    slow = np.mean([float(np.sum(infer_counts(network, g, FASTEST_HZ).mean)) for g in grouped])
    assert fast == pytest.approx(slow, rel=0.05)


@pytest.mark.parametrize("n_grouped", [1, 2, 3, 4])
def test_groups_of_frames_lie_around_their_frame(network, rng, monkeypatch, n_grouped):
    """With a network that looks at one frame alone, time turned round turns the result round: nothing is delayed."""

    def of_one_frame(_, traces, *__):
        return CountPosterior(traces.astype(np.float32), np.full(traces.shape, 0.5, np.float32))

    monkeypatch.setattr(inference, "_infer_direct", of_one_frame)
    traces = rng.standard_normal((2, 101)).astype(np.float32)
    there, back = (infer_counts(network, x, n_grouped * FASTEST_HZ) for x in (traces, traces[:, ::-1]))
    np.testing.assert_allclose(there.mean, back.mean[:, ::-1], rtol=1e-4)
    np.testing.assert_allclose(there.logit, back.logit[:, ::-1], atol=1e-4)


def test_the_spacing_of_frames_is_each_traces_own():
    """77 % of the frames are there: as they are, whoever else is in the batch."""
    traces = np.zeros((2, 1000), np.float32)
    traces[0, np.flatnonzero(np.arange(1000) % 13 % 4 == 3)] = np.nan
    traces[1, :400] = np.nan
    assert spacing(traces[:1]).tolist() == [1]
    assert spacing(traces).tolist() == [1, 1]
    traces[1] = np.where(np.arange(1000) % 3, np.nan, 0)
    assert spacing(traces).tolist() == [1, 3]


def test_a_trace_of_hardly_any_frames_is_not_inferred_once_for_each_of_them(network, monkeypatch):
    """Groups are no longer than the slowest rate allows: two frames, 900 apart, are not 900 phases."""
    calls = []
    direct = inference._infer_direct
    monkeypatch.setattr(inference, "_infer_direct", lambda *a: calls.append(a[2]) or direct(*a))
    traces = np.full((1, 1000), np.nan, np.float32)
    traces[0, [50, 950]] = 0.0, 1.0
    posterior = infer_counts(network, traces, 30.0)
    assert np.isfinite(np.asarray(posterior.mean)).all()
    assert set(calls) == {2.0}
    assert len(calls) == 15


@pytest.mark.parametrize("n_frames", [2, 3, 4, 5])
def test_frames_far_apart_in_a_short_recording_leave_two_groups(network, n_frames):
    traces = np.full((1, n_frames), np.nan, np.float32)
    traces[0, [0, -1]] = 0.0, 1.0
    assert np.isfinite(np.asarray(infer_counts(network, traces, 30.0).mean)).all()
