"""Settings at the ends of what is allowed, and as NumPy gives them."""

import numpy as np
import pytest

from antidrome.errors import InputError
from antidrome.mechanism import SNPE, Uniform
from antidrome.mechanism.densities.network import MixtureSettings
from antidrome.mechanism.samplers import rejection_abc, smc_abc
from antidrome.mechanism.simulate import PythonSimulator
from antidrome.mechanism.simulate.batch import judge
from antidrome.mechanism.training import TrainingSettings

PRIOR = {"a": Uniform(-1, 1)}
QUICK = {
    "density": MixtureSettings(components=2, hidden=(8,)),
    "training": TrainingSettings(epochs=5, drops=0),
    "diagnose": False,
}


class Shifted:
    """x = θ + noise."""

    feature_names, feature_units = ("x",), ("",)

    def run(self, theta, seed):
        return judge(theta + 0.1 * np.random.default_rng(seed).standard_normal(theta.shape))


def test_numbers_of_numpy_are_settings(tmp_path, unchecked_types) -> None:
    """A checkpoint could not be written with them, nor the posterior of a finished fit."""
    given = {
        "n_rounds": np.int64(2),
        "n_networks": np.int32(1),
        "n_simulations": np.array([60, 50]),
        "model_error": np.float32(0.25),
        "defensive": np.float32(0.25),
        "n_weight_samples": np.int64(3),
        "n_predictive": np.int16(5),
        "seed": np.uint8(4),
    }
    plain = {name: np.asarray(value).tolist() for name, value in given.items()}
    model = SNPE("weighted", **given, **QUICK)
    model.fit(Shifted(), PRIOR, [0.3], checkpoint=tmp_path / "fit", progress=False)
    model.save(tmp_path / "m")
    samples = SNPE.load(tmp_path / "m").sample(20).values
    again = SNPE("weighted", **plain, **QUICK).fit(Shifted(), PRIOR, [0.3], checkpoint=tmp_path / "fit", progress=False)
    assert np.array_equal(again.sample(20).values, samples), "the same settings go on with the same checkpoint"


@pytest.mark.parametrize("defensive", [0.95, 0.999])
def test_few_simulations_of_which_nearly_all_come_from_the_prior(defensive: float) -> None:
    model = SNPE("weighted", n_rounds=3, n_simulations=20, defensive=defensive, **QUICK)
    model.fit(Shifted(), PRIOR, [0.3], progress=False)
    assert model.rounds_["simulations"].values.tolist() == [20, 20, 20]


@pytest.mark.parametrize("n", [float("inf"), float("nan"), -float("inf")])
def test_endless_simulations_are_refused(n: float, unchecked_types) -> None:
    with pytest.raises(InputError, match="expected one whole number"):
        SNPE(n_simulations=n).fit(Shifted(), PRIOR, [0.3], progress=False)


@pytest.mark.parametrize("n", [-1, 1.5])
def test_impossible_numbers_of_processes_are_refused(n: float, unchecked_types) -> None:
    with pytest.raises(InputError, match="n_processes"):
        PythonSimulator(np.sin, n_processes=n)


@pytest.mark.parametrize("n", [0, 1, 20.5])
def test_populations_that_cannot_be_perturbed_are_refused(n: float, unchecked_types) -> None:
    with pytest.raises(InputError, match="n_particles"):
        smc_abc(Shifted(), PRIOR, [0.3], n_particles=n, max_simulations=500, progress=False)
    if n == 20.5:
        with pytest.raises(InputError, match="n_accepted"):
            rejection_abc(Shifted(), PRIOR, [0.3], n_simulations=50, n_accepted=n, progress=False)


def test_two_particles_are_enough() -> None:
    assert len(smc_abc(Shifted(), PRIOR, [0.3], n_particles=2, max_simulations=300, progress=False).theta) == 2
