"""Atomic writes: the old file or the new one, never half of one.

The helpers live with the recordings, which write files too; everything above imports them from here.
"""

from pathlib import Path

from antidrome.errors import InputError
from antidrome.recordings.files import atomic_directory, atomic_write

__all__ = ["atomic_directory", "atomic_write", "refuse_existing"]


def refuse_existing(path: Path | None, *, overwrite: bool, option: str = "-o") -> None:
    """See to it that nothing is replaced unasked.

    Parameters
    ----------
    path
        Where something is to be written; None: nowhere.
    overwrite
        Whether it may be replaced.
    option
        The option that named the path, for the message.

    Raises
    ------
    InputError
        If there is something already.
    """
    if path is not None and path.exists() and not overwrite:
        raise InputError(f"{path} exists. Choose another name with {option}, or replace it with --overwrite.")
