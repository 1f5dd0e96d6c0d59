"""Global heaps of HDF5 files, in which texts of variable length lie, looked through before HDF5 walks them.

HDF5 goes from object to object by the size that each one states and does not come back if a size leads nowhere, so
one damaged byte holds a program for ever (HDF5 File Format Specification 3.0, section III.E).
"""

import mmap
import re
from pathlib import Path
from struct import Struct
from typing import Any

import h5py

from antidrome.errors import FileFormatError

MAX_BYTES = 256 * 2**20
"""Files larger than this are not looked through: it would read them whole."""

_COLLECTION = re.compile(rb"GCOL\x01\x00\x00\x00")
_HEADER_BYTES = 16
"""Of a collection and of each object in it: HDF5 rounds both up to a multiple of eight bytes."""

_SIZES = {2: Struct("<H"), 4: Struct("<I"), 8: Struct("<Q")}
_INDEX = _SIZES[2]


def guard_global_heaps(file: h5py.File) -> None:
    """Raise FileFormatError if a global heap of an open file holds an object from which HDF5 would not go on."""
    path = Path(file.filename)
    if path.stat().st_size > MAX_BYTES:
        return
    size_at = _SIZES[file.id.get_create_plist().get_sizes()[1]].unpack_from
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for collection in _COLLECTION.finditer(content):
            position = _first_impossible(content, collection.start(), size_at)
            if position is not None:
                raise FileFormatError(
                    f"{path} is damaged: the texts in its heap cannot be told apart at byte {position}. "
                    "Copy it again, or write it anew."
                )


def _first_impossible(content: mmap.mmap, start: int, size_at: Any) -> int | None:
    """Where an object of the collection says that the next one begins at itself, or outside the collection."""
    cut_short = start + _HEADER_BYTES > len(content)
    end = start if cut_short else start + size_at(content, start + 8)[0]
    if cut_short or end > len(content):
        return None  # HDF5 refuses this itself
    position = start + _HEADER_BYTES
    while position + _HEADER_BYTES <= end:
        (index,) = _INDEX.unpack_from(content, position)
        (size,) = size_at(content, position + 8)
        step = size if index == 0 else _HEADER_BYTES + (size + 7) // 8 * 8  # index 0: what is free, header included
        if not _HEADER_BYTES <= step <= end - position:
            return position
        position += step
    return None
