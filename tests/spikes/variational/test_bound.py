"""Gradient estimators against exact enumeration of every spike train of a tiny problem."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import gammaln
from scipy.stats import binom, poisson

from antidrome.spikes.variational import bound, levels, priors

N_STEPS, N_SAMPLES = 3, 2
TRAINS = jnp.array(list(itertools.product([0.0, 1.0], repeat=N_STEPS)))  # (8, step)
TRACE = jnp.array([0.1, 0.9, 0.6])


def parameters():
    return {"logits": jnp.array([-1.0, 0.7, -0.2]), "amplitude": jnp.array(0.8), "log_noise": jnp.array(-0.7)}


def log_q(p, spikes):
    """(…, step) → (…,)."""
    return jnp.sum(levels.count_log_prob(jnp.broadcast_to(p["logits"], spikes.shape)[..., None], spikes), axis=-1)


def log_joint(p, spikes):
    calcium = [spikes[..., 0]]
    for t in range(1, N_STEPS):
        calcium.append(0.7 * calcium[-1] + spikes[..., t])
    residual = (TRACE - p["amplitude"] * jnp.stack(calcium, axis=-1)) / jnp.exp(p["log_noise"])
    prior = jnp.sum(spikes * jnp.log(0.2) + (1 - spikes) * jnp.log(0.8), axis=-1)
    return jnp.sum(-0.5 * residual**2 - p["log_noise"], axis=-1) + prior


def all_pairs():
    """Every pair of trains (K = 2): (pair, sample, step)."""
    return jnp.array([jnp.stack([TRAINS[i], TRAINS[j]]) for i in range(8) for j in range(8)])


def exact_gradient(p):
    def expected(p):
        pairs = all_pairs()
        chance = jnp.exp(jnp.sum(log_q(p, pairs), axis=1))
        weight = log_joint(p, pairs) - log_q(p, pairs)
        return -jnp.sum(chance * bound.importance_weighted_bound(weight.T))

    return jax.value_and_grad(expected)(p)


def reinforce_loss(log_weight, log_q):
    """The score-function gradient without any baseline: the plain truth."""
    value = bound.importance_weighted_bound(log_weight)
    share, signal = jax.lax.stop_gradient((jax.nn.softmax(log_weight, axis=0), value))
    surrogate = -jnp.sum(share * log_weight + signal * log_q, axis=0)
    return jnp.mean(jax.lax.stop_gradient(-value - surrogate) + surrogate)


def expected_estimate(loss, p):
    """The estimator's value and gradient averaged over every pair with its exact probability."""
    pairs = all_pairs()
    chance = jnp.exp(jnp.sum(log_q(p, pairs), axis=1))

    def one(p, pair):
        q = log_q(p, pair)[:, None]
        return loss(log_joint(p, pair)[:, None] - q, q)

    values, gradients = jax.vmap(jax.value_and_grad(one), in_axes=(None, 0))(p, pairs)
    return jnp.sum(chance * values), jax.tree.map(lambda g: jnp.tensordot(chance, g, axes=1), gradients)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [bound.vimco_loss, reinforce_loss])
def test_estimators_are_exact_in_expectation(loss):
    value, gradient = exact_gradient(parameters())
    found_value, found = expected_estimate(loss, parameters())
    assert float(found_value) == pytest.approx(float(value), rel=1e-5)
    for name, expected in gradient.items():
        np.testing.assert_allclose(found[name], expected, atol=2e-5, err_msg=name)


@pytest.mark.slow
def test_vimco_varies_less_than_reinforce():
    p, pairs = parameters(), all_pairs()
    chance = np.exp(np.sum(log_q(p, pairs), axis=1))

    def variance(loss):
        def one(pair):
            def of(p):
                q = log_q(p, pair)[:, None]
                return loss(log_joint(p, pair)[:, None] - q, q)

            return jax.grad(of)(p)["logits"]

        gradients = np.asarray(jax.vmap(one)(pairs))
        mean = chance @ gradients
        return (chance @ (gradients - mean) ** 2).sum()

    assert variance(bound.vimco_loss) < variance(reinforce_loss)


@pytest.mark.slow
def test_the_local_gradient_is_that_of_the_evidence_lower_bound():
    def elbo(p):
        q = log_q(p, TRAINS)
        return -jnp.sum(jnp.exp(q) * (log_joint(p, TRAINS) - q))

    exact_value, exact = jax.value_and_grad(elbo)(parameters())

    def per_step(p, spikes):
        """(sample, step) → shares of every step."""
        calcium = [spikes[..., 0]]
        for t in range(1, N_STEPS):
            calcium.append(0.7 * calcium[-1] + spikes[..., t])
        residual = (TRACE - p["amplitude"] * jnp.stack(calcium, axis=-1)) / jnp.exp(p["log_noise"])
        prior = spikes * jnp.log(0.2) + (1 - spikes) * jnp.log(0.8)
        q = levels.count_log_prob(jnp.broadcast_to(p["logits"], spikes.shape)[..., None], spikes)
        return -0.5 * residual**2 - p["log_noise"] + prior - q, q

    pairs, p = all_pairs(), parameters()
    chance = jnp.exp(jnp.sum(log_q(p, pairs), axis=1))

    def one(p, pair):
        share, q = per_step(p, pair)
        return bound.local_loss(share.T[..., None], q.T[..., None], 1e9)

    values, gradients = jax.vmap(jax.value_and_grad(one), in_axes=(None, 0))(p, pairs)
    assert float(jnp.sum(chance * values)) == pytest.approx(float(exact_value), rel=1e-5)
    for name, expected in exact.items():
        np.testing.assert_allclose(jnp.tensordot(chance, gradients[name], axes=1), expected, atol=2e-5, err_msg=name)


@pytest.mark.slow
def test_the_bound_rises_with_samples_to_the_evidence(rng):
    p = parameters()
    evidence = float(jax.nn.logsumexp(log_joint(p, TRAINS)))
    chance = np.exp(np.asarray(log_q(p, TRAINS), float))
    draws = TRAINS[rng.choice(8, (64, 2000), p=chance / chance.sum())]
    weight = log_joint(p, draws) - log_q(p, draws)
    values = [float(jnp.mean(bound.importance_weighted_bound(weight[:k]))) for k in (1, 4, 64)]
    assert values[0] < values[1] < values[2] < evidence + 1e-2
    assert values[2] == pytest.approx(evidence, abs=0.01)


def test_left_out_bounds_are_those_of_the_others(rng):
    weight = jnp.asarray(rng.standard_normal((5, 3)), jnp.float32)
    for k in range(5):
        others = np.delete(np.asarray(weight), k, axis=0)
        np.testing.assert_allclose(bound.left_out_bound(weight)[k], np.log(np.exp(others).mean(axis=0)), rtol=1e-4)


def test_priors_are_binomial_and_poisson():
    count = jnp.arange(6.0)
    np.testing.assert_allclose(
        priors.binomial_count_log_prob(count, 20, 0.1), binom.logpmf(np.arange(6), 20, 0.1), rtol=1e-4
    )
    np.testing.assert_allclose(
        priors.poisson_log_prob(count, jnp.array(0.3)), poisson.logpmf(np.arange(6), 0.3), rtol=1e-4
    )
    assert float(gammaln(2.0)) == 0


def test_the_count_prior_is_finite_at_any_rate_and_counts_more_than_one_a_step():
    for probability in (0.0, 1.0, 2.0):
        assert np.isfinite(priors.binomial_count_log_prob(jnp.array([0.0, 3.0, 10.0]), 10, probability)).all()
    totals = jnp.arange(31.0)
    assert float(jnp.exp(priors.binomial_count_log_prob(totals, 30, 0.4)).sum()) == pytest.approx(1, rel=1e-4)
