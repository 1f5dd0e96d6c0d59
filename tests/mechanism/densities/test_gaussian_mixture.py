"""Closed forms of mixtures against scipy, brute-force sampling and numerical integration."""

import numpy as np
import pytest
from scipy import stats

from antidrome.errors import InputError
from antidrome.mechanism.densities.gaussian_mixture import GaussianMixture

WEIGHTS = np.array([0.3, 0.7])
MEANS = np.array([[0.0, 1.0, -1.0], [2.0, -1.0, 0.5]])
COVARIANCES = np.array(
    [[[1.0, 0.4, 0.1], [0.4, 0.8, -0.2], [0.1, -0.2, 0.5]], [[0.3, -0.1, 0.0], [-0.1, 0.6, 0.2], [0.0, 0.2, 0.9]]]
)


@pytest.fixture
def mixture() -> GaussianMixture:
    return GaussianMixture.from_covariances(WEIGHTS, MEANS, COVARIANCES)


def density(x: np.ndarray, keep: list[int]) -> np.ndarray:
    parts = [
        w * stats.multivariate_normal(m[keep], c[np.ix_(keep, keep)]).pdf(x)
        for w, m, c in zip(WEIGHTS, MEANS, COVARIANCES, strict=True)
    ]
    return np.sum(parts, axis=0)


def test_density_is_that_of_scipy(mixture: GaussianMixture, rng) -> None:
    x = rng.normal(size=(50, 3))
    np.testing.assert_allclose(np.exp(mixture.log_prob(x)), density(x, [0, 1, 2]), rtol=1e-10)


def test_student_density_is_that_of_scipy(mixture: GaussianMixture, rng) -> None:
    x = rng.normal(size=(50, 3))
    expected = sum(
        w * stats.multivariate_t(m, c, df=3).pdf(x) for w, m, c in zip(WEIGHTS, MEANS, COVARIANCES, strict=True)
    )
    np.testing.assert_allclose(np.exp(mixture.with_heavy_tails(3).log_prob(x)), expected, rtol=1e-10)


def test_moments_are_those_of_samples(mixture: GaussianMixture) -> None:
    samples = mixture.sample(seed=0, n_samples=100_000)
    np.testing.assert_allclose(samples.mean(axis=0), mixture.mean(), atol=0.02)
    np.testing.assert_allclose(np.cov(samples.T), mixture.covariance(), atol=0.04)
    heavy = mixture.with_heavy_tails(5).sample(seed=0, n_samples=100_000)
    assert stats.kurtosis(heavy[:, 2]) > stats.kurtosis(samples[:, 2]) + 0.5


def test_marginal_keeps_the_named_dimensions_in_order(mixture: GaussianMixture, rng) -> None:
    x = rng.normal(size=(20, 2))
    np.testing.assert_allclose(np.exp(mixture.marginal([2, 0]).log_prob(x)), density(x, [2, 0]), rtol=1e-10)


def test_conditional_is_joint_over_marginal(mixture: GaussianMixture, rng) -> None:
    x = rng.normal(size=(20, 1))
    joint = np.column_stack([np.full(20, 0.3), x, np.full(20, -0.2)])
    expected = density(joint, [0, 1, 2]) / density(np.array([0.3, -0.2]), [0, 2])
    conditional = mixture.conditional([0, 2], np.array([0.3, -0.2]))
    np.testing.assert_allclose(np.exp(conditional.log_prob(x)), expected, rtol=1e-9)


def test_mode_is_the_highest_point(mixture: GaussianMixture) -> None:
    mode = mixture.mode()
    samples = np.concatenate(
        [mixture.sample(seed=1, n_samples=20_000), mode + 0.01 * np.eye(3), mode - 0.01 * np.eye(3)]
    )
    assert mixture.log_prob(mode[None])[0] >= mixture.log_prob(samples).max()


def test_a_conditional_needs_something_free(mixture: GaussianMixture) -> None:
    with pytest.raises(InputError, match="at least one dimension"):
        mixture.conditional([0, 1, 2], np.zeros(3))
