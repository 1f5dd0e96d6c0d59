"""What is expected of missing features: conditional means, against the plain formula; one network for every gap."""

import numpy as np
import pytest

from antidrome.mechanism import SNPE, MixtureSettings, Normal, TrainingSettings
from antidrome.mechanism.features import FeatureScaling
from antidrome.mechanism.imputation import expected_where_missing, gaussian_of_gaps
from antidrome.mechanism.simulate import external_simulations

MIXING = np.array([[1.0, 0.0, 0.0], [0.8, 0.5, 0.0], [-0.6, 0.3, 0.7]])
COVARIANCE = MIXING @ MIXING.T


def with_gaps(rng: np.random.Generator, n: int, share: float = 0.4) -> np.ndarray:
    z = np.array([0.2, -0.1, 0.4]) + rng.standard_normal((n, 3)) @ MIXING.T
    z[rng.random(z.shape) < share] = np.nan
    return z


def test_expectation_maximisation_finds_mean_and_covariance_behind_the_gaps(rng) -> None:
    z = np.column_stack([with_gaps(rng, 2000), np.full(2000, np.nan)])
    mean, covariance = gaussian_of_gaps(z, np.ones(2000))
    np.testing.assert_allclose(mean, [0.2, -0.1, 0.4, 0.0], atol=0.08)
    np.testing.assert_allclose(covariance[:3, :3], COVARIANCE, atol=0.12)
    np.testing.assert_array_equal(covariance[3], [0, 0, 0, 1])


def test_weights_say_which_simulations_count(rng) -> None:
    z, weights = with_gaps(rng, 1500), np.ones(1500)
    z[1000:] += 50
    weights[1000:] = 0
    np.testing.assert_allclose(gaussian_of_gaps(z, weights)[0], [0.2, -0.1, 0.4], atol=0.1)


def test_expected_values_are_conditional_means(rng) -> None:
    z, mean = with_gaps(rng, 200), np.array([0.2, -0.1, 0.4])
    expected = expected_where_missing(z, mean, COVARIANCE)
    for row, found in zip(z, expected, strict=True):
        gone = np.isnan(row)
        there = ~gone
        inner = COVARIANCE[np.ix_(there, there)]
        by_hand = mean[gone] + COVARIANCE[np.ix_(gone, there)] @ np.linalg.solve(inner, row[there] - mean[there])
        np.testing.assert_allclose(found[gone], by_hand, atol=5e-3)
        assert not found[there].any()


def test_inputs_hold_what_is_expected_and_come_back_from_a_file(rng) -> None:
    x = with_gaps(rng, 800)
    plain = FeatureScaling.of(x)
    assert plain.inputs(x).shape == (800, 3)
    scaling = plain.expecting(x, np.ones(800))
    inputs = scaling.inputs(x)
    assert inputs.dtype == np.float32
    np.testing.assert_array_equal(inputs[:, :3], plain(x))
    assert np.isfinite(inputs[:, 3:]).all()
    np.testing.assert_array_equal(FeatureScaling.from_arrays(scaling.to_arrays()).inputs(x), inputs)


@pytest.mark.slow
def test_gaps_in_simulations_leave_the_posterior_of_a_whole_observation_as_it_is(rng) -> None:
    """θ ~ N(0, 1), four measurements of variance 1, each missing in 40 % of the simulations: N(Σx/5, 1/5)."""
    theta = rng.standard_normal((4000, 1))
    x = theta + rng.standard_normal((4000, 4))
    x[rng.random(x.shape) < 0.4] = np.nan
    x[np.isnan(x).all(axis=1), 0] = 0.0
    done = external_simulations(theta, x, parameter_names=("a",))
    model = SNPE(
        "npe",
        density=MixtureSettings(components=1, hidden=(20,)),
        training=TrainingSettings(epochs=60, learning_rate=3e-3),
        diagnose=False,
    )
    samples = model.fit(done, {"a": Normal(0, 1)}, [1.0, 1.0, 1.0, 1.0], progress=False).sample(4000).values
    assert samples.mean() == pytest.approx(0.8, abs=0.08)
    assert samples.std() == pytest.approx(np.sqrt(0.2), rel=0.1)
