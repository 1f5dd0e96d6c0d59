"""Counts as chains of levels: probabilities add to one, samples follow them, the relaxation tends to them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from antidrome.spikes.variational import levels

LOGITS = jnp.array([[0.3, -0.5, 1.0], [-2.0, 0.5, -1.0]])


def table():
    count = jnp.arange(4.0)
    return np.exp(np.stack([levels.count_log_prob(jnp.tile(row, (4, 1)), count) for row in LOGITS]))


def test_probabilities_moments_and_samples_agree():
    chance = table()
    np.testing.assert_allclose(chance.sum(axis=1), 1, rtol=1e-6)
    mean = chance @ np.arange(4)
    np.testing.assert_allclose(levels.count_mean(LOGITS), mean, rtol=1e-5)
    np.testing.assert_allclose(levels.count_variance(LOGITS), chance @ np.arange(4) ** 2 - mean**2, rtol=1e-5)
    uniform = jax.random.uniform(jax.random.key(0), (20_000, 2, 3), LOGITS.dtype)
    drawn = np.asarray(levels.count_from_uniform(jnp.broadcast_to(LOGITS, uniform.shape), uniform))
    for cell in range(2):
        np.testing.assert_allclose(
            np.bincount(drawn[:, cell].astype(int), minlength=4) / 20_000, chance[cell], atol=0.015
        )


def test_counts_above_the_highest_level_count_as_it():
    assert levels.count_log_prob(LOGITS[0], jnp.array(9.0)) == levels.count_log_prob(LOGITS[0], jnp.array(3.0))


def test_a_cold_relaxation_is_a_whole_count_and_a_warm_one_has_a_gradient():
    uniform = jax.random.uniform(jax.random.key(1), (500, 2, 3), LOGITS.dtype)
    logits = jnp.broadcast_to(LOGITS, uniform.shape)
    hard, log_prob = levels.choose_count(logits, uniform, None)
    soft, relaxed_log_prob = levels.relaxed_count(logits, uniform, 1e-3)
    close = np.abs(np.asarray(soft - hard)) < 1e-2
    assert close.mean() > 0.97
    np.testing.assert_allclose(np.asarray(relaxed_log_prob)[close], np.asarray(log_prob)[close], atol=0.05)
    slope = jax.grad(lambda x: jnp.mean(levels.relaxed_count(jnp.broadcast_to(x, uniform.shape), uniform, 0.5)[0]))
    exact = jax.grad(lambda x: jnp.mean(levels.count_mean(x)))
    np.testing.assert_allclose(slope(LOGITS), exact(LOGITS), atol=0.06)
    assert not np.any(
        jax.grad(lambda x: jnp.sum(levels.count_from_uniform(jnp.broadcast_to(x, uniform.shape), uniform)))(LOGITS)
    )


def test_clipped_logits_allow_everything():
    assert jax.nn.sigmoid(levels.clip_logits(jnp.array([50.0]))[0]) == pytest.approx(0.999, abs=1e-5)
