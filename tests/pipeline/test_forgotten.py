"""What a run forgets of earlier ones: all with --overwrite, of sessions that it does not name only their files."""

import dataclasses
import json
import os

import numpy as np
import pytest

from antidrome.cli.app import main
from antidrome.errors import InputError
from antidrome.pipeline import RunConfig, job, plan, run
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
