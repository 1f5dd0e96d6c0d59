"""What there is: the registry of data sets, read from two text files beside this one."""

import dataclasses
import fnmatch
import functools
import tomllib
from importlib.resources import files as resources
from pathlib import PurePosixPath

from antidrome.errors import InputError, did_you_mean


@dataclasses.dataclass(frozen=True)
class File:
    """One file of a data set; `path` is relative to the mirror."""

    path: str
    size: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set: what it is, whose it is, and which files it has."""

    name: str
    title: str
    origin: str
    licence: str
    cite: str
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@functools.cache
def datasets() -> dict[str, Dataset]:
    """All data sets by name."""
    folder = resources("antidrome.data")
    described = tomllib.loads(folder.joinpath("datasets.toml").read_text("utf-8"))
    listed = [_file(line) for line in folder.joinpath("files.txt").read_text("utf-8").splitlines()]
    return {name: _dataset(name, entry, listed) for name, entry in described.items()}


def find(name: str) -> Dataset:
    """The data set called `name`.

    Raises
    ------
    InputError
        There is none of that name.
    """
    known = datasets()
    if name not in known:
        raise InputError(
            f"There is no data set {name!r}.{did_you_mean(name, known)} `antidrome data list` shows all of them."
        )
    return known[name]


def _dataset(name: str, entry: dict, listed: list[File]) -> Dataset:
    patterns = entry.get("files", ["*"])
    folder = PurePosixPath(entry["folder"])
    files = tuple(
        file
        for file in listed
        if PurePosixPath(file.path).parent == folder
        and any(fnmatch.fnmatchcase(PurePosixPath(file.path).name, pattern) for pattern in patterns)
    )
    return Dataset(name, entry["title"], entry["origin"], entry["licence"], entry["cite"], files)


def _file(line: str) -> File:
    sha256, size, path = line.split(" ", 2)
    return File(path, int(size), sha256)
