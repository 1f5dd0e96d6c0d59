"""``antidrome spikes``: only deconvolve; one recording in, one file out."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from antidrome.cli.options import Options
from antidrome.cli.text import say
from antidrome.pipeline.config import Format, InferenceConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spikes(Options, InferenceConfig):
    """Infer spikes from one recording, and write them; nothing else."""

    path: Annotated[Path, tyro.conf.Positional]
    """The recording."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """File (.nwb, .zarr, .nc) or, for suite2p, folder to write."""
    format: Format | None = None
    """Format to write; by default told by the file's ending."""
    cluster: str | None = None
    """Address of a Dask scheduler: blocks of neurons are inferred there. The same command goes on after a failure."""


def run(config: Spikes) -> int:
    """Infer and write; return 0."""
    return infer(config)


def infer(config: Spikes, times: Path | None = None) -> int:
    """Infer and write the spikes, and their times if a file is given for them; return 0."""
    from antidrome.core.configuration import part_of
    from antidrome.core.executor import open_executor
    from antidrome.pipeline import deconvolve

    settings = part_of(config, InferenceConfig)
    with open_executor(config.cluster) as executor:
        written = deconvolve(config.path, config.output, settings, format=config.format, times=times, executor=executor)
    for path in (written, times):
        if path is not None:
            say(path)
    return 0
