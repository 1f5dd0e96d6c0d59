"""``antidrome simulate``: a recording whose spikes are known."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from antidrome.cli.text import say
from antidrome.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Simulate:
    """Make a recording with known spikes, to try things on."""

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """File (.nwb, .nc) or, for Zarr, folder to write."""
    format: Literal["nwb", "zarr", "netcdf"] | None = None
    """Format to write; by default told by the file's ending."""
    neurons: int = 20
    """Neurons."""
    duration_s: float = 120.0
    """Seconds."""
    frame_rate_hz: float = 30.0
    """Frames per second."""
    indicator: Literal["fast", "slow", "red", "dye", "any"] = "fast"
    """Indicator: fast (like GCaMP6f/8), slow (like GCaMP6s), red (like R-CaMP), dye (like OGB-1), or any."""
    generative: Literal["linear", "scdf"] = "linear"
    """Generative model: linear (AR(2)), or scdf (facilitation and saturation)."""
    factors: int = 0
    """Latent dimensions of what the neurons share; 0: independent neurons."""
    seed: int = 0
    """Seed: the same seed, the same recording."""
    overwrite: bool = False
    """Replace what is there."""


def run(config: Simulate) -> int:
    """Simulate and write; return 0."""
    from antidrome.core.files import refuse_existing
    from antidrome.recordings.writing import SINGLE_FILES, format_of, write
    from antidrome.spikes import simulate

    try:
        written_as = format_of(config.output, config.format)
    except InputError as error:  # which offers what only results are written as
        raise InputError(
            f"{config.output}: no format for the suffix {config.output.suffix!r}. End the name with .nwb, .zarr or .nc,"
            " or choose a --format: nwb, zarr or netcdf."
        ) from error
    refuse_existing(config.output, overwrite=config.overwrite, is_file=written_as in SINGLE_FILES)
    dataset = simulate(
        config.neurons,
        config.duration_s,
        config.frame_rate_hz,
        config.seed,
        indicator=config.indicator,
        generative=config.generative,
        n_factors=config.factors,
    )
    say(write(dataset, config.output, format=config.format))
    return 0
