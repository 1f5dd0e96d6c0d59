"""Memory and time where features are wide, particles many, parameters numerous: results as ever, tables never whole."""

import dataclasses
import importlib
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from antidrome.mechanism import Uniform
from antidrome.mechanism.densities import linear_start
from antidrome.mechanism.densities.gaussian_mixture import GaussianMixture
from antidrome.mechanism.densities.network import FlowSettings, MixtureSettings, density_network
from antidrome.mechanism.densities.trained import TrainedDensity
from antidrome.mechanism.diagnostics.calibration import Pairs, coverage_levels
from antidrome.mechanism.features import FeatureScaling
from antidrome.mechanism.judgement import keep_for_judgement
from antidrome.mechanism.rounds import FitSimulations
from antidrome.mechanism.samplers import abc
from antidrome.mechanism.samplers.abc import smc_abc
from antidrome.mechanism.simulate.batch import judge
from antidrome.mechanism.simulate.outputs import as_observation
from antidrome.recordings.archives import load_npz

local_c2st = importlib.import_module("antidrome.mechanism.diagnostics.local_c2st")


def peak_bytes(function: Callable[[], object]) -> int:
    """Most memory that the arrays of a call take at once."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("settings", [FlowSettings(), pytest.param(MixtureSettings(), marks=pytest.mark.slow)])
def test_wide_features_are_not_repeated_for_every_sample(settings, rng) -> None:
    n, n_samples, k = 60, 100, 3000
    features = rng.standard_normal((n, k))
    network = density_network(settings, k, 2, mask=False, trace=None, draw=np.random.default_rng(0))
    trained = TrainedDensity((network,), FeatureScaling.of(features))
    found = Pairs.of(trained, rng.standard_normal((n, 2)), features, np.ones(n), n_samples=n_samples, seed=1)
    assert found.samples.shape == (n, n_samples, 2)
    u = found.samples.reshape(-1, 2)
    each = trained.log_prob(u, np.repeat(features, n_samples, axis=0))
    assert np.array_equal(trained.log_prob(u, features), each)
    repeated = n * n_samples * k * 8
    assert peak_bytes(lambda: coverage_levels(found, trained)) < repeated
    assert peak_bytes(lambda: trained.sample(features, n_samples, seed=1)) < repeated / 2


def test_many_points_of_many_components(rng) -> None:
    covariances = np.eye(8) * rng.uniform(0.5, 2, (100, 1, 1))
    mixture = GaussianMixture.from_covariances(np.ones(100), rng.standard_normal((100, 8)), covariances)
    x = rng.standard_normal((40_000, 8))
    assert peak_bytes(lambda: mixture.log_prob(x)) < x.size * 100 * 8 / 2
    assert np.array_equal(mixture.log_prob(x)[-10:], mixture.log_prob(x[-10:]))
    assert mixture.log_prob(x[:0]).shape == (0,)


def test_regression_on_more_features_than_simulations(rng, monkeypatch) -> None:
    u, x, weights = rng.standard_normal((40, 2)), rng.standard_normal((40, 5000)), rng.random(40)
    assert peak_bytes(lambda: linear_start.regression(u, x, weights)) < 5000**2 * 8 / 10
    narrow = x[:, :60]
    expected = linear_start.regression(u, narrow, weights)
    monkeypatch.setattr(linear_start, "WIDE", 61)
    assert all(map(np.array_equal, linear_start.regression(u, narrow, weights), expected))
    monkeypatch.setattr(linear_start, "WIDE", 59)
    for found, wanted in zip(linear_start.regression(u, narrow, weights), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_a_classifier_of_more_inputs_than_pairs(rng, monkeypatch) -> None:
    a, b, where = rng.standard_normal((3, 30, 3000))
    assert peak_bytes(lambda: local_c2st._probability(a, b, where)) < 3000**2 * 8 / 4
    a, b, where = a[:, :80], b[:, :80], where[:, :80]
    expected = local_c2st._probability(a, b, where)
    monkeypatch.setattr(local_c2st, "WIDE", 79)
    np.testing.assert_allclose(local_c2st._probability(a, b, where), expected, atol=1e-10)


class Shifted:
    """x = θ + noise."""

    feature_names, feature_units = ("x", "y"), ("", "")

    def run(self, theta, seed):
        return judge(theta + 0.1 * np.random.default_rng(seed).standard_normal(theta.shape))


def test_a_large_population(monkeypatch) -> None:
    def sample():
        prior = {"a": Uniform(-1, 1), "b": Uniform(-1, 1)}
        return smc_abc(Shifted(), prior, [0.1, 0.2], n_particles=1200, max_simulations=9000, progress=False)

    expected = sample()
    assert np.ptp(expected.weights) > 0
    monkeypatch.setattr(abc, "PAIRS_AT_ONCE", 2**16, raising=False)
    assert peak_bytes(sample) < 1200**2 * 2 * 8
    np.testing.assert_allclose(sample().weights, expected.weights, rtol=1e-9)


def test_an_observation_of_many_named_features() -> None:
    names = tuple(f"spike {i}" for i in range(30_000))
    started = time.process_time()
    assert as_observation(dict.fromkeys(names, 1.0), names).sum() == len(names)
    assert time.process_time() - started < 3


def test_very_many_features_with_gaps(rng, tmp_path) -> None:
    """Filled with their means as ever, but without a table of every feature against every other."""
    z = rng.standard_normal((50, 4000)) + 1
    z[rng.random(z.shape) < 0.1] = np.nan
    found: list[FeatureScaling] = []

    def scale() -> None:
        scaling = FeatureScaling.of(z)
        found.append(scaling.expecting(z, np.ones(50)))
        found[0].inputs(z)

    assert peak_bytes(scale) < 4000**2 * 8 / 4
    scaled, inputs = found[0](z), found[0].inputs(z)
    level = np.nanmean(scaled.astype(float), axis=0)
    np.testing.assert_allclose(inputs[:, 4000:], np.where(np.isnan(z), level, 0), atol=1e-6)
    older = dataclasses.replace(found[0], covariance=np.diag(found[0].covariance))
    assert np.array_equal(older.inputs(z), inputs, equal_nan=True), "as files of earlier versions have it"


def test_simulations_of_zeros_are_kept_so_that_they_are_read_again(tmp_path) -> None:
    """They are so easily compressed that they were taken for a file made to exhaust memory."""
    n, k = 100, 90_000
    simulations = FitSimulations(
        np.zeros((n, 1)), np.zeros((n, k)), np.ones(n, bool), np.zeros(n, int), np.zeros((n, 1))
    )
    keep_for_judgement(tmp_path, simulations, np.ones(n), True, posterior="00ff")
    assert load_npz(tmp_path / "judgement.npz")["features"].shape == (n, k)
