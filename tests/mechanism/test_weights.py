"""Importance weights and the calibration kernel, against plain formulas."""

import numpy as np
import pytest
from scipy import stats

from antidrome.errors import InputError
from antidrome.mechanism.weights import (
    KernelSettings,
    distances,
    effective_sample_size,
    kernel_weights,
    largest_share,
    mixture_log_weights,
    round_log_weights,
)


def test_round_weights_are_prior_over_proposal(rng) -> None:
    u = 2 * rng.standard_normal(500)
    ratio = stats.norm(0, 2).logpdf(u) - stats.norm.logpdf(u)
    weights = np.exp(round_log_weights(ratio))
    plain = stats.norm.pdf(u) / stats.norm(0, 2).pdf(u)
    np.testing.assert_allclose(weights, plain / plain.mean())


def test_mixture_weights_are_prior_over_the_mean_of_proposals_and_bounded(rng) -> None:
    narrow = stats.norm(1, 0.1)
    u = np.concatenate([rng.standard_normal(100), narrow.rvs(300, random_state=1)])
    ratios = np.column_stack([np.zeros(400), narrow.logpdf(u) - stats.norm.logpdf(u)])
    weights = np.exp(mixture_log_weights(ratios, np.array([100, 300])))
    plain = stats.norm.pdf(u) / (0.25 * stats.norm.pdf(u) + 0.75 * narrow.pdf(u))
    np.testing.assert_allclose(weights, plain / plain.mean())
    assert plain.max() <= 4.0 + 1e-9
    assert plain.mean() == pytest.approx(1.0, abs=0.15)


def test_effective_size_counts_equal_weights() -> None:
    assert effective_sample_size(np.array([1.0, 1, 1, 0])) == pytest.approx(3)
    assert effective_sample_size(np.zeros(3)) == 0
    assert largest_share(np.array([1.0, 3.0])) == 0.75


def test_gaps_that_the_observation_has_too_are_near_and_others_far() -> None:
    x = np.array([[1.0, np.nan, 2.0], [1.0, 9.0, 2.0], [np.nan, np.nan, 2.0], [np.nan, 0.0, np.nan]])
    found = distances(x, np.array([0.0, np.nan, 0.0]))
    np.testing.assert_allclose(found, np.sqrt(np.array([1 + 0 + 4, 1 + 2 + 4, 2 + 0 + 4, 2 + 2 + 2]) / 3))


@pytest.mark.parametrize("shape", ["gaussian", "uniform", "epanechnikov", "tricube"])
def test_adaptive_bandwidth_keeps_the_effective_size(shape: str, rng) -> None:
    distance, weights = np.abs(rng.standard_normal(2000)), rng.gamma(2, 1, 2000)
    weights[:50] = 0
    kernel, bandwidth = kernel_weights(distance, weights, KernelSettings(shape=shape, share=0.3))
    expected = 0.3 * effective_sample_size(weights)
    assert effective_sample_size(weights * kernel) == pytest.approx(expected, rel=0.01)
    assert bandwidth is not None
    nearer = np.argsort(distance)
    assert (np.diff(kernel[nearer]) <= 1e-12).all()


def test_fixed_bandwidth_falls_back_to_the_nearest(rng) -> None:
    distance, weights = np.abs(rng.standard_normal(1000)), np.ones(1000)
    kernel, bandwidth = kernel_weights(distance, weights, KernelSettings(shape="uniform", bandwidth=0.01, share=0.2))
    assert kernel.sum() == pytest.approx(200, abs=2)
    assert bandwidth == pytest.approx(np.quantile(distance, 0.2))
    kernel, bandwidth = kernel_weights(distance, weights, KernelSettings(shape="gaussian", bandwidth=0.5, share=0.2))
    np.testing.assert_allclose(kernel, np.exp(-0.5 * (distance / 0.5) ** 2))


def test_without_kernel_all_count(rng) -> None:
    kernel, bandwidth = kernel_weights(rng.random(5), np.ones(5), KernelSettings(shape="none"))
    assert kernel.tolist() == [1.0] * 5
    assert bandwidth is None
    with pytest.raises(InputError, match="bandwidth needs to be positive"):
        KernelSettings(bandwidth=0.0)
