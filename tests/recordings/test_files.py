"""Atomic writing: the old file or the new one, also when the writer is killed."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from antidrome.recordings.files import atomic_directory, atomic_write


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.json"
    with atomic_write(target) as temporary:
        temporary.write_text("new")
        assert not target.exists()
        assert temporary.suffix == ".json"
    assert target.read_text() == "new"
    assert [p.name for p in target.parent.iterdir()] == ["a.json"]


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_is_exchanged(tmp_path: Path) -> None:
    target = tmp_path / "store.zarr"
    for content in ("one", "two"):
        with atomic_directory(target) as temporary:
            (temporary / "sub").mkdir()
            (temporary / "sub" / content).write_text(content)
        assert [p.name for p in (target / "sub").iterdir()] == [content]
    assert [p.name for p in tmp_path.iterdir()] == ["store.zarr"]


def test_a_folder_is_exchanged_without_the_system_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antidrome.recordings.files._exchange", lambda first, second: False)
    test_a_folder_is_exchanged(tmp_path)


def test_a_folder_in_the_place_of_a_file_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "result"
    target.write_text("a file")
    with atomic_directory(target) as temporary:
        (temporary / "part").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["result"]
    assert (target / "part").read_text() == "new"


def test_an_error_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "store"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(RuntimeError), atomic_directory(target) as temporary:
        (temporary / "half").touch()
        raise RuntimeError
    assert [p.name for p in target.iterdir()] == ["old"]
    assert [p.name for p in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("step", ["before write", "after write", "at replace", "after replace"])
def test_a_killed_writer_leaves_old_or_new(tmp_path: Path, step: str) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    script = f"""
        import os, signal
        from antidrome.recordings import files
        die = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
        replace = os.replace
        def replace_and_die(*arguments):
            replace(*arguments); die()
        if {step!r} == "at replace": os.replace = die
        if {step!r} == "after replace": os.replace = replace_and_die
        with files.atomic_write({str(target)!r}) as temporary:
            if {step!r} == "before write": die()
            temporary.write_text("new")
            if {step!r} == "after write": die()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert target.read_text() == ("new" if step == "after replace" else "old")
    with atomic_write(target) as temporary:
        temporary.write_text("next")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"], "leftovers of the killed writer are removed"


def test_what_killed_writers_left_is_removed_also_of_a_write_within_a_write(tmp_path: Path) -> None:
    target = tmp_path / ".results.nc"
    script = f"""
    import os
    from antidrome.recordings.files import atomic_write
    with atomic_write({str(target)!r}) as outer, atomic_write(outer) as inner:
        outer.write_text("half")
        inner.write_text("half")
        os._exit(1)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    with atomic_write(target) as temporary:
        temporary.write_text("whole")
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_names_the_file_that_was_to_be_written(tmp_path: Path) -> None:
    for writer in (atomic_write, atomic_directory):
        with pytest.raises(OSError, match="No space left") as raised, writer(tmp_path / "result"):
            raise OSError(errno.ENOSPC, "No space left on device", "some temporary name")
        assert raised.value.filename == str(tmp_path / "result")
    assert list(tmp_path.iterdir()) == []


def test_links_and_permissions_are_kept(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "real.txt").chmod(0o640)
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    with atomic_write(tmp_path / "link.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"
    assert (tmp_path / "real.txt").stat().st_mode & 0o777 == 0o640


def test_a_living_writer_of_the_same_file_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with atomic_write(target) as first:
        first.write_text("first")
        with atomic_write(target) as second:
            second.write_text("second")
    assert target.read_text() == "first"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError), atomic_write(tmp_path / "a") as temporary:
        temporary.write_text("")
