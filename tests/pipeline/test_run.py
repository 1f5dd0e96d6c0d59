"""The main job: what it leaves, what it refuses, and how it goes on."""

import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from antidrome.errors import FileFormatError, InputError
from antidrome.pipeline import RunConfig, deconvolve, plan, rebuild_report, run
from antidrome.pipeline.folder import locked
from antidrome.recordings import from_array, read_spikes, write

NETCDF = RunConfig(format="netcdf")


def test_one_recording_leaves_its_files(model, inputs, tmp_path):
    summary = run(inputs[:1], tmp_path / "out", progress=False)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    pages = {"summary.json", "report.html", "run.json", "run.toml"}
    assert names == {".antidrome", "spikes.nwb", "total.nc", *pages}
    assert {file["name"] for file in summary["files"]} == names - {".antidrome"}
    assert json.loads((tmp_path / "out" / "summary.json").read_text("utf-8")) == summary
    result = read_spikes(tmp_path / "out" / "spikes.nwb")
    assert {"expected_spikes", "rate_hz", "spike_probability", "expected_spikes_sd", "dff"} <= set(result.data_vars)
    assert model.calls == 3  # 7 neurons, 3 a block


def test_the_result_is_the_models_own(model, helpers, inputs, tmp_path):
    run(inputs[:1], tmp_path / "out", NETCDF, progress=False)
    result = read_spikes(tmp_path / "out" / "spikes.nc")
    direct = model.predict(helpers.recording(0))
    for name in direct.data_vars:
        np.testing.assert_array_equal(result[name], direct[name], err_msg=name)
    np.testing.assert_array_equal(result["dff"], helpers.recording(0))
    assert result.attrs["notes"].count("made by a stand-in") == 1
    assert result.attrs["session_id"] == "day-0"


def test_several_sessions_each_have_a_file(model, inputs, tmp_path):
    summary = run(inputs, tmp_path / "out", NETCDF, progress=False)
    assert [session["result"]["file"] for session in summary["sessions"]] == ["spikes-day-0.nc", "spikes-day-1.nc"]
    assert all((tmp_path / "out" / session["result"]["file"]).exists() for session in summary["sessions"])
    assert ">day-1<" in (tmp_path / "out" / "report.html").read_text("utf-8")


@pytest.mark.parametrize("format", ["zarr", "netcdf", "suite2p", "nwb"])
def test_every_format_reads_back_equal(model, helpers, inputs, tmp_path, format):
    summary = run(inputs[:1], tmp_path / "out", RunConfig(format=format), progress=False)
    result = read_spikes(tmp_path / "out" / summary["sessions"][0]["result"]["file"])
    wanted = model.predict(helpers.recording(0))["expected_spikes"]
    np.testing.assert_allclose(result["expected_spikes"].values, wanted.values, rtol=1e-6)


def test_sessions_of_one_name_are_told_apart(model, helpers, tmp_path):
    paths = [write(helpers.recording(seed, session_id="same"), tmp_path / f"{seed}.nc") for seed in range(2)]
    summary = run(paths, tmp_path / "out", NETCDF, progress=False)
    assert [session["session_id"] for session in summary["sessions"]] == ["same", "same-2"]


def test_long_names_are_cut_for_files_and_told_apart(model, helpers, tmp_path):
    """A file system takes names of 255 bytes, whatever the script, and what is being written has a longer one."""
    names = [*(f"{'sub-01_task_' * 8}run-{number}" for number in (1, 2)), "神経" * 38]
    paths = [write(helpers.recording(i, session_id=name), tmp_path / f"{i}.nc") for i, name in enumerate(names)]
    summary = run(paths, tmp_path / "out", NETCDF, progress=False)
    assert [session["session_id"] for session in summary["sessions"]] == names
    files = [session["result"]["file"] for session in summary["sessions"]]
    assert len(set(files)) == 3
    assert max(len(file.encode()) for file in files) < 100
    assert all((tmp_path / "out" / file).exists() for file in files)


def test_the_same_call_again_does_nothing(model, inputs, tmp_path):
    first = run(inputs, tmp_path / "out", NETCDF, progress=False)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir() if path.suffix}
    calls = model.calls
    assert run(inputs, tmp_path / "out", NETCDF, progress=False) == first
    assert model.calls == calls
    assert all(path.stat().st_mtime_ns == time for path, time in times.items() if path.name != ".antidrome")


def test_finished_blocks_are_not_computed_again(model, helpers, inputs, tmp_path, monkeypatch):
    run(inputs, tmp_path / "whole", NETCDF, progress=False)
    model.calls, predict = 0, model.predict

    def stops(*arguments, **options):
        if model.calls == 4:
            raise KeyboardInterrupt
        return predict(*arguments, **options)

    monkeypatch.setattr(model, "predict", stops)
    with pytest.raises(KeyboardInterrupt):
        run(inputs, tmp_path / "out", NETCDF, progress=False)
    assert not list((tmp_path / "out").glob("spikes*"))
    monkeypatch.setattr(model, "predict", predict)
    model.calls = 0
    summary = run(inputs, tmp_path / "out", NETCDF, progress=False)
    assert model.calls == 2
    assert summary["sessions"][0]["seconds"]["blocks_from_earlier_run"] == 3
    assert helpers.different(helpers.contents(tmp_path / "out"), helpers.contents(tmp_path / "whole")) == []


@pytest.mark.usefixtures("unchecked_types")
def test_a_seed_may_be_numpys():
    assert RunConfig(seed=np.int64(5)).inference_settings() == RunConfig(seed=5).inference_settings()


def test_a_changed_setting_is_noticed_and_said(model, inputs, tmp_path):
    run(inputs, tmp_path / "out", NETCDF, progress=False)
    calls = model.calls
    summary = run(inputs, tmp_path / "out", RunConfig(format="netcdf", seed=5), progress=False)
    assert model.calls == 2 * calls
    assert any("used another seed" in note for note in summary["sessions"][0]["notes"])


def test_a_changed_input_is_noticed_and_said(model, helpers, inputs, tmp_path):
    run(inputs, tmp_path / "out", NETCDF, progress=False)
    calls = model.calls
    write(helpers.recording(5, session_id="day-1"), inputs[1])
    summary = run(inputs, tmp_path / "out", NETCDF, progress=False)
    assert model.calls == calls + 3
    notes = [session["notes"] for session in summary["sessions"]]
    assert not any("another input" in note for note in notes[0])
    assert any("another input" in note for note in notes[1])


def test_notes_are_those_of_the_recording_as_it_is_now(model, helpers, tmp_path):
    """A renamed file needs no inference, and what was said of the old name is not said any more."""
    for name in ("monday.npz", "tuesday.npz"):
        np.savez(tmp_path / name, dff=helpers.recording(0).values, frame_rate_hz=30.0)
        summary = run([tmp_path / name], tmp_path / "out", NETCDF, progress=False)
    assert model.calls == 3
    notes = summary["sessions"][0]["notes"]
    assert any("tuesday.npz" in note for note in notes)
    assert not any("monday.npz" in note for note in notes)
    assert "made by a stand-in" in notes


def test_what_is_known_of_the_neurons_and_the_nwb_file_follow_the_recording(model, helpers, tmp_path):
    """Results files hold both, so a correction of either writes them anew, without inference."""
    recording = helpers.recording(0)
    for x in (1.0, 2.0):
        write(recording.assign_coords(x=("neuron", np.full(7, x))), tmp_path / "day.nc")
        summary = run([tmp_path / "day.nc"], tmp_path / "out", RunConfig(format="zarr"), progress=False)
        assert (read_spikes(tmp_path / "out" / "spikes.zarr")["x"].values == x).all()
    assert model.calls == summary["sessions"][0]["seconds"]["blocks_from_earlier_run"]
    write(recording, tmp_path / "day.nwb")
    with h5py.File(tmp_path / "day.nwb", "r+") as file:  # as if another program had written it
        del file["scratch/antidrome_record"]
        file["processing/ophys/DfOverF/dff"].attrs["comments"] = "of another program"
    for species in ("mouse", "house mouse"):
        with h5py.File(tmp_path / "day.nwb", "r+") as file:
            file["general/subject/species"][()] = species
        run([tmp_path / "day.nwb"], tmp_path / "nwb", progress=False)
        with h5py.File(tmp_path / "nwb" / "spikes.nwb") as file:
            assert file["general/subject/species"].asstr()[()] == species
    run([tmp_path / "day.nwb"], tmp_path / "nwb", RunConfig(format="netcdf"), progress=False)
    assert (tmp_path / "nwb" / "spikes.nwb").exists(), "the same results in another format"


def test_a_renamed_recording_is_called_by_its_new_name(model, inputs, tmp_path):
    np.savez(tmp_path / "b.npz", dff=read_spikes(inputs[0])["dff"], fs=30.0)
    out, config = tmp_path / "out", RunConfig(format="netcdf", quantity="dff")
    first = run([tmp_path / "b.npz"], out, config, progress=False)
    calls = model.calls
    shutil.copy(tmp_path / "b.npz", tmp_path / "renamed.npz")
    second = run([tmp_path / "renamed.npz"], out, config, progress=False)
    assert [one["sessions"][0]["session_id"] for one in (first, second)] == ["b", "renamed"]
    assert second["sessions"][0]["input"]["path"] == str(tmp_path / "renamed.npz")
    assert "renamed.npz" in (out / "run.toml").read_text("utf-8")
    written = read_spikes(out / "spikes.nc").attrs
    assert (written["session_id"], written["source"]) == ("renamed", str(tmp_path / "renamed.npz"))
    assert model.calls == calls


def test_a_damaged_block_is_computed_again(model, helpers, inputs, tmp_path):
    run(inputs, tmp_path / "whole", NETCDF, progress=False)
    first = run(inputs, tmp_path / "out", NETCDF, progress=False)
    block = tmp_path / "out" / ".antidrome" / "blocks-day-0" / "block-00001.nc"
    block.write_bytes(block.read_bytes()[:2000])
    (tmp_path / "out" / "report.html").unlink()
    model.calls = 0
    assert (
        run(inputs, tmp_path / "out", NETCDF, progress=False)["sessions"][0]["neurons"]
        == first["sessions"][0]["neurons"]
    )
    assert model.calls == 1
    assert helpers.different(helpers.contents(tmp_path / "out"), helpers.contents(tmp_path / "whole")) == []


def test_a_block_damaged_inside_is_told_with_its_place(model, inputs, tmp_path):
    run(inputs, tmp_path / "out", NETCDF, progress=False)
    block = tmp_path / "out" / ".antidrome" / "blocks-day-0" / "block-00001.nc"
    with h5py.File(block) as file:
        place = file["expected_spikes"].id.get_chunk_info(0).byte_offset
    with open(block, "r+b") as stream:
        stream.seek(place)
        stream.write(b"xx" * 20)
    (tmp_path / "out" / "report.html").unlink()
    with pytest.raises(
        FileFormatError, match=r"\.antidrome/blocks-day-0, which an earlier run left, is damaged.*Delete it"
    ):
        run(inputs, tmp_path / "out", NETCDF, progress=False)


def test_the_settings_name_the_whole_path_of_the_model(model, inputs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(inputs, tmp_path / "out", RunConfig(format="netcdf", model="fit.safetensors"), progress=False)
    assert f'model = "{tmp_path / "fit.safetensors"}"' in (tmp_path / "out" / "run.toml").read_text("utf-8")


def test_stale_results_go_and_other_formats_of_the_same_results_stay(model, inputs, tmp_path):
    out = tmp_path / "out"
    run(inputs[:1], out, NETCDF, progress=False)
    assert run(inputs[:1], out, RunConfig(format="zarr"), progress=False)["removed_files"] == []
    assert (out / "spikes.nc").exists()
    assert (out / "spikes.zarr").exists()
    summary = run(inputs, out, RunConfig(format="zarr"), progress=False)
    assert sorted(summary["removed_files"]) == ["spikes.nc", "spikes.zarr", "total.nc"]
    assert not (out / "spikes.nc").exists()


def test_files_of_others_are_not_replaced(model, inputs, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "spikes.nwb").write_text("mine")
    with pytest.raises(InputError, match=r"already holds spikes\.nwb, which this job did not write"):
        run(inputs[:1], tmp_path / "out", progress=False)
    assert (tmp_path / "out" / "spikes.nwb").read_text() == "mine"
    run(inputs[:1], tmp_path / "out", RunConfig(overwrite=True), progress=False)
    assert "expected_spikes" in read_spikes(tmp_path / "out" / "spikes.nwb")


def test_overwrite_starts_over(model, inputs, tmp_path):
    run(inputs, tmp_path / "out", NETCDF, progress=False)
    model.calls = 0
    run(inputs, tmp_path / "out", RunConfig(format="netcdf", overwrite=True), progress=False)
    assert model.calls == 6


def test_errors_of_the_checks_stop_the_job_unless_forced(model, helpers, tmp_path):
    values = 1000 + 100 * helpers.recording(0).values
    path = write(from_array(values, 30.0, quantity="dff", attrs={"session_id": "raw"}), tmp_path / "raw.nc")
    with pytest.raises(InputError, match=r"(?s)would make the results wrong.*raw: .*--force"):
        run([path], tmp_path / "out", NETCDF, progress=False)
    assert model.calls == 0
    assert not (tmp_path / "out").exists()
    summary = run([path], tmp_path / "out", RunConfig(format="netcdf", force=True), progress=False)
    assert "error" in {finding["severity"] for finding in summary["sessions"][0]["findings"]}


def test_raw_fluorescence_becomes_dff(model, helpers, tmp_path):
    values = 500 * (1 + helpers.recording(0).values)
    path = write(from_array(values, 30.0, quantity="fluorescence"), tmp_path / "f.nc")
    run([path], tmp_path / "out", NETCDF, progress=False)
    dff = read_spikes(tmp_path / "out" / "spikes.nc")["dff"]
    assert np.corrcoef(dff.values[:, 0], values[:, 0])[0, 1] > 0.95
    assert dff.values.max() < 10


def test_percent_becomes_a_fraction_and_is_said(model, helpers, tmp_path):
    percent = from_array(100 * helpers.recording(0).values, 30.0, quantity="dff", units="percent")
    summary = run([write(percent, tmp_path / "p.nc")], tmp_path / "out", NETCDF, progress=False)
    assert any("percent: divided by 100" in note for note in summary["sessions"][0]["notes"])
    dff = read_spikes(tmp_path / "out" / "spikes.nc")["dff"]
    np.testing.assert_allclose(dff, helpers.recording(0), rtol=1e-5)


def test_bad_settings_paths_and_folders_are_refused(model, inputs, tmp_path):
    with pytest.raises(InputError, match="frame_rate_hz is 0"):
        RunConfig(frame_rate_hz=0)
    with pytest.raises(InputError, match="neuropil_factor"):
        RunConfig(neuropil_factor=-1)
    with pytest.raises(InputError, match="given twice"):
        run([inputs[0], inputs[0]], tmp_path / "out")
    with pytest.raises(InputError, match="is a file"):
        run(inputs, inputs[0])
    with pytest.raises(InputError, match="nothing"):
        run([tmp_path / "nothing.nwb"], tmp_path / "out")


def test_a_folder_that_may_not_be_written_to_is_refused_at_the_door(model, inputs, tmp_path, monkeypatch):
    """By a dry run as well. (These tests may run as a user who is never refused.)"""
    monkeypatch.setattr("os.access", lambda path, mode: not (Path(path) == tmp_path and mode & os.W_OK))
    for start in (run, plan):
        with pytest.raises(InputError, match="may not be written to"):
            start(inputs, output=tmp_path / "deep" / "out")
    assert not (tmp_path / "deep").exists()


def test_two_processes_do_not_share_a_folder(model, inputs, tmp_path):
    with locked(tmp_path / "out"), pytest.raises(InputError, match="Another antidrome works"):
        run(inputs, tmp_path / "out", progress=False)
    run(inputs, tmp_path / "out", progress=False)


def test_samples_are_kept(model, inputs, tmp_path):
    run(inputs[:1], tmp_path / "out", RunConfig(format="netcdf", samples=3), progress=False)
    assert read_spikes(tmp_path / "out" / "spikes.nc").sizes["sample"] == 3


def test_large_results_stay_on_disk_until_written(model, helpers, inputs, tmp_path, monkeypatch):
    from antidrome.pipeline import cache

    run(inputs, tmp_path / "small", RunConfig(format="zarr"), progress=False)
    monkeypatch.setattr(cache, "IN_MEMORY_VALUES", 100)
    run(inputs, tmp_path / "large", RunConfig(format="zarr"), progress=False)
    assert helpers.different(helpers.contents(tmp_path / "small"), helpers.contents(tmp_path / "large")) == []


@pytest.mark.parametrize("format", ["netcdf", "nwb", "suite2p"])
def test_the_page_can_be_made_again_elsewhere(drawing_model, inputs, tmp_path, format):
    run(inputs, tmp_path / "out", RunConfig(format=format), progress=False)
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    page = (moved / "report.html").read_text("utf-8")
    (moved / "report.html").unlink()
    rebuild_report(moved)
    again = (moved / "report.html").read_text("utf-8")
    if format == "netcdf":
        assert again == page
    assert 'id="s1-first"' in again
    with pytest.raises(InputError, match="no finished run"):
        rebuild_report(tmp_path)


def test_only_the_spikes(model, inputs, tmp_path):
    written = deconvolve(inputs[0], tmp_path / "s.nc", progress=False)
    assert read_spikes(written).sizes["neuron"] == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inputs", "s.nc"]
    with pytest.raises(InputError, match="exists"):
        deconvolve(inputs[0], tmp_path / "s.nc", progress=False)
