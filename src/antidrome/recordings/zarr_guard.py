"""What is refused of a Zarr store before it is read: codecs that run code, and arrays that are not there."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from antidrome.errors import FileFormatError, UnsafeFileError
from antidrome.recordings.safety import (
    SUSPECT_BYTES,
    human_bytes,
    product_bytes,
    require_chunk,
    require_declared,
    require_file,
    require_size,
)

_ZARR_CODECS = frozenset(
    re.findall(
        r"\S+",
        "blosc zlib gzip zstd lz4 lz4hc bz2 lzma lzf snappy delta fixedscaleoffset quantize bitround shuffle "
        "bitshuffle astype packbits fletcher32 crc32 crc32c adler32 jenkins_lookup3 vlen-utf8 vlen-bytes vlen-array "
        "bytes transpose sharding_indexed pcodec zfpy json2 categorize base64",
    )
)
_CODEC_KEYS = ("codecs", "index_codecs", "filters", "compressor", "object_codec")
_ZARR_METADATA = (".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json")
_MAX_METADATA_BYTES = 64 * 2**20

MAX_ZARR_RATIO = 11_000
"""Zstandard and Blosc shrink what is even further than Deflate can."""


def guard_zarr(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> None:
    """Refuse a Zarr store whose metadata name unknown codecs (one of them unpickles) or declare too much.

    Parameters
    ----------
    path
        Folder of the store.
    max_bytes
        Largest declared size of one array; None: of one axis 64 GiB, else what compression can make of what is stored.

    Raises
    ------
    UnsafeFileError, FileFormatError
        With the metadata file in the message.
    """
    for file in _metadata_files(require_file(path)):
        metadata = _read_json(file)
        _guard_codecs(metadata, file)
        _guard_declared(metadata, file, max_bytes)


def _metadata_files(root: Path) -> Iterator[Path]:
    """All that Zarr may read below a folder, also through links to groups and arrays elsewhere."""
    waiting, followed = [str(root)], set()
    while waiting:
        for folder, below, names in os.walk(waiting.pop()):
            yield from (Path(folder) / name for name in _ZARR_METADATA if name in names)
            for link in filter(os.path.islink, (os.path.join(folder, name) for name in below)):
                end = os.path.realpath(link)
                if end not in followed and any(os.path.exists(os.path.join(end, name)) for name in _ZARR_METADATA):
                    followed.add(end)
                    waiting.append(link)


def _read_json(file: Path) -> Any:
    require_size(file.stat().st_size, _MAX_METADATA_BYTES, f"{file} (metadata)")
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{file} is damaged: its metadata are not JSON ({error})") from error


def _guard_codecs(metadata: Any, file: Path) -> None:
    if isinstance(metadata, list):
        for item in metadata:
            _guard_codecs(item, file)
    if not isinstance(metadata, dict):
        return
    for key, value in metadata.items():
        if key in _CODEC_KEYS:
            for codec in value if isinstance(value, list) else [value]:
                _guard_codec(codec, file)
        _guard_codecs(value, file)


def _guard_codec(codec: Any, file: Path) -> None:
    name = codec.get("id", codec.get("name")) if isinstance(codec, dict) else codec
    if name is None or not isinstance(codec, (dict, str)):
        return
    if str(name).removeprefix("numcodecs.") not in _ZARR_CODECS:
        raise UnsafeFileError(
            f"{file} asks for the codec {str(name)!r}, which is not one that recordings need "
            "(the codec 'pickle' runs code when data are read): write the data again with a standard codec"
        )


def _guard_declared(metadata: Any, file: Path, max_bytes: int | None) -> None:
    """Size of the array that this metadata file describes, and of those listed in consolidated metadata."""
    if not isinstance(metadata, dict):
        return
    consolidated = metadata.get("consolidated_metadata")
    listed = consolidated.get("metadata") if isinstance(consolidated, dict) else metadata.get("metadata")
    for name, item in {"": metadata, **(listed if isinstance(listed, dict) else {})}.items():
        shape = item.get("shape") if isinstance(item, dict) else None
        if not isinstance(shape, list) or not all(isinstance(length, int) for length in shape):
            continue
        itemsize = _item_bytes(item.get("dtype", item.get("data_type")))
        declared = product_bytes(shape, itemsize)
        require_declared(declared, len(shape), max_bytes, str(file))
        require_chunk(product_bytes(_zarr_chunk(item), itemsize), declared, str(file), max_bytes)
        if declared > SUSPECT_BYTES:
            _require_stored(declared, file, str(name).removesuffix(".zarray"))


def _require_stored(declared: int, file: Path, name: str) -> None:
    """Refuse an array, of a name in the folder of a metadata file, of which next to nothing lies in its folder."""
    folder, stored = file.parent / name, 0
    inside = not Path(name).is_absolute() and ".." not in Path(name).parts  # links may lead to another disk
    for entry in folder.rglob("*") if inside else ():
        stored += entry.stat().st_size if entry.is_file() else 0
        if declared <= MAX_ZARR_RATIO * stored:
            return
    raise UnsafeFileError(
        f"{file} declares {human_bytes(declared)} but stores {human_bytes(stored)}: the data are missing"
    )


def _zarr_chunk(item: dict[str, Any]) -> list[int]:
    """Shape of a chunk (Zarr 2) or of a chunk or shard (Zarr 3); empty where the metadata do not say."""
    grid = item.get("chunk_grid")
    configuration = grid.get("configuration") if isinstance(grid, dict) else None
    chunk = configuration.get("chunk_shape") if isinstance(configuration, dict) else item.get("chunks")
    return chunk if isinstance(chunk, list) and all(isinstance(length, int) for length in chunk) else []


def _item_bytes(dtype: Any) -> int:
    digits = "".join(c for c in dtype if c.isdigit()) if isinstance(dtype, str) else ""
    if not digits:
        return 8
    return max(1, int(digits) // 8) if not dtype.startswith(("<", ">", "|")) else int(digits)
