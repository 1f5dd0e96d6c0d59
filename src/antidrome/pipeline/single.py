"""Only the spikes: one recording in, one file out; an interrupted call goes on from where it stopped."""

import os
import shutil
from concurrent.futures import Executor
from pathlib import Path

from antidrome.core.progress import progress as show
from antidrome.errors import InputError
from antidrome.pipeline.cache import SessionCache
from antidrome.pipeline.config import InferenceConfig
from antidrome.pipeline.folder import locked, spare_recordings
from antidrome.pipeline.infer import infer_session
from antidrome.pipeline.model import load_model, origin_of
from antidrome.pipeline.sessions import read_sessions, refuse_errors


def deconvolve(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    config: InferenceConfig | None = None,
    *,
    format: str | None = None,
    executor: Executor | None = None,
    progress: bool = True,
) -> Path:
    """Infer the spikes of one recording and write them.

    Until the file is complete, finished work is kept beside it in a hidden folder, ``.NAME.antidrome``.

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
        If the input cannot be used, a check finds an error and ``config.force`` is not set, or the output exists and
        ``config.overwrite`` is not set.
    """
    from antidrome.recordings.writing import format_of, write

    config, output = config or InferenceConfig(), Path(output)
    if output.exists() and not config.overwrite:
        raise InputError(f"{output} exists. Choose another file with -o, or replace it with --overwrite.")
    written_as = format_of(output, format)
    sessions = read_sessions([path], config)
    if not config.force:
        refuse_errors(sessions)
    spare_recordings({sessions[0].source: sessions[0].source_format}, [output], written_as)
    scratch = output.parent / f".{output.name}.antidrome"
    with locked(scratch):
        model = load_model(config)
        cache = SessionCache(scratch, "spikes", origin_of(sessions[0], config, model))
        cache.prepare(forget=config.overwrite)
        with show("Inferring spikes", sessions[0].recording.sizes["neuron"], unit="neurons", enabled=progress) as bar:
            result, _ = infer_session(model, sessions[0], cache, config.samples, bar, executor)
        write(result, output, format=written_as)
        result.close()
    shutil.rmtree(scratch, ignore_errors=True)
    return output
