"""Adaptation: cells are described rightly, simulations look like them, and the start is kept unless it gains."""

import json
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import antidrome as ad
from antidrome.errors import InputError, ResumeError
from antidrome.spikes import fitting, learning
from antidrome.spikes.adaptation import (
    AdaptationConfig,
    Recorded,
    adapt,
    describe_cells,
    evidence_bound,
    lots,
    reconstruct,
    working_rate,
)
from antidrome.spikes.adaptation.adapt import _made_from, acceptable, adaptation_loss, mix
from antidrome.spikes.adaptation.cells import respond
from antidrome.spikes.adaptation.lots import RECORDED_FRAMES, Lot, known_stretch, mean_lag, shared_summary
from antidrome.spikes.adaptation.matched import FRAMES
from antidrome.spikes.conditioning import condition
from antidrome.spikes.counts import CountPosterior
from antidrome.spikes.inference import infer_counts
from antidrome.spikes.starts import make_model
from antidrome.spikes.weights import load_network

RATE_HZ = 30.0


@pytest.fixture(scope="module")
def simulated():
    return ad.spikes.simulate(n_neurons=4, duration_s=60, frame_rate_hz=RATE_HZ, seed=3, indicator="slow")


@pytest.fixture(scope="module")
def network():
    return load_network("simulations")[0]


@pytest.fixture(scope="module")
def lot(simulated, network):
    draw = np.random.default_rng(0)
    return Lot.of(network, Recorded(simulated["dff"].values.T, RATE_HZ), None, draw)


def test_cells_are_described_by_their_true_spikes(simulated):
    true = simulated["spike_count"].values.T.astype(float)
    cells = describe_cells(simulated["dff"].values.T, true, RATE_HZ)
    np.testing.assert_allclose(cells.amplitude, simulated["true_amplitude"], rtol=0.25)
    np.testing.assert_allclose(cells.decay_s, simulated["true_decay_s"], rtol=0.5)
    np.testing.assert_allclose(cells.rate_hz, true.mean(axis=1) * RATE_HZ, rtol=1e-6)
    explained = reconstruct(cells, true, RATE_HZ)
    for i in range(4):
        assert np.corrcoef(explained[i], simulated["dff"].values[:, i])[0, 1] > 0.7


def test_a_cell_without_spikes_or_frames_is_not_known():
    traces = np.random.default_rng(0).standard_normal((3, 300))
    traces[1] = np.nan
    spikes = np.zeros((3, 300))
    spikes[2, ::30] = 1
    cells = describe_cells(traces, spikes, RATE_HZ)
    assert not cells.responding[:2].any()
    assert np.isfinite(reconstruct(cells, spikes, RATE_HZ)).all()


def test_the_response_peaks_at_one():
    spikes = np.zeros((2, 400))
    spikes[:, 10] = 1
    out = respond(spikes, np.array([0.5, 0.5]), np.array([0.0, 0.1]), 100.0)
    np.testing.assert_allclose(out.max(axis=1), 1, rtol=1e-6)
    assert out[0].argmax() == 10
    assert 20 < out[1].argmax() < 40


def test_simulations_look_like_the_cells(lot):
    draw = np.random.default_rng(1)
    traces, counts = lot.matched(draw, 64)
    assert traces.shape == counts.shape == (64, lot.traces.shape[1])
    assert np.median(traces.std(axis=1)) == pytest.approx(np.median(lot.traces.std(axis=1)), rel=0.5)
    assert np.median(counts.mean(axis=1)) * RATE_HZ == pytest.approx(np.median(lot.cells.rate_hz), rel=1.0)
    examples = lot.examples(traces, counts)
    assert examples.channels.shape[1] == FRAMES
    assert examples.counts.sum() == counts.sum()
    assert not examples.observed.any()


@pytest.mark.parametrize("lag", [-2, 0, 3])
def test_lags_are_measured_to_a_fraction(lag):
    counts = (np.random.default_rng(0).random((5, 400)) < 0.03).astype(float)
    late = np.roll(counts, lag, axis=1)
    assert mean_lag(late, counts) == pytest.approx(lag, abs=0.05)
    between = 0.7 * late + 0.3 * np.roll(late, 1, axis=1)
    assert lag < mean_lag(between, counts) < lag + 0.5


def test_the_start_finds_simulated_spikes_in_their_place(lot, network):
    traces, counts = lot.matched(np.random.default_rng(5), 64)
    found = np.asarray(infer_counts(network, traces, RATE_HZ).mean)
    assert abs(mean_lag(found, counts)) < 0.35


def test_the_bound_prefers_the_true_spikes_to_none_and_to_shifted_ones(simulated, lot):
    true = simulated["spike_count"].values.T.astype(float)

    def bound(counts):
        logit = np.where(counts > 0, 5.0, -5.0).astype(np.float32)
        posterior = CountPosterior(logit, np.maximum(counts - 1, 1e-3).astype(np.float32))
        return evidence_bound(posterior, lot.traces, lot.cells, RATE_HZ, 0)

    assert (bound(true) > bound(0 * true)).all()
    assert (bound(true) > bound(np.roll(true, 40, axis=1))).all()


def test_consistency_is_least_at_the_start(lot, network):
    batch = lot.examples(lot.traces, np.full(lot.traces.shape, np.nan), real=True)
    assert not batch.inside.any()
    assert batch.observed.any()
    batch = jax.tree.map(jnp.asarray, batch.take(np.arange(2)))
    loss = jax.jit(lambda net: adaptation_loss(net, batch, 1.0))
    there = eqx.tree_at(lambda net: net.head.bias, network, network.head.bias + jnp.array([0.5, -0.5]))
    assert loss(network) < loss(there)
    halfway = loss(mix(network, there, 0.5))
    assert loss(network) < halfway < loss(there)


def test_what_cells_share_is_blended_into_each(lot):
    prior = shared_summary([lot], 0.3)
    summary = condition(lot.traces, RATE_HZ)[1]
    blended = prior.blend(summary)
    np.testing.assert_allclose(blended.mean(axis=0), summary.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(blended[:, -3:], summary[:, -3:])
    spread = blended[:, :-3].std(axis=0) / np.maximum(summary[:, :-3].std(axis=0), 1e-9)
    np.testing.assert_allclose(spread[summary[:, :-3].std(axis=0) > 1e-3], 0.7, rtol=1e-2)
    assert shared_summary([lot], 0.0) is None


def test_a_candidate_needs_every_criterion():
    start = {"matched_r": 0.7, "bound": -1.0, "wide_r": 0.6, "shift_s": 0.0, "spikes": 100.0}
    better = {"matched_r": 0.72, "bound": -0.99, "wide_r": 0.6, "shift_s": 0.002, "spikes": 120.0}
    assert acceptable(better, start, 0.002)
    for change in ({"matched_r": 0.701}, {"bound": -1.1}, {"wide_r": 0.58}, {"shift_s": 0.01}, {"spikes": 250.0}):
        assert not acceptable(better | change, start, 0.002)


def test_fast_recordings_are_averaged():
    slower, rate = working_rate(np.arange(12.0).reshape(1, 12), 120.0)
    assert rate == 60
    np.testing.assert_array_equal(slower[0], np.arange(6) * 2 + 0.5)


def test_nothing_to_adapt_to_is_said(network):
    flat = np.zeros((2, 600), np.float32)
    with pytest.raises(InputError, match="None of the 2 neurons"):
        adapt(network, [Recorded(flat, RATE_HZ)], AdaptationConfig(), progress=False)
    with pytest.raises(InputError, match="shares"):
        AdaptationConfig(matched=0, wide=0, real=0)


def test_a_trace_that_rests_in_most_frames_shows_some_noise():
    traces = np.zeros((3, 600))
    traces[0, 100:110] = 0.5
    traces[1] = 0.1 * np.random.default_rng(0).standard_normal(600)
    traces[1, 50] = 1000.0
    cells = describe_cells(traces, (traces > 0.4).astype(float), RATE_HZ)
    assert cells.noise_sd[0] == 0.5e-3
    assert cells.noise_sd[1] == pytest.approx(0.1, rel=0.2)
    assert cells.noise_sd[2] == 0


def test_all_that_an_adaptation_follows_from_is_told(network, simulated):
    recorded = Recorded(simulated["dff"].values.T, RATE_HZ)
    made = [partial(make_model, name) for name in ("linear", "scdf", "neural")]
    other = [
        (network, [recorded], None),
        *((network, [recorded], make) for make in made),
        (network, [recorded], lambda cells: make_model("linear", cells._replace(amplitude=2 * cells.amplitude))),
        (network, [recorded, recorded], None),
        (network, [recorded._replace(frame_rate_hz=31.0)], None),
        (network, [recorded._replace(traces=recorded.traces + 1e-6)], None),
        (network, [recorded._replace(known=np.zeros(recorded.traces.shape))], None),
        (jax.tree.map(lambda x: 2 * x if eqx.is_inexact_array(x) else x, network), [recorded], None),
    ]
    told = [json.dumps(_made_from(*one)) for one in other]
    assert len(set(told)) == len(other)
    assert told == [json.dumps(_made_from(*one)) for one in other]


@pytest.mark.slow
def test_an_adaptation_goes_on_where_answers_differ_in_the_last_digits(simulated, network, tmp_path, monkeypatch):
    config = AdaptationConfig(steps=2, batch=8, simulated_cells=24)
    recorded = [Recorded(simulated["dff"].values.T, RATE_HZ)]
    first = adapt(network, recorded, config, checkpoint=tmp_path, progress=False)

    def answered_elsewhere(*arguments):
        return jax.tree.map(lambda x: x * np.float32(1 + 1e-6), infer_counts(*arguments))

    monkeypatch.setattr(lots, "infer_counts", answered_elsewhere)
    again = adapt(network, recorded, config, checkpoint=tmp_path, progress=False)
    assert again.history == first.history
    with pytest.raises(ResumeError, match="frame rates differ"):
        adapt(network, [recorded[0]._replace(frame_rate_hz=31.0)], config, checkpoint=tmp_path, progress=False)


@pytest.mark.slow
def test_it_improves_on_its_own_simulations_and_resumes(simulated, network, tmp_path):
    config = AdaptationConfig(steps=8, batch=8, simulated_cells=24, gain=-1.0)
    recorded = [Recorded(simulated["dff"].values.T, RATE_HZ)]
    first = adapt(network, recorded, config, seed=1, checkpoint=tmp_path, progress=False)
    assert len(first.report) == 2
    assert first.prior.share == config.pooling
    again = adapt(network, recorded, config, seed=1, checkpoint=tmp_path, progress=False)
    for a, b in zip(jax.tree.leaves(first.network), jax.tree.leaves(again.network), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_learned_from_holds_the_known_frames():
    n = RECORDED_FRAMES + 1000
    known = np.full((2, n), np.nan)
    for first in (0, 500, 1000):
        known[:] = np.nan
        known[1, first : first + RECORDED_FRAMES] = 0
        assert known_stretch(known) == slice(first, first + RECORDED_FRAMES)
    for anything in (None, np.zeros((2, n)), np.full((2, n), np.nan), np.zeros((2, 100))):
        assert known_stretch(anything).stop == RECORDED_FRAMES
    assert learning._left_out(np.ones((2, n))) == 2000
    assert learning._left_out(np.full((2, n), np.nan)) == learning._left_out(None) == 0


def test_known_spikes_that_are_not_learned_from_are_counted(simulated):
    traces = simulated["dff"].values.T
    learn = learning.Lesson(traces, simulated["neuron"].values, None, 0, n_known_left_out=3)
    (note,) = fitting._of_lesson(learn, simulated["dff"])
    assert note.startswith("3 known spikes were not learned from: 8,192 frames")
