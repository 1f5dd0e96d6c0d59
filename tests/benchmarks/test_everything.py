"""All benchmarks in one go: what lacks data is left out and told, what fails stops nothing else, results stay whole."""

import ast
import json
from pathlib import Path

import pytest


@pytest.fixture
def results(tmp_path, monkeypatch) -> Path:
    """A folder of committed results in place of that of the source tree."""
    from benchmarks import everything

    folder = tmp_path / "results"
    folder.mkdir()
    for name in ("load", "dynamics_scale", "spikes_ground_truth"):
        rows = [{"disk": True}] if name == "dynamics_scale" else []
        (folder / f"{name}.json").write_text(json.dumps({"headline": "committed", "rows": rows}))
    monkeypatch.setattr(everything, "RESULTS", folder)
    monkeypatch.setenv("ANTIDROME_DATA", str(tmp_path / "no data"))
    return folder


@pytest.fixture
def commands(monkeypatch) -> list[list[str]]:
    """The commands that are run, in place of which nothing runs but that a result is written; `load` fails."""
    from benchmarks import everything

    run: list[list[str]] = []

    def finished(command: list[str]) -> bool:
        run.append(command[2:])
        if "--json" in command:
            Path(command[command.index("--json") + 1]).write_text("fresh")
        return command[2] != "benchmarks.load"

    monkeypatch.setattr(everything, "finished", finished)
    return run


def test_what_lacks_data_is_left_out_and_a_failure_stops_nothing_else(results, commands, tmp_path, capsys):
    from benchmarks.everything import main

    assert main(["--folder", str(tmp_path / "work")]) == 1
    assert [command[0].removeprefix("benchmarks.") for command in commands] == [
        "dynamics_scale",
        "load",
        "readme",
        "comparison",
        "million",
    ]
    assert commands[0][1:4] == ["--disk", str(tmp_path / "work" / "disk"), "--json"]
    texts = {path.stem: path.read_text() for path in results.glob("*.json")}
    assert texts["dynamics_scale"] == "fresh"
    assert "committed" in texts["load"], "a benchmark that failed replaces no result"
    said = capsys.readouterr().out
    assert "spikes_ground_truth: spikes-cascade, spikes-peers" in said
    assert "Left out for want of data" in said
    assert said.endswith("Failed, see above: load.\n")


def test_missing_data_alone_are_no_failure(results, commands, tmp_path, capsys):
    from benchmarks.everything import main

    assert main(["--only", "spikes_ground_truth", "--folder", str(tmp_path / "work")]) == 0
    assert commands == [], "pages are not written anew from results that did not change"
    assert "Measured: nothing." in capsys.readouterr().out


def test_quick_runs_replace_nothing(results, commands):
    from benchmarks.everything import main

    before = {path.name: path.read_text() for path in results.iterdir()}
    assert main(["--quick", "--only", "dynamics_scale"]) == 0
    assert commands == [["benchmarks.dynamics_scale", "--quick"]]
    assert {path.name: path.read_text() for path in results.iterdir()} == before


def test_without_data_a_benchmark_says_so_with_exit_code_2(tmp_path, monkeypatch, capsys):
    from benchmarks.harness import require_data

    monkeypatch.setenv("ANTIDROME_DATA", str(tmp_path))
    require_data("load")
    with pytest.raises(SystemExit) as end:
        require_data("spikes_ground_truth")
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert (
        f"spikes_ground_truth reads spikes-cascade, spikes-peers, of which {tmp_path} does not hold all files" in said
    )
    assert "antidrome data get spikes-cascade spikes-peers --mirror" in said


def test_benchmarks_look_for_their_data_before_anything_else(source_tree):
    from benchmarks.tables import DATA

    for name in DATA:
        tree = ast.parse((source_tree / "benchmarks" / f"{name}.py").read_text("utf-8"))
        main = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main")
        statements = [ast.unparse(node) for node in main.body[1:]]
        first = statements.index(f"require_data('{name}')")
        options = [one for one in statements[:first] if not one.startswith("parser")]
        assert len(options) == 1, (name, options)
        assert "parse" in options[0], name
