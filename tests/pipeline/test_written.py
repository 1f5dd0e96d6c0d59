"""What a run wrote is known by its content: damage is repaired and said, copies and old folders stay valid."""

import dataclasses
import hashlib
import json
import os
import re
import shutil

import numpy as np
import pytest

from antidrome.cli.app import main
from antidrome.errors import InputError
from antidrome.pipeline import RunConfig, infer, plan, rebuild_report, run
from antidrome.pipeline.infer import block_slices
from antidrome.pipeline.written import content_hash, source_hash, stamp_of, verified
from antidrome.recordings import from_array, read_spikes, write

NETCDF = RunConfig(format="netcdf")


@pytest.fixture
def broken(helpers, tmp_path):
    """A recording in which a check finds an error."""
    values = 1000 + 100 * helpers.recording(0).values
    return write(from_array(values, 30.0, quantity="dff", attrs={"session_id": "raw"}), tmp_path / "raw.nc")


def same_names(helpers, tmp_path):
    """Two recordings of one file name."""
    paths = [tmp_path / folder / "rec.npz" for folder in ("d1", "d2")]
    for seed, path in enumerate(paths):
        path.parent.mkdir()
        np.savez(path, dff=helpers.recording(seed).values, fs=30.0)
    return paths


def test_a_stamp_knows_a_file_and_a_folder_again(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    (tmp_path / "a" / "y").write_text("2")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    for one in ("a", "b"):
        os.utime(tmp_path / one / "x", (1, 2))
    stamp = stamp_of(tmp_path / "a")
    assert verified(tmp_path / "a", stamp) == stamp
    assert verified(tmp_path / "b", stamp)["hash"] == stamp["hash"]
    assert verified(tmp_path / "none", stamp) is None
    (tmp_path / "b" / "y").write_text("3")
    assert verified(tmp_path / "b", stamp) is None
    (tmp_path / "b" / "y").rename(tmp_path / "b" / "z")
    assert content_hash(tmp_path / "b") != stamp["hash"]
    assert content_hash(tmp_path / "a" / "x") == hashlib.sha256(b"1").hexdigest()


def test_a_source_is_known_by_its_content_and_a_large_one_by_its_times(tmp_path, monkeypatch):
    path = tmp_path / "day.nwb"
    path.write_bytes(b"12")
    small = source_hash(path)
    os.utime(path, (1, 1))
    assert source_hash(path) == small
    monkeypatch.setattr("antidrome.pipeline.written.MOST_BYTES", 1)
    large = source_hash(path)
    os.utime(path, (2, 2))
    assert len({small, large, source_hash(path)}) == 3


@pytest.mark.parametrize("format", ["nwb", "netcdf", "zarr", "suite2p"])
def test_a_damaged_result_is_written_anew_and_said_once(model, inputs, tmp_path, format):
    out, config = tmp_path / "out", RunConfig(format=format)
    first = run(inputs[:1], out, config, progress=False)
    name = first["sessions"][0]["result"]["file"]
    wanted = read_spikes(out / name)["expected_spikes"].values
    path = (
        next(one for one in sorted((out / name).rglob("*")) if one.is_file()) if (out / name).is_dir() else out / name
    )
    path.write_bytes(b"junk")
    calls = model.calls
    summary = run(inputs[:1], out, config, progress=False)
    assert summary["rewritten_files"] == [name]
    np.testing.assert_array_equal(read_spikes(out / name)["expected_spikes"].values, wanted)
    assert model.calls == calls, "from the blocks"
    assert run(inputs[:1], out, config, progress=False) == {**summary, "rewritten_files": []}


@pytest.mark.parametrize("name", ["total.nc", "report.html", "summary.json", "run.json", "run.toml"])
def test_so_are_a_stage_and_the_pages(model, inputs, tmp_path, name):
    run(inputs[:1], tmp_path / "out", NETCDF, progress=False)
    before = (tmp_path / "out" / "spikes.nc").stat().st_mtime_ns
    (tmp_path / "out" / name).write_text("junk")
    assert run(inputs[:1], tmp_path / "out", NETCDF, progress=False)["rewritten_files"] == [name]
    assert (tmp_path / "out" / name).read_bytes() != b"junk"
    assert (tmp_path / "out" / "spikes.nc").stat().st_mtime_ns == before


def test_a_copied_folder_is_done(model, inputs, tmp_path):
    """Its files have other times; they are read once, and known by their times from then on."""
    first = run(inputs, tmp_path / "out", RunConfig(format="zarr"), progress=False)
    shutil.copytree(tmp_path / "out", tmp_path / "copy", copy_function=shutil.copyfile)
    assert run(inputs, tmp_path / "copy", RunConfig(format="zarr"), progress=False) == first
    report = tmp_path / "copy" / "report.html"
    stamp = json.loads((tmp_path / "copy" / ".antidrome" / "manifest.json").read_text("utf-8"))["written"][report.name]
    assert verified(report, {**stamp, "hash": ""}) is not None


def test_a_page_of_spikes_alone_has_the_numbers_of_the_run(model, helpers, tmp_path):
    """A suite2p folder keeps neither gaps nor uncertainty; without the blocks, the summary does."""
    recording = helpers.recording(0)
    recording[100:160, 2] = np.nan
    out = tmp_path / "out"
    run([write(recording, tmp_path / "gap.nc")], out, RunConfig(format="suite2p"), progress=False)
    tables = re.compile(r'"table":(\[\[.*?\]\])')
    first = tables.findall((out / "report.html").read_text("utf-8"))
    shutil.rmtree(out / ".antidrome")
    rebuild_report(out)
    assert tables.findall((out / "report.html").read_text("utf-8")) == first
    assert json.loads(first[0])[-1] == [0, 0, 60, 0, 0, 0, 0]


def test_run_json_lists_the_hash_of_every_file(model, inputs, tmp_path):
    out = tmp_path / "out"
    summary = run(inputs, out, RunConfig(format="zarr"), progress=False)

    def listed():
        return json.loads((out / "run.json").read_text("utf-8"))["files"]

    assert set(listed()) == {file["name"] for file in summary["files"]} - {"run.json"}
    assert listed() == {name: content_hash(out / name) for name in listed()}
    (out / "report.html").unlink()
    rebuild_report(out)
    assert listed()["report.html"] == hashlib.sha256((out / "report.html").read_bytes()).hexdigest()
    assert run(inputs, out, RunConfig(format="zarr"), progress=False) == summary, "a page made again is no damage"


def test_a_folder_of_before_there_were_hashes_is_done(model, inputs, tmp_path):
    first = run(inputs, tmp_path / "out", NETCDF, progress=False)
    manifest = tmp_path / "out" / ".antidrome" / "manifest.json"
    manifest.write_text(json.dumps({"files": json.loads(manifest.read_text("utf-8"))["files"]}), "utf-8")
    calls = model.calls
    assert run(inputs, tmp_path / "out", NETCDF, progress=False) == first
    assert model.calls == calls


def test_what_was_removed_is_said_once(model, inputs, tmp_path, capsys):
    run(inputs, tmp_path / "out", NETCDF, progress=False)
    command = ["run", str(inputs[0]), "-o", str(tmp_path / "out"), "--format", "netcdf", "--stages", "spikes"]
    for times in (1, 0):
        assert main(command) == 0
        assert capsys.readouterr().out.count("spikes-day-0.nc is of an earlier run") == times


def test_without_its_hidden_folder_a_results_folder_is_still_the_jobs_own(model, inputs, tmp_path):
    out = tmp_path / "out"
    first = run(inputs, out, NETCDF, progress=False)
    calls = model.calls
    shutil.rmtree(out / ".antidrome")
    assert len(plan(inputs, NETCDF, out)["sessions"]) == 2
    assert not (out / ".antidrome").exists()
    again = run(inputs, out, NETCDF, progress=False)
    assert model.calls == 2 * calls
    assert (again["rewritten_files"], again["removed_files"]) == ([], [])
    assert again["sessions"][0]["neurons"] == first["sessions"][0]["neurons"]
    assert run(inputs, out, NETCDF, progress=False) == again
    shutil.rmtree(out / ".antidrome")
    fewer = run(inputs[:1], out, NETCDF, progress=False)
    assert "spikes-day-1.nc" in fewer["removed_files"], "its hash shows whose it is"


def test_a_summary_makes_no_file_of_others_the_jobs_own(model, inputs, tmp_path):
    out, mine = tmp_path / "out", tmp_path / "mine.txt"
    mine.write_text("mine")
    run(inputs[:1], out, NETCDF, progress=False)
    shutil.rmtree(out / ".antidrome")
    (out / "notes.txt").write_text("mine")
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    summary["files"] += [{"name": name, "what": ""} for name in ("notes.txt", "../mine.txt", str(mine), "..", 3)]
    (out / "summary.json").write_text(json.dumps(summary), "utf-8")
    assert run(inputs[:1], out, NETCDF, progress=False)["removed_files"] == []
    assert (mine.read_text(), (out / "notes.txt").read_text()) == ("mine", "mine")
    shutil.rmtree(out / ".antidrome")
    (out / "summary.json").write_text('{"files": [{"name": "spikes.nc"}], "format_version": 1}')
    with pytest.raises(InputError, match="which this job did not write"):
        run(inputs[:1], out, NETCDF, progress=False)


def test_a_forced_run_is_repeated_by_its_settings(model, broken, tmp_path, capsys):
    out, settings = tmp_path / "out", ["--format", "netcdf", "--stages", "spikes"]
    assert main(["run", str(broken), "-o", str(out), *settings, "--force"]) == 0
    capsys.readouterr()
    calls = model.calls
    assert main(["run", "--config", str(out / "run.toml")]) == 0
    assert "in spite of" not in capsys.readouterr().out
    assert main(["run", str(broken), "-o", str(out), *settings]) == 0
    assert "in spite of the errors that the checks found" in " ".join(capsys.readouterr().out.split())
    assert model.calls == calls
    assert main(["run", "--config", str(out / "run.toml"), "-o", str(tmp_path / "again")]) == 0
    assert main(["run", "--config", str(out / "run.toml"), "-o", str(tmp_path / "new"), "--no-force"]) == 2
    assert "force = true" in (tmp_path / "again" / "run.toml").read_text("utf-8")
    assert main(["run", str(broken), "-o", str(out), *settings, "--seed", "1"]) == 2
    assert "The checks found" in capsys.readouterr().err


def test_a_moved_folder_is_where_it_is(model, inputs, tmp_path, capsys, monkeypatch):
    first, moved = tmp_path / "r1", tmp_path / "moved one"
    assert main(["run", *map(str, inputs), "-o", str(first), "--format", "netcdf", "--json"]) == 0
    first.rename(moved)
    capsys.readouterr()
    calls = model.calls
    assert main(["run", "--config", str(moved / "run.toml"), "--json"]) == 0
    told = capsys.readouterr()
    assert f"names {first}, which is not there: its own folder {moved} is used" in told.err
    assert json.loads(told.out)["removed_files"] == []
    monkeypatch.chdir(moved)
    assert main(["run", "--config", "run.toml", "--json"]) == 0
    assert model.calls == calls
    assert not first.exists()
    capsys.readouterr()
    assert main(["run", "--config", "run.toml", "-o", str(tmp_path / "other"), "--json"]) == 0
    assert "is used" not in capsys.readouterr().err
    shutil.copy(moved / "run.toml", tmp_path / "run.toml")
    assert main(["run", "--config", str(tmp_path / "run.toml"), "--json"]) == 0
    assert first.exists(), "beside no summary it is a settings file like others"


def test_sessions_that_swap_their_names_keep_their_blocks(model, helpers, tmp_path):
    paths, config = same_names(helpers, tmp_path), RunConfig(format="netcdf", quantity="dff")
    run(paths, tmp_path / "dd", config, progress=False)
    calls = model.calls
    summary = run(paths[::-1], tmp_path / "dd", config, progress=False)
    assert model.calls == calls
    assert [session["session_id"] for session in summary["sessions"]] == ["rec", "rec-2"]
    assert [session["seconds"]["blocks_from_earlier_run"] for session in summary["sessions"]] == [3, 3]
    assert not [note for session in summary["sessions"] for note in session["notes"] if "Computed anew" in note]
    np.testing.assert_array_equal(read_spikes(tmp_path / "dd" / "spikes-rec.nc")["dff"], helpers.recording(1))
    assert not list((tmp_path / "dd" / ".antidrome").glob(".*"))


def test_a_swap_that_was_interrupted_goes_on(model, helpers, tmp_path, monkeypatch):
    paths, config = same_names(helpers, tmp_path), RunConfig(format="netcdf", quantity="dff")
    run(paths, tmp_path / "dd", config, progress=False)
    calls, replace = model.calls, os.replace
    for n in range(6):
        seen = 0

        def stops(source, target, n=n, **options):
            nonlocal seen
            seen += 1
            if seen > n:
                raise KeyboardInterrupt
            return replace(source, target, **options)

        monkeypatch.setattr(os, "replace", stops)
        with pytest.raises(KeyboardInterrupt):
            run(paths[::-1], tmp_path / "dd", config, progress=False)
        monkeypatch.setattr(os, "replace", replace)
    run(paths[::-1], tmp_path / "dd", config, progress=False)
    assert model.calls == calls


def test_a_plan_counts_samples_and_what_a_repeated_command_goes_on_from(inputs, tmp_path):
    plain, sampled = (plan(inputs, RunConfig(samples=n), tmp_path / "out")["disk_gb"] for n in (0, 100_000))
    assert sampled - plain == pytest.approx(2 * 2 * 1e5 * 2 * 7 * 300 * 1e-9, rel=0.01)


def test_samples_do_not_fill_the_memory(inputs, tmp_path):
    def sizes(n_samples):
        return [block.stop - block.start for block in block_slices(10_000, 1000, n_samples)]

    assert sizes(0) == sizes(100) == [200] * 5
    assert max(sizes(101)) == 100
    assert sizes(10**6) == [1] * 1000
    plain, sampled = (plan(inputs, RunConfig(samples=n), tmp_path / "out")["memory_gb"] for n in (0, 100_000))
    values = sum(one["n_frames"] * one["n_neurons"] for one in plan(inputs)["sessions"])
    assert sampled - plain <= 9e-9 * 100_000 * values
    assert sampled > plain


def test_blocks_that_were_cut_otherwise_are_not_joined_to_new_ones(model, inputs, tmp_path, monkeypatch):
    config = RunConfig(format="netcdf", samples=150)
    with monkeypatch.context() as before:
        before.setattr(infer, "block_values", lambda n_samples: infer.BLOCK_VALUES)
        run(inputs[:1], tmp_path / "out", config, progress=False)
    (tmp_path / "out" / "spikes.nc").unlink()
    run(inputs[:1], tmp_path / "out", config, progress=False)
    assert read_spikes(tmp_path / "out" / "spikes.nc").sizes["neuron"] == 7


def test_what_another_setting_gave_does_not_stay(model, inputs, tmp_path):
    """Of a stage that is left out only what this command would give again is called that."""
    out, spikes = tmp_path / "out", RunConfig(format="netcdf", stages=("spikes",))
    run(inputs[:1], out, NETCDF, progress=False)
    assert run(inputs[:1], out, spikes, progress=False)["kept_files"] == ["total.nc"]
    assert run(inputs[:1], out, spikes, progress=False)["kept_files"] == ["total.nc"]
    summary = run(inputs[:1], out, dataclasses.replace(spikes, bin_s=0.3), progress=False)
    assert (summary["kept_files"], summary["removed_files"]) == ([], ["total.nc"])
    assert "bin_s = 0.3" in (out / "run.toml").read_text("utf-8")
