"""Reference samplers against posteriors in closed form."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from antidrome.errors import InputError
from antidrome.mechanism import Normal, Prior, Uniform
from antidrome.mechanism.samplers import (
    glm_gibbs,
    hamiltonian_monte_carlo,
    polya_gamma,
    random_walk_metropolis,
    rejection_abc,
    smc_abc,
)
from antidrome.mechanism.samplers.abc import scaled_distances
from antidrome.mechanism.simulate.batch import judge

PRIOR = Prior({"a": Normal(0.0, 1.0), "b": Normal(0.0, 1.0)})
OBSERVED = np.array([0.8, -0.4])


class Gaussian:
    """x ~ N(θ, 0.5² I): with the prior N(0, I) the posterior is N(0.8 x, 0.2 I)."""

    feature_names, feature_units = ("x", "y"), ("1", "1")

    def __init__(self) -> None:
        self.n = 0

    def run(self, theta, seed):
        self.n += len(theta)
        return judge(theta + 0.5 * np.random.default_rng(seed).standard_normal(theta.shape))


def log_likelihood(theta: np.ndarray) -> np.ndarray:
    return -0.5 * np.sum((theta - OBSERVED) ** 2, axis=1) / 0.25


def agrees(samples: np.ndarray, tolerance: float, weights: np.ndarray | None = None) -> None:
    np.testing.assert_allclose(np.average(samples, axis=0, weights=weights), 0.8 * OBSERVED, atol=tolerance)
    np.testing.assert_allclose(np.cov(samples.T, aweights=weights), 0.2 * np.eye(2), atol=tolerance)


def test_rejection() -> None:
    result = rejection_abc(Gaussian(), PRIOR, OBSERVED, n_simulations=60_000, n_accepted=600, progress=False)
    agrees(result.theta, 0.09)
    assert result.epsilon == result.distance.max()
    assert result.n_simulations == 60_000
    with pytest.raises(InputError, match="30 of 20 simulations are to be accepted"):
        rejection_abc(Gaussian(), PRIOR, OBSERVED, n_simulations=20, n_accepted=30, progress=False)


def test_anything_that_simulates_will_do() -> None:
    def simulator(a, rng):
        return {"x": a + 0.1 * rng.standard_normal()}

    result = rejection_abc(
        simulator, {"a": Uniform(-1, 1)}, {"x": 0.5}, n_simulations=400, n_accepted=20, progress=False
    )
    assert abs(result.theta.mean() - 0.5) < 0.1
    with pytest.raises(InputError, match="'y' that the simulator does not give"):
        smc_abc(simulator, {"a": Uniform(-1, 1)}, {"y": 0.5}, progress=False)


def test_sequential_monte_carlo_needs_fewer_simulations() -> None:
    simulator = Gaussian()
    result = smc_abc(simulator, PRIOR, OBSERVED, n_particles=600, max_simulations=30_000, progress=False)
    agrees(result.theta, 0.09, result.weights)
    assert result.n_simulations == simulator.n <= 30_000
    assert result.weights.sum() == pytest.approx(1)
    assert result.epsilon < 0.4
    assert result.resampled(10).shape == (10, 2)
    again = smc_abc(Gaussian(), PRIOR, OBSERVED, n_particles=600, max_simulations=30_000, progress=False)
    assert np.array_equal(result.theta, again.theta)


def test_missing_features_in_distances() -> None:
    reference = np.array([[0.0, 1.0, 5.0], [1.0, 3.0, 5.0], [2.0, 5.0, 5.0]])
    distance = scaled_distances(reference, np.array([1.0, np.nan, 5.0]))
    found = distance(np.array([[2.0, 0.0, 5.0], [1.0, np.nan, 5.0], [np.nan, 1.0, 5.0]]))
    np.testing.assert_allclose(found, [np.sqrt(0.5), 0.0, np.inf])
    with pytest.raises(InputError, match="simulations have 3 features"):
        scaled_distances(reference, np.array([1.0]))


def test_polya_gamma_has_its_mean_variance_and_transform() -> None:
    draw = np.random.default_rng(0)
    for z in (0.0, 0.7, -4.0, 30.0):
        x = polya_gamma(np.full(40_000, z), draw)
        assert (x > 0).all()
        half = max(abs(z), 1e-4) / 2
        mean = np.tanh(half) / (4 * half)
        assert x.mean() == pytest.approx(mean, rel=0.02)
        laplace = np.cosh(half) / np.cosh(np.sqrt((2 * half) ** 2 + 2 * 1.5) / 2)
        assert np.exp(-1.5 * x).mean() == pytest.approx(laplace, rel=0.01)


def test_gibbs_agrees_with_metropolis() -> None:
    draw = np.random.default_rng(1)
    design = np.column_stack([np.ones(60), draw.standard_normal(60)])
    spikes = (draw.random(60) < expit(design @ [-0.5, 1.0])).astype(float)
    gibbs = glm_gibbs(design, spikes, np.eye(2), n_samples=1500, thin=2, burn_in=100, progress=False)

    def likelihood(theta: np.ndarray) -> np.ndarray:
        psi = theta @ design.T
        return (spikes * psi - np.logaddexp(0, psi)).sum(axis=1)

    walk = random_walk_metropolis(likelihood, PRIOR, n_samples=300, thin=4, burn_in=600, progress=False)
    np.testing.assert_allclose(gibbs.mean(axis=0), walk.pooled.mean(axis=0), atol=0.06)
    np.testing.assert_allclose(np.cov(gibbs.T), np.cov(walk.pooled.T), atol=0.03)
    with pytest.raises(InputError, match="0 or 1 in each bin"):
        glm_gibbs(design, spikes * 2, np.eye(2), progress=False)


def test_metropolis_and_hamiltonian() -> None:
    walk = random_walk_metropolis(log_likelihood, PRIOR, n_samples=400, thin=5, burn_in=600, progress=False)
    agrees(walk.pooled, 0.04)
    assert walk.r_hat.max() < 1.05
    assert 0.15 < walk.acceptance < 0.5
    bounded = Prior({"a": Uniform(0.7, 1.0), "b": Uniform(-1, 1)})
    inside = random_walk_metropolis(log_likelihood, bounded, n_samples=50, burn_in=200, progress=False)
    assert ((inside.pooled[:, 0] >= 0.7) & (inside.pooled[:, 0] <= 1.0)).all()

    def log_density(theta):
        return -0.5 * jnp.sum((theta - OBSERVED) ** 2) / 0.25 - 0.5 * jnp.sum(theta**2)

    chains = hamiltonian_monte_carlo(log_density, np.zeros((10, 2)), n_samples=300, burn_in=200)
    agrees(chains.pooled, 0.05)
    assert chains.r_hat.max() < 1.05
    assert 0.6 < chains.acceptance < 0.95
    with pytest.raises(InputError, match="finite log density at each"):
        hamiltonian_monte_carlo(lambda theta: jnp.log(theta[0]), np.array([[-1.0]]))


@pytest.mark.parametrize(("keep", "shape"), [(True, r"\(500, 1\)"), (False, r"\(\)")])
def test_a_likelihood_of_another_shape_is_refused(keep: bool, shape: str) -> None:
    """It was broadcast, and gave another posterior."""

    def likelihood(theta: np.ndarray) -> np.ndarray:
        return -np.sum(theta**2, axis=1 if keep else None, keepdims=keep)

    with pytest.raises(InputError, match=rf"of shape {shape} for 500 parameter sets; expected \(500,\)"):
        random_walk_metropolis(likelihood, PRIOR, n_chains=5, n_samples=5, burn_in=0, progress=False)


@pytest.mark.slow
def test_one_trajectory_without_burn_in_moves() -> None:
    """Masses were taken from a single state, and the chain stood still."""
    found = hamiltonian_monte_carlo(lambda q: -0.5 * jnp.sum(q**2), np.zeros((1, 2)), n_samples=400, burn_in=0)
    np.testing.assert_allclose(found.pooled.std(axis=0), 1.0, atol=0.25)
