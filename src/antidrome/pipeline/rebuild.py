"""The page again, from what a results folder holds: on another machine, or with a newer Antidrome."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antidrome.core.files import read_json, write_json
from antidrome.errors import FileFormatError, InputError, UnsafeFileError
from antidrome.pipeline.cache import cached_blocks, open_blocks
from antidrome.pipeline.folder import RECORD, REPORT, SUMMARY, Manifest, locked
from antidrome.pipeline.stages import LATER, parts_of
from antidrome.pipeline.summary import run_info
from antidrome.pipeline.written import content_hash
from antidrome.recordings.arguments import listing

if TYPE_CHECKING:
    import xarray as xr


OF_SUMMARY: dict[str, type] = {
    "created": str, "command": str, "config": dict, "versions": dict, "files": list, "sessions": list,
}  # fmt: skip
OF_SESSION: dict[str, type] = {
    "session_id": str, "input": dict, "findings": list, "notes": list, "result": dict, "neurons": list,
}  # fmt: skip
"""What the page needs of ``summary.json``, and of each session in it."""


def rebuild_report(folder: str | os.PathLike[str]) -> Path:
    """Write ``report.html`` anew from the results files and ``summary.json`` of a folder.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError
        If the folder holds no finished run, or a later one was interrupted while it replaced the files.
    """
    from antidrome.report import session_views, write_page

    folder = Path(folder)
    summary = read_json(folder / SUMMARY)
    if not summary.get("sessions"):
        raise InputError(f"{folder} holds no finished run (no {SUMMARY}). Run `antidrome run … -o {folder}` first.")
    _require(summary, OF_SUMMARY, folder / SUMMARY)
    for session in summary["sessions"]:
        _require(session, OF_SESSION, folder / SUMMARY)
    with locked(folder):
        _refuse_half_replaced(folder, summary)
        results = [_result(folder, session) for session in summary["sessions"]]
        views = [
            view if "dff" in result else view.with_recorded(session["neurons"])
            for view, result, session in zip(session_views(results), results, summary["sessions"], strict=True)
        ]
        parts = parts_of(LATER, folder, summary)
        write_page(folder / REPORT, views, run_info(summary), card=summary.get("model_card", {}), parts=parts)
        _tell_record(folder)
    return folder / REPORT


def _refuse_half_replaced(folder: Path, summary: Mapping[str, Any]) -> None:
    """Refuse files of a later run, which left its summary unwritten: the page would tell of two runs at once."""
    manifest = Manifest(folder)
    names = [session["session_id"] for session in summary["sessions"]]
    made = {str(session["result"]["file"]): session["result"].get("key") for session in summary["sessions"]}
    for stage in LATER:
        made |= dict.fromkeys(stage.files(names), summary.get("stages", {}).get(stage.name, {}).get("key"))
    other = [name for name, key in made.items() if key is not None and not manifest.may_be_of(name, key)]
    if other:
        raise InputError(
            f"A later run was interrupted while it replaced {listing(other, 3)} in {folder}: they are not what"
            f" {SUMMARY} tells of. Run the job again; it goes on."
        )


def _tell_record(folder: Path) -> None:
    """Let the manifest and ``run.json`` know the page that now is there."""
    manifest, record = Manifest(folder), read_json(folder / RECORD)
    manifest.renew(REPORT)
    if isinstance(record.get("files"), dict) and REPORT in record["files"]:
        write_json(folder / RECORD, {**record, "files": {**record["files"], REPORT: content_hash(folder / REPORT)}})
        manifest.renew(RECORD)


def _require(found: Any, wanted: Mapping[str, type], where: Path) -> None:
    """Refuse a summary that somebody else wrote or a broken copy cut."""
    for name, kind in wanted.items():
        if not isinstance(found, dict) or not isinstance(found.get(name), kind):
            raise FileFormatError(f"{where} is damaged: {name!r} is not there as it should be. Run the job again.")
    name = str(found.get("result", {}).get("file", "."))
    if "result" in wanted and Path(name).name != name:
        raise UnsafeFileError(f"{where} names the file {name!r}, which does not lie in the folder: it was not opened.")


def _result(folder: Path, session: dict[str, Any]) -> "xr.Dataset":
    """The session's result from its file; for a suite2p folder, which keeps no uncertainty, from the kept blocks."""
    from antidrome.recordings import read_spikes

    path = folder / str(session["result"]["file"])
    result = _of_blocks(folder, session) if path.is_dir() and path.suffix != ".zarr" else None
    if result is not None:
        del result.attrs["block_attributes"]
    elif path.exists():
        result = read_spikes(path)
    else:
        raise InputError(f"{path} is missing, although {SUMMARY} names it. Put it back, or run the job again.")
    return result.assign_attrs(
        findings=session["findings"],
        notes=session["notes"],
        session_id=session["session_id"],
        source=session["input"]["path"],
        source_format=session["input"]["format"],
    )


def _of_blocks(folder: Path, session: dict[str, Any]) -> "xr.Dataset | None":
    """The session's result from its blocks; None unless all of them are there, of the run that the summary tells of."""
    blocks = cached_blocks(folder, session["session_id"], str(session["result"].get("blocks")))
    result = open_blocks(blocks) if blocks else None
    return result if result is not None and result.sizes["neuron"] == session.get("n_neurons") else None
