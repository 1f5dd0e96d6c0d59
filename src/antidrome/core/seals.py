"""The seal of a model file: the SHA-256 of all its bytes, kept in its header and checked before an array is believed.

The digest cannot cover itself: it is that of the file with `PLACE` where the digest stands.
"""

import hashlib
import os
import re
from typing import BinaryIO

PLACE = hashlib.sha256(b"antidrome").hexdigest()
"""What stands in a header until the digest is known."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_BLOCK_BYTES = 2**20


def write_sealed(stream: BinaryIO, data: bytes) -> None:
    """Write a file whose header holds `PLACE`, with the digest in its stead."""
    start = data.index(PLACE.encode())
    view = memoryview(data)
    stream.write(view[:start])
    stream.write(hashlib.sha256(view).hexdigest().encode())
    stream.write(view[start + len(PLACE) :])


def is_intact(path: str | os.PathLike, digest: str) -> bool:
    """Whether a file holds the bytes that were written, by the digest in its header; read block by block.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    if not _DIGEST.fullmatch(digest):
        return False
    with open(path, "rb") as stream:
        start = stream.read(8)
        start += stream.read(int.from_bytes(start, "little"))
        found = hashlib.sha256(start.replace(digest.encode(), PLACE.encode(), 1))
        while block := stream.read(_BLOCK_BYTES):
            found.update(block)
    return found.hexdigest() == digest


__all__ = ["PLACE", "is_intact", "write_sealed"]
