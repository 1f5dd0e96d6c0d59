"""The results folder: who may write into it, and what of it this job wrote."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from antidrome.core.files import read_json, write_json
from antidrome.core.locks import try_lock, unlock
from antidrome.errors import InputError
from antidrome.pipeline.written import content_hash, stamp_of, verified

CACHE = ".antidrome"
"""Folder inside the results folder that holds what a repeated command goes on from, among it the spikes once more.

It may be deleted when nothing runs: the same command then computes everything anew.
"""

SUMMARY, REPORT, RECORD, SETTINGS = "summary.json", "report.html", "run.json", "run.toml"
PAGES = (SETTINGS, RECORD, SUMMARY, REPORT)
"""What a run leaves besides its results."""
TOLD = "told by summary.json"
"""Key of a file that only the pages of an earlier run call the job's own."""


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
        try:
            yield
        finally:
            unlock(stream.fileno())


def spare_recordings(
    recordings: Mapping[str, str],
    targets: Sequence[Path],
    *,
    may_join: bool = False,
    called: str = "recording",
    option: str = "-o",
) -> None:
    """See to it that no recording, or whatever else is read, is lost to its own results.

    Parameters
    ----------
    recordings
        Their paths, each with its format.
    targets
        What is to be written, replaced or removed.
    may_join
        Whether results may go into the recording's own file if it is NWB, which is copied first.
    called, option
        What is read, and which option names the targets, for the message.

    Raises
    ------
    InputError
        If a recording is what would be replaced, lies inside of it, or is a Zarr store that it would lie in.
    """
    for recording, its_format in recordings.items():
        source = Path(os.path.realpath(recording))
        for target in targets:
            place = Path(os.path.realpath(target))
            replaced = place in source.parents or (place == source and not (may_join and its_format == "nwb"))
            if replaced or (its_format == "zarr" and source in place.parents):
                raise InputError(
                    f"{target} would {'replace' if replaced else 'lie inside'} the {called} {recording}, which is left"
                    f" as it is. Choose another place with {option}."
                )


class Manifest:
    """Which files of the results folder this job wrote, and from what: ``.antidrome/manifest.json``.

    A file is claimed before it is written and marked done, with the key of what it was made from and the hash of its
    contents, afterwards; so a killed run knows its own files again, a damaged file is not taken for a result, and a
    stranger's never for the job's own. Where the manifest was deleted, ``summary.json`` and ``run.json`` tell whose the
    files are.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self._path = output / CACHE / "manifest.json"
        known = read_json(self._path) or _told_by_pages(output)
        self._files: dict[str, str] = {str(name): str(key) for name, key in known.get("files", {}).items()}
        self._stamps: dict[str, dict[str, Any]] = {
            str(name): stamp for name, stamp in known.get("written", {}).items() if isinstance(stamp, dict)
        }

    @property
    def names(self) -> list[str]:
        """The files of this job, which it may replace and remove."""
        return list(self._files)

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

    def made_from(self, name: str, key: str) -> bool:
        """Whether the file is there and was made from `key`, whatever became of it since."""
        return self._files.get(name) == key and (self.output / name).exists()

    def may_be_of(self, name: str, key: str) -> bool:
        """Whether nothing says that the file was made from anything else than `key`."""
        return self._files.get(name, TOLD) in (TOLD, key)

    def is_done(self, name: str, key: str) -> bool:
        """Whether the file was made from `key`, and is there as it was written."""
        return self.made_from(name, key) and self.is_intact(name)

    def is_intact(self, name: str) -> bool:
        """Whether the file is there as it was written; of a file from before hashes were kept, whether it is there."""
        path, stamp = self.output / name, self._stamps.get(name)
        if stamp is None:
            return path.exists()
        found = verified(path, stamp)
        if found is not None and found != stamp:
            self._stamps[name] = found
            self._save()
        return found is not None

    def changed(self) -> list[str]:
        """The files that are no longer what this job wrote, though they are there."""
        return [name for name in list(self._stamps) if (self.output / name).exists() and not self.is_intact(name)]

    def begin(self, name: str) -> None:
        """Take back that a file is done, before it is written anew."""
        self._files[name] = ""
        self._stamps.pop(name, None)
        self._save()

    def done(self, name: str, key: str) -> None:
        """Mark a file as written from `key`, with the hash of what it now holds."""
        self._files[name] = key
        self._stamps[name] = stamp_of(self.output / name)
        self._save()

    def forget(self) -> None:
        """Take back that any file is done; what only the pages call the job's own is no more the job's than before."""
        self._files = {name: key if key == TOLD else "" for name, key in self._files.items()}
        self._stamps = {name: stamp for name, stamp in self._stamps.items() if self._files.get(name) == TOLD}
        self._save()

    def renew(self, name: str) -> None:
        """Take note of what a file of this job now holds, after it was written again from the same."""
        if name in self._stamps:
            self.done(name, self._files[name])

    def hashes(self, names: Iterable[str]) -> dict[str, str]:
        """The hash of what was written into each of the files; of those without a hash, of what they hold."""
        return {
            name: str(self._stamps[name]["hash"] if name in self._stamps else content_hash(self.output / name))
            for name in names
            if (self.output / name).exists()
        }

    def remove_stale(self, current: list[str], key: str) -> list[str]:
        """Remove this job's files that were made from anything else than `key`; return their names.

        The same results in another format stay, and so does what only the pages called the job's own, unless its hash
        proves it.
        """
        import shutil

        stale = [
            name
            for name, made_from in self._files.items()
            if name not in current
            and made_from != key
            and (made_from != TOLD or (name in self._stamps and self.is_intact(name)))
        ]
        removed = [name for name in stale if (self.output / name).exists()]
        for name in stale:
            path = self.output / name
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            del self._files[name]
            self._stamps.pop(name, None)
        if stale:
            self._save()
        return removed

    def _save(self) -> None:
        written = {name: self._stamps[name] for name in sorted(self._stamps)}
        write_json(self._path, {"files": dict(sorted(self._files.items())), "written": written})


def _told_by_pages(output: Path) -> dict[str, Any]:
    """A manifest from what the pages of a run say: its files, each of which has to be written anew."""
    summary, record = read_json(output / SUMMARY), read_json(output / RECORD)
    if not is_of_a_run(summary):
        return {}
    hashes = record.get("files")
    hashes = hashes if isinstance(hashes, dict) else {}
    told = [one.get("name") for one in summary["files"] if isinstance(one, dict)]
    kept = summary.get("kept_files")
    names = [name for name in (*told, *(kept if isinstance(kept, list) else [])) if _is_plain(name)]
    return {
        "files": dict.fromkeys(names, TOLD),
        "written": {name: {"hash": hashes[name]} for name in names if isinstance(hashes.get(name), str)},
    }


def is_of_a_run(summary: Mapping[str, Any]) -> bool:
    """Whether a ``summary.json`` is one that a run wrote."""
    versions = summary.get("versions")
    return (
        isinstance(summary.get("format_version"), int)
        and isinstance(summary.get("files"), list)
        and isinstance(summary.get("sessions"), list)
        and all(_is_session(one) for one in summary["sessions"])
        and isinstance(versions, dict)
        and "antidrome" in versions
    )


def _is_session(told: Any) -> bool:
    """Whether this is what a run says of a session."""
    known = isinstance(told, dict) and {"session_id", "n_frames", "n_neurons"} <= told.keys()
    return known and isinstance(told.get("input"), dict) and {"path", "hash"} <= told["input"].keys()


def _is_plain(name: Any) -> bool:
    """Whether a name is that of a file in the folder itself, and of nothing hidden."""
    return isinstance(name, str) and Path(name).name == name and not name.startswith(".")
