"""`antidrome check`: what is printed, the JSON, and the exit codes."""

import json

import numpy as np
import pytest

from antidrome.cli import main
from antidrome.cli.check import Check, printable, run


@pytest.fixture
def files(tmp_path):
    """A clean file, one in percent, and one that is no recording."""
    rng = np.random.default_rng(0)
    clean = 0.06 * rng.standard_normal((3000, 4)).astype(np.float32)
    np.save(tmp_path / "clean.npy", clean)
    np.save(tmp_path / "percent.npy", 10_000 * clean)
    (tmp_path / "broken.npy").write_bytes(b"not a recording")
    return tmp_path


def config(*paths, **options):
    options = {"frame_rate_hz": 30.0, "quantity": "dff", "orientation": "time,neuron", **options}
    return Check(paths=paths, **options)


def test_clean_file_exits_with_zero(files, capsys):
    assert run(config(files / "clean.npy")) == 0
    out = capsys.readouterr().out
    assert "3,000 frames × 4 neurons, 30 Hz" in out
    assert "nothing found" in out


def test_errors_exit_with_one_and_say_what_to_do(files, capsys):
    assert run(config(files / "percent.npy")) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "looks-percent" in out
    assert "Divide by 100" in out
    assert "1 error" in out


def test_unreadable_file_exits_with_two_and_the_others_are_still_looked_at(files, capsys):
    assert run(config(files / "broken.npy", files / "absent.npy", files / "clean.npy")) == 2
    out = capsys.readouterr().out
    assert out.count("could not be read") == 2
    assert "nothing found" in out


def test_json(files, capsys):
    assert run(config(files / "percent.npy", files / "broken.npy", json=True)) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == 2
    percent, broken = document["files"]
    assert percent["n_neurons"] == 4
    assert percent["frame_rate_hz"] == 30.0
    assert percent["error"] is None
    finding = percent["findings"][0]
    assert finding["id"] == "looks-percent"
    assert finding["severity"] == "error"
    assert set(finding) == {"id", "severity", "message", "fix", "neurons"}
    assert broken["error"]
    assert broken["findings"] == []


def test_command_line(files, capsys):
    arguments = ["check", str(files / "percent.npy"), "--frame-rate-hz", "30", "--quantity", "dff", "--json"]
    assert main([*arguments, "--orientation", "time,neuron"]) == 1
    assert json.loads(capsys.readouterr().out)["exit_code"] == 1


def test_help_states_the_exit_codes(capsys):
    assert main(["check", "--help"]) == 0
    out = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Exit code: 0 nothing worse than warnings, 1 at least one error found, 2 a file could not be read" in out


def test_no_file_is_a_usage_error(capsys):
    assert main(["check"]) == 2
    assert "file" in capsys.readouterr().err.lower()


def test_control_characters_and_markup_are_shown_not_obeyed(tmp_path, capsys):
    assert printable("a\x1b[31mb\x07") == "a\\x1b[31mb\\x07"
    np.save(tmp_path / "[red]x.npy", np.zeros((3000, 2)))
    assert run(config(tmp_path / "[red]x.npy")) == 1
    assert "[red]x.npy" in capsys.readouterr().out.replace("\n", "")
