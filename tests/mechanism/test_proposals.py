"""Proposals draw from the density that they claim, relative to the prior."""

import numpy as np
import pytest
from scipy import stats

from antidrome.mechanism.densities.gaussian_mixture import GaussianMixture
from antidrome.mechanism.failures import FailureClassifier, train_failure_classifier
from antidrome.mechanism.priors import MultivariateNormal, Prior, Uniform
from antidrome.mechanism.proposals import FromDensity, FromPrior, Mixed, Thinned, Truncated

POSTERIOR = GaussianMixture.from_covariances([1.0], [[1.0, -0.5]], [[[0.04, 0.03], [0.03, 0.09]]])
PRIORS = {
    "independent": Prior({"a": Uniform(0, 1), "b": Uniform(0, 1)}),
    "correlated": Prior({("a", "b"): MultivariateNormal([0, 0], [[1, 0.7], [0.7, 2]])}),
}


def proposals(prior: Prior) -> dict:
    truncated = Truncated.of(POSTERIOR, prior, seed=1)
    half = FailureClassifier(
        {
            "w0": np.eye(2),
            "b0": np.zeros(2),
            "w1": np.eye(2),
            "b1": np.zeros(2),
            "w2": np.ones((2, 1)),
            "b2": np.zeros(1),
        }
    )
    return {
        "prior": FromPrior(prior),
        "density": FromDensity(POSTERIOR, prior),
        "truncated": truncated,
        "mixed": Mixed((FromDensity(POSTERIOR, prior), FromPrior(prior)), (0.7, 0.3)),
        "thinned": Thinned.of(FromPrior(prior), half, seed=2),
    }


@pytest.mark.parametrize("kind", ["prior", "density", "truncated", "mixed", "thinned"])
@pytest.mark.parametrize("name", PRIORS)
def test_mean_ratio_and_samples_agree_with_the_density(name: str, kind: str) -> None:
    """E_prior[p̃/p · f] = E_p̃[f] for f = 1 and for the indicator of a half-plane."""
    prior = PRIORS[name]
    proposal = proposals(prior)[kind]
    from_prior, own = prior.sample_unconstrained(200_000, seed=5), proposal.sample(4000, seed=6)
    ratio = np.exp(proposal.log_ratio(from_prior))
    assert ratio.mean() == pytest.approx(1.0, abs=0.1)
    share = np.mean(ratio * (from_prior[:, 0] > 0.9)) / ratio.mean()
    assert np.mean(own[:, 0] > 0.9) == pytest.approx(share, abs=0.04)
    assert np.array_equal(proposal.sample(10, seed=6), proposal.sample(10, seed=6))
    assert np.isfinite(proposal.log_ratio(own)).all()


def test_truncated_weights_are_constant_inside() -> None:
    prior = PRIORS["correlated"]
    truncated = Truncated.of(POSTERIOR, prior, seed=1)
    inside = truncated.log_ratio(truncated.sample(1000, seed=3))
    assert np.ptp(inside) == 0
    assert np.mean(truncated.log_ratio(POSTERIOR.sample(5000, seed=9)) == inside[0]) > 0.99


@pytest.mark.parametrize("name", PRIORS)
def test_where_the_threshold_leaves_too_little_the_region_is_the_box(name: str) -> None:
    """Two far, narrow components: their box is nearly empty. Its prior mass is known in closed form."""
    prior = PRIORS[name]
    apart = GaussianMixture.from_covariances([0.5, 0.5], [[-2.0, -2.0], [2.0, 2.0]], [1e-4 * np.eye(2)] * 2)
    region = Truncated.of(apart, prior, seed=0)
    assert region.threshold == -np.inf
    inside = region.log_ratio(prior.sample_unconstrained(200_000, seed=3)) > -1e5
    assert inside.mean() == pytest.approx(np.exp(region.log_mass), rel=0.05)
    assert np.mean(region.log_ratio(apart.sample(5000, seed=4)) > -1e5) > 0.99


def test_classifier_learns_two_quadrants_and_needs_both_kinds(rng) -> None:
    u = rng.standard_normal((1500, 2))
    failed = (u[:, 0] > 0) == (u[:, 1] > 0)
    classifier = train_failure_classifier(u, failed, seed=0, capacity=2048)
    assert classifier is not None
    test = rng.standard_normal((1000, 2))
    predicted = classifier.log_keep(test) < np.log(0.5)
    assert np.mean(predicted == ((test[:, 0] > 0) == (test[:, 1] > 0))) > 0.93
    assert np.exp(classifier.log_keep(np.array([[5.0, 5.0]])))[0] >= 0.02
    assert train_failure_classifier(u, np.zeros(1500, bool), seed=0, capacity=2048) is None


def test_heavy_tails_reach_further() -> None:
    prior = PRIORS["independent"]
    plain, heavy = FromDensity(POSTERIOR, prior), FromDensity(POSTERIOR.with_heavy_tails(3), prior)
    point = np.array([[3.0, 3.0]])
    assert heavy.log_ratio(point)[0] > plain.log_ratio(point)[0] + 10
    assert stats.kurtosis(heavy.sample(20_000, seed=0)[:, 0]) > 1


@pytest.mark.parametrize("kind", ["prior", "density", "truncated", "mixed", "thinned"])
def test_of_no_sample_there_is_an_empty_table(kind: str) -> None:
    """A part of a mixture may get none of a few draws."""
    assert proposals(PRIORS["correlated"])[kind].sample(0, seed=1).shape == (0, 2)
