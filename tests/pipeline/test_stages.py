"""What follows the spikes: binning, caching, reasons for not running, settings files, plans."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from antidrome.cli.app import main
from antidrome.errors import InputError
from antidrome.pipeline import RunConfig, plan, rebuild_report, run
from antidrome.pipeline.planning import COSTS, work_of
from antidrome.pipeline.settings_file import read_toml, to_toml
from antidrome.pipeline.stages.activity import binned_spikes
from antidrome.pipeline.stages.dynamics import DYNAMICS
from antidrome.pipeline.stages.stage import Workplace
from antidrome.recordings import read_spikes, write


def spikes(counts, rate=30.0):
    """A spikes result with these counts (time, neuron)."""
    time = (np.arange(len(counts)) + 0.5) / rate
    coords = {"time": time, "neuron": [f"n{i}" for i in range(counts.shape[1])]}
    return xr.Dataset({"expected_spikes": (("time", "neuron"), counts)}, coords=coords, attrs={"frame_rate_hz": rate})


def test_bins_hold_the_sums_and_dead_neurons_are_counted():
    counts = np.arange(40, dtype=np.float32).reshape(10, 4)
    counts[:, 2] = np.nan
    found = binned_spikes(spikes(counts), bin_s=0.1)
    np.testing.assert_array_equal(found, counts[:9, [0, 1, 3]].reshape(3, 3, 3).sum(1))
    assert list(found["neuron"].values) == ["n0", "n1", "n3"]
    np.testing.assert_allclose(found["time"], [0.05, 0.15, 0.25])
    assert found.attrs["frame_rate_hz"] == pytest.approx(10)
    assert found.attrs["notes"] == ["1 neuron without spikes left out."]


def test_bins_of_a_dask_result_stay_lazy():
    counts = np.random.default_rng(0).random((12, 5)).astype(np.float32)
    lazy = binned_spikes(spikes(counts).chunk(neuron=2), bin_s=0.1)
    assert lazy.chunks is not None
    np.testing.assert_allclose(lazy, binned_spikes(spikes(counts), bin_s=0.1), rtol=1e-6)


def test_bins_count_what_was_recorded_and_do_not_straddle_gaps():
    """Frames without a value do not count; a bin that lacks most of its frames is NaN or, if all do, not there."""
    counts = np.random.default_rng(0).random((30, 3)).astype(np.float32)
    trace = np.ones_like(counts)
    trace[3:5, 1], trace[6, 1], trace[9:12] = np.nan, np.nan, np.nan
    result = spikes(counts).assign(dff=(("time", "neuron"), trace))
    result = result.assign_coords(time=np.r_[result["time"].values[:20], result["time"].values[20:] + 100])
    for form in (result, result.chunk(neuron=2)):
        found = binned_spikes(form, bin_s=0.1)
        whole = counts[:18].reshape(6, 3, 3).sum(1)
        np.testing.assert_allclose(found[0], whole[0], rtol=1e-6)
        assert np.isnan(found[1, 1])
        np.testing.assert_allclose(found[1, ::2], whole[1, ::2], rtol=1e-6)
        assert found[2, 1] == pytest.approx(counts[7:9, 1].sum() * 1.5)
        assert np.isnan(found[3]).all()
        np.testing.assert_allclose(found[4:6], whole[4:6], rtol=1e-6)
        np.testing.assert_allclose(found["time"][:7], np.arange(7) * 0.1 + 0.05, atol=1e-9)
        assert (np.asarray(found["time"][7:]) > 100.5).all()
        assert float(np.diff(found["time"]).min()) == pytest.approx(0.1)


def test_bins_hold_frames_of_one_trial_and_keep_it():
    counts = np.random.default_rng(0).random((30, 3)).astype(np.float32)
    trial = np.repeat(["a", "b", "c"], [10, 12, 8])
    result = spikes(counts).assign_coords(trial=("time", trial), depth=("neuron", [1, 2, 3]))
    for form in (result, result.chunk(neuron=2)):
        found = binned_spikes(form, bin_s=0.1)
        assert found["trial"].values.tolist() == ["a"] * 3 + ["b"] * 4 + ["c"] * 2
        whole = np.concatenate([counts[first : first + 3].sum(0)[None] for first in (0, 3, 6, 10, 13, 16, 19, 22, 25)])
        np.testing.assert_allclose(found, whole, rtol=1e-6)
        np.testing.assert_allclose(found["time"], np.array([1, 4, 7, 11, 14, 17, 20, 23, 26]) / 30 + 0.5 / 30)
        of_one = result.isel(time=trial == "b").drop_vars("trial")
        xr.testing.assert_allclose(found[3:7].drop_vars("trial"), binned_spikes(of_one, bin_s=0.1).compute())


def test_frames_between_trials_belong_together():
    counts = np.random.default_rng(0).random((30, 2)).astype(np.float32)
    between = np.repeat([1.0, np.nan, 2.0], [10, 12, 8])
    found = binned_spikes(spikes(counts).assign_coords(trial=("time", between)), bin_s=0.1)
    named = binned_spikes(spikes(counts).assign_coords(trial=("time", np.repeat([1, 0, 2], [10, 12, 8]))), bin_s=0.1)
    np.testing.assert_array_equal(found, named)
    np.testing.assert_array_equal(found["trial"], np.where(named["trial"] == 0, np.nan, named["trial"]))


def test_a_session_shorter_than_a_bin_is_refused():
    with pytest.raises(InputError, match="10 frames, fewer than one bin of 1 s"):
        binned_spikes(spikes(np.zeros((10, 2), np.float32)), bin_s=1.0)


def test_bins_of_unlike_length_name_the_sessions_and_what_to_choose(tmp_path):
    counts = np.random.default_rng(0).random((200, 4)).astype(np.float32)
    activity = {name: binned_spikes(spikes(counts, rate), 0.1) for name, rate in {"fast": 30.0, "slow": 7.5}.items()}
    with pytest.raises(InputError, match=r"last 0.1 s in fast and 0.1333 s in slow.*Choose a --bin-s"):
        DYNAMICS.compute(activity, RunConfig(), Workplace(tmp_path, tmp_path))


@pytest.mark.parametrize(("rate", "frames"), [(5.0, 1), (15.0, 2), (25.0, 2), (35.0, 4), (30.0, 3), (36.0, 4)])
def test_rates_that_differ_by_the_rounding_of_times_have_the_same_bins(rate, frames):
    """At 15 Hz a bin of 0.1 s is a frame and a half: a rate found from times may lie on either side of it."""
    counts = np.ones((200, 2), np.float32)
    for off in (0.0, -1e-12, 1e-12, -1e-3, 1e-3):
        found = binned_spikes(spikes(counts, rate * (1 + off)), 0.1)
        np.testing.assert_array_equal(found[0], frames)


def test_a_stage_is_not_computed_twice_and_follows_its_settings(model, inputs, tmp_path):
    out = tmp_path / "out"
    first = run(inputs, out, RunConfig(format="netcdf"), progress=False)
    assert set(first["stages"]) == {"dimension"}
    times = {name: (out / name).stat().st_mtime_ns for name in ("total-day-0.nc", "spikes-day-0.nc")}
    (out / "report.html").unlink()
    run(inputs, out, RunConfig(format="netcdf"), progress=False)
    assert {name: (out / name).stat().st_mtime_ns for name in times} == times
    second = run(inputs, out, RunConfig(format="netcdf", bin_s=0.2), progress=False)
    assert second["stages"]["dimension"]["key"] != first["stages"]["dimension"]["key"]
    assert (out / "total-day-0.nc").stat().st_mtime_ns > times["total-day-0.nc"]
    assert (out / "spikes-day-0.nc").stat().st_mtime_ns == times["spikes-day-0.nc"]


def test_trials_of_a_recording_reach_the_files_and_the_later_stages_follow_them(model, helpers, tmp_path):
    recording, out, keys = helpers.recording(0), tmp_path / "out", []
    n = recording.sizes["time"]
    for trial in (np.arange(n) // 50, np.arange(n) // 70, np.array(["a", "b"])[np.arange(n) // 70 % 2]):
        told = recording.assign_coords(trial=("time", trial))
        (tmp_path / "day.nc").unlink(missing_ok=True)
        write(told, tmp_path / "day.nc")
        summary = run([tmp_path / "day.nc"], out, RunConfig(), progress=False)
        keys.append(summary["stages"]["dimension"]["key"])
        written = read_spikes(out / summary["files"][0]["name"])
        np.testing.assert_array_equal(written["trial"], trial)
    assert len(set(keys)) == 3


def test_a_stage_that_is_left_out_keeps_its_files_while_they_are_true(model, inputs, tmp_path):
    out, files = tmp_path / "out", ["total-day-0.nc", "total-day-1.nc"]
    run(inputs, out, RunConfig(format="netcdf"), progress=False)
    times = [(out / name).stat().st_mtime_ns for name in files]
    without = RunConfig(format="netcdf", stages=("spikes",))
    summary = run(inputs, out, without, progress=False)
    assert (summary["stages"], sorted(summary["kept_files"]), summary["removed_files"]) == ({}, files, [])
    again = run(inputs, out, RunConfig(format="netcdf"), progress=False)
    assert set(again["stages"]) == {"dimension"}
    assert [(out / name).stat().st_mtime_ns for name in files] == times, "nothing was computed again"
    other = run(inputs, out, dataclasses.replace(without, bin_s=0.2), progress=False)
    assert (other["kept_files"], sorted(other["removed_files"])) == ([], files)


def test_an_interrupted_stage_finds_its_unfinished_work_again(model, inputs, tmp_path, monkeypatch, happened):
    from antidrome.pipeline import job

    whole, found = job.LATER[0], []

    def stops(activity, config, place):
        place.scratch.mkdir(parents=True, exist_ok=True)
        found.append(sorted(path.name for path in place.scratch.iterdir()))
        (place.scratch / f"bins of {config.bin_s} s").touch()
        if len(found) < 4:
            raise KeyboardInterrupt
        whole.compute(activity, config, place)

    monkeypatch.setattr(job, "LATER", (dataclasses.replace(whole, compute=stops),))
    for bin_s in (0.1, 0.1, 0.2):
        with pytest.raises(KeyboardInterrupt):
            run(inputs, tmp_path / "out", RunConfig(format="netcdf", bin_s=bin_s), progress=False)
    run(inputs, tmp_path / "out", RunConfig(format="netcdf", bin_s=0.2), progress=False)
    assert found == [[], ["bins of 0.1 s"], [], ["bins of 0.2 s"]]  # its own, and never that of other settings
    assert not list((tmp_path / "out" / ".antidrome").glob("stage-*"))
    happened(
        f"found again with the same settings: {', '.join(found[1])}; with others: {', '.join(found[2]) or 'nothing'};"
        f" with these once more: {', '.join(found[3])}"
    )


def test_data_that_do_not_allow_a_stage_cost_only_that_stage(model, inputs, tmp_path):
    config = RunConfig(format="netcdf", bin_s=1000)
    summary = run(inputs, tmp_path / "out", config, progress=False)
    assert "fewer than one bin of 1000 s" in summary["stages"]["dimension"]["skipped"]
    assert summary["removed_files"] == [], "there never was one"
    assert (tmp_path / "out" / "spikes-day-0.nc").exists()
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "Stages that were not run" in page
    rebuild_report(tmp_path / "out")
    assert "Stages that were not run" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_impossible_settings_are_refused():
    with pytest.raises(InputError, match="name spikes too"):
        RunConfig(stages=("dynamics",))
    with pytest.raises(InputError, match="bin_s is 0"):
        RunConfig(bin_s=0)
    with pytest.raises(InputError, match="n_components is -1"):
        RunConfig(n_components=-1)


def test_settings_travel_through_toml_unchanged(tmp_path):
    values = {"a": 'quote " back \\ line \n del \x7f ü 😀', "b": [1, 2.5, True], "c": [], "d": -1e-30, "e": None}
    (tmp_path / "s.toml").write_text(to_toml(values), "utf-8")
    assert read_toml(tmp_path / "s.toml") == {name: value for name, value in values.items() if value is not None}


def test_the_settings_of_a_run_repeat_it(model, inputs, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["run", *map(str, inputs), "-o", str(out), "--format", "netcdf", "--bin-s", "0.5", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    again = tmp_path / "again"
    assert main(["run", "--config", str(out / "run.toml"), "-o", str(again), "--json"]) == 0
    second = json.loads(capsys.readouterr().out)
    assert second["config"] == first["config"]
    assert second["stages"]["dimension"]["totals"] == first["stages"]["dimension"]["totals"]
    assert (
        json.loads((again / "run.json").read_text())["inputs"] == json.loads((out / "run.json").read_text())["inputs"]
    )


def test_the_choice_of_axes_and_array_is_a_setting_like_others(model, helpers, tmp_path, capsys):
    traces = helpers.recording(3).values
    np.savez(tmp_path / "two.npz", one=traces.T, two=traces.T + 1, fs=30.0)
    command = ["run", str(tmp_path / "two.npz"), "-o", str(tmp_path / "out"), "--stages", "spikes", "--force", "--json"]
    assert main([*command, "--series", "one", "--orientation", "neuron,time"]) == 0
    capsys.readouterr()
    again = ["run", "--config", str(tmp_path / "out" / "run.toml"), "-o", str(tmp_path / "again")]
    assert main([*again, "--force", "--json"]) == 0
    second = json.loads(capsys.readouterr().out)
    assert (second["config"]["series"], second["config"]["orientation"]) == ("one", "neuron,time")
    calls = model.calls
    assert main([*command, "--series", "two", "--orientation", "neuron,time"]) == 0
    assert "used another input, another series" in json.loads(capsys.readouterr().out)["sessions"][0]["notes"][-1]
    assert model.calls > calls


@pytest.mark.parametrize(
    ("text", "said"),
    [("bin_s = ", "is not TOML"), ("bin_z = 1", "Did you mean 'bin_s'"), ("samples = 'three'", "needs int")],
)
def test_a_bad_settings_file_is_a_sentence(tmp_path, capsys, text, said):
    (tmp_path / "s.toml").write_text(text, "utf-8")
    assert main(["run", f"--config={tmp_path / 's.toml'}"]) == 2
    assert said in capsys.readouterr().err
    assert main(["run", "--config", str(tmp_path / "none.toml")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_a_plan_tells_sizes_and_leaves_nothing(inputs, tmp_path, capsys):
    found = plan(inputs)
    assert [(one["n_neurons"], one["n_frames"]) for one in found["sessions"]] == [(7, 300)] * 2
    assert set(found["seconds"]) == {"spikes", "dynamics", "dimension"}
    assert all(value >= 0 for value in found["seconds"].values())
    assert found["memory_gb"] > 0.5
    assert main(["run", *map(str, inputs), "-o", str(tmp_path / "out"), "--dry-run"]) == 0
    assert "Nothing was done" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_a_dry_run_refuses_what_a_run_would(inputs, helpers, tmp_path, capsys):
    arguments = [*map(str, inputs), "-o", str(tmp_path / "out"), "--dry-run"]
    assert main(["run", *arguments, "--model", "nosuch"]) == 2
    assert "nosuch" in capsys.readouterr().err
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.html").write_text("mine")
    assert main(["run", *arguments]) == 2
    assert "already holds report.html" in capsys.readouterr().err
    dead = helpers.recording(3)
    dead[:] = 0
    write(dead, tmp_path / "dead.nc")
    assert main(["run", str(tmp_path / "dead.nc"), "--dry-run", "-o", str(tmp_path / "new")]) == 2
    assert "The checks found" in capsys.readouterr().err


def test_a_dry_run_hashes_nothing(inputs, tmp_path, monkeypatch):
    def read_whole(recording):
        raise AssertionError("a dry run reads no recording whole")

    monkeypatch.setattr("antidrome.core.hashing.hash_recording", read_whole)
    assert len(plan(inputs, output=tmp_path / "out")["sessions"]) == 2


def test_larger_recordings_take_longer(helpers, inputs, tmp_path):
    large = write(helpers.recording(3, n_neurons=40, n_frames=3000), tmp_path / "large.nc")
    assert plan([large])["seconds"]["dimension"] > plan(inputs[:1])["seconds"]["dimension"]
    assert plan([large], RunConfig(stages=("spikes",)))["seconds"].keys() == {"spikes"}


def test_memory_of_the_spikes_does_not_grow_with_the_recording():
    few, many = (work_of([(50_000, n)], 30.0)["spikes"] for n in (100, 10_000))
    assert many.steps == 100 * few.steps
    assert many.held == few.held


def test_costs_are_those_of_the_measurements():
    """The file is written by ``benchmarks.load --costs``; another benchmark measured the network alone."""
    costs = json.loads(COSTS.read_text("utf-8"))
    assert costs["machine"]["processor"]
    assert len(costs["sizes"]) == 2
    for what in ("core_seconds", "memory_gb"):
        assert set(costs[what]) == {"spikes", "dynamics", "dimension"}
        assert all(cost["fixed"] + cost["slope"] > 0 for cost in costs[what].values())
    results = Path(__file__).parents[2] / "benchmarks" / "results"
    if results.exists():  # not beside an installed wheel
        alone = json.loads((results / "spikes_speed.json").read_text("utf-8"))["us_per_frame"]
        assert 0.5 < 1e6 * costs["core_seconds"]["spikes"]["slope"] / alone < 5
