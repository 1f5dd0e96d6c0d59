"""The results folder: who may write into it, and what of it this job wrote."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from antidrome.core.files import atomic_write
from antidrome.core.locks import try_lock
from antidrome.errors import InputError

CACHE = ".antidrome"
"""Folder inside the results folder that holds what a repeated command goes on from; it may be deleted at any time."""

SUMMARY, REPORT, RECORD, SETTINGS = "summary.json", "report.html", "run.json", "run.toml"
PAGES = (SETTINGS, RECORD, SUMMARY, REPORT)
"""What a run leaves besides its results."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file's object; empty if there is no file or it is damaged."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write strict JSON, atomically."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_write(path) as temporary:
        temporary.write_text(text, "utf-8")


@contextlib.contextmanager
def locked(output: Path) -> Iterator[None]:
    """Keep other processes out of the results folder; the system lifts the lock when the process ends, however it ends.

    Raises
    ------
    InputError
        If another process works in the folder.
    """
    (output / CACHE).mkdir(parents=True, exist_ok=True)
    with open(output / CACHE / "lock", "a+b") as stream:
        if not try_lock(stream.fileno()):
            raise InputError(
                f"Another antidrome works in {output} just now. Wait until it has finished, or give another folder."
            )
        yield


def spare_recordings(recordings: Mapping[str, str], targets: Sequence[Path], file_format: str) -> None:
    """See to it that no recording is lost to its own results.

    Parameters
    ----------
    recordings
        Their paths, each with its format.
    targets
        What is to be written or replaced.
    file_format
        In which format. Spikes in NWB may go into the recording's own NWB file, which is copied first.

    Raises
    ------
    InputError
        If a recording is what would be replaced, lies inside of it, or is a Zarr store that it would lie in.
    """
    for recording, its_format in recordings.items():
        source = Path(os.path.realpath(recording))
        for target in targets:
            place = Path(os.path.realpath(target))
            replaced = place in source.parents or (place == source and not its_format == file_format == "nwb")
            if replaced or (its_format == "zarr" and source in place.parents):
                raise InputError(
                    f"{target} would {'replace' if replaced else 'lie inside'} the recording {recording}, which is left"
                    " as it is. Choose another place with -o."
                )


class Manifest:
    """Which files of the results folder this job wrote, and from what: ``.antidrome/manifest.json``.

    A file is claimed before it is written and marked done, with the key of what it was made from, afterwards; so a
    killed run knows its own files again, and never takes a stranger's for its own.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self._path = output / CACHE / "manifest.json"
        self._files: dict[str, str] = {str(k): str(v) for k, v in read_json(self._path).get("files", {}).items()}

    def claim(self, names: list[str], *, overwrite: bool) -> None:
        """Announce the files that this run will write.

        Raises
        ------
        InputError
            If one of them exists, was not written by this job, and may not be overwritten.
        """
        if not overwrite:
            self.refuse_strangers(names)
        self._files.update({name: "" for name in names if name not in self._files})
        self._save()

    def refuse_strangers(self, names: list[str]) -> None:
        """InputError if one of the files exists and was not written by this job."""
        strangers = [name for name in names if name not in self._files and (self.output / name).exists()]
        if strangers:
            raise InputError(
                f"{self.output} already holds {', '.join(strangers)}, which this job did not write. "
                "Give another folder with -o, or --overwrite to replace what is there."
            )

    def is_done(self, name: str, key: str) -> bool:
        """Whether the file is there and was made from `key`."""
        return self._files.get(name) == key and (self.output / name).exists()

    def done(self, name: str, key: str) -> None:
        """Mark a file as written from `key`."""
        self._files[name] = key
        self._save()

    def remove_stale(self, current: list[str], key: str) -> list[str]:
        """Remove this job's files that were made from anything else than `key`; return their names.

        The same results in another format stay.
        """
        import shutil

        stale = [name for name, made_from in self._files.items() if name not in current and made_from != key]
        removed = [name for name in stale if (self.output / name).exists()]
        for name in stale:
            path = self.output / name
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            del self._files[name]
        if stale:
            self._save()
        return removed

    def _save(self) -> None:
        write_json(self._path, {"files": dict(sorted(self._files.items()))})
