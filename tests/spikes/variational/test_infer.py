"""Whole frames of an autoregressive posterior: what its samples say, however the frames are divided into steps."""

import dataclasses
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from antidrome.spikes.variational import Fit, FitConfig, PosteriorConfig, autocalibrate, infer, linear_model
from antidrome.spikes.variational.infer import _dependent
from antidrome.spikes.variational.posterior import Draw
from antidrome.spikes.variational.problem import Learned, Problem, generative, in_frames, network_inputs
from antidrome.spikes.variational.sanity import Sanity

inferring = sys.modules[infer.__module__]
RATE_HZ = 20.0
STEPS = 4
ONE_SPIKE_AN_EVENT = PosteriorConfig(
    kind="autoregressive",
    superresolution=STEPS,
    filters=(2,),
    widths=(3,),
    last_width=3,
    features=2,
    units=1,
    max_count=1,
)


def untrained(posterior, n_cells=2, n_frames=200):
    """A fit before any step, and the traces that it starts from."""
    config = FitConfig(batch=4, window_frames=80, buffer_before=20, buffer_after=10, posterior=posterior)
    traces = 0.1 * np.random.default_rng(0).standard_normal((n_cells, n_frames)).astype(np.float32)
    cells = autocalibrate(traces, RATE_HZ)
    start = in_frames(linear_model(cells), cells.noise_sd, config, 0.0)
    problem = Problem.of(start, cells, RATE_HZ, config, 4)
    learned = Learned.start(problem, config, key=jax.random.key(0))
    sanity = Sanity(np.ones(n_cells), np.ones(n_cells), np.zeros(n_cells, bool))
    observation = generative(learned, problem, config)
    return Fit(learned, problem, config, observation, cells.rate_hz, 0.0, sanity, {}), traces


@pytest.fixture(scope="module")
def refractory():
    """Log odds of 0.5 whatever the trace, and hardly any spike for some steps after one."""
    fitted, traces = untrained(ONE_SPIKE_AN_EVENT)
    silent = jax.tree.map(lambda x: 0 * x if eqx.is_inexact_array(x) else x, fitted.learned.posterior)
    values = (jnp.array([0.0, 0.0, 50.0]), jnp.array([[-12.0]]), jnp.array([0.5]))
    where = lambda x: (x.spike_weight, x.from_state.weight, x.from_inputs.bias)  # noqa: E731
    learned = eqx.tree_at(lambda x: x.posterior, fitted.learned, eqx.tree_at(where, silent, values))
    return fitted._replace(learned=learned), traces


def frames_drawn(level, n_frames, n_samples):
    """Spikes (frame, step, sample, row) with these log odds by the spikes before them in the frame, and the draw."""
    rng, level = np.random.default_rng(0), np.array(level)
    counts, logits = np.zeros((2, n_frames, STEPS, n_samples, 2), np.float32)
    for step in range(STEPS):
        logits[:, step] = level[np.minimum(counts.sum(axis=1), len(level) - 1).astype(int)]
        counts[:, step] = rng.random(logits[:, step].shape) < 1 / (1 + np.exp(-logits[:, step]))
    flat = jnp.asarray(counts).reshape(-1, n_samples, 2)
    return counts, Draw(flat, flat, jnp.asarray(logits).reshape(*flat.shape, 1))


@pytest.mark.parametrize("level", [(1.4,), (0.5, -7.0), (1.4, 0.0, -0.8), (-3.0, 1.0, 2.0)])
def test_few_samples_give_every_frame_about_its_own_spread(level):
    """16 samples, as a prediction takes: no frame is without spread, and they are near the truth."""
    many, _ = frames_drawn(level, 2, 20_000)
    sd, some = many.sum(axis=1).std(axis=1).mean(), (many.sum(axis=1) > 0).mean()
    variance, found = _dependent(frames_drawn(level, 1000, 16)[1], STEPS)
    assert np.asarray(variance).min() > 0
    assert np.sqrt(variance).mean() == pytest.approx(sd, abs=0.08)
    np.testing.assert_allclose(found, some, atol=0.01)
    assert np.asarray(found).max() <= 1


def test_steps_after_a_spike_count_as_they_are_drawn():
    counts, draw = frames_drawn((0.5, -7.0), 50, 400)
    variance, some = _dependent(draw, STEPS)
    in_frame = counts.sum(axis=1)
    assert some.mean() == pytest.approx((in_frame > 0).mean(), abs=0.01)
    assert variance.mean() == pytest.approx(in_frame.var(axis=1).mean(), abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["factorised", "autoregressive"])
def test_a_call_draws_no_more_than_memory_has_room_for(monkeypatch, kind):
    """As many rows at a time as the budget has room for, no row twice; what is drawn stays the same."""
    fitted, traces = untrained(dataclasses.replace(ONE_SPIKE_AN_EVENT, kind=kind), n_cells=3)
    n_rows = []

    def noted(problem, trace, cell):
        n_rows.append(len(trace))
        return network_inputs(problem, trace, cell)

    monkeypatch.setattr(inferring, "network_inputs", noted)
    found = infer(fitted, traces, n_samples=16, keep_samples=True)
    monkeypatch.setattr(inferring, "MOST_DRAWN", 2 * inferring.SHORTEST * STEPS * 16 + 1)
    in_parts = infer(fitted, traces, n_samples=16, keep_samples=True)
    monkeypatch.setattr(inferring, "MOST_DRAWN", 1)
    alone = infer(fitted, traces, n_samples=16, keep_samples=True)
    assert n_rows == [3, 2, 1]
    for other in (in_parts, alone):
        np.testing.assert_array_equal(other.samples, found.samples)
        np.testing.assert_allclose(other.mean, found.mean, rtol=1e-5)
        np.testing.assert_allclose(other.frame_sd, found.frame_sd, rtol=1e-4)


@pytest.mark.slow
def test_frames_of_several_steps_have_the_statistics_of_the_samples(refractory):
    fitted, traces = refractory
    found = infer(fitted, traces, n_samples=400, keep_samples=True)
    counts = found.samples.reshape(400, 2, -1, STEPS).sum(axis=3)
    assert found.frame_probability.shape == found.frame_sd.shape == traces.shape
    assert found.frame_probability.mean() == pytest.approx((counts > 0).mean(), abs=0.01)
    assert found.frame_sd.mean() == pytest.approx(counts.std(axis=0).mean(), abs=0.02)
    independent = 1 - (1 - found.probability).reshape(*traces.shape, STEPS).prod(axis=2)
    assert independent.mean() < found.frame_probability.mean() - 0.1


@pytest.mark.slow
def test_few_samples_are_not_all_that_is_averaged_over(refractory):
    fitted, traces = refractory
    found, one = infer(fitted, traces), infer(fitted, traces, n_samples=1, keep_samples=True)
    assert one.samples.shape == (1, 2, STEPS * traces.shape[1])
    np.testing.assert_allclose(one.mean, found.mean, atol=1e-6)
    assert found.frame_probability.max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "steps"), [("factorised", 3), ("autoregressive", 1)])
def test_steps_that_do_not_depend_on_each_other_are_combined_as_such(kind, steps):
    fitted, traces = untrained(dataclasses.replace(ONE_SPIKE_AN_EVENT, kind=kind, superresolution=steps))
    found = infer(fitted, traces)
    silent = (1 - found.probability).reshape(*traces.shape, steps)
    np.testing.assert_allclose(found.frame_probability, 1 - silent.prod(axis=2), rtol=1e-6)
    np.testing.assert_allclose(found.frame_sd**2, (found.sd**2).reshape(*traces.shape, steps).sum(axis=2), rtol=1e-5)
