"""The hurdle–Poisson posterior is a distribution, and its moments are those of its samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from antidrome.spikes.counts import CountPosterior

POSTERIOR = CountPosterior(jnp.array([-3.0, 0.0, 2.0, 8.0]), jnp.array([0.05, 1.0, 0.3, 12.0]))


def test_probabilities_sum_to_one_and_give_the_moments():
    counts = jnp.arange(80.0)[:, None]
    p = np.exp(POSTERIOR.log_prob(counts))
    np.testing.assert_allclose(p.sum(axis=0), 1, rtol=1e-4)
    mean = (p * counts).sum(axis=0)
    np.testing.assert_allclose(POSTERIOR.mean, mean, rtol=1e-4)
    np.testing.assert_allclose(POSTERIOR.variance, (p * (counts - mean) ** 2).sum(axis=0), rtol=1e-3)
    np.testing.assert_allclose(POSTERIOR.probability, 1 - p[0], rtol=1e-4, atol=1e-6)


def test_samples_follow_the_distribution():
    samples = np.asarray(POSTERIOR.sample(jax.random.key(0), 20_000))
    assert samples.shape == (20_000, 4)
    np.testing.assert_allclose(samples.mean(axis=0), POSTERIOR.mean, rtol=0.06)
    np.testing.assert_allclose(samples.var(axis=0), POSTERIOR.variance, rtol=0.1)


def test_the_gradient_of_the_likelihood_is_finite_everywhere():
    def loss(logit, extra):
        return jnp.sum(CountPosterior(logit, extra).log_prob(jnp.array([0.0, 1.0, 2.0, 30.0])))

    gradient = jax.grad(loss, argnums=(0, 1))(jnp.array([-12.0, -12.0, 12.0, 0.0]), jnp.full(4, 1e-3))
    assert all(np.isfinite(g).all() for g in gradient)
    assert float(gradient[0][1]) == pytest.approx(1.0, rel=1e-3)
