"""Training: the optimum is the known posterior, padding and plain loops agree, weights and atoms do what they say."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from antidrome.errors import TrainingError
from antidrome.mechanism.densities.embedding import TraceFeatures
from antidrome.mechanism.densities.network import FlowSettings, MixtureSettings, density_network
from antidrome.mechanism.densities.trained import TrainedDensity
from antidrome.mechanism.features import FeatureScaling
from antidrome.mechanism.training import TrainingSettings, shuffled, train_density
from antidrome.mechanism.training_data import padded_capacity, training_data

KEY = jax.random.key(1)


def draw() -> np.random.Generator:
    """Initial weights, the same for every network."""
    return np.random.default_rng(1)


QUICK = TrainingSettings(epochs=60, batch=50, learning_rate=5e-3, patience=10, drops=1)
CALM = TrainingSettings(epochs=40, batch=100, learning_rate=2e-3, patience=10, drops=1)
STILL = TrainingSettings(epochs=1, batch=64, learning_rate=1e-12)
SMALL = MixtureSettings(components=1, hidden=(16,))


def gaussian_pairs(n: int, seed: int = 0, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """θ ~ N(0, 1), x = θ + noise: the posterior is N(x/(1 + s²), s²/(1 + s²))."""
    rng = np.random.default_rng(seed)
    u = rng.standard_normal((n, 1))
    return u, u + noise * rng.standard_normal((n, 1))


def prepared(u, x, weights=None, *, capacity=1024, seed=0):
    held_out = np.random.default_rng(seed).random(len(u)) < 0.1
    weights = np.ones(len(u)) if weights is None else weights
    return training_data(u, x, weights, -0.5 * (u**2).sum(1), held_out=held_out, capacity=capacity)


def identity_scaling(k: int) -> FeatureScaling:
    return FeatureScaling(np.zeros(k, int), np.zeros(k), np.ones(k), np.zeros(k), np.ones(k))


def test_mixture_learns_the_gaussian_posterior() -> None:
    u, x = gaussian_pairs(1000)
    network = density_network(SMALL, 1, 1, draw=draw())
    result = train_density(network, prepared(u, x), QUICK, key=KEY)
    density = TrainedDensity((result.network,), identity_scaling(1)).at(np.array([0.8]))
    assert density.mean()[0] == pytest.approx(0.8 / 1.25, abs=0.08)
    assert np.sqrt(density.covariance()[0, 0]) == pytest.approx(np.sqrt(0.25 / 1.25), rel=0.1)
    assert len(result.training_curve) == len(result.validation_curve) <= QUICK.epochs
    assert result.loss == pytest.approx(np.nanmin(result.validation_curve))


def test_weights_turn_a_proposal_into_the_prior() -> None:
    """Simulations from a proposal N(1, 0.8²), weighted by prior over proposal, give the posterior under the prior."""
    rng = np.random.default_rng(4)
    u = 1 + 0.8 * rng.standard_normal((4000, 1))
    x = u + 0.5 * rng.standard_normal((4000, 1))
    log_w = -0.5 * u[:, 0] ** 2 + 0.5 * ((u[:, 0] - 1) / 0.8) ** 2
    network = density_network(SMALL, 1, 1, draw=draw())
    plain = train_density(network, prepared(u, x, capacity=4096), CALM, key=KEY)
    weighted = train_density(network, prepared(u, x, np.exp(log_w), capacity=4096), CALM, key=KEY)
    means = [TrainedDensity((r.network,), identity_scaling(1)).at(np.array([1.0])).mean()[0] for r in (plain, weighted)]
    posterior, proposal_posterior = 1.0 / 1.25, (1 / 0.64 + 1.0 / 0.25) / (1 / 0.64 + 1 / 0.25)
    assert means[0] == pytest.approx(proposal_posterior, abs=0.07)
    assert means[1] == pytest.approx(posterior, abs=0.1)


def test_padding_changes_nothing() -> None:
    u, x = gaussian_pairs(200)
    network = density_network(SMALL, 1, 1, draw=draw())
    settings = TrainingSettings(epochs=2, batch=200, validation=0.0)
    held_out = np.zeros(200, bool)
    few, many = (training_data(u, x, np.ones(200), np.zeros(200), held_out=held_out, capacity=c) for c in (256, 512))
    a, b = (train_density(network, data, settings, key=KEY) for data in (few, many))
    for left, right in zip(jax.tree.leaves(a.network), jax.tree.leaves(b.network), strict=True):
        np.testing.assert_allclose(left, right, atol=1e-5)


@pytest.mark.parametrize(("capacity", "n"), [(256, 200), (256, 256), (300, 3)])
def test_every_epoch_sees_each_row_once_in_a_new_order(capacity: int, n: int) -> None:
    rows = jnp.asarray(np.random.default_rng(0).permutation(1000)[:capacity], jnp.int32)
    orders = [np.asarray(shuffled(rows, jnp.asarray(n), jax.random.key(i)))[:n] for i in range(40)]
    for order in orders:
        assert sorted(order) == sorted(np.asarray(rows[:n]))
    assert len({order[0] for order in orders}) > min(n, 30) / 2


def test_loss_is_the_plain_weighted_mean() -> None:
    u, x = gaussian_pairs(100)
    weights = np.random.default_rng(0).gamma(1, 1, 100)
    network = density_network(SMALL, 1, 1, draw=draw())
    data = prepared(u, x, weights)
    result = train_density(network, data, STILL, key=KEY)
    rows = np.asarray(data.validation)[: int(data.n_validation)]
    log_q = network.log_prob(jnp.asarray(u[rows], jnp.float32), network.condition(jnp.asarray(x[rows], jnp.float32)))
    expected = -np.sum(weights[rows] * np.asarray(log_q)) / weights[rows].sum()
    assert result.loss == pytest.approx(expected, rel=1e-4)


def test_atomic_loss_finds_the_posterior_under_the_prior() -> None:
    rng = np.random.default_rng(4)
    u = 1 + 0.8 * rng.standard_normal((4000, 1))
    x = u + 0.5 * rng.standard_normal((4000, 1))
    network = density_network(SMALL, 1, 1, draw=draw())
    result = train_density(network, prepared(u, x, capacity=4096), CALM, key=KEY, loss="atomic")
    mean = TrainedDensity((result.network,), identity_scaling(1)).at(np.array([1.0])).mean()[0]
    assert mean == pytest.approx(0.8, abs=0.1)


@pytest.mark.slow
def test_bayesian_weights_narrow_with_data_and_stay_near_the_round_before() -> None:
    u, x = gaussian_pairs(500)
    settings = MixtureSettings(components=1, hidden=(8,), bayesian=True)
    network = density_network(settings, 1, 1, draw=draw())
    quick = TrainingSettings(epochs=30, batch=50, validation=0.0, learning_rate=5e-3)
    first = train_density(network, prepared(u, x, seed=9), quick, key=KEY)
    tied = train_density(first.network, prepared(u, -x), quick, key=KEY, before=first.network, divergence=1e4)
    free = train_density(first.network, prepared(u, -x), quick, key=KEY, before=first.network, divergence=0.0)
    moved = [float(jnp.abs(r.network.body.means.weight - first.network.body.means.weight).max()) for r in (tied, free)]
    assert moved[0] < 0.1 * moved[1]


@pytest.mark.slow
def test_flow_copes_with_missing_features_and_traces() -> None:
    u, x = gaussian_pairs(400)
    trace = np.repeat(x, 12, axis=1) + 0.1
    gap = np.where(np.random.default_rng(0).random((400, 1)) < 0.4, np.nan, x)
    features = np.hstack([trace, gap])
    for kind in ("gru", "convolution"):
        learned = TraceFeatures(kind=kind, steps=6, channels=2, units=4, downsample=2)
        settings = FlowSettings(layers=1, bins=4, hidden=8, context=8)
        network = density_network(settings, 13, 1, mask=True, trace=learned, draw=draw())
        quick = TrainingSettings(epochs=15, batch=50, learning_rate=1e-2)
        result = train_density(network, prepared(u, features), quick, key=KEY)
        assert result.validation_curve[-1] < result.validation_curve[0] - 0.05
        imputed = np.asarray(result.network.embedding.imputed), np.asarray(network.embedding.imputed)
        assert imputed[0][12] != imputed[1][12]
        density = TrainedDensity((result.network,), identity_scaling(13))
        assert np.isfinite(density.at(features[0]).log_prob(u[:5])).all()


def test_nothing_to_train_on_is_said() -> None:
    u, x = gaussian_pairs(20)
    with pytest.raises(TrainingError, match="0 of 20 simulations"):
        prepared(u, x, np.zeros(20))
    broken = np.where(np.arange(20)[:, None] < 30, 1e38, x)
    network = density_network(SMALL, 1, 1, draw=draw())
    network = eqx.tree_at(lambda n: n.body.layers[0].bias, network, jnp.full(16, jnp.nan))
    with pytest.raises(TrainingError, match="not finite"):
        train_density(network, prepared(u, broken), STILL, key=KEY)


def test_capacity_is_a_power_of_two() -> None:
    assert [padded_capacity(n) for n in (1, 256, 257, 5000)] == [256, 256, 512, 8192]


def test_minibatches_grow_with_very_many_simulations() -> None:
    settings = TrainingSettings(batch=100)
    assert [settings.for_simulations(n).batch for n in (0, 5000, 20_000, 100_000)] == [100, 100, 100, 400]
