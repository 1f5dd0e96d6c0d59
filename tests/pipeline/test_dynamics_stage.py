"""The dynamics of a run: its files, the check of each session, folders from before there was one."""

import dataclasses
import json

import numpy as np
import pytest

from antidrome.errors import InputError
from antidrome.pipeline import RunConfig, job, plan, rebuild, rebuild_report, run
from antidrome.pipeline.stages.dynamics import DYNAMICS
from antidrome.pipeline.stages.stage import Workplace
from antidrome.recordings import read
from antidrome.recordings.xarray_writing import read_xarray_result

GOOD = "No session differs from the one system by more than chance."
CONFIG = RunConfig(format="netcdf", stages=("spikes", "dynamics"), n_components=2)


@pytest.fixture
def only_dynamics(model, monkeypatch):
    """The job with the stand-in for the network and the real dynamics after it."""
    for module in (job, rebuild):
        monkeypatch.setattr(module, "LATER", (DYNAMICS,))


def test_every_session_is_checked_and_the_page_says_so(only_dynamics, inputs, tmp_path):
    out = tmp_path / "out"
    summary = run(inputs, out, CONFIG, progress=False)
    names = {file["name"] for file in summary["files"]}
    assert {"dynamics.safetensors", "stationarity.nc", "latents-day-0.nc", "latents-day-1.nc"} <= names
    tested = read_xarray_result(out / "stationarity.nc")
    assert list(tested["session"].values) == ["day-0", "day-1"]
    assert tested["deviates"].dtype == bool
    assert summary["stages"]["dynamics"]["deviating_sessions"] == [
        str(one) for one in tested["session"].values[tested["deviates"].values]
    ]
    page = (out / "report.html").read_text("utf-8")
    assert (GOOD in page) == (not tested["deviates"].any())

    marked = tested.assign(deviates=("session", [False, True]))
    (out / "stationarity.nc").unlink()
    marked.to_netcdf(out / "stationarity.nc", engine="h5netcdf")
    assert "Session day-1 differs from the others" in rebuild_report(out).read_text("utf-8")


def test_a_folder_from_before_the_check_still_opens(only_dynamics, inputs, tmp_path):
    out = tmp_path / "out"
    run(inputs, out, CONFIG, progress=False)
    (out / "stationarity.nc").unlink()
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    summary["files"] = [file for file in summary["files"] if file["name"] != "stationarity.nc"]
    (out / "summary.json").write_text(json.dumps(summary), "utf-8")
    manifest = out / ".antidrome" / "manifest.json"
    manifest.write_text(json.dumps({"files": json.loads(manifest.read_text("utf-8"))["files"]}), "utf-8")  # no hashes
    page = rebuild_report(out).read_text("utf-8")
    assert GOOD not in page
    assert "figure-dynamics-overlap" in page
    assert run(inputs, out, CONFIG, progress=False) == summary  # finished is finished


def test_a_session_in_which_nothing_varies_is_named(inputs, tmp_path):
    activity = {f"day-{i}": read(path).copy() for i, path in enumerate(inputs)}
    activity["day-1"][:] = np.float32(0)
    with pytest.raises(InputError, match="No neuron of day-1 varies"):
        DYNAMICS.compute(activity, CONFIG, Workplace(tmp_path, tmp_path / "scratch", show_progress=False))
    assert not list(tmp_path.glob("*.safetensors"))


def test_neurons_that_are_matched_by_number_alone_are_a_finding(only_dynamics, inputs, tmp_path, capsys):
    paths = [tmp_path / f"animal{i}.npz" for i in range(2)]
    for path, source in zip(paths, inputs, strict=True):
        np.savez(path, dff=read(source).values, fs=30.0)
    config = RunConfig(format="netcdf", quantity="dff", n_components=1)
    summary = run(paths, tmp_path / "out", config, progress=False)
    said = "Nobody named the neurons of animal0, animal1: 7 neurons are taken for the same cell in"
    for session in summary["sessions"]:
        assert session["findings"][0]["id"] == "neurons-matched-by-number"
    record = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))
    assert record["findings"]["animal0"][0]["message"].startswith(said)
    assert "Nobody named the neurons" in (tmp_path / "out" / "report.html").read_text("utf-8")
    assert any("taken for the same cells" in note for note in summary["stages"]["dynamics"]["notes"])
    for ways in ({"stages": ("spikes",)}, {}):
        some = paths if ways else paths[:1]
        found = plan(some, dataclasses.replace(config, **ways), tmp_path / "new")["sessions"]
        assert not any(f["id"] == "neurons-matched-by-number" for session in found for f in session["findings"])


def test_named_neurons_are_matched_without_a_word(inputs, tmp_path):
    paths = [tmp_path / f"day{i}.npz" for i in range(2)]
    for path, source in zip(paths, inputs, strict=True):
        np.savez(path, dff=read(source).values, fs=30.0, neuron=np.arange(7))
    found = plan(paths, RunConfig(quantity="dff"), tmp_path / "new")["sessions"]
    assert not any(f["id"] == "neurons-matched-by-number" for session in found for f in session["findings"])
