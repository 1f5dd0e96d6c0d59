"""Models and measurements from files."""

import json
import sys

import numpy as np
import pytest

from antidrome.errors import AntidromeError, FileFormatError, InputError
from antidrome.mechanism.loading import read_model, read_observation
from antidrome.mechanism.simulate.python_simulator import PythonSimulator

MODEL = """
from antidrome.mechanism import Uniform

prior = {"a": Uniform(0, 1)}

def simulator(a):
    return {"x": a}

def other(a):
    return {"x": 2 * a}

class Both:
    prior = {"b": Uniform(0, 2)}
    simulator = staticmethod(other)
"""


def test_a_file_with_simulator_and_prior(tmp_path) -> None:
    path = tmp_path / "model.py"
    path.write_text(MODEL)
    model = read_model(str(path))
    assert model.prior.names == ("a",)
    assert model.simulator(3.0) == {"x": 3.0}
    assert read_model(f"{path}:other").simulator(3.0) == {"x": 6.0}
    assert read_model(f"{path}:Both").prior.names == ("b",)


def test_a_model_file_may_import_the_modules_beside_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "neighbouring_module.py").write_text("def doubled(a):\n    return 2 * a\n")
    (tmp_path / "model.py").write_text(MODEL.replace('return {"x": a}', 'return {"x": doubled(a)}'))
    with open(tmp_path / "model.py", "a") as stream:
        stream.write("\nfrom neighbouring_module import doubled\n")
    model = read_model(str(tmp_path / "model.py"))
    with PythonSimulator(model.simulator, parameter_names=("a",), n_processes=1) as simulator:
        assert simulator.run(np.array([[3.0]]), seed=0).features.ravel().tolist() == [6.0]


def test_a_package_is_looked_for_where_one_stands(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    (tmp_path / "package_of_models").mkdir()
    (tmp_path / "package_of_models" / "cell.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    assert read_model("package_of_models.cell").simulator(3.0) == {"x": 3.0}


def test_a_model_by_name() -> None:
    assert read_model("two_moons").prior.n_parameters == 2
    with pytest.raises(InputError, match="Did you mean 'two_moons'"):
        read_model("two_moon")


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("prior = 1", "", "has no 'simulator'"),
        ("def simulator(a): pass", "", "has no 'prior'"),
        ("1/0", "", "ZeroDivisionError"),
        (f"{MODEL}def prior(): raise KeyError('x')", "", r"The prior of .*model.py cannot be made: KeyError: 'x'"),
        ("x = 1", ":y", "defines no 'y'"),
    ],
)
def test_what_a_model_file_lacks_is_named(tmp_path, text: str, where: str, message: str) -> None:
    path = tmp_path / "model.py"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_model(f"{path}{where}")
    with pytest.raises(InputError, match="no such file"):
        read_model(str(tmp_path / "none.py"))


def test_measurements_in_every_form(tmp_path) -> None:
    forms = {
        "a.json": json.dumps({"x": 1.5, "y": None}),
        "b.csv": "x,y\n1.5,\n",
        "c.csv": "feature,value\nx,1.5\ny,nan\n",
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
        found = read_observation(tmp_path / name)
        assert list(found) == ["x", "y"]
        assert found["x"] == 1.5
        assert np.isnan(found["y"])
    (tmp_path / "d.json").write_text("[1.5, null]")
    np.testing.assert_array_equal(read_observation(tmp_path / "d.json"), [1.5, np.nan])
    np.save(tmp_path / "e.npy", [1.5, np.nan])
    np.testing.assert_array_equal(read_observation(tmp_path / "e.npy"), [1.5, np.nan])
    np.savez(tmp_path / "f.npz", x=[1.5, 2.0])
    np.testing.assert_array_equal(read_observation(tmp_path / "f.npz")["x"], [1.5, 2.0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("feature,value\nrate,0.5\n", {"rate": 0.5}),
        ("Quantity , Value\nrate,0.5\n", {"rate": 0.5}),
        ("rate,\ncv,0.5\n", {"rate": np.nan, "cv": 0.5}),
        ("rate,null\ncv,NA\nn,3\n", {"rate": np.nan, "cv": np.nan, "n": 3.0}),
        ("rate,0.5\ncv,\n", {"rate": 0.5, "cv": np.nan}),
        ("rate,0.5\ncv,0.6\n", {"rate": 0.5, "cv": 0.6}),
        ("rate,cv\n,0.5\n", {"rate": np.nan, "cv": 0.5}),
        ("rate,cv\nnan,0.5\n", {"rate": np.nan, "cv": 0.5}),
        ("rate,cv\nNA,0.5\n", {"rate": np.nan, "cv": 0.5}),
        ("feature,value\nNA,3\n", {"NA": 3.0}),
        ("ca,null\nna,0.5\n", {"ca": np.nan, "na": 0.5}),
        ("k,na\n1,0.5\n", {"k": 1.0, "na": 0.5}),
        ("na,NA\nk,0.5\n", {"na": np.nan, "k": 0.5}),
        ("rate,0.5\n", {"rate": 0.5}),
        ("rate\n0.5\n", {"rate": 0.5}),
        ("name,0.5\ncv,0.6\nfeature,\n", {"name": 0.5, "cv": 0.6, "feature": np.nan}),
    ],
)
def test_short_tables_are_told_by_their_content(tmp_path, text: str, expected: dict[str, float]) -> None:
    (tmp_path / "a.csv").write_text(text)
    found = read_observation(tmp_path / "a.csv")
    assert list(found) == list(expected)
    np.testing.assert_array_equal(list(found.values()), list(expected.values()))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "not JSON"),
        ("a.json", '{"x": "high"}', "'high'; expected a number"),
        ("a.json", '{"x": 1' + 400 * "0" + "}", "the value of 'x' is 10"),
        ("a.json", "3", "expected an object"),
        ("a.csv", "x,y,z\n1,2\n", "feature names in the first row"),
        ("a.csv", "x,y\n1,high\n", "the value of 'y' is 'high'"),
        ("a.csv", "feature,value\nx,high\n", "the value of 'x' is 'high'"),
        ("a.csv", "x,y,x\n1,2,3\n", r"a\.csv has the feature 'x' twice"),
        ("a.csv", "x,1\ny,2\n x,3\n", "has the feature 'x' twice"),
        ("a.json", '{"x": 0.5, "x": 0.7}', r"a\.json has the feature 'x' twice"),
        ("a.npy", "text", "not an array"),
        ("a.txt", "1", "ending in"),
    ],
)
def test_a_file_that_is_no_measurement_is_named(tmp_path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(FileFormatError, match=message):
        read_observation(tmp_path / name)
    with pytest.raises(AntidromeError, match="no such file"):
        read_observation(tmp_path / "absent.json")
