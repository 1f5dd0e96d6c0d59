"""No run takes for its own what another one made: files, blocks, models, and names that look like its own."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest

from antidrome.errors import FileFormatError, InputError
from antidrome.pipeline import RunConfig, deconvolve, infer, job, plan, rebuild_report, run, single
from antidrome.pipeline.config import InferenceConfig, ReadingConfig
from antidrome.pipeline.demo import SOURCE
from antidrome.pipeline.sessions import read_sessions
from antidrome.recordings import read_spikes, write

NETCDF = RunConfig(format="netcdf")


@pytest.mark.parametrize("format", ["netcdf", "suite2p"])
def test_a_page_never_tells_of_two_runs(model, helpers, inputs, tmp_path, format, monkeypatch):
    """The second run was interrupted: after its spikes were written, or in the middle of the blocks."""
    out, config = tmp_path / "out", RunConfig(format=format)
    before = run(inputs[:1], out, config, progress=False)["sessions"][0]
    inputs[0].unlink()
    write(helpers.recording(5, n_neurons=9).assign_attrs(session_id="day-0"), inputs[0])
    with monkeypatch.context() as patched:
        if format == "netcdf":
            patched.setattr("antidrome.pipeline.job._Job._write_page", _interrupt)
        else:
            put, done = infer.SessionCache.put, []
            patched.setattr(
                "antidrome.pipeline.cache.SessionCache.put",
                lambda *of: _interrupt() if done else done.append(put(*of)),
            )
        with pytest.raises(KeyboardInterrupt):
            run(inputs[:1], out, config, progress=False)
    if format == "suite2p":
        rebuild_report(out)
        assert read_spikes(out / before["result"]["file"]).sizes["neuron"] == before["n_neurons"] == 7
    else:
        with pytest.raises(InputError, match=r"interrupted while it replaced 'spikes\.nc'.*Run the job again"):
            rebuild_report(out)
    assert run(inputs[:1], out, config, progress=False)["sessions"][0]["n_neurons"] == 9
    rebuild_report(out)


def _interrupt(*_):
    raise KeyboardInterrupt


def _refused(paths, out, words):
    """By a run, and by a dry run alike."""
    with pytest.raises(InputError, match=words):
        run(paths, out, NETCDF, progress=False)
    with pytest.raises(InputError, match=words):
        plan(paths, NETCDF, out)


def test_a_model_that_is_replaced_during_a_run_is_noticed(model, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(infer, "model_hash", lambda _: "stand-in" if model.calls < 2 else "another")
    with pytest.raises(InputError, match="is not the model that this run began with"):
        run(inputs[:1], tmp_path / "out", NETCDF, progress=False)
    assert len(list((tmp_path / "out").glob(".antidrome/*/block-*.nc"))) == 1
    monkeypatch.setattr(infer, "model_hash", lambda _: "stand-in")
    run(inputs[:1], tmp_path / "out", NETCDF, progress=False)
    run(inputs[:1], tmp_path / "whole", NETCDF, progress=False)
    assert read_spikes(tmp_path / "out" / "spikes.nc").identical(read_spikes(tmp_path / "whole" / "spikes.nc"))


def test_a_recording_that_is_replaced_during_a_run_is_noticed(model, helpers, tmp_path, monkeypatch):
    """Blocks of the second one would stay under the hash of the first."""
    traces, path, out = helpers.recording(0).values, tmp_path / "a.npy", tmp_path / "out"
    config = RunConfig(format="netcdf", stages=("spikes",), frame_rate_hz=30.0, quantity="dff")
    np.save(path, traces)
    predict = type(model).predict

    def while_it_is_exported_again(self, *of, **options):
        if self.calls == 1:
            np.save(path, 3 * traces)
        return predict(self, *of, **options)

    with monkeypatch.context() as patched:
        patched.setattr(type(model), "predict", while_it_is_exported_again)
        with pytest.raises(InputError, match="not what this run began with: it was replaced, changed or removed"):
            run([path], out, config, progress=False)
    assert len(list(out.glob(".antidrome/*/block-*.nc"))) == 1
    np.save(path, traces)
    run([path], out, config, progress=False)
    np.testing.assert_array_equal(read_spikes(out / "spikes.nc")["dff"], traces)


def test_a_recording_that_is_replaced_after_the_last_block_is_not_written(model, inputs, tmp_path, monkeypatch):
    """Results in NWB go into a copy of it."""
    monkeypatch.setattr(job, "left_out", lambda *_: os.utime(inputs[0], (1, 1)) or [])
    with pytest.raises(InputError, match="not what this run began with"):
        run(inputs[:1], tmp_path / "out", NETCDF, progress=False)
    assert not (tmp_path / "out" / "spikes.nc").exists()


def test_cells_may_be_curated_during_a_run_but_traces_stay(helpers, tmp_path):
    plane = tmp_path / "a" / "suite2p" / "plane0"
    plane.mkdir(parents=True)
    np.save(plane / "F.npy", 100 + helpers.recording(0).values.T)
    np.save(plane / "iscell.npy", np.ones((7, 2)))
    (session,) = read_sessions([tmp_path / "a"], ReadingConfig(frame_rate_hz=30.0))
    np.save(plane / "iscell.npy", np.zeros((7, 2)))
    session.refuse_replaced()
    (plane / "F.npy").unlink()
    with pytest.raises(InputError, match=r"F\.npy is not what this run began with"):
        session.refuse_replaced()


def test_a_worker_of_another_version_is_refused(model):
    with pytest.raises(InputError, match=r"A worker has Antidrome .*, the run 0\.0"):
        infer._infer_there("default", 0, ("0.0", "weights"), 0, None)


def test_a_single_file_names_the_whole_path_of_the_model(model, inputs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fit.safetensors").symlink_to(tmp_path / "SHA256E-s7--0")
    asked = []
    monkeypatch.setattr(single, "load_model", lambda config: asked.append(config.model) or model)
    deconvolve(inputs[0], tmp_path / "s.nc", InferenceConfig(model="fit.safetensors"), progress=False)
    assert asked == [str(tmp_path / "fit.safetensors")]


@pytest.mark.parametrize("place", ["s.zarr/times.csv", "sub/../s.zarr", "s.zarr/deep/er.csv"])
def test_times_are_not_written_into_what_is_written_as_a_whole(model, inputs, tmp_path, place):
    (tmp_path / "sub").mkdir()
    with pytest.raises(InputError, match="written as a whole"):
        deconvolve(inputs[0], tmp_path / "s.zarr", times=tmp_path / place, progress=False)
    assert model.calls == 0


def test_results_of_other_recordings_are_not_replaced_unasked(model, helpers, inputs, tmp_path):
    out = tmp_path / "out"
    run(inputs[:1], out, NETCDF, progress=False)
    calls = model.calls
    other = [write(helpers.recording(3, n_neurons=9), tmp_path / "day-3.nc")]
    _refused(other, out, "holds the results of other recordings: 'day-0'")
    assert model.calls == calls
    shutil.copy(inputs[0], tmp_path / "renamed.nc")
    run([tmp_path / "renamed.nc"], out, NETCDF, progress=False)
    assert model.calls == calls, "the same recording under another name"
    run(other, out, dataclasses.replace(NETCDF, overwrite=True), progress=False)
    assert [path.name for path in (out / ".antidrome").glob("blocks-*")] == ["blocks-day-3"]


def test_a_recording_of_the_same_name_elsewhere_is_another(model, helpers, inputs, tmp_path, monkeypatch):
    """Names like day-0 are in every animal's folder; a dry run refuses what the run does."""
    out, mouse = tmp_path / "out", tmp_path / "mouse-2"
    monkeypatch.chdir(inputs[0].parent)
    run(["day-0.nc"], out, NETCDF, progress=False)
    calls = model.calls
    mouse.mkdir()
    values = helpers.recording(0)
    other = write(values.copy(data=values.values[::-1]), mouse / "day-0.nc")
    monkeypatch.chdir(mouse)
    _refused(["day-0.nc"], out, "holds the results of other recordings: 'day-0'")
    with pytest.raises(InputError, match="other recordings"):
        plan(["day-0.nc"], NETCDF, out)
    assert model.calls == calls
    inputs[0].unlink()
    run([other], out, NETCDF, progress=False)
    assert model.calls > calls, "on another machine the recording lies elsewhere"


def test_simulated_results_make_way(model, helpers, inputs, tmp_path):
    run(inputs[:1], tmp_path / "out", NETCDF, progress=False)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))
    summary["sessions"][0]["input"]["path"] = SOURCE
    (tmp_path / "out" / "summary.json").write_text(json.dumps(summary))
    assert run(inputs[1:], tmp_path / "out", NETCDF, progress=False)["left_out_sessions"] == ["day-0"]
    assert read_spikes(tmp_path / "out" / "spikes.nc").attrs["session_id"] == "day-1"


def test_an_interrupted_run_with_overwrite_goes_on(model, inputs, tmp_path, monkeypatch):
    out, anew = tmp_path / "out", dataclasses.replace(NETCDF, overwrite=True)
    run(inputs[:1], out, NETCDF, progress=False)
    n_blocks, put = model.calls, infer.SessionCache.put
    with monkeypatch.context() as patched:
        patched.setattr(infer.SessionCache, "put", lambda *of: put(*of) if of[1] < 2 else _interrupt())
        with pytest.raises(KeyboardInterrupt):
            run(inputs[:1], out, anew, progress=False)
    summary = run(inputs[:1], out, anew, progress=False)
    assert summary["sessions"][0]["seconds"]["blocks_from_earlier_run"] == 2
    model.calls = 0
    run(inputs[:1], out, anew, progress=False)
    assert model.calls == n_blocks


def test_notes_count_the_neurons_of_all_blocks(model, helpers, tmp_path, monkeypatch):
    from antidrome.spikes.results import notes_on_neurons, odd_neurons

    one = helpers.recording(0)
    one.values[:, [0, 3, 4]] = 0.0
    path = write(one, tmp_path / "dead.nc")
    plain = model.predict

    def predict(recording, **options):
        found = plain(recording, **options)
        found["expected_spikes"].values[:, np.ptp(recording.values, axis=0) == 0] = np.nan
        notes = [*recording.attrs.get("notes", []), "made by a stand-in", *notes_on_neurons(*odd_neurons(found))]
        return found.assign_attrs(notes=notes)

    monkeypatch.setattr(model, "predict", predict)
    notes = run([path], tmp_path / "out", dataclasses.replace(NETCDF, force=True), progress=False)["sessions"][0][
        "notes"
    ]
    assert [note for note in notes if "dead or missing" in note] == [
        "3 neurons are dead or missing (no variation): NaN spikes."
    ]
    assert "made by a stand-in" in notes


def test_damaged_work_of_a_stage_is_done_again(model, inputs, tmp_path, monkeypatch):
    from antidrome.pipeline import job

    whole, damaged = job.LATER[0], []

    def stops(activity, config, place):
        if not damaged:
            place.scratch.mkdir(parents=True)
            damaged.append(place.scratch)
            raise KeyboardInterrupt
        if place.scratch.exists():
            raise FileFormatError("truncated")
        whole.compute(activity, config, place)

    monkeypatch.setattr(job, "LATER", (dataclasses.replace(whole, compute=stops),))
    with pytest.raises(KeyboardInterrupt):
        run(inputs[:1], tmp_path / "out", NETCDF, progress=False)
    assert "totals" in run(inputs[:1], tmp_path / "out", NETCDF, progress=False)["stages"]["dimension"]


def test_foreign_files_under_a_stages_name_are_refused_before_any_work(model, inputs, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "total.nc").write_text("mine")
    _refused(inputs[:1], tmp_path / "out", r"already holds total\.nc")
    assert model.calls == 0


def test_names_that_are_no_text_and_names_of_the_folders_own(model, helpers, tmp_path):
    name = os.fsdecode(b"M\xe4use.nc")
    try:
        shutil.copy(write(helpers.recording(0), tmp_path / "lock.nc"), tmp_path / name)
    except OSError:
        pytest.skip("the file system takes names of UTF-8 alone")
    link, named = tmp_path / "link.nc", helpers.recording(0)
    link.symlink_to(tmp_path / name)
    good = write(named, tmp_path / "good.nc")
    for path, out in ((tmp_path / name, "out"), (link, "out"), (good, name)):
        with pytest.raises(InputError, match=r"not UTF-8\. Rename"):
            run([path], tmp_path / out, NETCDF, progress=False)
    own = helpers.recording(0).assign_attrs(session_id="lock")
    run([write(own, tmp_path / "own.nc")], tmp_path / "out", NETCDF, progress=False)
    assert (tmp_path / "out" / ".antidrome" / "blocks-lock").is_dir()
