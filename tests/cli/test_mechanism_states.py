"""``antidrome mechanism simulate``: a store holds one state of a model, made on whatever processors."""

import pathlib
import sys

import numpy as np
import pytest

from antidrome.cli import main, mechanism_simulate
from antidrome.cli.mechanism_opening import model_identity
from antidrome.mechanism.loading import read_model
from antidrome.mechanism.simulate import read_simulations

MODEL = """
from antidrome.mechanism import Uniform
from antidrome.mechanism.simulate import PythonSimulator

prior = {"p": Uniform(0.5, 1)}

def function(theta):
    return 1.0 * theta

simulator = PythonSimulator(function, n_processes=0, batched=False)
"""


@pytest.fixture
def module(tmp_path: pathlib.Path, monkeypatch) -> pathlib.Path:
    """The file of a module that is imported from the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "lab_of_a_test" / "cell.py"
    path.parent.mkdir()
    (path.parent / "__init__.py").touch()
    path.write_text(MODEL)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("lab_of_a_test", "lab_of_a_test.cell"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return path


def test_a_module_is_known_by_its_content(module: pathlib.Path, capsys) -> None:
    """Simulations of two states of it lay in one store."""
    command = ["mechanism", "simulate", "lab_of_a_test.cell", "-o", "sims"]
    assert main([*command, "--simulations", "5"]) == 0
    module.write_text(MODEL.replace("1.0 * theta", "100.0 * theta"))
    assert main([*command, "--simulations", "10"]) == 2
    assert "sims/all.simulations holds other simulations" in capsys.readouterr().err.replace("\\", "/")
    assert len(read_simulations("sims")) == 5


def test_names_of_modules_objects_and_built_in_models(module: pathlib.Path) -> None:
    read_model("lab_of_a_test.cell")
    identity = model_identity("lab_of_a_test.cell")
    assert identity.startswith("lab_of_a_test.cell, BLAKE2b ")
    digest = identity.split()[-1]
    assert model_identity("lab_of_a_test.cell:simulator") == f"lab_of_a_test.cell:simulator, BLAKE2b {digest}"
    for of_file in (f"{module}:simulator", "lab_of_a_test/cell.py:simulator"):
        assert model_identity(of_file) == f"cell.py:simulator, BLAKE2b {digest}"
    for name in ("two_moons", "no.such.module", "no_such_file.py", "sys:simulator"):
        assert model_identity(name) == name


def test_shards_of_processors_that_round_differently_go_together(module: pathlib.Path, monkeypatch) -> None:
    draw = mechanism_simulate.draw_from_prior
    command = ["mechanism", "simulate", str(module), "-o", "sims", "--simulations", "40"]
    assert main([*command, "--shard", "0/2"]) == 0
    monkeypatch.setattr(mechanism_simulate, "draw_from_prior", lambda *given: draw(*given) * (1 + 1e-15))
    assert main([*command, "--shard", "1/2"]) == 0
    assert main([*command, "--shard", "0/4"]) == 0
    read = read_simulations("sims")
    assert len(read) == 40
    assert not np.array_equal(read.theta, draw(read_model(str(module)).prior, 40, 0))
