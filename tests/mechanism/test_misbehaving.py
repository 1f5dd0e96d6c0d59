"""Simulators, priors and observations of every bad kind, from the function to the posterior."""

import os
import time

import numpy as np
import pytest

from antidrome.errors import InputError, TrainingError
from antidrome.mechanism import SNPE, Prior, Uniform
from antidrome.mechanism.densities.network import MixtureSettings
from antidrome.mechanism.running import opened_simulator
from antidrome.mechanism.simulate import PythonSimulator, as_simulator
from antidrome.mechanism.simulate.batch import judge
from antidrome.mechanism.simulate.detection import find_form
from antidrome.mechanism.training import TrainingSettings

PRIOR = {"a": Uniform(-1, 1), "kind": Uniform(0, 12)}
SMALL = {
    "n_networks": 1,
    "diagnose": False,
    "training": TrainingSettings(epochs=10, batch=20),
    "density": MixtureSettings(components=1, hidden=(8,)),
}


def misbehaves(a, kind, rng):
    """Good for kind ≥ 6; below, each integer part is another way to fail."""
    kind = int(kind)
    if kind == 0:
        raise ValueError("no solution")
    if kind == 1:
        os._exit(3)
    if kind == 2:
        time.sleep(60)
    if kind == 3:
        return {"x": float("nan"), "y": float("nan")}
    if kind == 4:
        return {"x": "a lot", "y": 1.0}
    if kind == 5:
        return {"x": a, "y": a, "z": a}
    return {"x": a + 0.1 * rng.standard_normal(), "y": a**2}


@pytest.mark.slow
def test_a_fit_survives_every_failure_and_counts_them(happened) -> None:
    with PythonSimulator(
        misbehaves, parameter_names=tuple(PRIOR), feature_names=("x", "y"), batched=False, n_processes=2, timeout_s=0.5
    ) as simulator:
        model = SNPE("npe", n_simulations=60, **SMALL).fit(simulator, PRIOR, {"x": 0.3, "y": 0.09}, progress=False)
    theta = Prior(PRIOR).from_unconstrained(model.simulations_.u)
    assert np.array_equal(model.simulations_.valid, theta[:, 1] >= 6)
    assert {f.kind for f in model.failures_} >= {"exception", "crash", "timeout", "non-finite", "shape"}
    assert int(model.rounds_["failed"][0]) == int((theta[:, 1] < 6).sum())
    assert any("simulations failed" in note for note in model.notes_)
    kinds = ", ".join(sorted({failure.kind for failure in model.failures_}))
    happened(f"{int(model.rounds_['failed'][0])} of {len(theta)} simulations failed: {kinds}; fitted to the others")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda a: "a string", "no array of real numbers"),
        (lambda a: None if a > 5 else {}, "no feature at all"),
        (lambda a: 1 / 0, "failed at each of the first"),
        (lambda a: [1.0, 2.0, 3.0], "2 values, the simulator gives 3"),
        (lambda a: np.ones((2, 2)), r"gives 4 features: .* PythonSimulator\(…, batched=True\)"),
    ],
)
def test_what_is_no_simulator_is_one_sentence(function, message: str) -> None:
    simulator = PythonSimulator(function, parameter_names=("a",), n_processes=0, batched=False)
    with pytest.raises(InputError, match=message):
        SNPE("npe", n_simulations=20, **SMALL).fit(simulator, {"a": Uniform(0, 1)}, [0.0, 1.0], progress=False)


@pytest.mark.parametrize(
    ("function", "reason"), [(lambda a: None, "every feature is NaN"), (lambda a: 1 / 0, "division by zero")]
)
def test_a_fit_of_which_every_simulation_fails_says_why_they_do(function, reason: str) -> None:
    """It said that no simulation was there to scale the features by, and the failures were nowhere to be seen."""
    simulator = PythonSimulator(function, parameter_names=("a",), feature_names=("x",), n_processes=0, batched=False)
    with pytest.raises(TrainingError, match=rf"None of the 20 simulations.*20 of the first 20.*{reason}"):
        SNPE("npe", n_simulations=20, **SMALL).fit(simulator, {"a": Uniform(0, 1)}, [0.0], progress=False)


def test_a_function_that_always_hangs_is_given_up_after_three_time_limits() -> None:
    """After three single calls, twenty-one batched ones were waited for too: two hours with the usual limit."""
    calls = []

    def replies(theta: np.ndarray, seeds: np.ndarray, many: bool) -> list[tuple]:
        calls.append(len(theta))
        return [("failed", "timeout", "stopped after 300 s (timeout_s)", "")]

    with pytest.raises(InputError, match=r"each of the first 3 parameter sets.*larger timeout_s"):
        find_form(replies, np.zeros((50, 2)), None)
    assert calls == [1, 1, 1]
    with pytest.raises(InputError, match="each of the first 3"):
        find_form(replies, np.zeros((50, 2)), True)
    assert len(calls) == 6


def test_one_call_that_hangs_does_not_end_the_search_for_one_that_works() -> None:
    """At the first time limit after two failures the search was over, and said to have tried twenty sets."""
    calls = []

    def replies(theta: np.ndarray, seeds: np.ndarray, many: bool) -> list[tuple]:
        calls.append(len(theta))
        kind = "timeout" if len(calls) in ends else "exception"
        return [("failed", kind, "no", "")] if len(calls) < 8 else [("values", ("x",), ("",), np.zeros(1))]

    ends = (5,)
    assert find_form(replies, np.zeros((50, 2)), False).names == ("x",)
    calls.clear()
    ends = (3, 5, 6)
    with pytest.raises(InputError, match="each of the first 6 parameter sets"):
        find_form(replies, np.zeros((50, 2)), False)


def test_an_object_that_is_half_a_simulator_is_one_sentence() -> None:
    class Nameless:
        def run(self, theta, seed):
            return judge(theta)

    class Bare:
        feature_names, feature_units = ("x",), ("",)

        def run(self, theta, seed):
            return theta

    for simulator, message in ((Nameless(), "without feature_names and feature_units"), (Bare(), "SimulationBatch")):
        with pytest.raises(InputError, match=message):
            SNPE("npe", n_simulations=20, **SMALL).fit(simulator, {"a": Uniform(0, 1)}, [0.0], progress=False)


def test_a_function_with_settings_of_its_own_is_called_by_name_as_well() -> None:
    """``PythonSimulator(neuron, timeout_s=…)`` called neuron with one vector, and every simulation failed."""

    def neuron(a, kind, rng):
        return {"x": a + 0.1 * rng.standard_normal(), "y": kind}

    prior = Prior(PRIOR)
    made = PythonSimulator(neuron, n_processes=0, timeout_s=5.0, batched=False)
    with opened_simulator(made, prior) as simulator:
        theta = prior.sample(3, seed=0)
        batch = simulator.run(theta, seed=0)
        assert simulator.feature_names == ("x", "y")
        assert np.array_equal(batch.features[:, 1], theta[:, 1])
    plain = as_simulator(neuron, parameter_names=prior.names, n_processes=0, batched=False)
    assert np.array_equal(batch.features, plain.run(theta, seed=0).features)
    by_vector = PythonSimulator(lambda theta: theta, n_processes=0, batched=False)
    assert as_simulator(by_vector, parameter_names=prior.names) is by_vector


def test_an_output_that_changes_its_length_is_a_failure() -> None:
    def simulator(a):
        return np.ones(2 if a < 0.5 else 3) * a

    here = PythonSimulator(simulator, parameter_names=("a",), n_processes=0, batched=False)
    batch = here.run(np.linspace(0.01, 0.99, 10)[:, None], 0)
    assert batch.n_failed == 5
    assert {f.kind for f in batch.failures} == {"shape"}


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (lambda: {"a": Uniform(1, 0)}, "the lower below the upper"),
        (lambda: {"a": (1, 0)}, "The prior of 'a'.*the lower below the upper"),
        (lambda: {"a": ("x", 1)}, "The prior of 'a'"),
        (lambda: {1: Uniform(0, 1)}, "names need to be non-empty text"),
        (dict, "parameter"),
        (lambda: {"a": Uniform(0, float("nan"))}, "finite"),
    ],
)
def test_what_is_no_prior_is_one_sentence(prior, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SNPE("npe", n_simulations=20, **SMALL).fit(lambda a: a, prior(), [0.0], progress=False)


class Shifted:
    feature_names, feature_units = ("x",), ("",)

    def run(self, theta, seed):
        return judge(theta[:, :1] + 0.1 * np.random.default_rng(seed).standard_normal((len(theta), 1)))


def test_an_observation_outside_of_everything_is_said() -> None:
    """The model cannot produce it: there is a posterior, at the edge of the prior, and a note that says so."""
    for value in (50.0, 1e9):
        model = SNPE("default", n_rounds=2, n_simulations=100, **SMALL)
        model.fit(Shifted(), {"a": Uniform(-1, 1)}, [value], progress=False)
        assert any("outside everything" in note for note in model.notes_)
        samples = model.sample(100).values
        assert (np.abs(samples) <= 1).all()
        assert np.median(samples) > 0.5


class Silent(Shifted):
    feature_names, feature_units = ("x", "width"), ("", "")

    def run(self, theta, seed):
        x = theta[:, 0] + 0.1 * np.random.default_rng(seed).standard_normal(len(theta))
        return judge(np.column_stack([x, np.where(x < self.threshold, np.nan, x)]))


@pytest.mark.parametrize(
    ("threshold", "width", "missing", "note"),
    [
        (5.0, 0.8, "auto", "outside everything that was simulated (width)"),
        (0.0, np.nan, "auto", "lacks width, as some simulations do"),
        (0.0, np.nan, "unrecorded", "and that were not measured were hidden: width"),
    ],
)
def test_what_only_the_observation_has_or_lacks_is_said(
    threshold: float, width: float, missing: str, note: str
) -> None:
    """A spike's width was measured, and no simulation spikes; or it was not, and only some simulations lack it."""
    simulator = Silent()
    simulator.threshold = threshold
    model = SNPE("npe", n_simulations=100, missing=missing, **SMALL)
    model.fit(simulator, {"a": Uniform(-1, 1)}, [0.5, width], progress=False)
    assert any(note in one for one in model.notes_)


@pytest.mark.parametrize("observation", [[np.inf], [np.nan], ["x"], {"y": 1.0}, [1.0, 2.0], None])
def test_what_is_no_observation_is_one_sentence(observation) -> None:
    with pytest.raises(InputError, match=r"."):
        SNPE("npe", n_simulations=20, **SMALL).fit(Shifted(), {"a": Uniform(-1, 1)}, observation, progress=False)


def test_nearly_all_failing_is_said() -> None:
    class Fails(Shifted):
        def run(self, theta, seed):
            x = theta[:, :1].copy()
            x[2:] = np.nan
            return judge(x)

    with pytest.raises(TrainingError, match=r"Only .* can be learned from"):
        SNPE("npe", n_simulations=40, **SMALL).fit(Fails(), {"a": Uniform(-1, 1)}, [0.0], progress=False)
