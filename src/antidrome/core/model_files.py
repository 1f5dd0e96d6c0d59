"""Model files: one ``.safetensors`` file with named arrays and a JSON header. Never a pickle.

The header is the text under the metadata key ``antidrome``::

    {"format_version": 1, "class": "SpikeVAE", "config": {...}, "units": {...}, "seed": 0,
     "versions": {"antidrome": "0.1.0", ...}, "data_hash": "...", "citations": ["speiser2017"], "sha256": "..."}

Everything is checked before an array is read: sizes against caps, the class against the registry below, the format
version, every byte against the digest in the header. A damaged, foreign or newer file is refused with one sentence.
Files of every earlier version stay readable, those without a digest among them.
"""

import dataclasses
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from antidrome.core.files import atomic_write
from antidrome.core.seals import PLACE, is_intact, write_sealed
from antidrome.errors import ModelFileError, did_you_mean

FORMAT_VERSION = 1
CLASSES = frozenset(
    {
        "DynamicsSketch",
        "DynamicsStage",
        "MechanismPosterior",
        "RecognitionNetwork",
        "SNPECheckpoint",
        "SpikeVAE",
        "StitchedLDS",
        "TrainingCheckpoint",
        "TwoNN",
    }
)
LOADERS = {"SpikeVAE": "SpikeVAE", "StitchedLDS": "StitchedLDS", "TwoNN": "TwoNN", "MechanismPosterior": "SNPE"}
MAX_FILE_BYTES = 64 * 2**30
MAX_HEADER_BYTES = 16 * 2**20
MAX_ENTRIES = 10_000
VERSIONED_PACKAGES = ("antidrome", "numpy", "jax", "equinox")
_KEY = "antidrome"
_FIELDS = {"class": str, "config": dict, "units": dict, "versions": dict, "citations": list, "extra": dict}
_DTYPES = frozenset({"BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64", "F16", "F32", "F64"})
_FOREIGN = {
    b"PK\x03\x04": "a ZIP archive (a PyTorch or NumPy file?)",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUM": "a NumPy file",
    b"\x80\x02": "a Python pickle",
    b"\x80\x03": "a Python pickle",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelHeader:
    """What a model file says of itself."""

    class_name: str
    config: dict[str, Any]
    units: dict[str, str] = dataclasses.field(default_factory=dict)
    seed: int | None = None
    data_hash: str | None = None
    citations: tuple[str, ...] = ()
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    format_version: int = FORMAT_VERSION
    sha256: str | None = None


def save_model(
    path: str | os.PathLike,
    arrays: Mapping[str, Any],
    *,
    class_name: str,
    config: Mapping[str, Any],
    units: Mapping[str, str] | None = None,
    seed: int | None = None,
    data_hash: str | None = None,
    citations: Sequence[str] = (),
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write arrays and header as one model file, atomically: the path holds the old file or the new one, never half.

    Parameters
    ----------
    path
        The file to write, by habit ``*.safetensors``.
    arrays
        Name → numeric or boolean array (numpy, JAX) of any shape.
    class_name
        A name of the registry ``CLASSES``.
    config
        The configuration, JSON-ready (:func:`antidrome.core.configuration.to_dict`).
    units
        Unit of each array or output, for people.
    seed, data_hash, citations
        The seed it was trained with, the hash of what it was trained on, the papers behind it.
    extra
        Further JSON-ready facts (metrics reached, sets trained on).

    Raises
    ------
    ModelFileError
        If the class is unknown, an array is not numeric, or the header is not JSON-ready or too large.
    """
    _check_class(class_name, str(path))
    header = {
        "format_version": FORMAT_VERSION,
        "class": class_name,
        "config": dict(config),
        "units": dict(units or {}),
        "seed": seed,
        "versions": package_versions(),
        "data_hash": data_hash,
        "citations": list(citations),
        "extra": dict(extra or {}),
        "sha256": PLACE,
    }
    try:
        text = json.dumps(header, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: the header cannot be written as JSON ({error}).") from error
    tensors = {name: _storable(name, value, str(path)) for name, value in arrays.items()}
    if len(text.encode()) > MAX_HEADER_BYTES // 2 or len(tensors) > MAX_ENTRIES:
        raise ModelFileError(
            f"{path}: {len(tensors)} arrays and {len(text):,} characters of header are more than a model file may hold"
            f" ({MAX_ENTRIES:,} arrays, {MAX_HEADER_BYTES // 2:,} bytes)."
        )
    size = sum(tensor.nbytes for tensor in tensors.values()) + MAX_HEADER_BYTES
    if size > MAX_FILE_BYTES:
        raise ModelFileError(
            f"{path}: arrays of {size:,} bytes are more than a model file may hold ({MAX_FILE_BYTES:,})."
        )
    from safetensors.numpy import save

    data = save(tensors, metadata={_KEY: text})
    with atomic_write(path) as temporary, open(temporary, "wb") as stream:
        write_sealed(stream, data)


def load_model(
    path: str | os.PathLike, *, expected_class: str | None = None
) -> tuple[dict[str, np.ndarray], ModelHeader]:
    """Read a model file: its arrays by name, and its header.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged (any byte of it), larger than the caps, not written by Antidrome, of a newer
        format, of an unknown class, or of another class than ``expected_class``.
    """
    header = read_header(path)
    if expected_class is not None and header.class_name != expected_class:
        raise ModelFileError(
            f"{path}: this file holds a {header.class_name}, not a {expected_class}."
            + (f" Load it with {LOADERS[header.class_name]}.load." if header.class_name in LOADERS else "")
        )
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        if header.sha256 is not None and not is_intact(path, header.sha256):
            raise ModelFileError(
                f"{path}: the file is damaged, or was changed after it was saved (its bytes do not match the checksum"
                " in its header). Copy or download it again, or save the model anew."
            )
        return load_file(path), header
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(f"{path}: the file is damaged ({error}). Copy or download it again.") from error


def read_header(path: str | os.PathLike) -> ModelHeader:
    """Read and check the header of a model file without reading its arrays.

    Raises
    ------
    ModelFileError
        As :func:`load_model`, but for damage that only the checksum tells, for which all is read.
    """
    entries = _read_entries(path)
    metadata = entries.pop("__metadata__", None)
    text = metadata.get(_KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise ModelFileError(f"{path}: this safetensors file was not written by Antidrome (its header is missing).")
    for name, entry in entries.items():
        dtype = entry.get("dtype") if isinstance(entry, dict) else None
        if dtype not in _DTYPES:
            raise ModelFileError(f"{path}: array {name!r} has the type {dtype!r}, which no model file uses.")
    return _parse_header(_parse_json(text, path), path)


def package_versions() -> dict[str, str]:
    """Return the versions that results depend on, by package name, Python among them."""
    versions = {"python": platform.python_version()}
    for package in VERSIONED_PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _read_entries(path: str | os.PathLike) -> dict[str, Any]:
    """Read the safetensors table of contents, with caps on everything that a hostile file could inflate."""
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as stream:
            start = stream.read(8)
            n_header = int.from_bytes(start, "little")
            if len(start) == 8 and n_header <= min(MAX_HEADER_BYTES, size - 8):
                raw = stream.read(n_header)
            else:
                raise ModelFileError(f"{path}: {_what_is_wrong(start, n_header, size)}")
    except OSError as error:
        raise ModelFileError(f"{path}: the model file cannot be read ({error.strerror or error}).") from error
    if size > MAX_FILE_BYTES:
        raise ModelFileError(f"{path}: the file has {size:,} bytes; a model file has at most {MAX_FILE_BYTES:,}.")
    entries = _parse_json(raw, path)
    if not isinstance(entries, dict):
        raise ModelFileError(f"{path}: the file is damaged (its table of contents is not a table).")
    if len(entries) > MAX_ENTRIES + 1:
        raise ModelFileError(f"{path}: the file lists {len(entries):,} arrays; the most allowed is {MAX_ENTRIES:,}.")
    return entries


def _what_is_wrong(start: bytes, n_header: int, size: int) -> str:
    for magic, name in _FOREIGN.items():
        if start.startswith(magic):
            return f"this is {name}, not a model file of Antidrome, and it was not opened."
    if len(start) < 8:
        return f"the file has only {size} bytes: it is truncated. Copy or download it again."
    return (
        f"its first bytes declare a header of {n_header:,} bytes in a file of {size:,} (cap {MAX_HEADER_BYTES:,}):"
        " it is truncated, or not a model file."
    )


def _parse_json(text: str | bytes, path: str | os.PathLike) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: the file is damaged (its header is not JSON).") from error


def _parse_header(values: Any, path: str | os.PathLike) -> ModelHeader:
    if not isinstance(values, dict) or not isinstance(values.get("format_version"), int):
        raise ModelFileError(f"{path}: the file is damaged (its header names no format version).")
    if values["format_version"] > FORMAT_VERSION:
        written_by = values.get("versions", {})
        version = written_by.get("antidrome", "?") if isinstance(written_by, dict) else "?"
        raise ModelFileError(
            f"{path}: format {values['format_version']} (written by Antidrome {version}) is newer than this Antidrome"
            f" reads (format {FORMAT_VERSION}). Update with: pip install --upgrade antidrome"
        )
    if values["format_version"] < 1:
        raise ModelFileError(f"{path}: the file is damaged (format version {values['format_version']}).")
    for key, kind in _FIELDS.items():
        if not isinstance(values.get(key), kind):
            raise ModelFileError(f"{path}: the file is damaged (header field {key!r} is missing or of a wrong type).")
    _require_seal(values, path)
    _check_class(values["class"], str(path))
    return ModelHeader(
        class_name=values["class"],
        config=values["config"],
        units=values["units"],
        seed=values.get("seed"),
        data_hash=values.get("data_hash"),
        citations=tuple(map(str, values["citations"])),
        extra=values["extra"],
        versions=values["versions"],
        format_version=values["format_version"],
        sha256=values.get("sha256"),
    )


def _require_seal(values: dict[str, Any], path: str | os.PathLike) -> None:
    """Refuse a header whose digest is no text, or has lost its name; the first files had none, and no other fields."""
    unknown = set(values) - {*_FIELDS, "format_version", "seed", "data_hash", "sha256"}
    if not isinstance(values.get("sha256", "" if not unknown else None), str):
        raise ModelFileError(f"{path}: the file is damaged (the checksum in its header is missing or no text).")


def _check_class(class_name: str, path: str) -> None:
    if class_name not in CLASSES:
        raise ModelFileError(
            f"{path}: the model class {class_name!r} is unknown to this Antidrome.{did_you_mean(class_name, CLASSES)}"
        )


def _storable(name: str, value: Any, path: str) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise ModelFileError(f"{path}: array {name!r} has the type {array.dtype}; a model file holds plain numbers.")
    return np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")


__all__ = ["CLASSES", "FORMAT_VERSION", "ModelHeader", "load_model", "package_versions", "read_header", "save_model"]
