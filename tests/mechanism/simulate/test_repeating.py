"""What a folder holds is gone on with by a simulator that still gives it, whatever its source says."""

from pathlib import Path

import jax
import numpy as np
import pytest

from antidrome.errors import ResumeError
from antidrome.mechanism import SNPE, Uniform
from antidrome.mechanism.densities.network import MixtureSettings
from antidrome.mechanism.simulate import Failure, JaxSimulator, PythonSimulator, SimulationBatch, run_simulations
from antidrome.mechanism.training import TrainingSettings

OUTSIDE = {"gain": 1.0}
THETA = np.linspace(-1, 1, 12)[:, None]


def simulate(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.array([OUTSIDE["gain"] * theta[0] + 0.1 * rng.standard_normal(), np.nan if theta[0] < 0 else 1.0])


def drawing_anew(theta: np.ndarray) -> float:
    return float(theta[0] + np.random.default_rng().standard_normal())


def in_python(function: object) -> PythonSimulator:
    return PythonSimulator(function, n_processes=0, batched=False)


def kept_in(folder: Path, simulator: object, n: int = 12) -> np.ndarray:
    return run_simulations(simulator, THETA[:n], seed=0, store=folder, progress=False).features


def test_a_constant_outside_of_the_function_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = kept_in(tmp_path, in_python(simulate), 8)
    again = kept_in(tmp_path, in_python(simulate))
    assert np.array_equal(first, again[:8], equal_nan=True)
    monkeypatch.setitem(OUTSIDE, "gain", 1.01)
    with pytest.raises(ResumeError, match=r"simulation 0 of round 0 gave .* and now gives .* Something"):
        kept_in(tmp_path, in_python(simulate))


def test_compiled_functions_are_asked_for_a_few_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(theta: jax.Array, key: jax.Array) -> jax.Array:
        return OUTSIDE["gain"] * theta + jax.random.normal(key, theta.shape)

    first = kept_in(tmp_path, JaxSimulator(compiled), 8)
    assert np.array_equal(kept_in(tmp_path, JaxSimulator(compiled))[:8], first)
    monkeypatch.setitem(OUTSIDE, "gain", 1.01)
    with pytest.raises(ResumeError, match="and now gives"):
        kept_in(tmp_path, JaxSimulator(compiled))


@pytest.mark.parametrize("n", [256, 300])
def test_functions_of_many_are_asked_for_a_whole_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """Its rows share a seed; that of the first, which failed, is nowhere else."""

    def many(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        drawn = OUTSIDE["gain"] * theta + rng.normal(size=theta.shape)
        return np.where(theta < -0.99, np.inf, drawn)

    theta = np.linspace(-1, 1, 512)[:, None]
    settings = {"seed": 0, "store": tmp_path, "progress": False}
    first = run_simulations(PythonSimulator(many, n_processes=0, batched=True), theta[:n], **settings)
    assert not first.valid[0]
    run_simulations(PythonSimulator(many, n_processes=0, batched=True), theta[:n], **settings)
    monkeypatch.setitem(OUTSIDE, "gain", 4.0)
    with pytest.raises(ResumeError, match="and now gives"):
        run_simulations(PythonSimulator(many, n_processes=0, batched=True), theta[:n], **settings)


def test_a_finished_fit_is_not_that_of_another_simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fit() -> SNPE:
        settings = {"density": MixtureSettings(components=1, hidden=(8,)), "training": TrainingSettings(epochs=3)}
        model = SNPE("npe", n_simulations=30, diagnose=False, **settings)
        return model.fit(in_python(simulate), {"a": Uniform(0, 1)}, [0.3, 1.0], checkpoint=tmp_path, progress=False)

    assert np.array_equal(fit().sample(5, seed=0).values, fit().sample(5, seed=0).values)
    monkeypatch.setitem(OUTSIDE, "gain", 4.0)
    with pytest.raises(ResumeError, match="use another folder, or fit what is recorded there"):
        fit()


def test_what_is_another_each_time_tells_nothing(tmp_path: Path) -> None:
    first = kept_in(tmp_path, in_python(drawing_anew))
    assert np.array_equal(kept_in(tmp_path, in_python(drawing_anew)), first)


class Ending:
    """θ; later it fails, for a reason of this kind."""

    feature_names, feature_units = ("x",), ("",)

    def __init__(self, kind: str | None = None) -> None:
        self.kind = kind

    def run(self, theta: np.ndarray, seed: int) -> SimulationBatch:
        raise NotImplementedError

    def run_seeded(self, theta: np.ndarray, seeds: np.ndarray) -> SimulationBatch:
        if self.kind is None:
            return SimulationBatch(theta.copy(), np.ones(len(theta), bool), ())
        failures = tuple(Failure(i, self.kind, "") for i in range(len(theta)))
        return SimulationBatch(np.full_like(theta, np.nan), np.zeros(len(theta), bool), failures)


def test_what_the_machine_ends_tells_nothing_and_what_the_simulator_ends_does(tmp_path: Path) -> None:
    first = kept_in(tmp_path, Ending())
    assert np.array_equal(kept_in(tmp_path, Ending("timeout")), first)
    with pytest.raises(ResumeError, match="now gives nan"):
        kept_in(tmp_path, Ending("exception"))
