"""What a run forgets of earlier ones: all with --overwrite, of sessions that it does not name only their files."""

import contextlib
import dataclasses
import json
import os
import pathlib

import numpy as np
import pytest

from antidrome.cli.app import main
from antidrome.core.names import unique
from antidrome.errors import InputError
from antidrome.pipeline import RunConfig, job, plan, run
from antidrome.pipeline.cache import SessionCache, left_out, prepare
from antidrome.pipeline.model import model_hash, origin_of
from antidrome.pipeline.sessions import read_sessions
from antidrome.recordings import from_array, read_spikes, write

NETCDF = RunConfig(format="netcdf")
ANEW = dataclasses.replace(NETCDF, overwrite=True)


def _twice(model, monkeypatch):
    """What a corrected package of the same version, or another JAX, gives: the same key, other numbers."""
    plain = model.predict

    def predict(recording, **options):
        found = plain(recording, **options)
        found["expected_spikes"] = found["expected_spikes"] * 2
        return found

    monkeypatch.setattr(model, "predict", predict)


def _interrupt(*_, **__):
    raise KeyboardInterrupt


def _total(summary):
    return sum(neuron["expected_spikes"] for neuron in summary["sessions"][0]["neurons"])


def test_overwrite_writes_all_files_anew(model, inputs, tmp_path, monkeypatch):
    out = tmp_path / "out"
    first = run(inputs[:1], out, NETCDF, progress=False)
    (out / ".antidrome" / "stage-dimension-0123").mkdir()
    _twice(model, monkeypatch)
    again = run(inputs[:1], out, ANEW, progress=False)
    assert _total(again) == pytest.approx(2 * _total(first), rel=1e-5)
    assert float(read_spikes(out / "spikes.nc")["expected_spikes"].sum()) == pytest.approx(_total(again), rel=1e-5)
    assert again["stages"]["dimension"]["totals"][0] == pytest.approx(_total(again), rel=1e-3)
    assert not list((out / ".antidrome").glob("stage-*"))
    assert (again["rewritten_files"], again["removed_files"]) == ([], [])


def test_an_interrupted_overwrite_goes_on_and_forgets_no_more(model, inputs, tmp_path, monkeypatch):
    """Its own file is not written a second time; one of an interrupted run that was to keep everything is."""
    out, written = tmp_path / "out", []
    whole = job.replace_result
    monkeypatch.setattr(job, "replace_result", lambda *of: written.append(1) or whole(*of))
    for config, n_written in ((NETCDF, 1), (ANEW, 2), (ANEW, 2), (NETCDF, 2)):
        with monkeypatch.context() as patched:
            patched.setattr(job, "run_stages", _interrupt)
            with pytest.raises(KeyboardInterrupt):
                run(inputs[:1], out, config, progress=False)
        assert len(written) == n_written
    assert model.calls == 6


def test_overwrite_keeps_no_files_of_stages_that_are_left_out(model, inputs, tmp_path, capsys):
    out = tmp_path / "out"
    run(inputs[:1], out, NETCDF, progress=False)
    command = ["run", str(inputs[0]), "-o", str(out), "--format", "netcdf", "--stages", "spikes", "--overwrite"]
    assert main(command) == 0
    assert "total.nc is of an earlier run, which --overwrite forgot, and was removed" in capsys.readouterr().out
    assert not (out / "total.nc").exists()


def test_blocks_of_sessions_that_a_run_does_not_name_are_kept(model, helpers, inputs, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["run", str(inputs[0]), "-o", str(out), "--format", "netcdf", "--stages", "spikes"]
    run(inputs, out, NETCDF, progress=False)
    calls = model.calls
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "spikes-day-1.nc is of an earlier run with other recordings or settings, and was removed" in told
    assert "Not named by this run: 'day-1'. What was computed of it is kept in .antidrome" in told
    assert "a run that names it beside these recordings writes the files again" in told
    with pytest.raises(InputError, match="holds the results of other recordings: 'day-0'"):
        run(inputs[1:], out, NETCDF, progress=False)
    assert not (out / "spikes-day-1.nc").exists()
    assert main(command) == 0
    assert "Not named" not in capsys.readouterr().out
    summary = run(inputs, out, NETCDF, progress=False)
    assert model.calls == calls
    assert not [note for session in summary["sessions"] for note in session["notes"] if "Computed anew" in note]
    assert (out / "spikes-day-1.nc").exists()
    assert run(inputs[:1], out, ANEW, progress=False)["left_out_sessions"] == []
    assert [path.name for path in (out / ".antidrome").glob("blocks-*")] == ["blocks-day-0"]


def test_a_renamed_session_is_not_called_left_out(model, helpers, inputs, tmp_path):
    run(inputs[:1], tmp_path / "out", NETCDF, progress=False)
    renamed = write(helpers.recording(0).assign_attrs(session_id="monday"), tmp_path / "monday.nc")
    summary = run([renamed], tmp_path / "out", NETCDF, progress=False)
    assert summary["left_out_sessions"] == []
    assert [path.name for path in (tmp_path / "out" / ".antidrome").glob("blocks-*")] == ["blocks-monday"]


def test_a_second_run_into_a_new_folder_does_not_replace_the_first(model, inputs, tmp_path, monkeypatch):
    """Both found the folder empty; the first finished while the second was reading."""
    out, enter = tmp_path / "out", job.enter

    def slow(paths, *arguments, **options):
        entered = enter(paths, *arguments, **options)
        with monkeypatch.context() as patched:
            patched.setattr(job, "enter", enter)
            run(inputs[:1], out, NETCDF, progress=False)
        return entered

    monkeypatch.setattr(job, "enter", slow)
    with pytest.raises(InputError, match="holds the results of other recordings: 'day-0'"):
        run(inputs[1:], out, NETCDF, progress=False)
    assert [one["session_id"] for one in json.loads((out / "summary.json").read_text("utf-8"))["sessions"]] == ["day-0"]
    run(inputs[:1], out, NETCDF, progress=False)


def test_a_model_file_may_be_moved(model, inputs, tmp_path, monkeypatch):
    """Nothing is inferred again, and what is written says where the file lies now."""
    out = tmp_path / "out"
    monkeypatch.setattr(model, "model", str(tmp_path / "fit.safetensors"))
    run(inputs[:1], out, dataclasses.replace(NETCDF, model=model.model), progress=False)
    calls, stage = model.calls, (out / "total.nc").stat().st_mtime_ns
    monkeypatch.setattr(model, "model", str(tmp_path / "models" / "fit.safetensors"))
    summary = run(inputs[:1], out, dataclasses.replace(NETCDF, model=model.model), progress=False)
    assert (model.calls, (out / "total.nc").stat().st_mtime_ns) == (calls, stage)
    assert summary["config"]["model"] == read_spikes(out / "spikes.nc").attrs["model"] == model.model
    assert model.model in (out / "run.toml").read_text("utf-8")
    assert not [note for note in summary["sessions"][0]["notes"] if "Computed anew" in note]


def test_a_model_is_known_by_its_weights_and_settings(tmp_path, inputs):
    from antidrome.core.model_files import load_model, save_model
    from antidrome.spikes import SpikeVAE
    from antidrome.spikes.weights import SHIPPED, _file

    arrays, header = load_model(_file(next(iter(SHIPPED))))
    for name, settings in (("one", {}), ("two", {}), ("three", {"more": 1})):
        config = header.config | settings
        save_model(tmp_path / f"{name}.safetensors", arrays, class_name=header.class_name, config=config)
    paths = [tmp_path / f"{name}.safetensors" for name in ("one", "two")]
    (session,) = read_sessions(inputs[:1], NETCDF)
    one, two = (origin_of(session, RunConfig(model=str(path)), SpikeVAE(model=path)) for path in paths)
    assert one == two
    three = SpikeVAE(model=paths[0])
    three.model = tmp_path / "three.safetensors"
    assert model_hash(three) != one["model weights"]


def test_a_plan_counts_the_copy_of_a_recording_in_nwb(helpers, tmp_path, capsys):
    path = write(helpers.recording(0), tmp_path / "day.nwb")
    size = 1e-9 * os.path.getsize(path)
    with_copy, without = (plan([path], RunConfig(format=one), tmp_path / "out") for one in ("nwb", "netcdf"))
    assert with_copy["disk_gb"] - without["disk_gb"] == pytest.approx(size, abs=0.0011)
    assert with_copy["kept_gb"] == without["kept_gb"] == pytest.approx(without["disk_gb"] / 2, abs=0.0011)
    assert main(["run", str(path), "--dry-run", "-o", str(tmp_path / "out")]) == 0
    assert "GB of it in .antidrome" in capsys.readouterr().out


def test_fluorescence_is_let_go_once_it_is_hashed(helpers, tmp_path):
    raw = from_array(1000 + 100 * helpers.recording(0).values, 30.0, quantity="fluorescence")
    np.save(tmp_path / "raw.npy", raw.values)
    config = RunConfig(quantity="fluorescence", frame_rate_hz=30.0, orientation="time,neuron")
    (session,) = read_sessions([tmp_path / "raw.npy"], config)
    assert session.contents._arrays == ()
    (as_dff,) = read_sessions([tmp_path / "raw.npy"], dataclasses.replace(config, quantity="dff"))
    assert as_dff.contents._arrays, "a dry run reads no ΔF/F whole"


def test_a_missing_recording_is_told_before_any_is_read(helpers, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr("antidrome.recordings.read_with_neuropil", _interrupt)
    with pytest.raises(InputError, match=r"missing\.nc: no such file or folder"):
        read_sessions([*inputs, tmp_path / "missing.nc"], NETCDF)


def _prepared(out, *days):
    """Files called alike, a folder each: what is said of them, and what their folders hold before and after the job."""
    names = unique(["dff"] * len(days))
    caches = [SessionCache(out, name, {"input": day}, f"/{day}/dff.npy") for name, day in zip(names, days, strict=True)]
    changes = prepare(caches, forget=False)
    blocks = [cache.folder / "block-00000.nc" for cache in caches]
    there = [block.read_text() if block.exists() else None for block in blocks]
    for day, block in zip(days, blocks, strict=True):
        block.write_text(day)
    return changes, there, caches


def _summarised(caches):
    return [
        {"session_id": f"dff-{i + 1}" if i else "dff", "input": {"path": one.source}, "result": {"blocks": one.key}}
        for i, one in enumerate(caches)
    ]


@pytest.mark.parametrize("named", [("b", "c"), ("d", "b"), ("d", "e", "a"), ("c",)])
def test_blocks_are_kept_when_another_session_has_their_name_now(tmp_path, named):
    _, _, first = _prepared(tmp_path, "a", "b", "c")
    changes, there, caches = _prepared(tmp_path, *named)
    assert there == [day if day in "abc" else None for day in named]
    assert not any(changes), "no day is another one with another input"
    missing = [one.source for one in first if one.origin["input"] not in named]
    told = left_out(tmp_path, caches, _summarised(first))
    places = dict(zip(["dff", "dff-2", "dff-3"], [one.source for one in first], strict=True))
    assert [places.get(one, one) for one in told] == missing
    changes, there, _ = _prepared(tmp_path, "a", "b", "c")
    assert there == ["a", "b", "c"]
    assert not any(changes)


def test_no_blocks_of_a_recording_that_is_named_stay_of_other_settings(tmp_path):
    _prepared(tmp_path, "a", "b")
    _prepared(tmp_path, "b")
    caches = [SessionCache(tmp_path, f"dff-{day}", {"input": day, "seed": 1}, f"/{day}/dff.npy") for day in "ab"]
    prepare(caches, forget=False)
    assert sorted(path.name for path in (tmp_path / ".antidrome").glob("*")) == ["blocks-dff-a", "blocks-dff-b"]


def test_no_interruption_loses_blocks_of_a_session_whose_name_was_taken(tmp_path, monkeypatch):
    rename, seen = os.replace, 0

    def counting(*of, **options):
        nonlocal seen
        seen += 1
        return _interrupt() if seen == stop else rename(*of, **options)

    for stop in range(1, 40):
        out, seen = tmp_path / str(stop), 0
        _prepared(out, "a", "b", "c")
        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", counting)
            with contextlib.suppress(KeyboardInterrupt):
                _prepared(out, "d", "a")
        assert _prepared(out, "d", "a")[1][1] == "a"
        assert _prepared(out, "a", "b", "c")[1] == ["a", "b", "c"]
        if seen < stop:
            break
    assert 4 < stop < 39


def test_blocks_of_a_recording_that_changed_are_not_kept(tmp_path):
    SessionCache(tmp_path, "dff", {"input": "old"}, "/a/dff.npy").prepare()
    assert SessionCache(tmp_path, "dff", {"input": "new"}, "/a/dff.npy").prepare() == ["input"]
    assert SessionCache(tmp_path, "dff", {"input": "new", "seed": 1}, "/moved/dff.npy").prepare() == ["seed"]
    assert [path.name for path in (tmp_path / ".antidrome").glob("*")] == ["blocks-dff"]


def test_a_frame_rate_that_the_model_does_not_know_is_refused_before_any_work(helpers, inputs, tmp_path):
    """By a dry run alike, in the same words; the model was fitted at 20 frames per second."""
    path = pathlib.Path(__file__).parents[1] / "formats" / "0.1.0-sealed" / "spike_vae.safetensors"
    config, out = RunConfig(model=str(path), format="netcdf", force=True), tmp_path / "out"
    slow = from_array(helpers.recording(2).values, 20.0, quantity="dff", attrs={"session_id": "slow"})
    paths, said = [write(slow, tmp_path / "slow.nc"), inputs[0]], []
    for check in (plan, run):
        with pytest.raises(InputError, match=r"^day-0: The recording has 30 .* at 20;") as told:
            check(paths, output=out, config=config)
        said.append(str(told.value))
    assert said[0] == said[1]
    assert not list(out.glob(".antidrome/*/block-*"))
    assert plan(paths[:1], config, out)["seconds"]
