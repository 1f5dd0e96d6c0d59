"""SIGKILL at any step: no half file, and the same call goes on to the same result."""

import json
import pathlib
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_killed_before_every_rename(inputs, happened):
    folder = inputs[0].parent
    script = pathlib.Path(__file__).with_name("stand_in.py")
    subprocess.run([sys.executable, str(script), "kill", str(folder)], check=True, timeout=600)
    found = json.loads((folder / "found.json").read_text("utf-8"))
    assert len(found) > 10
    for record in found:
        assert record["ended"] == 9, record
        assert record["half"] == [], record
        assert record["resumed"] == 0, record
        assert record["different"] == [], record
        assert record["left"] == [], record
    half, different, left = (sum(len(record[key]) for record in found) for key in ("half", "different", "left"))
    codes = sorted({record["resumed"] for record in found})
    happened(
        f"half files: {half}; exit code of the same call after it: {', '.join(map(str, codes))}; results, pages and"
        f" summaries that differ by a bit: {different}; left over: {left} files"
    )
