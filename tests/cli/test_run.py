"""The commands run, spikes, simulate and report, from the line that a person types."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from antidrome.cli.app import main
from antidrome.recordings import read, read_spikes


@pytest.fixture
def wide(tmp_path):
    """Two arrays of 200 frames × 240 neurons, which the shape alone would take for neurons × frames."""
    traces = np.random.default_rng(0).standard_normal((200, 240)).astype(np.float32)
    np.savez(tmp_path / "wide.npz", one=traces, two=traces, fs=30.0)
    return tmp_path / "wide.npz"


@pytest.fixture
def recording(tmp_path):
    """A simulated recording on disk, made by the command."""
    path = tmp_path / "made.nc"
    assert main(["simulate", "-o", str(path), "--neurons", "2", "--duration-s", "20", "--seed", "3"]) == 0
    return path


@pytest.mark.parametrize("name", ["run", "spikes", "simulate", "report"])
def test_help_lists_the_options(name, capsys):
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"antidrome {name}" in shown
    assert {"run": "--neuropil-factor", "spikes": "--samples", "simulate": "--indicator", "report": "results folder"}[
        name
    ] in shown


@pytest.mark.parametrize("suffix", [".nc", ".zarr", ".nwb"])
def test_simulated_recordings_hold_their_true_spikes(tmp_path, suffix):
    path = tmp_path / f"made{suffix}"
    assert main(["simulate", "-o", str(path), "--neurons", "3", "--duration-s", "10"]) == 0
    truth = read_spikes(path)["spike_count"]
    assert dict(truth.sizes) == {"time": 300, "neuron": 3}
    trace = read(path, series="dff")
    np.testing.assert_allclose(trace, read_spikes(path)["dff"], rtol=1e-6)


def test_simulate_is_repeatable_and_keeps_what_is_there(recording, tmp_path, capsys):
    again = tmp_path / "again.nc"
    assert main(["simulate", "-o", str(again), "--neurons", "2", "--duration-s", "20", "--seed", "3"]) == 0
    assert read_spikes(again).identical(read_spikes(recording))
    assert main(["simulate", "-o", str(again)]) == 2
    assert "exists" in capsys.readouterr().err


def test_the_median_of_an_even_number_of_rates_lies_between_them(capsys):
    from antidrome.cli.run import _console, _tell_sessions

    neurons = [{"mean_rate_hz": rate} for rate in (0.5, None, 4.0, 1.0, 2.0)]
    told = {"session_id": "day", "findings": [], "n_neurons": 5, "n_frames": 10, "frame_rate_hz": 30.0}
    _tell_sessions(_console(), [{**told, "neurons": neurons}])
    assert "median rate 1.50 spikes/s" in capsys.readouterr().out


def test_what_speaks_against_a_later_stage_is_told_beside_what_it_found(capsys):
    from antidrome.cli.run import _console, _tell_stage

    apart = "Sessions a and b share 0 neurons, fewer than the 3 latent dimensions"
    found = {"n_components": 3, "n_neurons": 40, "deviating_sessions": ["b"], "notes": [apart]}
    _tell_stage(_console(), "dynamics", found)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "dynamics: 3 dimensions shared by 40 neurons"
    assert [line.strip() for line in told[1:]] == ["session b differs from the others by more than chance", apart]


def test_run_tells_where_the_page_is(recording, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["run", str(recording), "-o", str(out), "--format", "netcdf"]) == 0
    told = capsys.readouterr().out
    assert (out / "report.html").resolve().as_uri() in told
    assert "2 neurons, 600 frames at 30 Hz" in told
    (out / "report.html").unlink()
    assert main(["report", str(out)]) == 0
    assert (out / "report.html").exists()


def test_a_finding_of_several_recordings_is_told_once(recording, tmp_path, capsys):
    traces = read(recording, series="dff").values
    for i in range(6):
        np.savez(tmp_path / f"day{i}.npz", dff=traces + i, fs=30.0)  # nobody names the neurons
    paths = [str(tmp_path / f"day{i}.npz") for i in range(6)]
    assert main(["run", *paths, "-o", str(tmp_path / "out"), "--quantity", "dff", "--dry-run", "--force"]) == 0
    told = capsys.readouterr().out
    assert told.count("Nobody named the neurons") == 1
    assert "day0, day1, day2, day3 and 2 more:" in told
    assert "day5: 2 neurons, 600 frames" in told


def test_json_is_the_summary_and_nothing_else(recording, tmp_path, capsys):
    out = tmp_path / "out"
    capsys.readouterr()
    assert main(["run", str(recording), "-o", str(out), "--format", "netcdf", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((out / "summary.json").read_text("utf-8"))


def test_only_spikes(recording, tmp_path):
    assert main(["spikes", str(recording), "-o", str(tmp_path / "s.nwb")]) == 0
    assert read_spikes(tmp_path / "s.nwb")["expected_spikes"].sizes["time"] == 600


@pytest.mark.parametrize("command", ["run", "spikes", "spikes fit", "spikes predict", "check", "dynamics fit"])
def test_every_command_that_opens_a_recording_takes_its_choices(command, capsys):
    assert main([*command.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--orientation", "--series", "--frame-rate-hz", "--no-accepted-only"))
    assert "--orientation time,neuron | neuron,time" in shown
    assert "Read accepted ROIs only" in shown


def test_axes_and_array_are_chosen_and_written_down(wide, tmp_path, capsys):
    command = ["run", str(wide), "--quantity", "dff", "--stages", "spikes", "--dry-run", "--force"]
    assert main(command) == 2
    assert "choose one with series= (--series NAME)" in capsys.readouterr().err
    chosen = [*command, "--series", "two", "--orientation", "time,neuron"]
    assert main(chosen) == 0
    assert "240 neurons, 200 frames" in capsys.readouterr().out


def test_what_a_settings_file_switches_on_can_be_said_again_and_switched_off(recording, tmp_path, monkeypatch):
    settings = tmp_path / "run.toml"
    settings.write_text(f'paths = ["{recording}"]\noutput = "out"\ndry_run = true\n', "utf-8")
    monkeypatch.chdir(tmp_path)
    for again in ([], ["--dry-run"]):
        assert main(["run", "--config", str(settings), *again]) == 0
        assert not (tmp_path / "out").exists()
    assert main(["run", "--config", str(settings), "--no-dry-run", "--stages", "spikes"]) == 0
    assert (tmp_path / "out" / "report.html").exists()


def test_rois_that_are_no_cells_are_read_on_request(tmp_path, capsys):
    plane = tmp_path / "m1" / "plane0"
    plane.mkdir(parents=True)
    np.save(plane / "F.npy", 100 + np.random.default_rng(0).standard_normal((4, 300)))
    np.save(plane / "iscell.npy", np.zeros((4, 2)))
    command = ["run", str(plane), "--frame-rate-hz", "30", "--stages", "spikes", "--dry-run", "--force"]
    assert main(command) == 2
    assert "--no-accepted-only" in " ".join(capsys.readouterr().err.split())
    assert main([*command, "--no-accepted-only"]) == 0
    assert "4 neurons, 300 frames" in capsys.readouterr().out
    (tmp_path / "run.toml").write_text("accepted_only = false\n", "utf-8")
    assert main([*command, "--config", str(tmp_path / "run.toml")]) == 0


def test_an_unknown_suffix_is_refused_before_the_work(recording, tmp_path, capsys):
    assert main(["spikes", str(recording), "-o", str(tmp_path / "s.txt")]) == 2
    assert "no format for the suffix '.txt'" in capsys.readouterr().err
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "missing.nwb"], "missing.nwb"),
        (["run", "--frame-rate-hz", "-1"], "frame_rate_hz"),
        (["run", "--frame-rte-hz", "30"], "frame-rate-hz"),
        (["run", "--stages", "dynamics"], "name spikes too"),
        (["spikes", "x.nwb", "-o", "y.nwb", "--samples", "-2"], "samples is -2"),
        (["run", "--seed", "99999999999999999999"], "at most 9223372036854775807"),
        (["spikes", "fit", "x.nwb", "-o", "y.safetensors", "--neuropil-factor", "3"], "neuropil_factor is 3"),
        (["run", "--format", "xls"], "format"),
        (["spikes", "missing.nwb", "-o", "x.nc"], "missing.nwb"),
        (["spikes"], "required"),
        (["report", "."], "no finished run"),
        (["simulate", "-o", "x", "--format", "suite2p"], "--format"),
        (["simulate", "-o", "x.txt"], "no format for the suffix '.txt'"),
        (
            ["simulate", "-o", "x.npz"],
            "choose a --format: nwb, zarr or netcdf.",
        ),
        (["simulate", "-o", "x.nc", "--neurons", "0"], "n_neurons = 0"),
    ],
)
def test_bad_input_is_a_sentence_and_exit_code_2(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err + captured.out
    assert "Traceback" not in captured.err
    assert not list(tmp_path.glob("*.nc"))


def _start(output: pathlib.Path) -> subprocess.Popen:
    # A shell lets what it starts in the background ignore SIGINT, and so would this process.
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from antidrome.cli import main; sys.exit(main(sys.argv[1:]))"
    options = ["run", "-o", str(output), "--format", "netcdf", "--json"]
    return subprocess.Popen([sys.executable, "-c", code, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_the_real_job_goes_on_after_a_signal(tmp_path, how, happened):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    first = _start(whole)
    first.communicate(timeout=300)
    assert first.returncode == 0
    process = _start(broken)
    deadline = time.monotonic() + 300
    while not list(broken.glob(".antidrome/*/block-*.nc")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, getattr(signal, how))
    _, error = process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if how == "SIGKILL" else 130), error.decode()
    if how == "SIGINT":
        assert b"The same command goes on" in error
    ended = f"exit code {process.returncode}" if how == "SIGINT" else f"ended by signal {-process.returncode}"
    assert not (broken / "report.html").exists()
    resumed = _start(broken)
    out, _ = resumed.communicate(timeout=300)
    assert resumed.returncode == 0
    kept = json.loads(out)["sessions"][0]["seconds"]["blocks_from_earlier_run"]
    assert kept == 1
    names = ("spikes-simulated-session-1.nc", "spikes-simulated-session-2.nc")
    differ = [name for name in names if not read_spikes(broken / name).identical(read_spikes(whole / name))]
    assert differ == []
    half = [path for path in broken.rglob("*") if "partial" in path.name]
    assert half == []
    happened(
        f"{how}: {ended}; the same command goes on (exit code {resumed.returncode}) with the finished block ({kept});"
        f" results that differ by a bit: {len(differ)}; half files: {len(half)}"
    )
