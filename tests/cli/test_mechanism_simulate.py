"""``antidrome mechanism simulate`` as typed: shards, going on, mistakes in one sentence."""

import pathlib

import numpy as np
import pytest

from antidrome.cli import main
from antidrome.mechanism.simulate import read_simulations

MODEL = """
from antidrome.mechanism.simulate import PythonSimulator

prior = {"a": (-1, 1), "b": (0, 2)}

def function(theta, rng):
    if theta[0] > 0.8:
        raise ValueError("a is too large")
    return {"x": theta[0] + rng.standard_normal()}

simulator = PythonSimulator(function, n_processes=0, batched=False)
"""


@pytest.fixture
def model(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "model.py"
    path.write_text(MODEL)
    return path


def test_shards_make_the_whole_and_more_can_be_added(model: pathlib.Path, capsys) -> None:
    folder, whole = model.parent / "shards", model.parent / "whole"
    command = ["mechanism", "simulate", str(model), "--simulations", "60"]
    for i in (1, 0, 2):
        assert main([*command, "-o", str(folder), "--shard", f"{i}/3"]) == 0
    assert "60 of 60 simulations" in capsys.readouterr().out
    assert main([*command, "-o", str(whole)]) == 0
    printed = capsys.readouterr().out
    assert "exception: ValueError: a is too large" in printed
    parts, one = read_simulations(folder), read_simulations(whole)
    np.testing.assert_array_equal(parts.theta, one.theta)
    np.testing.assert_array_equal(parts.features, one.features)
    assert one.parameter_names == ("a", "b")
    assert np.array_equal(one.valid, one.theta[:, 0] <= 0.8)
    more = ["mechanism", "simulate", str(model), "--simulations", "90", "-o", str(whole)]
    assert main(more) == 0
    assert np.array_equal(read_simulations(whole).features[:60], one.features, equal_nan=True)
    assert main([*more, "--seed", "1"]) == 2
    assert "with other parameters" in capsys.readouterr().err


def test_models_of_the_package(tmp_path: pathlib.Path) -> None:
    assert main(["mechanism", "simulate", "gaussian_mixture", "--simulations", "20", "-o", str(tmp_path / "s")]) == 0
    assert len(read_simulations(tmp_path / "s")) == 20


def test_settings_reach_simulators_that_a_file_has_made(model: pathlib.Path, capsys) -> None:
    """The file's own simulator has no time limit and runs in the command's process."""
    model.write_text(
        MODEL.replace("theta[0] > 0.8", "theta[0] < 0 and not time.sleep(20)").replace(
            "prior =", "import time\nprior ="
        )
    )
    command = ["mechanism", "simulate", str(model), "--simulations", "3", "-o", str(model.parent / "s")]
    assert main([*command, "--timeout-s", "0.3", "--processes", "1"]) == 0
    done = read_simulations(model.parent / "s")
    assert np.array_equal(done.valid, done.theta[:, 0] >= 0)
    assert "timeout: stopped after 0.3 s" in capsys.readouterr().out
    model.write_text(model.read_text().replace("sleep(20)", "sleep(1)").replace("n_processes=0", "timeout_s=0.3"))
    command = ["mechanism", "simulate", str(model), "--simulations", "3", "--processes", "1"]
    for limit, name in (([], "own"), (["--timeout-s", "inf"], "none")):
        assert main([*command, "-o", str(model.parent / name), *limit]) == 0
        found = [failure.kind for failure in read_simulations(model.parent / name).failures]
        assert set(found) == ({"timeout"} if name == "own" else {"exception"})
    assert main(["mechanism", "simulate", "two_moons", "-o", "s", "--timeout-s", "3"]) == 2
    assert "--timeout-s: only for simulators that are Python functions" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shard", "3/3"], "--shard 3/3: expected i/n with i from 0 to n-1"),
        (["--simulations", "0"], "simulations is 0; expected at least 1"),
    ],
)
def test_mistakes_are_one_sentence(model: pathlib.Path, capsys, options: list[str], message: str) -> None:
    assert main(["mechanism", "simulate", str(model), "-o", str(model.parent / "s"), *options]) == 2
    assert message in capsys.readouterr().err


def test_the_features_that_were_found_are_named(model: pathlib.Path, capsys) -> None:
    """A function meant for many parameter sets, (n, d) to (n, k), gave d k features of one set without a word."""
    model.write_text(
        MODEL.replace('{"x": theta[0] + rng.standard_normal()}', "theta[..., :1] * np.ones((len(theta), 5))")
        .replace("if theta[0] > 0.8", "if np.max(theta) > 10")
        .replace("from", "import numpy as np\nfrom")
    )
    command = ["mechanism", "simulate", str(model), "--simulations", "12"]
    assert main([*command, "-o", str(model.parent / "rows")]) == 0
    printed = capsys.readouterr().out
    assert "10 features: x[0,0], x[0,1], x[0,2], x[0,3], x[0,4], x[1,0], x[1,1], x[1,2], …; one parameter" in printed
    assert "One parameter set of 2 values gave 2 rows" in printed
    assert "PythonSimulator(FUNCTION, batched=True)" in printed
    model.write_text(model.read_text().replace("batched=False", "batched=True"))
    assert main([*command, "-o", str(model.parent / "sets")]) == 0
    printed = capsys.readouterr().out
    assert "5 features: x[0], x[1], x[2], x[3], x[4]; many parameter sets a call" in printed
    assert "note:" not in printed
    assert main(["mechanism", "simulate", "two_moons", "--simulations", "3", "-o", str(model.parent / "moons")]) == 0
    assert "2 features: " in capsys.readouterr().out
