"""A recording is never lost to its own results, and a summary of somebody else opens nothing outside its folder."""

import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

from antidrome.errors import FileFormatError, InputError, UnsafeFileError
from antidrome.pipeline import InferenceConfig, RunConfig, deconvolve, plan, rebuild_report, run
from antidrome.recordings import read, read_spikes, write
from antidrome.recordings.nwb_results import RECORD

OVERWRITE = InferenceConfig(overwrite=True)


def contents(folder):
    """Every file under a folder with its bytes."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def of_another_program(path):
    """An NWB file as if another program had written it."""
    with h5py.File(path, "r+") as file:
        del file[f"scratch/{RECORD}"]
        file["processing/ophys/DfOverF/dff"].attrs["comments"] = "of another program"
    return path


def test_results_never_replace_the_recording(model, inputs, tmp_path):
    before = inputs[0].read_bytes()
    link = tmp_path / "link.nc"
    link.symlink_to(inputs[0])
    for output in (inputs[0], link):
        with pytest.raises(InputError, match="would replace the recording"):
            deconvolve(inputs[0], output, OVERWRITE, progress=False)
    with pytest.raises(InputError, match=r"inputs would replace the recording .*day-0\.nc"):
        deconvolve(inputs[0], tmp_path / "inputs", OVERWRITE, format="suite2p", progress=False)
    mine = inputs[0].rename(inputs[0].with_name("spikes.nc"))
    with pytest.raises(InputError, match="would replace the recording"):
        run([mine], mine.parent, RunConfig(format="netcdf", overwrite=True), progress=False)
    assert mine.read_bytes() == before


def test_spikes_may_go_into_the_nwb_file_itself(model, helpers, tmp_path):
    path = write(helpers.recording(0), tmp_path / "day.nwb")
    with pytest.raises(InputError, match="holds nothing but what Antidrome wrote"):
        deconvolve(path, path, OVERWRITE, progress=False)
    of_another_program(path)
    values = read(path).values
    deconvolve(path, path, OVERWRITE, progress=False)
    np.testing.assert_array_equal(read(path).values, values)
    assert read_spikes(path)["expected_spikes"].shape == values.shape


def test_an_earlier_result_is_replaced_where_that_was_asked_for(model, helpers, tmp_path):
    path = write(helpers.recording(0), tmp_path / "day.nwb")
    out = deconvolve(path, tmp_path / "spikes.nwb", InferenceConfig(samples=2), progress=False)
    assert "samples" in read_spikes(out)
    deconvolve(path, out, InferenceConfig(overwrite=True), progress=False)
    assert "samples" not in read_spikes(out)


def test_spikes_of_another_series_are_not_replaced_in_the_recording(model, helpers, tmp_path):
    path = of_another_program(write(helpers.recording(0), tmp_path / "day.nwb"))
    elsewhere = read(path).assign_attrs(series="elsewhere", units="spikes per frame")
    write(elsewhere.to_dataset(name="expected_spikes").assign_attrs(elsewhere.attrs), path)
    calls = model.calls
    with pytest.raises(InputError, match=r"an earlier result .* of the series 'elsewhere', which would be"):
        deconvolve(path, path, InferenceConfig(overwrite=True), progress=False)
    assert model.calls == calls


def test_recordings_in_nwb_are_not_replaced_by_results_that_do_not_go_into_them(model, helpers, inputs, tmp_path):
    """Before any work, also with --overwrite; a copy that the job made itself makes way."""
    out = tmp_path / "out"
    path = of_another_program(write(helpers.recording(0), tmp_path / "day.nwb"))
    out.mkdir()
    shutil.copy(path, out / "spikes.nwb")
    with pytest.raises(InputError, match="would be lost"):
        deconvolve(inputs[0], path, OVERWRITE, progress=False)
    for check in (run, lambda *of, **_: plan(of[0], of[2], of[1])):
        with pytest.raises(InputError, match="would be lost"):
            check(inputs[:1], out, RunConfig(overwrite=True), progress=False)
    assert model.calls == 0
    (out / "spikes.nwb").unlink()
    run([path], out, progress=False)
    run(inputs[1:], out, RunConfig(overwrite=True), progress=False)
    assert read_spikes(out / "spikes.nwb").attrs["session_id"] == "day-1"


def test_a_recording_among_the_results_is_never_the_jobs_own(model, inputs, tmp_path):
    """Another format, another recording or other settings would later replace or remove it with the stale results."""
    out = tmp_path / "out"
    run(inputs[:1], out, progress=False)
    before = (out / "spikes.nwb").read_bytes()
    for config in (RunConfig(), RunConfig(format="zarr"), RunConfig(format="zarr", overwrite=True)):
        for check in (run, plan):
            with pytest.raises(InputError, match=r"would replace the recording .*spikes\.nwb"):
                check([out / "spikes.nwb"], output=out, config=config)
    assert (out / "spikes.nwb").read_bytes() == before
    mine = Path(shutil.copy(out / "spikes.nwb", tmp_path))
    with pytest.raises(InputError, match="would replace the recording"):
        run([mine], tmp_path, RunConfig(overwrite=True), progress=False)


def test_no_results_inside_of_a_zarr_recording(model, helpers, tmp_path):
    store = tmp_path / "day.zarr"
    zarr.save_array(store, helpers.recording(0).values)
    before = contents(store)
    for output in (store, store / "results"):
        with pytest.raises(InputError, match="would lie inside the recording"):
            run([store], output, RunConfig(frame_rate_hz=30.0, quantity="dff"), progress=False)
    assert contents(store) == before


def test_results_may_go_beside_the_recording_under_any_name(model, inputs, tmp_path, happened):
    folder = tmp_path / "ha#sh 50% (ü, 日本)"
    folder.mkdir()
    os.replace(inputs[0], folder / "day #1 % ä.nc")
    (tmp_path / "link").symlink_to(folder)
    summary = run([folder / "day #1 % ä.nc"], tmp_path / "link", RunConfig(format="zarr"), progress=False)
    assert {file["name"] for file in summary["files"]} < {path.name for path in folder.iterdir()}
    calls = model.calls
    again = run([folder / "day #1 % ä.nc"], folder, RunConfig(format="zarr"), progress=False)
    assert again == summary
    assert rebuild_report(folder).is_file()
    assert model.calls == calls
    happened(f"by either name the same summary; blocks inferred a second time: {model.calls - calls}")


def test_a_loop_of_links_is_a_missing_file(model, tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(InputError, match="no such file"):
        run([tmp_path / "a"], tmp_path / "out", progress=False)


def of_session(**changes):
    return lambda summary: summary["sessions"][0].update(changes)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda summary: summary.pop("config"), FileFormatError, "damaged: 'config'"),
        (lambda summary: summary.update(files="all"), FileFormatError, "damaged: 'files'"),
        (lambda summary: summary.update(sessions=[3]), FileFormatError, "damaged: 'session_id'"),
        (of_session(findings=None), FileFormatError, "damaged: 'findings'"),
        (of_session(result={"file": "../elsewhere/spikes.nc"}), UnsafeFileError, "does not lie in the folder"),
        (of_session(result={"file": "/etc/passwd"}), UnsafeFileError, "does not lie in the folder"),
        (of_session(result={}), UnsafeFileError, "does not lie in the folder"),
        (of_session(result={"file": "gone.nc"}), InputError, r"gone\.nc is missing"),
    ],
)
def test_a_damaged_or_hostile_summary_ends_in_a_sentence(model, inputs, tmp_path, change, error, words, happened):
    run(inputs[:1], tmp_path / "out", RunConfig(format="netcdf"), progress=False)
    path = tmp_path / "out" / "summary.json"
    summary = json.loads(path.read_text("utf-8"))
    change(summary)
    path.write_text(json.dumps(summary), "utf-8")
    with pytest.raises(error, match=words) as raised:
        rebuild_report(tmp_path / "out")
    happened(f"refused: {raised.value}")
