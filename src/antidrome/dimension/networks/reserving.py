"""One process at a time in a folder of activations."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from antidrome.core.locks import try_lock, unlock
from antidrome.errors import InputError

LOCK = ".lock"
"""No folder of a network has such a name."""
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def reserved(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder; the system lifts the lock when the process ends, however it ends.

    A finished folder that may only be read needs no lock.

    Raises
    ------
    InputError
        If another process works in the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = open(folder / LOCK, "a+b")  # noqa: SIM115 (closed below)
    except OSError as error:
        if error.errno not in _READ_ONLY or not folder.is_dir():
            raise
        yield
        return
    with stream:
        if not try_lock(stream.fileno()):
            raise InputError(
                f"{folder}: another process writes activations or estimates here just now. Wait until it has finished,"
                " or give another folder (store=…)."
            )
        try:
            yield
        finally:
            unlock(stream.fileno())
