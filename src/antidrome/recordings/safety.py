"""What is refused before it is read: other people's files must not reach our other files, our memory, or our code.

An HDF5 file can name any file of this machine as the place of its data (external links, external storage, virtual
datasets) and can declare terabytes in a few kilobytes. The guards here look at names and sizes only; nothing is read
before they agree. A hostile file can still reach a defect of the HDF5 library itself: open what you do not trust in a
sandbox.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import h5py

from antidrome.errors import AntidromeError, FileFormatError, InputError, UnsafeFileError
from antidrome.recordings.hdf5_types import require_sound_types
from antidrome.recordings.heaps import guard_global_heaps

DEFAULT_MAX_BYTES = 64 * 2**30
"""Largest size, in bytes, that an array may declare which is read into memory whole."""

SUSPECT_BYTES = 256 * 2**20
MAX_DEFLATE_RATIO = 1100
"""Deflate cannot shrink data more than 1032-fold, so a larger ratio means that the data are not there."""

_MAX_CHUNK_RATIO = 4
"""A chunk that is much larger than its array has no other use than to fill the memory."""


def require_file(path: str | os.PathLike[str]) -> Path:
    """The path of an existing file or folder, or InputError saying that it is missing."""
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"got a {type(path).__name__}, expected the path of a file or folder")
    found = Path(path)
    if not found.exists():
        raise InputError(f"{found}: no such file or folder")
    if not (found.is_file() or found.is_dir()):
        raise InputError(f"{found} is a pipe or a device, which can be read only once: copy what it gives into a file")
    return found


def require_size(declared: int, max_bytes: int, where: str) -> None:
    """Raise UnsafeFileError if ``declared`` bytes are more than the cap."""
    if declared > max_bytes:
        raise UnsafeFileError(
            f"{where} declares {human_bytes(declared)}, more than the cap of {human_bytes(max_bytes)}: "
            "if the file is what you expect, raise max_bytes"
        )


def require_declared(declared: int, n_axes: int, max_bytes: int | None, where: str) -> None:
    """Hold the bytes that an array of a store declares against the cap.

    Without a cap, tables may be of any size: they are read block by block, and what they declare is held against what
    is stored.
    """
    if max_bytes is None and n_axes > 1:
        return
    require_size(declared, DEFAULT_MAX_BYTES if max_bytes is None else max_bytes, where)


def human_bytes(size: float) -> str:
    """A size for people, in binary units."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TiB"


@contextmanager
def open_hdf5(
    path: str | os.PathLike[str],
    *,
    allow_external: bool = False,
    max_bytes: int | None = None,
    every_size: bool = False,
) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading after looking at every link and dataset in it.

    Parameters
    ----------
    path
        The file.
    allow_external
        Allow external links, external storage and virtual datasets, which let the file read other files.
    max_bytes
        Largest declared size of one dataset; None: of one axis 64 GiB, else what compression can make of the file.
    every_size
        Look at the sizes of datasets of three and more dimensions too; by default they are passed over, since a file
        may hold its movie and a recording is never read from one.

    Raises
    ------
    FileFormatError
        If it is not an HDF5 file, or is cut short.
    UnsafeFileError
        If it points outside itself, or a dataset declares more than the cap or more than its stored bytes can hold.
    """
    file = open_unguarded(require_file(path))
    try:
        with damage_named(path):
            guard_hdf5(file, allow_external=allow_external, max_bytes=max_bytes, every_size=every_size)
            yield file
    finally:
        file.close()


@contextmanager
def damage_named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what h5py, Zarr and its codecs raise on a damaged file into FileFormatError."""
    try:
        yield
    except AntidromeError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError, SystemError) as error:
        reason = str(error).rstrip(".")
        raise FileFormatError(f"{path} is damaged: {reason}. Copy it again, or write it anew.") from error


def guard_hdf5(
    file: h5py.File, *, allow_external: bool = False, max_bytes: int | None = None, every_size: bool = False
) -> None:
    """Refuse what points outside the file or declares too much; see :func:`open_hdf5`."""
    seen: set[Any] = set()
    groups: list[h5py.Group] = [file["/"]]
    while groups:
        group = groups.pop()
        if group.id in seen:
            continue
        seen.add(group.id)
        require_sound_types(group, f"{file.filename}: {group.name}")
        for name in group:
            where = f"{file.filename}: {group.name.rstrip('/')}/{name}"
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                if not allow_external:
                    raise UnsafeFileError(f"{where} is a link into another file ({link.filename}); {_EXTERNAL_ADVICE}")
                continue
            if isinstance(link, h5py.SoftLink):
                continue
            member = _member(group, name, where)
            if isinstance(member, h5py.Group):
                groups.append(member)
            elif isinstance(member, h5py.Dataset):
                require_sound_types(member, where)
                guard_dataset(member, where, allow_external=allow_external)
                if every_size or member.ndim < 3:
                    _guard_size(member, where, max_bytes)


def guard_dataset(dataset: h5py.Dataset, where: str, *, allow_external: bool = False) -> None:
    """Refuse a dataset whose data lie in other files."""
    if allow_external:
        return
    if dataset.external:
        other = dataset.external[0][0]
        raise UnsafeFileError(f"{where} keeps its data in another file ({other}); {_EXTERNAL_ADVICE}")
    if dataset.is_virtual:
        raise UnsafeFileError(f"{where} is assembled from other files (virtual dataset); {_EXTERNAL_ADVICE}")


def _guard_size(dataset: h5py.Dataset, where: str, max_bytes: int | None) -> None:
    """Refuse a dataset that declares more than the cap, or than what is stored of it can hold."""
    declared = (dataset.size or 0) * dataset.dtype.itemsize
    require_declared(declared, dataset.ndim, max_bytes, where)
    if dataset.chunks is not None:
        require_chunk(product_bytes(dataset.chunks, dataset.dtype.itemsize), declared, where, max_bytes)
    if declared > SUSPECT_BYTES and not dataset.external and not dataset.is_virtual:
        stored = dataset.id.get_storage_size()
        if declared > MAX_DEFLATE_RATIO * stored:
            raise UnsafeFileError(
                f"{where} declares {human_bytes(declared)} but stores {human_bytes(stored)}: "
                "the data are missing, or the file is made to exhaust memory"
            )


def require_chunk(chunk: int, declared: int, where: str, max_bytes: int | None) -> None:
    """Refuse chunks (bytes) that would fill the memory: any part of an array is read with the chunk that it lies in."""
    require_size(chunk, DEFAULT_MAX_BYTES if max_bytes is None else max_bytes, f"one chunk of {where}")
    if chunk > SUSPECT_BYTES and chunk > _MAX_CHUNK_RATIO * declared:
        raise UnsafeFileError(
            f"{where} declares chunks of {human_bytes(chunk)} for an array of {human_bytes(declared)}: "
            "it looks made to exhaust memory"
        )


def product_bytes(lengths: Iterable[int], itemsize: int) -> int:
    """Size (bytes) of an array of these lengths."""
    return prod((max(length, 0) for length in lengths), start=itemsize)


_EXTERNAL_ADVICE = "a recording needs no other file: copy the data in, or pass allow_external=True if you trust it"


def open_unguarded(path: Path) -> h5py.File:
    """Open an HDF5 file without a look at its links: only for reading its root attributes and link names."""
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        reason = str(error)
        if "truncated" in reason:
            raise FileFormatError(f"{path} is cut short (an HDF5 file that ends too early): copy it again") from error
        if "signature" in reason:
            raise FileFormatError(f"{path} is not an HDF5 file, or its beginning is damaged") from error
        raise FileFormatError(f"{path} cannot be opened as HDF5: {reason}") from error
    try:
        guard_global_heaps(file)
        require_sound_types(_member(file, "/", str(path)), str(path))
    except BaseException:
        file.close()
        raise
    return file


def _member(group: h5py.Group, name: str, where: str) -> Any:
    try:
        return group[name]
    except (KeyError, OSError, RuntimeError, ValueError, TypeError) as error:
        raise FileFormatError(f"{where} cannot be read, the file is damaged: {error}") from error
