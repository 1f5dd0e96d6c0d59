"""What a written file or folder is known again by: its size, when it was changed, and the hash of its contents."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MOST_BYTES = 2**32
"""Of a file of the user's that is read as a whole to see whether it changed."""


def content_hash(path: Path) -> str:
    """SHA-256 of a file; of a folder, that of one line ``HASH  NAME`` for each file in it, in the order of the names.

    It depends on contents and names alone, so that a copy elsewhere has the same.
    """
    if not path.is_dir():
        return _of_file(path)
    lines = [f"{_of_file(path / name)}  {name}\n" for name in _inside(path)]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def source_hash(path: Path) -> str:
    """Hash of a file that is not ours: of its content; of one that is large, as those with movies are, of its times."""
    looks = looks_of(path)
    return content_hash(path) if looks["bytes"] <= MOST_BYTES else str(looks["times"])


def stamp_of(path: Path) -> dict[str, Any]:
    """What `verified` compares: bytes, the places and times of all files as one hash, and the content's hash."""
    return {**looks_of(path), "hash": content_hash(path)}


def verified(path: Path, stamp: Mapping[str, Any]) -> dict[str, Any] | None:
    """The stamp, brought up to date, if a file or folder is what it was taken of; None if it is not, or is missing.

    Contents are read only where the times differ, as those of a copy do, or where the stamp knows nothing but a hash.
    """
    if not path.exists():
        return None
    looks = looks_of(path)
    if looks["bytes"] != stamp.get("bytes", looks["bytes"]):
        return None
    same = looks["times"] == stamp.get("times") or content_hash(path) == stamp.get("hash")
    return {**stamp, **looks} if same else None


def looks_of(path: Path) -> dict[str, Any]:
    """Bytes and times, without reading anything."""
    names = _inside(path) if path.is_dir() else [""]
    found = [(name, os.stat(path / name if name else path)) for name in names]
    text = "".join(f"{name}\0{at.st_size}\0{at.st_mtime_ns}\n" for name, at in found)
    times = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return {"bytes": sum(at.st_size for _, at in found), "times": times}


def _inside(folder: Path) -> list[str]:
    """Every file under a folder, by its path in there."""
    files = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return sorted(path.relative_to(folder).as_posix() for path in files)


def _of_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
