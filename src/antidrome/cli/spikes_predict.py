"""``antidrome spikes predict``: infer spikes with a fitted model."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro

from antidrome.cli.spikes import Spikes
from antidrome.cli.spikes import run as infer
from antidrome.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictSpikes(Spikes):
    """Infer spikes from one recording with the model of `antidrome spikes fit`, and write them."""

    model: str = dataclasses.field()  # an inherited default would otherwise stay
    """The fitted model (.safetensors), or a shipped network."""
    times: Annotated[Path | None, tyro.conf.arg(aliases=["-t"])] = None
    """CSV file for spike times with their 90 % intervals, finer than the frames."""


def run(config: PredictSpikes) -> int:
    """Infer and write; return 0."""
    if config.times is not None and config.times.exists() and not config.overwrite:
        raise InputError(f"{config.times} exists. Choose another name with --times, or pass --overwrite.")
    code = infer(config)
    if config.times is not None:
        _write_times(config, config.times)
    return code


def _write_times(config: PredictSpikes, path: Path) -> None:
    from antidrome.core.files import atomic_write
    from antidrome.pipeline.sessions import read_sessions
    from antidrome.spikes import SpikeVAE

    recording = read_sessions([config.path], config, hashed=False)[0].recording
    times = SpikeVAE(config.model, seed=config.seed).spike_times(recording)
    text = times.to_dataframe().to_csv(index=False, float_format="%.5g")
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{path}\n")
