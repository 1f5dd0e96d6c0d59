"""Faults of the machine under the main job: a full disk, no permission, a second process, a process that is killed."""

import errno
import os
import pathlib
import re
import subprocess
import sys

import pytest

from antidrome.cli.app import main
from antidrome.recordings import files

HOLDER = """
import pathlib, sys
from antidrome.pipeline.folder import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that works in the folder ``out``."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "out")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def job(inputs, out):
    """The exit code of the job."""
    return main(["run", *map(str, inputs), "-o", str(out), "--format", "netcdf", "--json"])


@pytest.mark.parametrize("n_written", [0, 2, 5, 9])
def test_a_full_disk_ends_in_a_sentence_and_the_job_goes_on(
    model, helpers, inputs, tmp_path, capsys, monkeypatch, happened, n_written
):
    assert job(inputs, tmp_path / "whole") == 0
    fsync, seen = files._fsync, 0

    def full(path):
        nonlocal seen
        seen += not path.is_dir()
        if seen > n_written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        fsync(path)

    monkeypatch.setattr(files, "_fsync", full)
    assert job(inputs, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert helpers.half_files(tmp_path / "out") == []
    assert not list((tmp_path / "out").rglob("*partial*"))
    monkeypatch.setattr(files, "_fsync", fsync)
    code = job(inputs, tmp_path / "out")
    assert code == 0
    summary, page, results = helpers.contents(tmp_path / "out")
    wanted, page_wanted, results_wanted = helpers.contents(tmp_path / "whole")
    assert summary.pop("command") == wanted.pop("command")  # pytest's own
    differ = helpers.different((summary, page, results), (wanted, page_wanted, results_wanted))
    assert differ == []
    said = re.sub(r"out/\S+", "out/…", said.strip())  # the file at which it was full
    happened(f"exit code 2: {said}; with room again the same command: exit code {code}, {len(differ)} results differ")


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX users")
def test_no_permission_ends_in_a_sentence(model, tmp_path, capsys, happened):
    tmp_path.chmod(0o500)
    user = os.geteuid()
    if user == 0:  # root may write everywhere: be nobody for a moment
        os.seteuid(65534)
    try:
        code = main(["run", "-o", str(tmp_path / "out"), "--json"])
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o700)
    assert code == 2
    said = capsys.readouterr().err
    assert "Permission denied" in said
    assert not (tmp_path / "out").exists()
    happened(f"exit code {code}: {said}")


def test_a_second_process_is_kept_out(model, inputs, tmp_path, capsys, holder, happened):
    assert job(inputs, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "Another antidrome works in" in said
    holder.communicate("")
    assert holder.returncode == 0
    happened(f"the second one: exit code 2: {said.strip()}; the first one goes on: exit code {holder.returncode}")
    assert job(inputs, tmp_path / "out") == 0


def test_a_killed_process_leaves_no_lock(model, inputs, tmp_path, holder, happened):
    holder.kill()
    holder.wait()
    code = job(inputs, pathlib.Path(tmp_path / "out"))
    assert code == 0
    happened(f"its lock ends with it: the next one has exit code {code}")
