"""What is seen to before any work, by a run and by a dry run alike: what the one refuses, the other does."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antidrome.core.files import atomic_write, read_json, refuse_unwritable_name
from antidrome.errors import InputError
from antidrome.pipeline.config import RunConfig
from antidrome.pipeline.demo import SOURCE, demo_sessions
from antidrome.pipeline.folder import PAGES, SUMMARY, Manifest, is_of_a_run, spare_recordings
from antidrome.pipeline.names import output_name
from antidrome.pipeline.sessions import Session, read_sessions, refuse_errors
from antidrome.pipeline.stages import LATER, files_of
from antidrome.recordings.arguments import listing

if TYPE_CHECKING:
    import xarray as xr


def enter(
    paths: Sequence[str | os.PathLike[str]],
    output: Path,
    config: RunConfig,
    *,
    refuse: bool = True,
) -> tuple[list[Session], list[str]]:
    """Read and check the recordings, and see to it that the results folder may be written to.

    Parameters
    ----------
    paths, output, config
        As for `antidrome.pipeline.run`.
    refuse
        Whether to refuse what a check calls wrong; else that is left to the caller.

    Returns
    -------
    sessions, names
        The sessions, and the names of their results files.

    Raises
    ------
    InputError
        If a recording cannot be used, a check finds an error (and neither ``config.force`` is set nor `refuse` unset),
        or the folder is a file, holds files of others or the results of other recordings, or may not be written to.
    """
    _refuse_unwritable(output)
    sessions = read_sessions(paths, config) if paths else demo_sessions(config)
    if "dynamics" in config.stages:
        sessions = _told_of_matching(sessions)
    if refuse and not config.force:
        refuse_errors(sessions)
    names = [output_name(one.session_id, len(sessions), config.format) for one in sessions]
    known = {one.source: one.source_format for one in sessions} if paths else {}
    manifest = Manifest(output)
    written = [*names, *PAGES, *files_of(LATER, [one.session_id for one in sessions], config)]
    spare_recordings(known, [output / name for name in (*written, *manifest.names)])
    if not config.overwrite:
        manifest.refuse_strangers(written)
        refuse_other_recordings(output, sessions)
    for name, session in zip(names, sessions, strict=True):
        if config.format == "nwb" and name not in manifest.names:
            spare_nwb(output / name, session)
    return sessions, names


def spare_nwb(target: Path, session: Session) -> None:
    """InputError if results in NWB would replace recordings of others, or the results of another series beside them."""
    if not target.exists():
        return
    from antidrome.recordings.nwb_writing import is_copy, refuse_lost, refuse_lost_recordings

    source = Path(session.source) if session.source_format == "nwb" else None
    if source is not None and is_same_place(target, source):
        refuse_lost(target, source, str(session.recording.attrs.get("series") or ""), ("expected_spikes", "dff"))
    elif source is None or not is_copy(target, source):
        refuse_lost_recordings(target)


def replace_result(result: "xr.Dataset", path: Path, format: str) -> None:
    """Write results in the place of what may be replaced; into the recording's own NWB file, beside its traces."""
    from antidrome.recordings import write

    if format != "nwb" or is_same_place(path, result.attrs.get("source") or ""):
        write(result, path, format=format)
        return
    with atomic_write(path) as temporary:
        write(result, temporary, format="nwb")


def is_same_place(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> bool:
    """Whether two paths lead to the same place."""
    return os.path.realpath(first) == os.path.realpath(second)


def refuse_other_recordings(output: Path, sessions: Sequence[Session]) -> None:
    """Refuse to replace the results of recordings none of which is here, unless they were simulated."""
    summary = read_json(output / SUMMARY)
    before = [one for one in summary["sessions"] if one["input"]["path"] != SOURCE] if is_of_a_run(summary) else []
    if before and not any(_is_same(session, one) for session in sessions for one in before):
        raise InputError(
            f"{output} holds the results of other recordings: {listing([one['session_id'] for one in before], 4)}. Give"
            " another folder with -o, or --overwrite to replace what is there."
        )


def _is_same(session: Session, before: dict[str, Any]) -> bool:
    """Whether a session is one that an earlier run tells of: of its name and place, or else of its contents.

    A place that is there no more, as on another machine, speaks against nothing; one that is told from a working
    folder, as runs once did, says nothing.
    """
    place = before["input"]["path"]
    here = is_same_place(place, session.source) or not os.path.exists(place)
    if session.session_id == before["session_id"] and os.path.isabs(place) and here:
        return True
    same_sizes = dict(session.recording.sizes) == {"time": before["n_frames"], "neuron": before["n_neurons"]}
    return same_sizes and session.input_hash == before["input"]["hash"]


def _refuse_unwritable(output: Path) -> None:
    """See to it that results can be written, or their folder be made."""
    refuse_unwritable_name(output)
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file; -o needs a folder for the results.")
    there = next(folder for folder in (output.absolute(), *output.absolute().parents) if folder.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{there} may not be written to. Give another folder with -o.")


def _told_of_matching(sessions: list[Session]) -> list[Session]:
    """The sessions, with a finding where their neurons would be matched by mere numbers."""
    from antidrome.recordings.checks import matched_by_number
    from antidrome.recordings.checks.matching import LEAVE_OUT

    finding = matched_by_number({session.session_id: session.recording for session in sessions})
    if finding is None:
        return sessions
    finding = dataclasses.replace(finding, fix=f"{finding.fix} {LEAVE_OUT}")
    return [dataclasses.replace(session, findings=[finding, *session.findings]) for session in sessions]
