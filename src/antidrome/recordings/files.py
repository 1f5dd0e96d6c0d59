"""Atomic writing: a reader finds the old file or the new one, whatever happens to the writer.

Temporary name in the same folder, fsync, rename, fsync of the folder. What a killed writer leaves behind is a
hidden ``.NAME.HOST-PID-RANDOM.partial``, removed by the next writer of the same name on the same machine.
"""

import ctypes
import errno
import os
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk, a used quota, the largest file that the system or a limit allows."""


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path that becomes ``path`` when the block ends without an error.

    Parameters
    ----------
    path
        The file to write or replace. Missing parent folders are made.

    Yields
    ------
    Path
        A path in the same folder (same suffix) to write to. If the block raises, it is removed and
        ``path`` stays as it was.

    Examples
    --------
    >>> with atomic_write("result.json") as temporary:  # doctest: +SKIP
    ...     temporary.write_text("{}")
    """
    target = _prepare(path)
    temporary = _temporary_name(target)
    try:
        with _told_of(target):
            yield temporary
            if target.exists():
                shutil.copymode(target, temporary)
            _fsync(temporary)
            os.replace(temporary, target)
            _fsync(target.parent)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


@contextmanager
def atomic_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give an empty temporary folder that becomes ``path`` when the block ends without an error.

    An existing folder is exchanged in one step where the system can (Linux ``renameat2``); elsewhere the old one is
    moved aside first, so that a kill between the two renames leaves it under a hidden name beside ``path``.

    Parameters
    ----------
    path
        The folder to write or replace.

    Yields
    ------
    Path
        The temporary folder in the same parent.
    """
    target = _prepare(path)
    temporary = _temporary_name(target)
    temporary.mkdir()
    try:
        with _told_of(target):
            yield temporary
            for folder, _, names in os.walk(temporary):
                for name in names:
                    _fsync(Path(folder) / name)
                _fsync(Path(folder))
            _replace_directory(temporary, target)
            _fsync(target.parent)
    finally:
        _remove(temporary)


@contextmanager
def _told_of(target: Path) -> Iterator[None]:
    """What finds no room names the file or folder that was to be written, and not the temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise OSError(error.errno, os.strerror(error.errno), str(target)) from error
        raise


def _prepare(path: str | os.PathLike[str]) -> Path:
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target)
    return target


def _temporary_name(target: Path) -> Path:
    return target.parent / f"{_leftover_prefix(target)}{os.getpid()}-{secrets.token_hex(4)}.partial{target.suffix}"


def _leftover_prefix(target: Path) -> str:
    return f".{target.name}.{socket.gethostname()}-"


def _remove_leftovers(target: Path) -> None:
    """Remove what writers of the same target left here when they were killed (their process is gone).

    A writer may have been about to write its temporary file under a temporary name of that: such have more dots.
    """
    prefix = _leftover_prefix(target).lstrip(".")
    for entry in target.parent.iterdir():
        hidden, name = entry.name.startswith("."), entry.name.lstrip(".")
        if not hidden or not name.startswith(prefix) or ".partial" not in name:
            continue
        pid = name[len(prefix) :].split("-")[0]
        if not pid.isdigit() or _is_alive(int(pid)):
            continue
        _remove(entry)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OSError):
        return True
    return True


def _replace_directory(temporary: Path, target: Path) -> None:
    if not target.exists():
        os.rename(temporary, target)
    elif not _exchange(temporary, target):
        aside = _temporary_name(target)
        os.rename(target, aside)
        os.rename(temporary, target)
        _remove(aside)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two folders in one step; False where the system or file system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    return rename(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0


def _remove(path: Path) -> None:
    """Remove a folder, a file or a link, if it is there."""
    if path.is_dir() and not path.is_symlink():
        for _ in range(20):  # where writing failed, other threads may still be about to add a file
            shutil.rmtree(path, ignore_errors=True)
            if not path.exists():
                break
            time.sleep(0.05)
    else:
        path.unlink(missing_ok=True)


def _fsync(path: Path) -> None:
    is_folder = path.is_dir()
    if sys.platform == "win32" and is_folder:
        return
    descriptor = os.open(path, os.O_RDONLY if sys.platform != "win32" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # shares of other systems cannot sync a folder; its files were synced by then
        if not is_folder or error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)
