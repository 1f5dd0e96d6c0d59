"""Files that earlier versions (and this one) wrote are opened, and say what they said then."""

import importlib.util
import json
from pathlib import Path

import pytest

import antidrome

HERE = Path(__file__).parent
VERSIONS = sorted(path for path in HERE.iterdir() if (path / "expected.json").exists())


def _writer():
    spec = importlib.util.spec_from_file_location("formats_write", HERE / "write.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SLOW = {"mechanism", "run_folder", "spike_vae"}
CASES = [
    pytest.param(folder, kind, id=f"{folder.name}-{kind}", marks=[pytest.mark.slow] if kind in SLOW else [])
    for folder in VERSIONS
    for kind in json.loads((folder / "expected.json").read_text())
]


def test_this_version_left_its_files():
    assert antidrome.__version__ in {folder.name for folder in VERSIONS}


def test_every_kind_is_kept():
    assert {case.values[1] for case in CASES} == set(_writer().KINDS)


@pytest.mark.parametrize(("folder", "kind"), CASES)
def test_a_file_says_what_it_said(folder, kind):
    expected = json.loads((folder / "expected.json").read_text())[kind]
    assert _writer().SAY[kind](folder) == pytest.approx(expected, rel=1e-4)
