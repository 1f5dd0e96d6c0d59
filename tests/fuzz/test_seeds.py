"""The fuzzer starts from a valid file of every format, and lays its inputs out as it says."""

import importlib.util
import pathlib
import sys

import pytest

from antidrome.errors import InputError
from antidrome.recordings.reading import _READERS, detect_format

HERE = pathlib.Path(__file__).parent


def _load(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SEEDS = _load("seeds")
READERS = _load("readers")
NAMES = {"zarr2": "zarr", "zarr3": "zarr", "ops": "settings of suite2p"}


def test_every_format_that_is_read_is_fuzzed():
    assert {NAMES.get(kind, kind) for kind in SEEDS.SEEDS} >= set(_READERS)


@pytest.mark.parametrize("kind", SEEDS.SEEDS)
def test_a_seed_is_read(kind, tmp_path):
    if kind == "abf":
        pytest.importorskip("pyabf")
    scratch = SEEDS.Scratch(kind, tmp_path)
    for data in scratch.inputs():
        scratch.lay_out(data)
        if kind == "abf":  # pyabf cannot write a command
            with pytest.raises(InputError, match="neither a recorded current nor the command"):
                READERS.target(kind, scratch.path)
        else:
            READERS.target(kind, scratch.path)
    if NAMES.get(kind, kind) in _READERS:
        assert detect_format(scratch.path) == NAMES.get(kind, kind)


def test_one_file_of_a_folder_is_another_at_a_time(tmp_path):
    scratch = SEEDS.Scratch("suite2p", tmp_path)
    scratch.lay_out(b"\x01bad")
    scratch.lay_out(b"\x02worse")
    assert [file.read_bytes() == valid for file, valid in zip(scratch.files, scratch.valid, strict=True)] == [
        True,
        True,
        False,
        True,
    ]
