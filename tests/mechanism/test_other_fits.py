"""A fit that does not go on from another's checkpoint says what was changed, and what to do."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from antidrome.core.model_files import save_model
from antidrome.errors import InputError, ResumeError
from antidrome.mechanism import SNPE, Uniform
from antidrome.mechanism.densities.network import MixtureSettings
from antidrome.mechanism.judgement import diagnose_folder
from antidrome.mechanism.other_fits import plan_identity
from antidrome.mechanism.plans import plan_for
from antidrome.mechanism.simulate import PythonSimulator
from antidrome.mechanism.snapshots import CHECKPOINT, CHECKPOINT_CLASS, FitCheckpoint
from antidrome.mechanism.training import TrainingSettings


def identity(
    method: str = "default", simulations: int | list[int] = 200, observation: str = "x", **changes: Any
) -> dict[str, Any]:
    """As a fit of a simulator has it."""
    plan = plan_for(method, **changes)
    each = [simulations] * plan.n_rounds if isinstance(simulations, int) else simulations
    named = {"simulator": "f 1", "method": method, "simulations": each, "observation": observation}
    return {**named, **plan_identity(plan)}


def refused(folder: Path, before: dict[str, Any], after: dict[str, Any]) -> str:
    """What a fit is told in the folder of another."""
    save_model(folder / CHECKPOINT, {"u": np.zeros(1)}, class_name=CHECKPOINT_CLASS, config=before)
    with pytest.raises(ResumeError) as raised:
        FitCheckpoint(folder / CHECKPOINT, after).restore()
    return str(raised.value)


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ({"n_rounds": 3}, {"n_rounds": 2}, "rounds"),
        ({"n_rounds": 3}, {"n_rounds": 2, "simulations": 100}, "rounds, simulations"),
        ({"n_rounds": 2, "simulations": [100, 200]}, {"n_rounds": 3}, "rounds, simulations"),
        ({}, {"simulations": 100}, "simulations"),
        ({}, {"method": "npe"}, "method"),
        ({}, {"method": "snpe-b"}, "method"),
        ({}, {"method": "npe", "n_networks": 5}, "method, networks"),
        ({"n_networks": 2}, {"n_networks": 3, "observation": "y"}, "networks, observation"),
    ],
)
def test_only_what_was_changed_is_named(tmp_path, before: dict, after: dict, named: str) -> None:
    """With two rounds for three, "rounds, simulations differ" was said of a number of simulations that was the same."""
    said = refused(tmp_path, identity(**before), identity(**after))
    found = said.partition("of another run: ")[2].partition(" differ. ")[0]
    assert sorted(found.split(", ")) == sorted(named.split(", "))
    assert "--overwrite" in said
    assert "another folder (-o" in said


def test_an_amortised_posterior_is_there_for_another_observation(tmp_path) -> None:
    said = refused(tmp_path, identity("npe"), identity("npe", observation="y"))
    assert "serves other observations as well: posterior_.sample(observation=…)" in said
    (tmp_path / "posterior.safetensors").touch()
    said = refused(tmp_path, identity("npe"), identity("npe", observation="y"))
    assert "posterior.safetensors').sample(observation=…)" in said
    assert "serves other" not in refused(tmp_path, identity(), identity(observation="y")), "it is good near its own"
    assert "serves other" not in refused(tmp_path, identity("npe"), identity("npe", 100, "y"))


def fit(folder: Path, **changes: Any) -> SNPE:
    """Two rounds of a simple problem."""
    few = {"density": MixtureSettings(components=1, hidden=(4,)), "training": TrainingSettings(epochs=2, drops=0)}
    settings = {"n_rounds": 2, "n_simulations": 60, "n_predictive": 0, **few, **changes}
    simulator = PythonSimulator(lambda theta, rng: theta + rng.normal(), n_processes=0, batched=False)
    model = SNPE("tsnpe", **settings)
    return model.fit(simulator, {"a": Uniform(-2, 2)}, [1.0], checkpoint=folder, progress=False)


def test_who_does_as_the_refusal_says_begins_anew_and_is_judged_by_its_own_simulations(tmp_path: Path) -> None:
    fit(tmp_path).save(tmp_path / "posterior.safetensors")
    diagnose_folder(tmp_path, n_pairs=50, n_samples=20)
    with pytest.raises(ResumeError, match="with this file and the folder simulations beside it deleted"):
        fit(tmp_path, n_simulations=70)
    (tmp_path / CHECKPOINT).unlink()
    with pytest.raises(ResumeError, match="the seed, prior, observation and settings that it was begun with"):
        fit(tmp_path, n_simulations=70)
    (tmp_path / CHECKPOINT).unlink(missing_ok=True)
    shutil.rmtree(tmp_path / "simulations")
    other = fit(tmp_path, n_simulations=70)
    with pytest.raises(InputError, match="begun later in this folder and is not finished"):
        diagnose_folder(tmp_path)
    other.save(tmp_path / "posterior.safetensors")
    assert diagnose_folder(tmp_path, n_pairs=50, n_samples=20) is not None
