"""Atomic writes under SIGKILL, a full disk, and two writers at once: the old file or the new one, never half.

``KILLER`` runs a writer in a fork of itself that traces the lines of ``recordings/files.py`` (and of the writer's own
block) and kills itself at the n-th; n goes up until a writer survives. So the writer is killed between every pair of
its steps, whatever they are.
"""

import errno
import json
import os
import pathlib
import stat
import subprocess
import sys
from collections.abc import Callable

import pytest

from antidrome.core.files import atomic_directory, atomic_write, finite, refuse_existing, write_json
from antidrome.errors import InputError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")

OLD, NEW = b"old" * 1000, b"new" * 5000

KILLER = """
import json, os, pathlib, signal, sys

from antidrome.core.files import atomic_directory, atomic_write

kind, target, old, new = sys.argv[1], pathlib.Path(sys.argv[2]), b"old" * 1000, b"new" * 5000

def write_file(data):
    with atomic_write(target) as temporary:
        with open(temporary, "wb") as stream:
            stream.write(data[:100])
            stream.write(data[100:])

def write_directory(data):
    with atomic_directory(target) as temporary:
        (temporary / "a.bin").write_bytes(data)
        (temporary / "b.bin").write_bytes(data)

def killing_tracer(n_left):
    def trace(frame, event, argument):
        code = frame.f_code
        if code.co_filename.endswith("recordings/files.py") or code.co_name.startswith("write_"):
            n_left[0] -= 1
            if n_left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace
    return trace

def content():
    if kind == "file":
        return [target.read_bytes()] if target.exists() else None
    return [path.read_bytes() for path in sorted(target.iterdir())] if target.exists() else None

write = write_file if kind == "file" else write_directory
n_files = 1 if kind == "file" else 2
start_with_old = sys.argv[3] == "replace"
n_lines, seen = 0, []
while True:
    n_lines += 1
    if start_with_old:
        write(old)
    elif target.is_dir():
        for path in target.iterdir():
            path.unlink()
        target.rmdir()
    else:
        target.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        sys.settrace(killing_tracer([n_lines]))
        write(new)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    found = content()
    allowed = {"old": [old] * n_files if start_with_old else None, "new": [new] * n_files}
    names = [name for name, value in allowed.items() if value == found]
    seen.append(names[0] if names else f"BROKEN after {n_lines} lines")
    if not os.WIFSIGNALED(status):
        break
write(new)
print(json.dumps({"seen": seen, "left": sorted(path.name for path in target.parent.iterdir())}))
"""


@pytest.mark.parametrize("start", ["replace", "create"])
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_killed_writer_leaves_old_or_new(
    tmp_path: pathlib.Path, kind: str, start: str, happened: Callable[[str], None]
) -> None:
    target = tmp_path / "results"
    command = [sys.executable, "-c", KILLER, kind, str(target), start]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    outcome = json.loads(run.stdout)
    assert set(outcome["seen"]) == {"old", "new"}
    assert outcome["seen"] == sorted(outcome["seen"], key=["old", "new"].index), "once new, always new"
    assert len(outcome["seen"]) > 15, "the writer was killed at hardly any step: does the tracer see its lines?"
    assert outcome["left"] == ["results"], "the next writer removes what killed ones left"
    seen = " or ".join(f"the {content} content" for content in dict.fromkeys(outcome["seen"]))
    happened(f"found each time: {seen}, whole; left over after the next writer: {len(outcome['left']) - 1} files")


def test_an_error_leaves_the_old_file(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(OLD)
    with pytest.raises(RuntimeError, match="stop"), atomic_write(target) as temporary:
        temporary.write_bytes(NEW)
        raise RuntimeError("stop")
    assert target.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [target]


FULL = """
import pathlib, resource, signal, sys
from antidrome.core.files import atomic_write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    with atomic_write(sys.argv[1]) as temporary:
        temporary.write_bytes(b"new" * 5000)
except OSError as error:
    print(type(error).__name__)
"""


def test_a_full_disk_leaves_the_old_file(tmp_path: pathlib.Path, happened: Callable[[str], None]) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(OLD)
    run = subprocess.run([sys.executable, "-B", "-c", FULL, str(target)], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "OSError"
    assert target.read_bytes() == OLD
    left = list(tmp_path.iterdir())
    assert left == [target]
    happened(f"{run.stdout.strip()}; the old file is still there, whole; left over: {len(left) - 1} files")


def test_writers_at_once_do_not_meet(tmp_path: pathlib.Path, happened: Callable[[str], None]) -> None:
    target = tmp_path / "a.bin"
    with atomic_write(target) as first, atomic_write(target) as second:
        assert first != second
        first.write_bytes(OLD)
        second.write_bytes(NEW)
    found = {OLD: "what the last one to finish wrote", NEW: "what the first one to finish wrote"}
    assert found.get(target.read_bytes()) == found[OLD], "the last one to finish wins, whole"
    happened(f"the file holds {found[target.read_bytes()]}, whole")


def test_a_folder_is_replaced_whole(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "results"
    for names in (["a", "b"], ["c"]):
        with atomic_directory(target) as temporary:
            for name in names:
                (temporary / name).write_bytes(NEW)
    assert [path.name for path in target.iterdir()] == ["c"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_share_that_cannot_sync_folders_is_written_to(tmp_path, monkeypatch, number, happened):
    real = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with atomic_write(tmp_path / "a") as temporary:
        temporary.write_bytes(NEW)
    with atomic_directory(tmp_path / "b") as temporary:
        (temporary / "a").write_bytes(NEW)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b" / "a").read_bytes() == NEW
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(number, "of a file")))
    with pytest.raises(OSError, match="of a file") as error, atomic_write(tmp_path / "a") as temporary:
        temporary.write_bytes(OLD)
    assert (tmp_path / "a").read_bytes() == NEW
    happened(
        f"files and folders are written whole; where no file can be synced: {error.type.__name__}, the old one stays"
    )


def test_what_exists_is_refused_with_the_option_that_chooses_another_name(tmp_path):
    (tmp_path / "a.csv").touch()
    with pytest.raises(InputError, match=r"a\.csv exists\. Choose another name with --times, or .* with --overwrite\."):
        refuse_existing(tmp_path / "a.csv", overwrite=False, option="--times")
    refuse_existing(tmp_path / "a.csv", overwrite=True)
    refuse_existing(tmp_path / "b.csv", overwrite=False)
    refuse_existing(None, overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_that_could_never_be_written_is_refused_before_any_work(tmp_path, overwrite):
    (tmp_path / "a.csv").touch()
    with pytest.raises(InputError, match=r"is a folder\. Name the file that is to be written with -o\."):
        refuse_existing(tmp_path, overwrite=overwrite, is_file=True)
    with pytest.raises(InputError, match=r"b\.csv: .*a\.csv is no folder"):
        refuse_existing(tmp_path / "a.csv" / "c" / "b.csv", overwrite=overwrite, is_file=True)
    refuse_existing(tmp_path / "new" / "b.csv", overwrite=overwrite, is_file=True)


def test_what_json_does_not_know_is_null(tmp_path):
    document = {"a": float("nan"), "b": [1.5, (float("inf"), "nan")], "c": {"d": None, "e": 3}}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", document)
    write_json(tmp_path / "x.json", finite(document))
    assert json.loads((tmp_path / "x.json").read_text()) == {
        "a": None,
        "b": [1.5, [None, "nan"]],
        "c": {"d": None, "e": 3},
    }
