"""Parameters, filters, the physiological and neural models and the likelihood, against slow and dense computations."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from scipy.stats import norm

from antidrome.spikes import generative as g
from antidrome.spikes.generative.describing import describe_model
from antidrome.spikes.generative.filters import random_walk

RATE_HZ = 50.0


class Powered(g.AbstractGenerativeModel):
    """Somebody's own model, with a field that is no array."""

    amplitude: Array = g.parameter("positive")
    order: float = eqx.field(static=True, default=1.0)

    def fluorescence(self, spikes, step_s):
        return self.amplitude * spikes**self.order


class Changed(Powered):
    """The same after its code was changed."""

    def fluorescence(self, spikes, step_s):
        return self.amplitude * jnp.minimum(spikes, 1.0)


Changed.__name__, Changed.__qualname__ = Powered.__name__, Powered.__qualname__


def later(delay_s):
    """A model whose code says how late it answers, which none of its fields tells."""

    class Later(Powered):
        def fluorescence(self, spikes, step_s):
            return jnp.roll(super().fluorescence(spikes, step_s), round(delay_s / step_s), axis=0)

    return Later


def linear(n=3, rise=(0.0, 0.05, 0.1)):
    values = np.linspace(0.1, 0.3, n), np.linspace(0.3, 0.9, n), np.array(rise[:n]), np.linspace(-0.1, 0.1, n)
    return g.LinearModel(*(jnp.asarray(v, jnp.float32) for v in values))


def physiological(n=1):
    values = (0.2, 0.5, 0.8, 2.0, 0.05, 0.07, 0.01)
    return g.PhysiologicalModel(*(jnp.full(n, v, jnp.float32) for v in values))


def spikes(rng, steps=120, cells=3, rate=0.1):
    return jnp.asarray(rng.poisson(rate, (steps, cells)), jnp.float32)


def models(n=3):
    scdf = g.SCDFModel(*(jnp.full(n, v, jnp.float32) for v in (0.2, 0.05, 0.6, 1.0, 1.5, 20.0, 0.0)))
    neural = g.NeuralModel.around(linear(n), key=jax.random.key(0))
    return {"linear": linear(n), "scdf": scdf, "physiological": physiological(n), "neural": neural}


@pytest.mark.parametrize("name", ["linear", "scdf", "physiological", "neural"])
def test_every_model_obeys_the_same_laws(name, rng):
    model, train = models()[name], spikes(rng)
    trace = model.fluorescence(train, 1 / RATE_HZ)
    stacked = jnp.stack([train, jnp.roll(train, 5, axis=0)], axis=1)
    np.testing.assert_allclose(model.fluorescence(stacked, 1 / RATE_HZ)[:, 0], trace, rtol=1e-5, atol=1e-6)
    some = g.take_cells(model, jnp.array([2, 0, 2]))
    np.testing.assert_allclose(
        some.fluorescence(train[:, jnp.array([2, 0, 2])], 1 / RATE_HZ), trace[:, [2, 0, 2]], rtol=1e-5, atol=1e-6
    )
    again = g.from_unconstrained(g.to_unconstrained(model))
    np.testing.assert_allclose(again.fluorescence(train, 1 / RATE_HZ), trace, rtol=1e-4, atol=1e-5)
    free = g.to_unconstrained(model)
    gradient = jax.grad(lambda m: jnp.sum(g.from_unconstrained(m).fluorescence(train, 1 / RATE_HZ) ** 2))(free)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("name", ["linear", "scdf", "physiological", "neural"])
def test_amplitude_is_the_peak_of_one_spike(name):
    one = jnp.zeros((100, 3), jnp.float32).at[0].set(1)
    model = models()[name]
    own = model.calcium if name == "neural" else model
    peak = jnp.max(model.fluorescence(one, 1 / 400), axis=0) - own.baseline
    np.testing.assert_allclose(peak, own.amplitude, rtol=0.02)


def test_a_value_on_the_border_stays_there():
    free = g.to_unconstrained(linear())
    assert free.rise_s[0] == -np.inf
    gradient = jax.grad(lambda m: jnp.sum(g.from_unconstrained(m).fluorescence(jnp.ones((9, 3)), 0.1)))(free)
    assert float(gradient.rise_s[0]) == 0
    assert float(g.from_unconstrained(free).rise_s[0]) == 0


def test_named_parameters_tell_cells_from_shared():
    named = g.named_parameters(g.Observation(models()["neural"], jnp.full(3, 0.1)))
    assert named["noise_sd"][1] is False
    assert named["model.calcium.decay_s"][0].shape == (3,)
    assert named["model.threshold"][1] is True


def test_the_filter_and_its_adjoint(rng):
    x, factor = jnp.asarray(rng.random((40, 2, 3)), jnp.float32), jnp.array([0.2, 0.9, 0.0])

    def slow(x, factor):
        return jax.lax.scan(lambda c, s: (factor * c + s,) * 2, jnp.zeros((2, 3)), x)[1]

    weight = jnp.asarray(rng.standard_normal(x.shape), jnp.float32)
    fast_gradient = jax.grad(lambda a, b: jnp.sum(weight * g.decay_filter(a, b)), (0, 1))(x, factor)
    slow_gradient = jax.grad(lambda a, b: jnp.sum(weight * slow(a, b)), (0, 1))(x, factor)
    np.testing.assert_allclose(g.decay_filter(x, factor), slow(x, factor), rtol=1e-5)
    for ours, theirs in zip(fast_gradient, slow_gradient, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_physiological_against_a_plain_loop(rng):
    train = np.asarray(spikes(rng, 200, 1, 0.03), float)[:, 0]
    tau, rest, hill, gamma, kappa, step = 0.5, 0.8, 2.0, 0.05, 0.07, 1 / 200
    calcium = dye = 0.0
    dyes = []
    for spike in train:
        calcium = np.exp(-step / tau) * calcium + spike
        drive = (rest + calcium) ** hill - rest**hill
        dye = min(1 / gamma, dye * max(0, 1 - step / kappa * (1 + gamma * drive)) + step / kappa * drive)
        dyes.append(dye)
    trace = np.asarray(physiological().fluorescence(jnp.asarray(train[:, None], jnp.float32), step))[:, 0] - 0.01
    np.testing.assert_allclose(trace / trace.max(), np.array(dyes) / max(dyes), rtol=1e-3, atol=1e-4)


def test_neural_model_increases_and_starts_close_to_linear(rng):
    train, model = spikes(rng), g.NeuralModel.around(linear(), key=jax.random.key(1))
    np.testing.assert_allclose(model.fluorescence(train, 0.02), linear().fluorescence(train, 0.02), rtol=0.3, atol=0.02)
    wild = eqx.tree_at(lambda m: m.log_height, model, model.log_height + 4)
    bent = wild._bend(jnp.linspace(0, 10, 200))
    assert float(bent[0]) == pytest.approx(0, abs=1e-5)
    assert (jnp.diff(bent) > 0).all()


def test_log_prob_is_gaussian_and_leaves_missing_frames_out(rng):
    observation = g.Observation(linear(), jnp.array([0.1, 0.2, 0.3]))
    train = spikes(rng, 60)
    trace = np.asarray(observation.frames(train, RATE_HZ)) + 0.1 * rng.standard_normal((60, 3)).astype(np.float32)
    expected = norm.logpdf(trace, observation.frames(train, RATE_HZ), [0.1, 0.2, 0.3])
    np.testing.assert_allclose(observation.log_prob(jnp.asarray(trace), train, RATE_HZ), expected, rtol=1e-4, atol=1e-4)
    trace[5:9, 1] = np.nan
    holes = np.asarray(observation.log_prob(jnp.asarray(trace), train, RATE_HZ))
    assert (holes[5:9, 1] == 0).all()
    np.testing.assert_allclose(holes[9:], expected[9:], rtol=1e-4, atol=1e-4)


def test_superresolution_averages_the_steps_of_a_frame(rng):
    train = spikes(rng, 240)
    fine = linear().fluorescence(train, 1 / (4 * RATE_HZ))
    frames = g.Observation(linear(), jnp.ones(3), superresolution=4).frames(train, RATE_HZ)
    np.testing.assert_allclose(frames, np.asarray(fine).reshape(60, 4, 3).mean(axis=1), rtol=1e-5, atol=1e-6)


def test_an_exposed_frame_is_the_mean_of_what_a_spike_at_any_time_in_it_shows():
    one = jnp.zeros((30, 3)).at[4].set(1.0)
    frames = g.Observation(linear(), jnp.ones(3), exposure="frame").frames(one, RATE_HZ)
    moments = jnp.arange(200)  # where in frame 4 the spike is, on a grid of 200 steps a frame
    fine = jnp.zeros((6000, 200, 3)).at[800 + moments, moments].set(1.0)
    mean = linear().fluorescence(fine, 1 / (200 * RATE_HZ)).mean(axis=1).reshape(30, 200, 3).mean(axis=1)
    np.testing.assert_allclose(frames[:4], linear().baseline + 0 * frames[:4], atol=1e-6)
    np.testing.assert_allclose(frames, mean, atol=0.03 * float(linear().amplitude.max()))


def test_drift_is_least_squares_and_integrated_out(rng):
    """Log probabilities differ as those of the dense Gaussian with a wandering mean do, at the ends and over gaps."""
    n, width = 400, 20.0
    rho = np.exp(-1 / width)
    steps = np.diff(np.eye(n), axis=0)
    observed = rng.random(n) > 0.2
    stiff = np.diag(observed.astype(float)) + rho / (1 - rho) ** 2 * steps.T @ steps
    dense = np.linalg.solve(stiff, np.diag(observed.astype(float)))
    trace = rng.standard_normal((n, 1)).astype(np.float32).cumsum(axis=0) / 3
    drift = random_walk(jnp.asarray(trace), jnp.asarray(observed)[:, None], width)
    np.testing.assert_allclose(drift, dense @ trace, atol=2e-4)
    model = g.LinearModel(*(jnp.full(1, v, jnp.float32) for v in (0.5, 0.4, 0.0, 0.0)))
    observation = g.Observation(model, jnp.full(1, 0.3), drift_s=width / RATE_HZ)
    trains = np.zeros((2, n, 1), np.float32)
    trains[0, 10] = trains[1, 240] = 1
    seen = np.where(observed[:, None], trace, np.nan)
    ours = [float(jnp.sum(observation.log_prob(jnp.asarray(seen), jnp.asarray(s), RATE_HZ))) for s in trains]
    difference = []
    for train in trains:
        r = np.where(observed[:, None], trace - np.asarray(observation.frames(jnp.asarray(train), RATE_HZ)), 0.0)
        difference.append(-0.5 * float(r[:, 0] @ (np.eye(n) - dense) @ r[:, 0]) / 0.3**2)
    assert ours[1] - ours[0] == pytest.approx(difference[1] - difference[0], rel=1e-3)


@pytest.mark.parametrize("width", [2.0, 300.0, 1e5])
def test_no_residual_is_better_than_none_whatever_drifts(rng, width):
    """The quadratic form of the drift is never negative, and its gradient is the residual without the drift."""
    observed = jnp.asarray(rng.random((60, 3)) > 0.3).at[:, 2].set(False)
    residual = jnp.asarray(rng.standard_normal((60, 4, 3)) + 5, jnp.float32)

    def form(x):
        seen = observed[:, None].astype(x.dtype)
        return jnp.sum(0.5 * seen * x * (x - random_walk(x, observed, width)), axis=0)

    assert bool(jnp.all(form(residual) >= -1e-4))
    assert bool(jnp.all(form(jnp.ones_like(residual)) < 1e-3))
    drift = random_walk(residual, observed, width)
    gradient = jax.grad(lambda x: jnp.sum(form(x)))(residual)
    np.testing.assert_allclose(gradient, observed[:, None] * (residual - drift), atol=1e-3)
    assert not np.any(np.asarray(drift[..., 2]))


class Sublinear(g.AbstractGenerativeModel):
    """A model as a user writes it."""

    amplitude: Array = g.parameter("positive")
    decay_s: Array = g.parameter("positive")
    exponent: Array = g.parameter("unit", shared=True)

    def fluorescence(self, spikes, step_s):
        return self.amplitude * (1e-3 + g.decay_filter(spikes, jnp.exp(-step_s / self.decay_s))) ** self.exponent


def test_a_users_own_model(rng):
    model = g.Observation(Sublinear(jnp.array([0.1, 0.2]), jnp.array([0.3, 0.4]), jnp.array([0.7])), jnp.full(2, 0.1))
    train = jnp.asarray(rng.poisson(0.2, (50, 2)))
    free = g.to_unconstrained(model)
    some = g.from_unconstrained(g.take_cells(free, jnp.array([1, 1, 0])))
    assert some.model.exponent.shape == (1,)
    np.testing.assert_allclose(some.model.amplitude, [0.2, 0.2, 0.1], rtol=1e-6)
    value = jnp.sum(model.log_prob(jnp.zeros((50, 2)), train, RATE_HZ))
    assert np.isfinite(value)


def test_a_model_is_known_by_its_fields_and_by_what_it_makes_of_spikes():
    amplitude = jnp.linspace(0.1, 0.3, 4)
    first = describe_model(Powered(amplitude), 4)
    assert first == describe_model(Powered(amplitude * (1 + 1e-6)), 4)
    for other in (Powered(amplitude, 2.0), Changed(amplitude), Powered(1.1 * amplitude)):
        assert describe_model(other, 4) != first


def test_a_model_is_known_by_when_it_answers():
    amplitude = jnp.linspace(0.1, 0.3, 4)
    told = [describe_model(later(delay_s)(amplitude), 4) for delay_s in (0.0, 0.01, 0.02, 0.05, 0.1, 0.15)]
    assert len({tuple(one) for one in told}) == len(told)
    assert describe_model(later(0.05)(amplitude * (1 + 1e-6)), 4) == told[3]
