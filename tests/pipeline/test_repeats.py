"""What a run left repeats it: under the names that were given, and with numbers that mean the same."""

import os
import tomllib

import numpy as np

from antidrome.core.configuration import from_dict, to_dict
from antidrome.core.hashing import hash_configuration
from antidrome.pipeline import RunConfig, run
from antidrome.pipeline.cache import SessionCache
from antidrome.pipeline.names import whole_path
from antidrome.pipeline.settings_file import read_toml, to_toml
from antidrome.pipeline.stages import LATER, stage_settings


def test_a_recording_behind_a_link_keeps_its_name(model, helpers, tmp_path):
    """As git-annex and DVC store data: the repeat renamed every session, and removed the files of the run."""
    link, key = tmp_path / "day-1.npy", tmp_path / "MD5E-s8528--1"
    with key.open("wb") as file:
        np.save(file, helpers.recording(1).values)
    link.symlink_to(key)
    config = RunConfig(format="netcdf", stages=("spikes",), frame_rate_hz=30.0, quantity="dff")
    run([link], tmp_path / "out", config, progress=False)
    assert read_toml(tmp_path / "out" / "run.toml")["paths"] == [str(link)]


def test_a_path_leads_where_it_led(tmp_path, monkeypatch):
    (tmp_path / "far" / "inside").mkdir(parents=True)
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "link").symlink_to(tmp_path / "far" / "inside")
    monkeypatch.chdir(tmp_path / "near")
    assert whole_path("../near/a.npy") == str(tmp_path / "near" / "a.npy")
    assert os.path.realpath(whole_path("link/../a.npy")) == os.path.realpath(tmp_path / "far" / "a.npy")


def test_whole_numbers_are_the_settings_that_a_file_holds():
    """A file says 30.0 where Python was told 30, and nothing is computed again."""
    told = RunConfig(frame_rate_hz=30, neuropil_factor=1, bin_s=1)
    read = from_dict(RunConfig, tomllib.loads(to_toml(to_dict(told))))
    for settings in (to_dict, RunConfig.inference_settings, lambda config: stage_settings(LATER, config)):
        assert hash_configuration(settings(told)) == hash_configuration(settings(read))


def test_blocks_of_another_hash_are_no_blocks_of_this_origin(tmp_path):
    """Python calls 30 and 30.0 equal; the page would look for the blocks by a hash, and find none."""
    SessionCache(tmp_path, "day", {"frame_rate_hz": 30}).prepare()
    later = SessionCache(tmp_path, "day", {"frame_rate_hz": 30.0})
    later.prepare()
    assert hash_configuration(later.known()["origin"]) == later.key
