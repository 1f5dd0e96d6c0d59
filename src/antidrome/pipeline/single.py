"""Only the spikes: one recording in, one file out; an interrupted call goes on from where it stopped."""

import hashlib
import os
import shutil
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING

from antidrome.core.files import atomic_write, read_json, refuse_existing, write_json
from antidrome.core.progress import progress as show
from antidrome.errors import InputError
from antidrome.pipeline.cache import SessionCache
from antidrome.pipeline.config import InferenceConfig
from antidrome.pipeline.entering import replace_result, spare_nwb
from antidrome.pipeline.folder import locked, spare_recordings
from antidrome.pipeline.infer import infer_session
from antidrome.pipeline.model import load_model, origin_of, with_absolute_model
from antidrome.pipeline.sessions import read_sessions, refuse_errors
from antidrome.pipeline.written import verified

if TYPE_CHECKING:
    import xarray as xr

TIMES = "--times"
TOLD_TIMES = "times.json"
"""In the hidden folder: what the file of spike times was made from, and its hash."""


def deconvolve(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    config: InferenceConfig | None = None,
    *,
    format: str | None = None,
    times: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    progress: bool = True,
) -> Path:
    """Infer the spikes of one recording and write them.

    Until everything is written, finished work is kept beside the file in a hidden folder, ``.NAME.antidrome``.

    Parameters
    ----------
    path
        A recording of any format that `antidrome.recordings.read` knows.
    output
        File, or folder for Zarr and suite2p.
    config
        Settings.
    format
        Format to write; by default told by the ending of `output`.
    times
        CSV file for spike times with their 90 % intervals; it is written first.
    executor
        Where blocks of neurons are inferred; None for this process.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    InputError
        If the input cannot be used, a check finds an error and ``config.force`` is not set, or what is to be written
        exists (but for times that the same call wrote before it was interrupted) and ``config.overwrite`` is not set.
    """
    from antidrome.recordings.writing import SINGLE_FILES, format_of

    config, output = with_absolute_model(config or InferenceConfig()), Path(output)
    times, scratch = None if times is None else Path(times), output.parent / f".{output.name}.antidrome"
    written_as = format_of(output, format)
    refuse_existing(output, overwrite=config.overwrite, is_file=written_as in SINGLE_FILES)
    if times is not None:
        _refuse_times(times, output, scratch, overwrite=config.overwrite)
    sessions = read_sessions([path], config)
    if not config.force:
        refuse_errors(sessions)
    known = {sessions[0].source: sessions[0].source_format}
    spare_recordings(known, [output], may_join=written_as == "nwb")
    spare_recordings(known, [] if times is None else [times])
    if written_as == "nwb":
        spare_nwb(output, sessions[0])
    with locked(scratch):
        model = load_model(config)
        cache = SessionCache(scratch, "spikes", origin_of(sessions[0], config, model))
        if times is not None and not _are_ours(times, scratch, cache.key):
            refuse_existing(times, overwrite=config.overwrite, option=TIMES)
        cache.prepare()
        with show("Inferring spikes", sessions[0].recording.sizes["neuron"], unit="neurons", enabled=progress) as bar:
            result, _ = infer_session(model, sessions[0], cache, config.samples, bar, executor)
        if times is not None and not _are_ours(times, scratch, cache.key):
            found = model.spike_times(sessions[0].recording, result=result, executor=executor)
            sessions[0].refuse_replaced()
            _write_times(found, times, scratch, cache.key)
        replace_result(result, output, written_as)
        result.close()
    shutil.rmtree(scratch, ignore_errors=True)
    return output


def _refuse_times(times: Path, output: Path, scratch: Path, *, overwrite: bool) -> None:
    """Refuse what could not be written, before any work."""
    place, whole = Path(os.path.realpath(times)), Path(os.path.realpath(output))
    if whole in (place, *place.parents):
        raise InputError(
            f"{times} is named by -o and by {TIMES}, or would lie inside of {output}, which is written as a whole. Give"
            " the spike times another place."
        )
    if not (scratch / TOLD_TIMES).exists():
        refuse_existing(times, overwrite=overwrite, option=TIMES, is_file=True)


def _are_ours(times: Path, scratch: Path, key: str) -> bool:
    """Whether a file of times is what this call wrote before it was interrupted."""
    told = read_json(scratch / TOLD_TIMES)
    return told.get("key") == key and verified(times, {"hash": told.get("hash")}) is not None


def _write_times(found: "xr.Dataset", times: Path, scratch: Path, key: str) -> None:
    """Write the times as CSV, after a note of what they will be: so a call that is interrupted knows them again."""
    text = found.to_dataframe().to_csv(index=False, float_format="%.5f").encode("utf-8")
    write_json(scratch / TOLD_TIMES, {"key": key, "hash": hashlib.sha256(text).hexdigest()})
    with atomic_write(times) as temporary:
        temporary.write_bytes(text)
