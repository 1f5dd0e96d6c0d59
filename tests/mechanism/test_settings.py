"""Settings at the ends of what is allowed, and as NumPy gives them."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from antidrome.errors import InputError, TrainingError
from antidrome.mechanism import SNPE, Normal, Prior, TraceFeatures, Uniform
from antidrome.mechanism.densities.network import MixtureSettings
from antidrome.mechanism.priors import as_prior
from antidrome.mechanism.running import Recorded
from antidrome.mechanism.samplers import (
    glm_gibbs,
    hamiltonian_monte_carlo,
    random_walk_metropolis,
    rejection_abc,
    smc_abc,
)
from antidrome.mechanism.simulate import (
    PythonSimulator,
    external_simulations,
    read_simulations,
    run_simulations,
)
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


@pytest.mark.parametrize("setting", [{"n_chains": 0}, {"n_samples": 0}, {"thin": 0}, {"burn_in": -1}])
def test_a_random_walk_without_steps_is_refused(setting: dict) -> None:
    with pytest.raises(InputError, match=next(iter(setting))):
        random_walk_metropolis(lambda theta: -(theta[:, 0] ** 2), as_prior(PRIOR), progress=False, **setting)


@pytest.mark.parametrize("setting", [{"n_samples": 0}, {"n_leapfrog_steps": 0}, {"burn_in": -1}])
def test_trajectories_without_steps_are_refused(setting: dict) -> None:
    with pytest.raises(InputError, match=next(iter(setting))):
        hamiltonian_monte_carlo(lambda q: -jnp.sum(q**2), np.zeros((2, 1)), **setting)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_few_samples_are_samples(n: int) -> None:
    settings = {"n_chains": 3, "n_samples": n, "thin": 1, "burn_in": 5, "progress": False}
    found = random_walk_metropolis(lambda theta: -(theta[:, 0] ** 2), as_prior(PRIOR), **settings)
    assert found.theta.shape == (3, n, 1)
    assert np.isnan(found.r_hat).all() == (n < 4)


@pytest.mark.parametrize("setting", [{"n_samples": 0}, {"thin": 0}, {"burn_in": -1}])
def test_gibbs_sampling_without_steps_is_refused(setting: dict) -> None:
    with pytest.raises(InputError, match=next(iter(setting))):
        glm_gibbs(np.ones((5, 1)), np.ones(5), np.eye(1), progress=False, **setting)


@pytest.mark.parametrize(("offset", "said"), [(1e6, False), (1e9, True)])
def test_features_that_are_not_used_are_named(rng, offset: float, said: bool) -> None:
    """Beside their size they vary by less than what counts as rounding: the posterior is the prior, and says why."""
    theta = rng.uniform(-1, 1, (100, 1))
    simulations = external_simulations(theta, np.hstack([theta + offset, np.ones_like(theta)]), parameter_names=["a"])
    model = SNPE("npe", **QUICK).fit(simulations, PRIOR, [offset, 1.0], progress=False)
    assert any("x[0]" in note and "rounding" in note for note in model.notes_) == said
    assert any("never vary: x[1]." in note for note in model.notes_)


def test_few_simulations_that_all_succeed_are_too_few_and_not_failed() -> None:
    """The message told to look at the failures, of which there were none."""
    theta = np.linspace([-0.5], [0.5], 5)
    simulations = external_simulations(theta, theta, parameter_names=["a"])
    with pytest.raises(TrainingError, match=r"Only 5 of 5 simulations.*0 failed\. Simulate more\.$"):
        SNPE("npe", **QUICK).fit(simulations, PRIOR, [0.1], progress=False)


@pytest.mark.parametrize("name", ["steps", "channels", "units", "downsample"])
def test_sizes_of_traces_that_are_not_whole_are_refused(name: str, unchecked_types) -> None:
    """They ended in a TypeError of NumPy or JAX, after the simulations."""
    for value in (3.5, 2.0, "2"):
        with pytest.raises(InputError, match=f"{name} = .*expected a whole number"):
            TraceFeatures(**({"steps": 10} | {name: value}))


def test_simulations_from_another_prior_are_refused() -> None:
    drawn_from = Prior({"a": Uniform(0, 1), "b": Normal(0, 1)})
    theta = drawn_from.sample(100, seed=0)
    kept = external_simulations(theta, theta + 0.1, parameter_names=("a", "b"))
    kept = dataclasses.replace(kept, drawn_from=drawn_from.to_dict())
    assert Recorded(kept, Prior({"b": Normal(0, 1), "a": Uniform(0, 1)})).from_prior
    for other in ({"a": Uniform(0, 2), "b": Normal(0, 1)}, {"a": Uniform(0, 1), "b": Normal(0, 2)}):
        with pytest.raises(InputError, match="were drawn from Prior"):
            Recorded(kept, Prior(other))
    narrower = kept.rows(np.flatnonzero(theta[:, 0] < 0.5))
    assert Recorded(narrower, Prior({"a": Uniform(0, 0.5), "b": Normal(0, 1)})).from_prior


def test_a_store_says_which_prior_its_simulations_came_from(tmp_path) -> None:
    identity = {"model": "m", "prior": Prior({"a": Uniform(0, 1)}).to_dict()}
    with PythonSimulator(lambda a: a, n_processes=0) as simulator:
        run_simulations(simulator, np.array([[0.5]]), seed=0, store=tmp_path, parameter_names=("a",), identity=identity)
    assert read_simulations(tmp_path).drawn_from == identity["prior"]


def test_what_a_user_calls_a_prior_in_a_store_need_not_be_a_description(tmp_path) -> None:
    for i, prior in enumerate(["a in [0, 1]", {"low": 0, "high": 1}]):
        with PythonSimulator(lambda a: a, n_processes=0) as simulator:
            told = {"parameter_names": ("a",), "identity": {"prior": prior}}
            run_simulations(simulator, np.array([[0.5]]), seed=0, store=tmp_path / str(i), **told)
        assert Recorded(read_simulations(tmp_path / str(i)), Prior({"a": Uniform(0, 1)})).from_prior


def test_a_prior_in_another_order_than_the_simulator_s_parameters_gives_the_same_posterior() -> None:
    def simulator(a, b, rng):
        return [a + 0.1 * rng.standard_normal(), b + 0.1 * rng.standard_normal()]

    prior = Prior({"b": Uniform(5, 6), "a": Uniform(0, 1)})
    here = PythonSimulator(simulator, parameter_names=("a", "b"), n_processes=0)
    model = SNPE("npe", n_simulations=60, **QUICK).fit(here, prior, [0.3, 5.6], progress=False)
    x, (b, a) = model.simulations_.features, prior.from_unconstrained(model.simulations_.u).T
    np.testing.assert_allclose(x, np.stack([a, b], axis=1), atol=0.6)
