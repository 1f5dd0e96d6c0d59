"""The whole fit at toy size: it learns, recovers parameters, uses known spikes, and resumes to the same bytes."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import lfilter

from antidrome.core.seeds import jax_key
from antidrome.errors import InputError, ResumeError
from antidrome.spikes.generative import LinearModel, Observation
from antidrome.spikes.metrics import correlation
from antidrome.spikes.variational import (
    FitConfig,
    PosteriorConfig,
    autocalibrate,
    fit,
    fit_with_restarts,
    for_new_cells,
    infer,
    linear_model,
)
from antidrome.spikes.variational.fit import phases
from antidrome.spikes.variational.problem import Learned, Problem, generative
from antidrome.spikes.variational.sleep import dream, sleep_loss
from antidrome.spikes.variational.wake import wake_loss, window_bounds
from antidrome.spikes.variational.windows import batches, cut_windows, split_windows

RATE_HZ = 20.0
NET = PosteriorConfig(filters=(8, 8), widths=(9, 7), last_width=5, features=4, units=8)
SMALL = FitConfig(
    sleep_steps=60,
    wake_steps=20,
    samples=4,
    batch=8,
    window_frames=80,
    buffer_before=20,
    buffer_after=10,
    learning_rate=5e-3,
    evaluate_every=20,
    exposure="instant",
    posterior=NET,
)


def recording(rng, n_cells=3, n_frames=600, amplitude=0.5):
    spikes = (rng.random((n_cells, n_frames)) < 0.05).astype(np.float32)
    calcium = lfilter([1.0], [1, -np.exp(-1 / (RATE_HZ * 0.5))], spikes, axis=1)
    return (amplitude * calcium + 0.1 * rng.standard_normal(spikes.shape)).astype(np.float32), spikes


def toy_problem(rng, config=SMALL):
    traces, _ = recording(rng)
    windows = cut_windows(traces, config)
    calibration = autocalibrate(traces, RATE_HZ, drift=False)
    start = Observation(
        linear_model(calibration), jnp.asarray(calibration.noise_sd, jnp.float32), config.posterior.superresolution
    )
    problem = Problem.of(start, calibration, RATE_HZ, config, len(windows.cell))
    return problem, Learned.start(problem, config, key=jax_key(0, "test")), windows


def on_device(windows):
    return jax.tree.map(jnp.asarray, windows)


def test_every_frame_is_in_one_centre(rng):
    traces = np.arange(2 * 333, dtype=float).reshape(2, 333)
    traces[1, 100:300] = np.nan
    windows = cut_windows(traces, SMALL)
    centres = windows.trace[:, 20:70]
    for cell in (0, 1):
        seen = centres[windows.cell == cell]
        seen = seen[np.isfinite(seen)]
        assert len(np.unique(seen)) == len(seen)
    assert np.isfinite(centres[windows.cell == 0]).sum() == 333
    assert len(windows.cell) == 2 * 7 - 4


def test_some_windows_of_every_cell_are_held_out(rng):
    _, _, windows = toy_problem(rng)
    learn, held = split_windows(windows, 0.1, rng)
    assert set(held.cell) == {0, 1, 2}
    assert len(learn.cell) + len(held.cell) == len(windows.cell)
    rows = np.concatenate(batches(23, 8))
    assert set(rows) == set(range(23))
    assert {len(b) for b in batches(23, 8)} == {8}


def test_dreams_look_like_the_recording(rng):
    problem, learned, windows = toy_problem(rng)
    many = on_device(windows.take(np.arange(200) % len(windows.cell)))
    spikes, trace, _ = dream(learned, many, jax.random.key(0), problem, SMALL)
    assert spikes.shape == (80, 200)
    assert set(np.unique(spikes)) <= {0, 1}
    observed = np.isfinite(many.trace)
    np.testing.assert_array_equal(np.isfinite(trace), observed)
    assert np.nanstd(trace) == pytest.approx(np.nanstd(many.trace), rel=0.35)


@pytest.mark.slow
def test_dreamt_bursts_keep_the_rate_and_add_neighbours(rng):
    problem, learned, windows = toy_problem(rng)
    many = on_device(windows.take(np.arange(600) % len(windows.cell)))
    config = dataclasses.replace(SMALL, posterior=dataclasses.replace(NET, max_count=3))

    def neighbours(burst):
        changed = dataclasses.replace(config, burst=burst)
        spikes = np.asarray(dream(learned, many, jax.random.key(0), problem, changed)[0])
        return spikes.mean(), (spikes[1:] * spikes[:-1]).mean()

    (single_rate, single), (burst_rate, bursting) = neighbours(0.0), neighbours(0.5)
    assert burst_rate == pytest.approx(single_rate, rel=0.15)
    assert bursting > 3 * single
    with pytest.raises(InputError, match="burst"):
        dataclasses.replace(SMALL, burst=1.0)


@pytest.mark.parametrize("name", ["objective", "prior", "exposure"])
def test_words_that_mean_nothing_are_refused(name):
    config = dataclasses.replace(SMALL)
    object.__setattr__(config, name, "nonsense")  # users have no type checker at run time, as these tests do
    with pytest.raises(InputError, match=f"{name} = 'nonsense'"):
        config.__post_init__()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "objective"),
    [
        ("factorised", "vimco"),
        ("autoregressive", "local"),
        pytest.param("autoregressive", "vimco", marks=pytest.mark.slow),
        pytest.param("autoregressive", "relaxed", marks=pytest.mark.slow),
        pytest.param("factorised", "relaxed", marks=pytest.mark.slow),
    ],
)
def test_losses_and_gradients_are_finite(kind, objective, rng):
    posterior = dataclasses.replace(
        NET, kind=kind, max_count=2, superresolution=2, infer_amplitude=objective == "vimco"
    )
    config = dataclasses.replace(SMALL, objective=objective, wake_posterior=1.0, posterior=posterior, supervised=1.0)
    problem, learned, windows = toy_problem(rng, config)
    known = windows.known.copy()
    known[0] = 0.0
    batch = on_device(windows.take(np.arange(4))._replace(known=known[:4]))

    def both(learned, key):
        return [jax.value_and_grad(loss)(learned, batch, key, problem, config) for loss in (wake_loss, sleep_loss)]

    (value, gradient), (asleep, of_sleep) = jax.jit(both)(learned, jax.random.key(1))
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert np.abs(np.asarray(gradient.offset.model.amplitude)).max() > 0
    assert np.isfinite(asleep)
    assert not np.any(of_sleep.offset.model.amplitude)


def test_more_samples_tighten_the_bound(rng):
    problem, learned, windows = toy_problem(rng)
    batch = on_device(windows.take(np.arange(8)))

    def mean(samples):
        config = dataclasses.replace(SMALL, samples=samples)
        bounds = jax.jit(lambda key: window_bounds(learned, batch, key, problem, config).mean())
        return float(np.mean([bounds(jax.random.key(i)) for i in range(6)]))

    assert mean(2) < mean(64)


@pytest.mark.slow
def test_wake_steps_move_wrong_parameters_towards_the_truth(rng):
    traces, spikes = recording(rng, 2, 2000)
    calibration = autocalibrate(traces, RATE_HZ, drift=False)
    wrong = calibration._replace(amplitude=np.full(2, 0.35), decay_s=np.full(2, 0.35))
    config = dataclasses.replace(SMALL, sleep_steps=0, wake_steps=150, generative_learning_rate=2e-2, supervised=50.0)
    fitted = fit(traces, RATE_HZ, config, known=spikes, calibration=wrong, progress=False)
    model = fitted.observation.model
    np.testing.assert_allclose(model.amplitude, 0.5, rtol=0.15)
    np.testing.assert_allclose(model.decay_s, 0.5, rtol=0.2)


@pytest.mark.slow
def test_a_fit_without_labels_finds_the_spikes(rng):
    traces, spikes = recording(rng, 4, 3000)
    config = dataclasses.replace(SMALL, sleep_steps=500, wake_steps=150)
    fitted = fit(traces, RATE_HZ, config, progress=False)
    inferred = infer(fitted, traces)
    assert inferred.mean.shape == traces.shape
    assert np.median(correlation(inferred.mean.T, spikes.T)) > 0.75
    np.testing.assert_allclose(fitted.observation.model.amplitude, 0.5, rtol=0.2)
    assert fitted.sanity.share_suspect == 0
    new_traces, new_spikes = recording(rng, 2, 3000, amplitude=0.4)
    new = for_new_cells(fitted, autocalibrate(new_traces, RATE_HZ, drift=False))
    assert np.median(correlation(infer(new, new_traces).mean.T, new_spikes.T)) > 0.7


@pytest.mark.slow
def test_a_resumed_fit_ends_where_an_uninterrupted_one_does(rng, tmp_path):
    traces, _ = recording(rng)
    whole = fit(traces, RATE_HZ, SMALL, progress=False, checkpoint=tmp_path / "a", seed=3)
    half = dataclasses.replace(SMALL)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "sleep.safetensors").write_bytes((tmp_path / "a" / "sleep.safetensors").read_bytes())
    again = fit(traces, RATE_HZ, half, progress=False, checkpoint=tmp_path / "b", seed=3)
    for a, b in zip(jax.tree.leaves(whole.learned), jax.tree.leaves(again.learned), strict=True):
        np.testing.assert_array_equal(a, b)
    assert whole.bound == again.bound
    with pytest.raises(ResumeError):
        fit(traces, RATE_HZ, dataclasses.replace(SMALL, samples=5), progress=False, checkpoint=tmp_path / "b", seed=3)


@pytest.mark.slow
def test_restarts_choose_by_the_held_out_bound(rng):
    traces, _ = recording(rng)
    config = dataclasses.replace(SMALL, sleep_steps=60, wake_steps=0)
    start = autocalibrate(traces, RATE_HZ, drift=False)
    selection = fit_with_restarts(traces, RATE_HZ, config, start, amplitude_factors=(1.0, 0.05), progress=False)
    assert [c.amplitude_factor for c in selection.candidates] == [1.0, 0.05]
    assert selection.candidates[1].share_suspect == 1
    assert selection.chosen.bound == selection.candidates[0].bound


@pytest.mark.slow
def test_a_collapsed_fit_is_seen_without_any_true_spike(rng):
    traces, _ = recording(rng)
    calibration = autocalibrate(traces, RATE_HZ, drift=False)
    tiny = calibration._replace(amplitude=0.2 * calibration.noise_sd)
    config = dataclasses.replace(SMALL, sleep_steps=1, wake_steps=0)
    assert fit(traces, RATE_HZ, config, calibration=tiny, progress=False).sanity.share_suspect == 1


def test_a_model_with_the_wrong_number_of_cells_is_refused(rng):
    traces, _ = recording(rng)

    def two_cells(calibration):
        return LinearModel(*(jnp.ones(2) for _ in range(4)))

    with pytest.raises(InputError, match=r"amplitude has shape \(2,\) for 3 cells"):
        fit(traces, RATE_HZ, SMALL, model=two_cells, progress=False)


def test_a_parameter_that_starts_outside_of_its_support_is_refused(rng):
    def downwards(calibration):
        start = linear_model(calibration)
        return LinearModel(-start.amplitude, start.decay_s, start.rise_s, start.baseline)

    traces, _ = recording(rng)
    with pytest.raises(InputError, match=r"amplitude starts outside of what it was declared as .* from -\d"):
        fit(traces, RATE_HZ, SMALL, model=downwards, progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f[:-1], r"Wrong.fluorescence gave shape \(1023, 2, 3\) for spikes of shape \(1024, 2, 3\)"),
        (lambda f: f[0, 0], r"gave shape \(3,\) for spikes"),
        (lambda f: None, "gave NoneType for spikes"),
        (np.sqrt, r"\(TracerArrayConversionError\); use jax.numpy instead of numpy"),
        (lambda f: f if f.sum() > 0 else 2 * f, "jnp.where instead of an if"),
    ],
)
def test_a_model_that_gives_anything_but_fluorescence_is_refused(rng, change, message):
    class Wrong(LinearModel):
        def fluorescence(self, spikes, step_s):
            return change(super().fluorescence(spikes, step_s))

    def wrong(calibration):
        return Wrong(*vars(linear_model(calibration)).values())

    traces, _ = recording(rng)
    with pytest.raises(InputError, match=message):
        fit(traces, RATE_HZ, SMALL, model=wrong, progress=False)


@pytest.mark.slow
def test_joint_samples_have_the_mean_of_the_posterior(rng):
    posterior = dataclasses.replace(NET, kind="autoregressive")
    problem, learned, _ = toy_problem(rng, dataclasses.replace(SMALL, posterior=posterior))
    traces, _ = recording(rng)
    config = dataclasses.replace(SMALL, posterior=posterior, sleep_steps=1, wake_steps=0)
    fitted = fit(traces, RATE_HZ, config, progress=False)
    out = infer(fitted, traces, n_samples=64, keep_samples=True)
    assert out.samples.shape == (64, 3, 600)
    assert out.samples.mean() == pytest.approx(out.mean.mean(), rel=0.2)
    assert generative(learned, problem, config).model.amplitude.shape == (3,)


@pytest.mark.parametrize(("sleep_steps", "wake_steps", "names"), [(1, 0, ["sleep"]), (0, 2, ["wake"]), (0, 0, [])])
def test_a_phase_without_steps_is_left_out(unchecked_types, sleep_steps, wake_steps, names):
    config = dataclasses.replace(SMALL, sleep_steps=sleep_steps, wake_steps=wake_steps)
    assert [phase.name for phase in phases(config, None)] == names


@pytest.mark.parametrize("objective", ["local", "relaxed"])
def test_the_prior_on_counts_needs_whole_windows(rng, objective):
    config = dataclasses.replace(SMALL, prior="count", objective=objective)
    with pytest.raises(InputError, match="prior is 'count'"):
        fit(recording(rng)[0], RATE_HZ, config, progress=False)


@pytest.mark.slow
def test_the_prior_on_counts_holds_several_spikes_a_step(rng):
    """Expected counts of more than one a step: a finite loss, and totals above the number of steps count."""
    config = dataclasses.replace(SMALL, prior="count", posterior=dataclasses.replace(NET, max_count=3))
    problem, learned, windows = toy_problem(rng, config)
    learned = eqx.tree_at(lambda x: x.log_rate, learned, learned.log_rate + np.log(2 * RATE_HZ))
    batch = on_device(windows.take(np.arange(8)))
    assert np.isfinite(wake_loss(learned, batch, jax.random.key(0), problem, config))


def test_cells_of_planes_that_take_turns_have_windows(rng):
    """A third of the frames, evenly: all windows; a gap in it costs its own windows alone."""
    traces = rng.standard_normal((2, 300)).astype(np.float32)
    traces[:, np.arange(300) % 3 > 0] = np.nan
    traces[1, 100:200] = np.nan
    windows = cut_windows(traces, SMALL)
    np.testing.assert_array_equal(np.bincount(windows.cell), [6, 4])


def test_traces_shorter_than_half_a_window_are_said(rng):
    windows = cut_windows(rng.standard_normal((2, 20)), SMALL)
    assert batches(0, 8) == []
    with pytest.raises(InputError, match="No trace fills half of a window"):
        split_windows(windows, 0.1, rng)
