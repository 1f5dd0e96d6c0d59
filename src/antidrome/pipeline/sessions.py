"""From paths to recordings ready for inference: read, named, turned into ΔF/F, checked."""

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antidrome.core.files import refuse_unwritable_name
from antidrome.core.names import unique
from antidrome.errors import InputError
from antidrome.pipeline.config import ReadingConfig
from antidrome.pipeline.names import whole_path
from antidrome.pipeline.written import looks_of

if TYPE_CHECKING:
    import xarray as xr

    from antidrome.recordings import Finding


class Contents:
    """What was read of a session.

    Parameters
    ----------
    *arrays
        Fluorescence or ΔF/F, and neuropil where there is some.
    """

    def __init__(self, *arrays: "xr.DataArray") -> None:
        self._arrays = arrays

    @functools.cached_property
    def hash(self) -> str:
        """Content hash, whatever the file format; the arrays are read whole, once, and then let go."""
        from antidrome.core.hashing import hash_recording

        found = "-".join(map(hash_recording, self._arrays))
        self._arrays = ()
        return found

    def let_go(self) -> None:
        """Keep only the hash of arrays that lie in memory; those on disk are read when it is asked for."""
        if all(array.chunks is None for array in self._arrays):
            _ = self.hash


@dataclasses.dataclass(frozen=True)
class Session:
    """One session of the run.

    Attributes
    ----------
    session_id
        Unique within the run, also as a part of a file name.
    source
        Where it came from: a whole path, or what made it.
    source_format
        As the reader names it: ``"nwb"``, ``"suite2p"`` …
    contents
        What was read.
    recording
        ΔF/F (time, neuron).
    findings
        What the checks said of it.
    truth
        True spikes per frame (time, neuron) of a simulated recording.
    looks
        Its files as they were before anything was read of them; none of a recording that was never in a file.
    """

    session_id: str
    source: str
    source_format: str
    contents: Contents
    recording: "xr.DataArray"
    findings: "list[Finding]"
    truth: "xr.DataArray | None" = None
    looks: Mapping[Path, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    @property
    def input_hash(self) -> str:
        """Content hash of what was read."""
        return self.contents.hash

    def refuse_replaced(self) -> None:
        """InputError if the recording's files are no longer those that its hash is of."""
        for file, looks in self.looks.items():
            if not file.exists() or looks_of(file) != looks:
                raise InputError(
                    f"{file} is not what this run began with: it was replaced, changed or removed meanwhile. Run the"
                    " job again; blocks of one recording are not joined to those of another."
                )


def read_sessions(paths: Sequence[str | os.PathLike[str]], config: ReadingConfig) -> list[Session]:
    """Read and check every path; nothing large is loaded.

    One is read after the other, so that the fluorescence of a single one is in memory beside the ΔF/F of all.

    Parameters
    ----------
    paths, config
        The recordings, and how they are read.

    Raises
    ------
    InputError
        If a path cannot be read or its name written, the same path is given twice, or something must be chosen (frame
        rate, series).
    """
    from antidrome.recordings.safety import require_file

    for path in paths:
        refuse_unwritable_name(path)
        require_file(path)
    refuse_repeated(paths)
    sessions = [_read(path, config) for path in paths]
    names = session_names([session.recording for session in sessions], paths)
    return [
        dataclasses.replace(session, session_id=name, recording=session.recording.assign_attrs(session_id=name))
        for session, name in zip(sessions, names, strict=True)
    ]


def _read(path: str | os.PathLike[str], config: ReadingConfig) -> Session:
    """One session under its own name, whatever the others are called."""
    from antidrome.recordings import read_with_neuropil

    source = whole_path(path)
    looks = {file: looks_of(file) for file in _read_from(Path(source), config.series)}
    recording, neuropil = read_with_neuropil(path, quantity=config.quantity, **config.choices())
    (name,) = session_names([recording], [path])
    return dataclasses.replace(_session(name, source, recording, neuropil, config), looks=looks)


def _read_from(source: Path, series: str | None) -> list[Path]:
    """What traces are read from; of suite2p's folders that is not what people go on curating in the meantime."""
    from antidrome.recordings.suite2p import find_planes

    planes = find_planes(source) if source.is_dir() else []
    names = ("F.npy", "Fneu.npy", f"{series}.npy")
    return [file for plane in planes for name in names if (file := plane / name).is_file()] or [source]


def refuse_repeated(paths: Sequence[str | os.PathLike[str]]) -> None:
    """InputError if two paths are those of one recording."""
    resolved = [os.path.realpath(path) for path in paths]
    twice = {path for path in resolved if resolved.count(path) > 1}
    if twice:
        raise InputError(f"{min(twice)} is given twice; give each recording once.")


def session_names(recordings: "Sequence[xr.DataArray]", paths: Sequence[str | os.PathLike[str]]) -> list[str]:
    """What recordings are called: as they say, else as their files; later ones of the same name are numbered."""
    pairs = zip(recordings, paths, strict=True)
    return unique([str(recording.attrs.get("session_id") or Path(path).stem) for recording, path in pairs])


def session_from_recording(
    session_id: str, source: str, recording: "xr.DataArray", config: ReadingConfig, truth: "xr.DataArray | None" = None
) -> Session:
    """A session from a recording in memory; `truth` may hold its true spikes per frame."""
    return dataclasses.replace(_session(session_id, source, recording, None, config), truth=truth)


def _session(
    session_id: str,
    source: str,
    raw: "xr.DataArray",
    neuropil: "xr.DataArray | None",
    config: ReadingConfig,
) -> Session:
    from antidrome.recordings import check

    recording, contents = as_dff(raw, neuropil, config), Contents(*(one for one in (raw, neuropil) if one is not None))
    if recording is not raw:
        contents.let_go()
    return Session(
        session_id=session_id,
        source=source,
        source_format=str(raw.attrs.get("source_format", "array")),
        contents=contents,
        recording=recording.assign_attrs(session_id=session_id),
        findings=check(recording),
    )


def as_dff(recording: "xr.DataArray", neuropil: "xr.DataArray | None", config: ReadingConfig) -> "xr.DataArray":
    """ΔF/F as a fraction: computed from raw fluorescence, divided by 100 where the file says percent, else as it is."""
    from antidrome.recordings import delta_f_over_f
    from antidrome.recordings.units import is_percent

    if recording.attrs.get("quantity") == "fluorescence":
        return delta_f_over_f(
            recording, neuropil=neuropil, neuropil_factor=config.neuropil_factor, baseline=config.baseline
        )
    if is_percent(recording.attrs):
        notes = [*recording.attrs.get("notes", []), "The file states ΔF/F in percent: divided by 100."]
        scaled = recording / 100
        return scaled.assign_attrs(recording.attrs | {"units": "1", "notes": notes})
    return recording


def hash_beside(session: Session) -> str:
    """Hash of what a results file takes from its recording beside the numbers.

    That is what is known of each neuron and frame, the notes, and all of an NWB file: results in NWB go into a copy of
    it.
    """
    from antidrome.core.hashing import hash_arrays, hash_configuration
    from antidrome.pipeline.written import source_hash
    from antidrome.recordings.recording import of_frames

    coordinates = session.recording.coords.items()
    of_neurons = {str(name): one.values for name, one in coordinates if one.dims == ("neuron",) and name != "neuron"}
    return hash_configuration(
        {
            "neurons": hash_arrays(of_neurons),
            "frames": hash_arrays({str(name): values for name, (_, values) in of_frames(session.recording).items()}),
            "notes": list(map(str, session.recording.attrs.get("notes", []))),
            "file": source_hash(Path(session.source)) if session.source_format == "nwb" else "",
        }
    )


def hash_trials(session: Session) -> str:
    """Hash of the trials of all frames, at whose borders the later stages cut; empty where none are told."""
    from antidrome.core.hashing import hash_arrays
    from antidrome.pipeline.stages.activity import trials_of

    trials = trials_of(session.recording)
    return "" if trials is None else hash_arrays({"trial": trials.values.astype(str)})


def has_errors(sessions: Sequence[Session]) -> bool:
    """Whether a check found an error in any session."""
    return any(finding.severity == "error" for session in sessions for finding in session.findings)


def refuse_errors(sessions: Sequence[Session]) -> None:
    """Stop before hours of work on input that a check calls wrong.

    Raises
    ------
    InputError
        If any session has a finding of severity ``"error"``; the message lists them with their fixes.
    """
    lines = [
        f"  {session.session_id}: {finding.message} {finding.fix} [{finding.id}]"
        for session in sessions
        for finding in session.findings
        if finding.severity == "error"
    ]
    if lines:
        raise InputError(
            "The checks found what would make the results wrong:\n" + "\n".join(lines) + "\n"
            "Correct the input, or go on in spite of it with --force."
        )
