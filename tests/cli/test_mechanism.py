"""``antidrome mechanism`` as typed: fit, go on, diagnose; mistakes in one sentence."""

import csv
import json
import pathlib
import re

import numpy as np
import pytest

from antidrome.cli import main
from antidrome.mechanism import Posterior

MODEL = """
from antidrome.mechanism import Prior, Uniform
from antidrome.mechanism.simulate import PythonSimulator

prior = Prior({"a": Uniform(-1, 1)}, {"a": "mV"})

def function(theta, rng):
    return {"x": theta[0] + 0.2 * rng.standard_normal()}

simulator = PythonSimulator(function, n_processes=0, batched=False)
"""


@pytest.fixture
def files(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "observed.json").write_text('{"x": 0.3}')
    return tmp_path


@pytest.mark.slow
def test_fit_and_diagnose(files: pathlib.Path, capsys) -> None:
    output = files / "out"
    command = ["mechanism", "fit", str(files / "model.py"), "--observation", str(files / "observed.json")]
    command += ["-o", str(output), "--method", "npe", "--density", "mixture", "--simulations", "300"]
    assert main([*command, "--samples", "200", "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert "round 1: 300 simulations; ESS 300 of 300, largest weight 0.3 %" in printed
    assert "mV" in printed
    samples = np.loadtxt(output / "samples.csv", skiprows=1, ndmin=2)
    assert samples.shape[0] == 200
    assert abs(samples.mean() - 0.3) < 0.15
    summary = json.loads((output / "summary.json").read_text())
    assert summary["parameters"]["a"]["unit"] == "mV"
    assert summary["rounds"][0]["effective"] == pytest.approx(300)
    code = main(["mechanism", "diagnose", str(output), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == (0 if found["trustworthy"] else 1)
    assert found["held_out"]
    told = {"trustworthy", "conclusions"}  # these also tell of the predictive check, which is the fit's alone
    of_fit = {name: value for name, value in summary["diagnosis"].items() if name not in told}
    assert {name: value for name, value in found.items() if name not in told} == of_fit, "the fit's own figures"
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "Posterior of" in page
    assert "1 parameters" in page or "parameter" in page


@pytest.mark.slow
def test_a_fit_with_too_little_to_judge_by_says_so(files: pathlib.Path, capsys) -> None:
    """It left nothing to judge by and said nothing, and its folder was taken for none of a fit (exit code 2)."""
    command = ["mechanism", "fit", str(files / "model.py"), "--observation", str(files / "observed.json")]
    command += ["-o", str(files / "out"), "--method", "npe", "--density", "mixture", "--simulations", "30"]
    assert main([*command, "--samples", "50", "--predictive", "0"]) == 0
    assert "was not judged" in capsys.readouterr().out
    assert main(["mechanism", "diagnose", str(files / "out")]) == 1
    assert "fewer than 10 simulations" in capsys.readouterr().out
    assert main(["mechanism", "diagnose", str(files / "out"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["trustworthy"] is False


@pytest.mark.slow
def test_samples_are_a_table_whatever_the_parameters(files: pathlib.Path, capsys) -> None:
    """A comma in a name shifted the columns; of a parameter of 1000000 to 1000000.001 only the million was written."""
    text = MODEL.replace(
        '{"a": Uniform(-1, 1)}, {"a": "mV"}', '{"τ, µ": Uniform(1e6, 1e6 + 1e-3), "b": Uniform(-1, 1)}'
    )
    (files / "model.py").write_text(text, "utf-8")
    command = ["mechanism", "fit", str(files / "model.py"), "--observation", str(files / "observed.json")]
    command += ["-o", str(files / "out"), "--method", "npe", "--density", "mixture", "--simulations", "100"]
    assert main([*command, "--samples", "50", "--predictive", "0"]) == 0
    assert len(set(re.findall(r"1000000\.\d+", capsys.readouterr().out))) >= 3
    with open(files / "out" / "samples.csv", encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["τ, µ", "b"]
    posterior = Posterior.load(files / "out" / "posterior.safetensors")
    samples = posterior.sample(50, seed=0).values
    assert np.array_equal(np.array(rows, float)[:, 0], samples[:, 0])
    assert rows[0][1] == f"{samples[0, 1]:.8g}"


@pytest.mark.slow
def test_fit_to_simulations_that_are_there(files: pathlib.Path, capsys) -> None:
    model, simulations = str(files / "model.py"), str(files / "simulations")
    for i in range(2):
        assert (
            main(["mechanism", "simulate", model, "--simulations", "300", "-o", simulations, "--shard", f"{i}/2"]) == 0
        )
    command = ["mechanism", "fit", model, "--observation", str(files / "observed.json"), "--recorded", simulations]
    command += ["-o", str(files / "out"), "--density", "mixture", "--samples", "200"]
    assert main(command) == 2
    assert "use method='npe'" in capsys.readouterr().err
    assert main([*command, "--method", "npe"]) == 0
    said = capsys.readouterr().out
    assert "round 1: 300 simulations" in said
    assert "note:" not in said
    assert abs(np.loadtxt(files / "out" / "samples.csv", skiprows=1).mean() - 0.3) < 0.15
    (files / "model.py").write_text(f"{MODEL}\n# changed since", "utf-8")
    assert (
        main(
            [
                *command[:-4],
                "-o",
                str(files / "again"),
                "--density",
                "mixture",
                "--method",
                "npe",
                "--missing",
                "unrecorded",
            ]
        )
        == 0
    )
    assert "note: The simulations are of model.py, BLAKE2b" in capsys.readouterr().out
    assert "The simulations are of model.py, BLAKE2b" in (files / "again" / "report.html").read_text("utf-8")
    assert Posterior.load(files / "again" / "posterior.safetensors").missing == "unrecorded"


def test_what_a_recording_does_not_say_can_be_said(tmp_path: pathlib.Path, capsys) -> None:
    time_s = np.arange(2000) / 10_000
    voltage = -0.07 + 1e-3 * np.sin(50 * time_s)
    np.savez(tmp_path / "cell.npz", voltage=np.stack([voltage, voltage]), current=np.full(2000, 2.0))
    command = ["mechanism", "fit", "hodgkin_huxley_8", "--observation", str(tmp_path / "cell.npz"), "-o", str(tmp_path)]
    for asked, *given in (
        ("sampling_rate_hz", "--sampling-rate-hz", "10000"),
        ("voltage_unit", "--voltage-unit", "V"),
        ("current_unit", "--current-unit", "uA/cm2"),
        ("area", "--area-cm2", "1e-4"),
    ):
        assert main(command) == 2
        assert asked in capsys.readouterr().err
        command += given
    assert main(command) == 2
    assert "Which of the 2 sweeps" in capsys.readouterr().err, "all is known but the sweep"
    assert main([*command, "--sweep", "1", "--epoch-ms", "50", "500"]) == 2
    assert "is on from 50 to 500 ms, but the sweep lasts 200 ms" in capsys.readouterr().err


@pytest.mark.slow
def test_fit_to_a_recording(tmp_path: pathlib.Path, capsys) -> None:
    from antidrome.mechanism.models import HodgkinHuxley, step_stimulus

    stimulus = step_stimulus(3.0, duration_ms=80, on_ms=20, off_ms=70)
    cell = HodgkinHuxley(stimulus)
    voltage = cell.voltage(np.array([cell.defaults]), seed=3).values
    current = stimulus.current_ua_cm2 * 1e-4 * 1e6
    np.savez(tmp_path / "cell.npz", voltage_mV=np.repeat(voltage, 2, axis=0), current_pA=current, dt_ms=stimulus.dt_ms,
             junction_potential_mV=-1.0)  # fmt: skip
    command = ["mechanism", "fit", "hodgkin_huxley_8", "--observation", str(tmp_path / "cell.npz")]
    command += ["-o", str(tmp_path / "out"), "--method", "npe", "--density", "mixture", "--simulations", "300"]
    assert main(command) == 2
    assert "Which of the 2 sweeps" in capsys.readouterr().err
    command += ["--sweep", "1"]
    assert main(command) == 2
    assert "area_cm2" in capsys.readouterr().err
    assert main([*command, "--area-cm2", "1e-4", "--processes", "2"]) == 2
    assert "not for a current-clamp recording" in capsys.readouterr().err
    assert main([*command, "--area-cm2", "1e-4", "--samples", "100"]) == 0
    notes = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))["notes"]
    assert any("off by 0.02 of each feature's spread" in note for note in notes), "a recording is no model's"
    assert "potential of -1 mV" in notes[0], "what was done to the recording is kept"
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert 'id="figure-traces"' in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "none.py", "--observation", "observed.json", "-o", "out"], "no such file"),
        (["fit", "model.py", "--observation", "none.json", "-o", "out"], "no such file"),
        (["diagnose", "nowhere"], "posterior.safetensors"),
        (["fit", "model.py", "--observation", "observed.json", "-o", "out", "--processes", "-1"], "--processes is -1"),
        (["fit", "model.py", "--observation", "observed.json", "-o", "out", "--sweep", "1"], "only for current-clamp"),
    ],
)
def test_mistakes_are_one_sentence(
    files: pathlib.Path, monkeypatch, capsys, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(files)
    assert main(["mechanism", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_files_of_others_are_not_replaced(files: pathlib.Path, capsys) -> None:
    (files / "out").mkdir()
    (files / "out" / "summary.json").write_text("mine")
    command = ["mechanism", "fit", str(files / "model.py"), "--observation", str(files / "observed.json")]
    assert main([*command, "-o", str(files / "out")]) == 2
    assert "summary.json exists" in capsys.readouterr().err
    assert (files / "out" / "summary.json").read_text() == "mine"
