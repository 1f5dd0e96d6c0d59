"""``antidrome spikes``: only deconvolve; one recording in, one file out."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from antidrome.cli.options import InferenceOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spikes(InferenceOptions):
    """Infer spikes from one recording, and write them; nothing else."""

    path: Annotated[Path, tyro.conf.Positional]
    """The recording."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """File (.nwb, .zarr, .nc) or, for suite2p, folder to write."""
    format: Literal["nwb", "zarr", "netcdf", "suite2p"] | None = None
    """Format to write; by default told by the file's ending."""


def run(config: Spikes) -> int:
    """Infer and write; return 0."""
    from antidrome.pipeline import RunConfig, deconvolve

    names = [field.name for field in dataclasses.fields(InferenceOptions)]
    settings = RunConfig(**{name: getattr(config, name) for name in names})
    written = deconvolve(config.path, config.output, settings, format=config.format)
    sys.stdout.write(f"{written}\n")
    return 0
