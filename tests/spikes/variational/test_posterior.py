"""The two recognition networks: shapes, agreement of sampling and scoring, and what depends on what."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from antidrome.errors import InputError
from antidrome.spikes.variational.amplitude import AmplitudePosterior
from antidrome.spikes.variational.config import FitConfig, PosteriorConfig
from antidrome.spikes.variational.levels import count_log_prob
from antidrome.spikes.variational.posterior import AutoregressivePosterior, FactorisedPosterior, make_posterior

SMALL = PosteriorConfig(
    filters=(6, 5), widths=(5, 3), last_width=3, features=4, units=7, max_count=2, superresolution=2
)


def network(kind, **changes):
    config = dataclasses.replace(SMALL, kind=kind, **changes)
    made = make_posterior(config, 3, key=jax.random.key(0))
    # livelier than at the start, so that spikes are drawn
    return jax.tree.map(lambda x: 1.5 * x if x.ndim > 1 else jnp.where(x < -2.9, 0.0, x), made)


def inputs(rng, batch=2, time=20):
    return jnp.asarray(rng.standard_normal((batch, time, 3)), jnp.float32)


@pytest.mark.parametrize("kind", ["factorised", "autoregressive"])
def test_scores_of_drawn_spikes_are_those_of_given_spikes(kind, rng):
    posterior, x = network(kind), inputs(rng)
    draw = posterior.draw(x, 5, key=jax.random.key(1))
    assert draw.spikes.shape == (40, 5, 2)
    assert set(np.unique(draw.spikes)) == {0, 1, 2}
    logits = posterior.logits_given(x, draw.spikes)
    np.testing.assert_allclose(logits, draw.logits, atol=1e-4)
    np.testing.assert_allclose(count_log_prob(logits, draw.spikes), draw.log_prob, atol=1e-3)


def test_only_the_autoregressive_network_sees_its_own_spikes(rng):
    x = inputs(rng)
    first = jnp.zeros((40, 1, 2))
    second = first.at[10].set(1)
    factorised, autoregressive = network("factorised"), network("autoregressive")
    np.testing.assert_array_equal(factorised.logits_given(x, first), factorised.logits_given(x, second))
    difference = np.abs(autoregressive.logits_given(x, first) - autoregressive.logits_given(x, second)).max(
        axis=(1, 2, 3)
    )
    assert (difference[:11] == 0).all()
    assert difference[11] > 0


def test_the_autoregressive_network_looks_ahead_in_the_trace(rng):
    x = inputs(rng)
    posterior, spikes = network("autoregressive"), jnp.zeros((40, 1, 2))
    later = posterior.logits_given(x.at[:, -1].add(3.0), spikes) - posterior.logits_given(x, spikes)
    assert np.abs(later[0]).max() > 0


@pytest.mark.parametrize("kind", ["factorised", "autoregressive"])
def test_relaxed_spikes_have_gradients(kind, rng):
    x = inputs(rng)

    def mean(posterior):
        return jnp.mean(posterior.draw(x, 4, key=jax.random.key(2), temperature=0.5).spikes)

    gradient = jax.grad(mean)(network(kind))
    assert np.abs(np.asarray(gradient.stack.layers[0].weight)).max() > 0


@pytest.mark.slow
def test_frequencies_of_the_autoregressive_network_are_its_probabilities(rng):
    posterior = network("autoregressive", max_count=1, superresolution=1)
    x = inputs(rng, 1, 3)
    spikes = np.asarray(posterior.draw(x, 20_000, key=jax.random.key(3)).spikes)[..., 0]
    index = (spikes.T @ [4, 2, 1]).astype(int)
    trains = jnp.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)], jnp.float32).T[..., None]
    chance = np.exp(count_log_prob(posterior.logits_given(x, trains), trains).sum(axis=0))[:, 0]
    assert chance.sum() == pytest.approx(1, rel=1e-4)
    np.testing.assert_allclose(np.bincount(index, minlength=8) / 20_000, chance, atol=0.015)


def test_amplitude_samples_and_density(rng):
    x = inputs(rng, 2, 30)
    net = AmplitudePosterior(3, key=jax.random.key(4))
    mean, sd = net.moments(x)
    draw = net.draw(x, 4000, key=jax.random.key(5))
    np.testing.assert_allclose(draw.log_gain.mean(axis=0), mean, atol=0.03)
    np.testing.assert_allclose(draw.log_gain.std(axis=0), sd, rtol=0.05)
    from scipy.stats import norm

    expected = norm.logpdf(draw.log_gain[0], 0, 0.3) - norm.logpdf(draw.log_gain[0], mean, sd)
    np.testing.assert_allclose(draw.log_ratio[0], expected, atol=1e-3)
    np.testing.assert_allclose(net.log_prob(x, draw.log_gain[0]), norm.logpdf(draw.log_gain[0], mean, sd), atol=1e-3)


def test_sizes_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="one of each"):
        PosteriorConfig(filters=(3, 4), widths=(5,))
    with pytest.raises(InputError, match="nothing left"):
        FitConfig(window_frames=100)
    assert isinstance(network("factorised"), FactorisedPosterior)
    assert isinstance(network("autoregressive"), AutoregressivePosterior)
