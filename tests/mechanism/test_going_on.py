"""A fit that goes on, or is asked for again: with its own simulations only, their failures, and other predictions."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from antidrome.core.hashing import hash_arrays
from antidrome.errors import ResumeError
from antidrome.mechanism import SNPE, Prior, Uniform
from antidrome.mechanism.densities.network import MixtureSettings
from antidrome.mechanism.running import Recorded, Runner
from antidrome.mechanism.simulate import Simulations, external_simulations, read_simulations
from antidrome.mechanism.simulate.batch import judge
from antidrome.mechanism.training import TrainingSettings

PRIOR = Prior({"a": Uniform(-1, 1)})
FEW = {
    "method": "npe",
    "n_simulations": 200,
    "density": MixtureSettings(components=1, hidden=(8,)),
    "training": TrainingSettings(epochs=3, drops=0),
}


class Noisy:
    """x = θ + noise; fails where θ > 0.5."""

    feature_names, feature_units = ("x",), ("",)

    def run(self, theta: np.ndarray, seed: int):
        x = theta + 0.1 * np.random.default_rng(seed).standard_normal(theta.shape)
        return judge(np.where(theta > 0.5, np.nan, x))


def fitted(folder: Path, **settings) -> SNPE:
    return SNPE(**(FEW | settings)).fit(Noisy(), PRIOR, [0.3], checkpoint=folder, progress=False)


def recorded(log_density: np.ndarray | None = None) -> Simulations:
    theta = PRIOR.sample(60, seed=0)
    return external_simulations(theta, np.column_stack([theta, theta]), log_density=log_density)


def test_recorded_simulations_with_another_density_or_validity_are_others() -> None:
    """The posterior of the wrong density was returned for the right one."""
    plain, weighted = recorded(), recorded(np.linspace(-1, 0, 60))
    invalid = dataclasses.replace(plain, valid=np.arange(60) > 3)
    others = [weighted, recorded(np.linspace(-2, 0, 60)), invalid]
    identities = [Recorded(simulations, PRIOR).identity for simulations in [plain, *others]]
    assert len(set(identities)) == 4
    assert Recorded(recorded(np.linspace(-1, 0, 60)), PRIOR).identity == identities[1]


def test_ordinary_recorded_simulations_are_what_they_were() -> None:
    """Parameters and features: checkpoints of before still open, also where simulations without a feature failed."""
    theta = np.linspace(-0.9, 0.9, 4)[:, None]
    simulations = external_simulations(theta, [[1.0, 2.0], [np.nan, 3.0], [np.nan, np.nan], [4.0, 5.0]])
    assert not simulations.valid.all()
    kept = Recorded(simulations, PRIOR)
    assert kept.identity == hash_arrays({"u": kept.u, "features": simulations.features})


def test_failures_of_an_earlier_run_are_remembered(tmp_path) -> None:
    theta = PRIOR.sample(60, seed=1)
    first, again = (Runner(Noisy(), PRIOR, seed=0, store=tmp_path, progress=False) for _ in range(2))
    again.recall(1)
    assert again.failures == [], "where nothing is stored, there is nothing to remember"
    first.features(theta, 0)
    first.features(theta[::-1], 1)
    again.recall(2)
    assert len(first.failures) > 20
    assert again.failures == first.failures


@pytest.mark.slow
def test_a_finished_fit_has_its_failures_and_makes_other_predictions(tmp_path, monkeypatch) -> None:
    """Other predictions were refused as those of another seed or prior, and no failure was left."""
    monkeypatch.setattr("antidrome.mechanism.fitting.diagnose", lambda *_, **__: None)
    first = fitted(tmp_path / "finished", diagnose=False)
    assert len(first.failures_) > 5
    for n_predictive, n_weight_samples in ((20, 0), (30, 0), (20, 3), (20, 0)):
        settings = {"n_predictive": n_predictive, "n_weight_samples": n_weight_samples}
        shutil.copytree(tmp_path / "finished", tmp_path / "fresh")
        fresh = fitted(tmp_path / "fresh", **settings)
        shutil.rmtree(tmp_path / "fresh")
        again = fitted(tmp_path / "kept", **settings)
        np.testing.assert_array_equal(again.predicted_, fresh.predicted_)
        assert 10 < len(again.predicted_) <= n_predictive
        assert again.failures_[: len(first.failures_)] == first.failures_
    kept = read_simulations(tmp_path / "kept" / "simulations")
    assert np.bincount(kept.round).tolist() == [200, 20, 30], "what is asked for again is there"


def test_draws_that_another_processor_rounds_differently_are_the_same(tmp_path) -> None:
    theta = PRIOR.sample(30, seed=1)
    rounded = theta + 3e-8 * np.random.default_rng(2).standard_normal(theta.shape)

    def runner() -> Runner:
        return Runner(Noisy(), PRIOR, seed=0, store=tmp_path, progress=False)

    first, _ = runner().features(theta, 0)
    np.testing.assert_array_equal(runner().features(rounded, 0)[0], first)
    with pytest.raises(ResumeError, match="other parameters"):
        runner().features(theta + 1e-3, 0)
