"""``antidrome spikes predict``: infer spikes with a fitted model."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from antidrome.cli.spikes import Spikes, infer


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictSpikes(Spikes):
    """Infer spikes from one recording with the model of `antidrome spikes fit`, and write them."""

    model: str = dataclasses.field()  # an inherited default would otherwise stay
    """The fitted model (.safetensors), or a shipped network."""
    times: Annotated[Path | None, tyro.conf.arg(aliases=["-t"])] = None
    """CSV file for spike times with their 90 % intervals, finer than the frames."""


def run(config: PredictSpikes) -> int:
    """Infer and write; return 0."""
    return infer(config, config.times)
