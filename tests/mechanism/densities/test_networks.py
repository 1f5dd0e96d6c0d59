"""Density networks: densities integrate to one, samples have the density they claim, the rest by brute force."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from antidrome.mechanism.densities import bayesian
from antidrome.mechanism.densities.embedding import TraceFeatures
from antidrome.mechanism.densities.gaussian_mixture import GaussianMixture
from antidrome.mechanism.densities.linear_start import linear_start
from antidrome.mechanism.densities.mixture_network import (
    MixtureNetwork,
    before_linear_step,
    factors_of,
    grow,
    prune,
)
from antidrome.mechanism.densities.network import FlowSettings, MixtureSettings, density_network
from antidrome.mechanism.densities.spline_flow import BOUND, WIDEST, SplineFlow, rational_quadratic


def draw(seed: int = 0) -> np.random.Generator:
    """Initial weights."""
    return np.random.default_rng(seed)


def normal(shape: tuple[int, ...], seed: int = 0, sd: float = 1.0) -> jax.Array:
    """Not of `jax.random`, which compiles a program for every shape."""
    return jnp.asarray(sd * draw(seed).standard_normal(shape), jnp.float32)


@pytest.fixture(scope="module")
def network() -> MixtureNetwork:
    return MixtureNetwork(3, 2, components=4, hidden=(8,), bayesian=True, draw=draw(), n_active=1)


@pytest.fixture(scope="module")
def flow() -> SplineFlow:
    flow = SplineFlow(3, 2, layers=2, bins=5, hidden=8, n_context=6, draw=draw())
    leaves, structure = jax.tree.flatten(flow)
    # seeds of a density that float32 can follow: some of these weights concentrate it a thousandfold
    noisy = [leaf + normal(leaf.shape, 40 + i, sd=0.3) for i, leaf in enumerate(leaves)]
    return jax.tree.unflatten(structure, noisy)


@pytest.mark.parametrize("d", [1, 3, 6])
def test_mixture_network_gives_the_density_of_its_mixture(d: int) -> None:
    network = MixtureNetwork(3, d, components=4, hidden=(8,), bayesian=True, draw=draw(), n_active=3)
    x, u = normal((5, 3)), normal((5, d), 3)
    leaves, structure = jax.tree.flatten((network.linear, network.triangles))
    random = [normal(leaf.shape, i, sd=0.5) for i, leaf in enumerate(leaves)]
    network = eqx.tree_at(lambda n: (n.linear, n.triangles), network, jax.tree.unflatten(structure, random))
    context = network.condition(x)
    ours = network.log_prob(u, context)
    for row in range(5):
        means, factors = before_linear_step(
            network.linear,
            np.repeat(np.asarray(context.linear[row], float)[None], 4, axis=0),
            np.asarray(context.means[row], float),
            factors_of(np.asarray(context.triangles[row]), d),
        )
        assert np.array_equal(factors, np.triu(factors))
        mixture = GaussianMixture(np.asarray(context.log_weights[row], float), means, factors)
        np.testing.assert_allclose(mixture.log_prob(np.asarray(u[row])[None])[0], ours[row], rtol=1e-4)


def test_layers_side_by_side_are_each_of_them(network: MixtureNetwork) -> None:
    heads, x = (network.logits, network.means), normal((6, 8))
    noise = normal((6, 12), 2)
    together = bayesian.side_by_side(heads)(x, noise)
    apart = [heads[0](x, noise[:, :4]), heads[1](x, noise[:, 4:])]
    np.testing.assert_allclose(together, np.concatenate(apart, axis=1), rtol=1e-5, atol=1e-6)


def test_sampled_weights_scatter_as_weights_would(network: MixtureNetwork) -> None:
    layer = bayesian.Linear(3, 1, bayesian=True, draw=draw())
    x = jnp.tile(jnp.array([[1.0, -2.0, 0.5]]), (20_000, 1))
    values = np.asarray(layer(x, normal((20_000, 1), 5)))[:, 0]
    expected_sd = np.exp(bayesian.INITIAL_LOG_SD) * np.sqrt(1 + 4 + 0.25 + 1)
    assert values.std() == pytest.approx(expected_sd, rel=0.05)
    assert values.mean() == pytest.approx(float(layer(x[:1])[0, 0]), abs=4 * expected_sd / np.sqrt(20_000))


def test_divergences_are_those_of_gaussians(network: MixtureNetwork) -> None:
    other = MixtureNetwork(3, 2, components=4, hidden=(8,), bayesian=True, draw=draw(9), n_active=1)
    expected_ridge = expected_between = 0.0
    for layer, old in zip(bayesian.linear_layers(network), bayesian.linear_layers(other), strict=True):
        for m, s, m0, s0 in (
            (layer.weight, layer.weight_log_sd, old.weight, old.weight_log_sd),
            (layer.bias, layer.bias_log_sd, old.bias, old.bias_log_sd),
        ):
            m, sd, m0, sd0 = np.asarray(m), np.exp(np.asarray(s)), np.asarray(m0), np.exp(np.asarray(s0))
            ridge_sd = 0.1**-0.5
            expected_ridge += np.sum(np.log(ridge_sd / sd) + (sd**2 + m**2) / (2 * ridge_sd**2) - 0.5)
            expected_between += np.sum(np.log(sd0 / sd) + (sd**2 + (m - m0) ** 2) / (2 * sd0**2) - 0.5)
    assert float(bayesian.divergence_from_ridge(network, 0.1)) == pytest.approx(expected_ridge, rel=1e-4)
    assert float(bayesian.divergence_between(network, other)) == pytest.approx(expected_between, rel=1e-4)
    assert float(bayesian.divergence_between(network, network)) == pytest.approx(0, abs=1e-3)


def test_growing_keeps_the_density_and_pruning_retires(network: MixtureNetwork) -> None:
    x, u = normal((6, 3)), normal((6, 2), 3)
    before = network.log_prob(u, network.condition(x))
    grown = grow(network, 3, draw=draw(2))
    assert np.asarray(grown.active).tolist() == [True, True, True, False]
    context = grown.condition(x)
    np.testing.assert_allclose(np.exp(np.asarray(context.log_weights))[0], [1 / 3, 1 / 3, 1 / 3, 0], atol=1e-6)
    np.testing.assert_allclose(grown.log_prob(u, context), before, atol=0.2)
    pruned, n_gone = prune(grown, np.log([0.9, 0.01, 0.09, 1e-9]), 0.05)
    assert n_gone == 1
    assert np.asarray(pruned.active).tolist() == [True, False, True, False]
    assert grow(grown, 9, draw=draw()) is grown


@pytest.mark.parametrize("inverse", [False, True])
def test_spline_is_invertible_and_its_slope_is_the_derivative(inverse: bool) -> None:
    raw = normal((40, 1, 3 * 6 - 1), sd=1.5)
    x = jnp.linspace(-1.3 * BOUND, 1.3 * BOUND, 40)[:, None]
    y, log_slope = rational_quadratic(x, raw, inverse=inverse)
    back, log_back = rational_quadratic(y, raw, inverse=not inverse)
    np.testing.assert_allclose(back, x, atol=2e-3)
    np.testing.assert_allclose(log_back, -log_slope, atol=2e-2)
    h = 1e-2
    up, down = (rational_quadratic(x + step, raw, inverse=inverse)[0] for step in (h, -h))
    numeric = np.log(np.asarray(up - down)) - np.log(2 * h)
    assert np.median(np.abs(numeric - np.asarray(log_slope))) < 5e-3


def test_flow_has_the_density_of_its_samples(flow: SplineFlow) -> None:
    """By change of variables: N(noise) over the determinant of what sampling does to it; so it integrates to one."""
    context = flow.condition(jnp.array([[0.3, -1.0, 0.5]]))
    noise = normal((60, 2))

    def place(one: jax.Array) -> jax.Array:
        return flow.sample(one[None], context)[0]

    samples, slopes = jax.jit(jax.vmap(lambda one: (place(one), jax.jacfwd(place)(one))))(noise)
    expected = jax.scipy.stats.norm.logpdf(noise).sum(1) - jnp.linalg.slogdet(slopes)[1]
    density = flow.log_prob(samples, jax.tree.map(lambda c: jnp.tile(c, (60, 1)), context))
    np.testing.assert_allclose(density, expected, atol=2e-3)


def test_tails_of_the_flow_are_gaussian() -> None:
    """Weights far larger than any training leaves, and still no point is thrown out by the dimensions before it."""
    flow = SplineFlow(3, 3, layers=1, bins=5, hidden=8, n_context=6, draw=draw())
    wild = jax.tree.map(lambda leaf: normal(leaf.shape, sd=30), flow.transforms)
    flow = eqx.tree_at(lambda f: f.transforms, flow, wild)
    rays = jnp.array([[1.0, 1.0, -1.0], [-1.0, 1.0, 1.0]])
    context = flow.condition(jnp.ones((2, 3)))
    for factor in (1.0, BOUND, 1e3):
        farthest = np.abs(np.asarray(flow.sample(factor * rays, context))).max()
        assert farthest <= 2 * BOUND + max(factor, BOUND) * np.exp(WIDEST) + 1e-3 * factor
    # Along a ray the log density is a parabola as soon as every dimension has left the splines.
    starts = 1e6 * jnp.arange(1.0, 4.0)
    values = [np.asarray(flow.log_prob(start * rays, context), float) for start in starts]
    np.testing.assert_allclose(values[2] - values[0], (9 - 1) / (4 - 1) * (values[1] - values[0]), rtol=1e-3)


@pytest.mark.slow
def test_flow_is_autoregressive_and_invertible(flow: SplineFlow) -> None:
    layer, context = jax.tree.map(lambda a: a[0], flow.transforms), jnp.ones((3, 6))
    u = normal((3, 2))
    z, change = layer.forward(u, context)
    np.testing.assert_allclose(layer.backward(z, context), u, atol=0.03)
    jacobian = jax.jacobian(lambda v: layer.forward(v[None], context[:1])[0][0])(u[0])
    assert float(jacobian[0, 1]) == 0.0
    assert float(jnp.log(jnp.abs(jnp.linalg.det(jacobian)))) == pytest.approx(float(change[0]), abs=1e-3)
    one = SplineFlow(3, 1, layers=2, bins=5, hidden=8, n_context=6, draw=draw())
    assert one.sample(jnp.zeros((2, 1)), one.condition(jnp.ones((2, 3)))).shape == (2, 1)


def test_linear_step_is_least_squares_and_invertible(rng) -> None:
    x = rng.standard_normal((3000, 2))
    noise = rng.standard_normal((3000, 2)) @ np.array([[0.3, 0.1], [0.0, 0.2]])
    u = x @ np.array([[1.0, 0.5], [-0.5, 0.2]]) + 0.7 + noise
    network = density_network(FlowSettings(layers=1, bins=4, hidden=8, context=8), 2, 2, draw=draw())
    started = linear_start(network, u, x, np.ones(3000))
    log_q = started.log_prob(jnp.asarray(u, jnp.float32), started.condition(jnp.asarray(x, jnp.float32)))
    exact = -np.log(0.3 * 0.2) - np.log(2 * np.pi) - 1
    assert float(log_q.mean()) == pytest.approx(exact, abs=0.05)
    step = started.body.linear
    mean = step.mean(jnp.asarray(x[:5], jnp.float32))
    z, _ = step.forward(jnp.asarray(u[:5], jnp.float32), mean)
    np.testing.assert_allclose(step.backward(z, mean), u[:5], atol=1e-4)
    mixture = linear_start(
        density_network(MixtureSettings(components=2, hidden=(8,)), 2, 2, draw=draw()), u, x, np.ones(3000)
    )
    np.testing.assert_allclose(mixture.body.linear.slope, step.slope, atol=1e-6)
    learns = TraceFeatures(kind="gru", steps=2)
    traces = density_network(MixtureSettings(components=2, hidden=(8,)), 2, 2, trace=learns, draw=draw())
    assert linear_start(traces, u, x, np.ones(3000)) is traces
