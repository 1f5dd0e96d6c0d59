"""Model error: the posterior is that of the model with the error, and a fit that goes on adds the same one."""

import numpy as np
import pytest

from antidrome.mechanism import SNPE, Normal, Prior
from antidrome.mechanism.densities.network import MixtureSettings
from antidrome.mechanism.model_error import error_spread
from antidrome.mechanism.simulate import external_simulations
from antidrome.mechanism.simulate.batch import judge
from antidrome.mechanism.training import TrainingSettings

PRIOR = Prior({"a": Normal(0, 1), "b": Normal(0, 10)})
SETTINGS = {
    "method": "tsnpe",
    "n_rounds": 2,
    "n_simulations": 500,
    "density": MixtureSettings(components=1, hidden=(16,)),
    "training": TrainingSettings(epochs=60, batch=50, learning_rate=5e-3, patience=8, drops=0),
    "n_predictive": 50,
}


class Exact:
    """x = θ without noise."""

    feature_names = ("x", "y")
    feature_units = ("", "")

    def __init__(self, stop_after: int = 10**9) -> None:
        self.left = stop_after

    def run(self, theta, seed):
        self.left -= len(theta)
        if self.left < 0:
            raise KeyboardInterrupt
        return judge(np.array(theta))


@pytest.mark.slow
def test_posterior_is_as_wide_as_the_error_allows(tmp_path) -> None:
    model = SNPE(model_error=0.3, **SETTINGS).fit(Exact(), PRIOR, [0.5, -5.0], progress=False)
    samples = model.sample(4000).values / [1, 10]
    # A unit prior times a likelihood of standard deviation 0.3.
    np.testing.assert_allclose(samples.mean(axis=0), np.array([0.5, -0.5]) / 1.09, atol=0.08)
    np.testing.assert_allclose(samples.std(axis=0), 0.3 / np.sqrt(1.09), rtol=0.2)
    assert any("model_error" in note for note in model.notes_)
    assert model.diagnosis_.trustworthy
    # Predictions scatter as the posterior and the error do together; those of the prior have the error as well.
    assert model.predicted_[:, 0].std() == pytest.approx(0.3 * np.sqrt(1 + 1 / 1.09), rel=0.15)
    model.save(tmp_path / "posterior.safetensors")
    assert SNPE.load(tmp_path / "posterior.safetensors").model_error == 0.3


def test_an_interrupted_fit_adds_the_same_error(tmp_path) -> None:
    whole = SNPE(model_error=0.1, **SETTINGS).fit(Exact(), PRIOR, [0.5, -5.0], progress=False)
    with pytest.raises(KeyboardInterrupt):
        SNPE(model_error=0.1, **SETTINGS).fit(Exact(700), PRIOR, [0.5, -5.0], checkpoint=tmp_path, progress=False)
    resumed = SNPE(model_error=0.1, **SETTINGS)
    resumed.fit(Exact(), PRIOR, [0.5, -5.0], checkpoint=tmp_path, progress=False)
    assert np.array_equal(whole.simulations_.features, resumed.simulations_.features)
    assert np.array_equal(whole.sample(20), resumed.sample(20))
    exact = SNPE(**SETTINGS).fit(Exact(), PRIOR, [0.5, -5.0], progress=False)
    first = exact.simulations_.round == 0
    added = (whole.simulations_.features - exact.simulations_.features)[first]
    assert 0.09 < added[:, 0].std() < 0.11


def test_spread_of_simulations_from_a_proposal_is_that_over_the_prior(rng) -> None:
    """It was that over the proposal: 0.7 in place of 1 for the first feature."""
    features = np.column_stack([0.5 + 0.7 * rng.standard_normal(50_000), np.full(50_000, np.nan)])
    features[:100, 0] = np.nan
    theta = np.nan_to_num(features[:, 0])
    log_ratio = 0.5 * theta**2 - 0.5 * ((theta - 0.5) / 0.7) ** 2 - np.log(0.7)
    np.testing.assert_allclose(error_spread(features, 0.5, log_ratio), [0.5, 0.0], rtol=0.08)
    assert np.array_equal(error_spread(features, 0.5, np.zeros(50_000)), error_spread(features, 0.5))


def test_recorded_simulations_from_a_proposal_get_the_error_of_the_prior(monkeypatch) -> None:
    theta = 0.8 * np.random.default_rng(0).standard_normal((3000, 2)) * [1, 10]
    density = -0.5 * np.sum((theta / [0.8, 8]) ** 2, axis=1) - np.log(2 * np.pi * 0.8 * 8)
    recorded = external_simulations(theta, theta, parameter_names=("a", "b"), log_density=density)

    class Added(Exception):
        pass

    def with_error(features: np.ndarray, spread: np.ndarray, seed: int) -> np.ndarray:
        raise Added(spread)

    monkeypatch.setattr("antidrome.mechanism.snpe.with_error", with_error)
    with pytest.raises(Added) as told:
        SNPE("npe", model_error=0.5).fit(recorded, PRIOR, [0.5, -5.0], progress=False)
    np.testing.assert_allclose(told.value.args[0], [0.5, 5.0], rtol=0.1)


def test_spread_is_that_of_most_simulations(rng) -> None:
    features = np.column_stack([rng.standard_normal(20_000), np.full(20_000, np.nan), np.full(20_000, 7.0)])
    features[:100, 0], features[100:200, 0] = 1e9, np.nan
    np.testing.assert_allclose(error_spread(features, 0.02), [0.02, 0.0, 0.0], rtol=0.05)
