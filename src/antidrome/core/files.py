"""Atomic writes: the old file or the new one, never half of one; JSON.

The helpers of atomic writes live with the recordings, which write files too; everything above imports them from here.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from antidrome.errors import InputError
from antidrome.recordings.files import atomic_directory, atomic_write

__all__ = ["atomic_directory", "atomic_write", "finite", "read_json", "refuse_existing", "write_json"]


def refuse_existing(path: Path | None, *, overwrite: bool, option: str = "-o", is_file: bool = False) -> None:
    """See to it that nothing is replaced unasked.

    Parameters
    ----------
    path
        Where something is to be written; None: nowhere.
    overwrite
        Whether it may be replaced.
    option
        The option that named the path, for the message.
    is_file
        Whether a single file is written, for which no folder can make way.

    Raises
    ------
    InputError
        If there is something already; of a file, also where it could never be written.
    """
    if path is not None and is_file:
        above = next(one for one in path.absolute().parents if one.exists())
        if path.is_dir() or not above.is_dir():
            wrong = f"{path} is a folder" if path.is_dir() else f"{path}: {above} is no folder"
            raise InputError(f"{wrong}. Name the file that is to be written with {option}.")
    if path is not None and path.exists() and not overwrite:
        raise InputError(f"{path} exists. Choose another name with {option}, or replace it with --overwrite.")


def refuse_unwritable_name(path: str | os.PathLike[str]) -> None:
    """Refuse a name of other bytes than UTF-8, as old disks have them: no result could say where it came from."""
    for whole in (os.path.abspath(path), os.path.realpath(path)):
        try:
            whole.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(f"The name of {os.fsencode(whole)!r} is not UTF-8. Rename the file or folder.") from error


def finite(value: Any) -> Any:
    """A document as JSON knows it: null instead of numbers that are not finite, at any depth."""
    if isinstance(value, Mapping):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file's object; empty if there is no file or it is damaged."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, value: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write strict JSON, atomically."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_write(path) as temporary:
        temporary.write_text(text, "utf-8")
