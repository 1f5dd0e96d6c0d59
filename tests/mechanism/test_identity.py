"""Which simulator it is: with other settings another one, whose fits and simulations are not gone on with."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from antidrome.errors import ResumeError
from antidrome.mechanism import SNPE, Prior, Uniform
from antidrome.mechanism.densities.network import MixtureSettings
from antidrome.mechanism.models import HodgkinHuxley, recorded_cell, step_stimulus
from antidrome.mechanism.running import Runner, opened_simulator
from antidrome.mechanism.simulate import JaxSimulator, PythonSimulator, as_simulator
from antidrome.mechanism.simulate.batch import judge
from antidrome.mechanism.simulate.identity import simulator_identity
from antidrome.mechanism.training import TrainingSettings
from antidrome.recordings.current_clamp import current_clamp_from_array

PRIOR = {"a": Uniform(-1, 1)}
FEW = {
    "n_simulations": 30,
    "density": MixtureSettings(components=1, hidden=(8,)),
    "training": TrainingSettings(epochs=3, drops=0),
    "diagnose": False,
}


class Scaled:
    """x = gain θ; how often it ran, and what it has seen, are no settings."""

    feature_names, feature_units = ("x",), ("",)

    def __init__(self, gain: float = 1.0, order: int = 1, weights: Any = (1.0,)) -> None:
        self.gain, self.order, self.weights = gain, order, np.asarray(weights)
        self.calls, self.seen, self.cache, self._last = 0, [], {}, 0.0

    def run(self, theta: np.ndarray, seed: int) -> Any:
        self.calls += 1
        self.seen.append(seed)
        self.cache["a"], self._last = 1.0, float(theta.sum())
        return judge(self.gain * self.weights.sum() * theta**self.order)

    def simulate(self, theta: np.ndarray) -> Any:
        return self.run(theta, 0).features


def scaled(theta: np.ndarray, gain: float, table: Any = None) -> np.ndarray:
    return gain * theta


def in_python(function: Callable[..., Any]) -> PythonSimulator:
    return PythonSimulator(function, n_processes=0, batched=False)


@pytest.mark.parametrize(
    ("first", "other"),
    [
        (Scaled(), Scaled(2.0)),
        (Scaled(), Scaled(order=3)),
        (Scaled(), Scaled(weights=[2.0])),
        (in_python(functools.partial(scaled, gain=1.0)), in_python(functools.partial(scaled, gain=2.0))),
        (in_python(Scaled().simulate), in_python(Scaled(2.0).simulate)),
    ],
)
def test_other_settings_are_another_simulator(first: Any, other: Any) -> None:
    assert simulator_identity(first) != simulator_identity(other)


def test_a_fit_does_not_go_on_with_other_settings(tmp_path) -> None:
    """The posterior of the first was returned for the other."""
    simulator = Scaled()
    first = SNPE("npe", **FEW).fit(simulator, PRIOR, [0.3], checkpoint=tmp_path, progress=False)
    again = SNPE("npe", **FEW).fit(simulator, PRIOR, [0.3], checkpoint=tmp_path, progress=False)
    assert np.array_equal(first.sample(20), again.sample(20)), "a simulator that has run is the same one"
    with pytest.raises(ResumeError, match="simulator"):
        SNPE("npe", **FEW).fit(Scaled(2.0), PRIOR, [0.3], checkpoint=tmp_path, progress=False)
    (tmp_path / "fit.safetensors").unlink()
    with pytest.raises(ResumeError):
        SNPE("npe", **FEW).fit(Scaled(2.0), PRIOR, [0.3], checkpoint=tmp_path, progress=False)


@pytest.mark.parametrize(
    "settings",
    [
        {"stimulus": step_stimulus(4.5, duration_ms=40, on_ms=5, off_ms=35)},
        {"stimulus": step_stimulus(4.0, duration_ms=40, on_ms=6, off_ms=35)},
        {"stimulus": step_stimulus(4.0, duration_ms=40, on_ms=5, off_ms=35, dt_ms=0.05)},
        {"fixed": {"e_na": 50.0}},
        {"features": ("spike_count", "mean_mv")},
    ],
)
def test_every_setting_of_a_hodgkin_huxley_model_counts(settings: dict) -> None:
    usual = {"stimulus": step_stimulus(4.0, duration_ms=40, on_ms=5, off_ms=35)}
    same = simulator_identity(HodgkinHuxley(**usual, batch=16, n_threads=1))
    assert same == simulator_identity(HodgkinHuxley(**usual, batch=32))
    assert same != simulator_identity(HodgkinHuxley(**(usual | settings)))


def test_the_area_of_a_recorded_cell_counts() -> None:
    current = np.where((np.arange(2000) > 500) & (np.arange(2000) < 1500), 100.0, 0.0)
    cells = [
        recorded_cell(current_clamp_from_array(-70 + current / 50, current, 20_000.0), area_cm2=area)
        for area in (1e-4, 1e-4, 1.2e-4)
    ]
    first, same, other = (simulator_identity(cell.simulator) for cell in cells)
    assert first == same
    assert first != other


def test_a_plain_function_is_what_it_was() -> None:
    """Its name and the digest of its source: checkpoints of before still open."""
    identity = simulator_identity(in_python(scaled))
    assert identity == simulator_identity(scaled) == simulator_identity(functools.partial(scaled))
    assert identity.split()[0] == "scaled"
    assert len(identity.split()) == 2
    assert identity != simulator_identity(functools.partial(scaled, gain=1.0, table={"x": np.arange(3)}))
    partial = functools.partial(scaled, 1.0, table=[np.arange(3), scaled, None, Scaled()])
    assert simulator_identity(partial) == simulator_identity(
        functools.partial(scaled, 1.0, table=[np.arange(3), scaled, None, Scaled()])
    )


def test_what_simulating_changes_does_not_make_another_simulator() -> None:
    simulator = Scaled()
    before = simulator_identity(simulator)
    simulator.run(np.ones((1, 1)), 0)
    assert simulator_identity(simulator) == before
    runner = Runner(simulator, Prior(PRIOR), seed=0, store=None, progress=False)
    simulator.gain = 3.0
    assert runner.identity == before, "that of the fit's beginning holds for all of it"


def test_a_simulator_may_say_what_its_settings_are() -> None:
    class Told(Scaled):
        @property
        def identity_settings(self) -> dict:
            return {"gain": self.gain}

    assert simulator_identity(Told(1.0, order=1)) == simulator_identity(Told(1.0, order=2))
    assert simulator_identity(Told(1.0)) != simulator_identity(Told(2.0))


def by_place(theta: np.ndarray) -> np.ndarray:
    return theta * np.array([1.0, 10.0])


def traced(theta: Any, key: Any) -> Any:
    return theta * 10.0


def by_name(a: float, b: float) -> float:
    return a + 10 * b


def in_a_fit(simulator: Any) -> str:
    """As it stands in the checkpoint of a fit whose prior has the parameters a and b."""
    with opened_simulator(simulator, Prior({"a": Uniform(0, 1), "b": Uniform(0, 1)})) as made:
        return simulator_identity(made)


@pytest.mark.parametrize("made", [functools.partial(PythonSimulator, n_processes=0, batched=False), JaxSimulator])
def test_the_order_in_which_a_simulator_takes_its_parameters_counts(made: Any) -> None:
    """With another one, the posterior of the first was returned."""
    function = traced if made is JaxSimulator else by_place
    plain = in_a_fit(function)
    assert in_a_fit(made(function, parameter_names=("b", "a"))) == f"{plain}, parameter_names=('b', 'a')"
    for others in (("a", "b"), ("c", "d"), ()):
        assert in_a_fit(made(function, parameter_names=others)) == plain, "checkpoints of before still open"
    turned = as_simulator(function, parameter_names=("b", "a"))
    assert in_a_fit(turned) != plain
    named = made((lambda a, b, key: a + b) if made is JaxSimulator else by_name, parameter_names=("b", "a"))
    assert "parameter_names" not in in_a_fit(named), "which is called by them, whatever their order"


def test_what_nan_means_and_the_features_of_a_jax_function_count() -> None:
    for made in (JaxSimulator, PythonSimulator):
        assert simulator_identity(made(traced)) == simulator_identity(traced)
        assert simulator_identity(made(traced, missing="failure")) == f"{simulator_identity(traced)}, missing='failure'"

    def first(x):
        return x[:1]

    def second(x):
        return x[1:]

    found = {simulator_identity(as_simulator(traced, features=features)) for features in (first, second, None)}
    assert len(found) == 3
    assert simulator_identity(as_simulator(traced)) == simulator_identity(traced)
