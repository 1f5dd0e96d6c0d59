"""``antidrome spikes fit``: learn from an unlabelled recording, and write the model."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from antidrome.cli.options import Options
from antidrome.cli.text import say
from antidrome.errors import InputError
from antidrome.pipeline.config import ReadingConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitSpikes(Options, ReadingConfig):
    """Fit the model of spikes to one unlabelled recording; `antidrome spikes predict --model` then infers with it."""

    path: Annotated[Path, tyro.conf.Positional]
    """The recording."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Model file to write (.safetensors)."""
    model: str = "default"
    """Network that the fit starts from: a shipped one ("default", "simulations"), a model file, or "none"."""
    posterior: Literal["shared", "factorised", "autoregressive"] = "shared"
    """Adapt the shipped network, or learn one of the recording's own."""
    generative: Literal["linear", "ar1", "scdf", "physiological", "neural"] | None = None
    """Generative model; by default linear, with "shared" half of the cells SCDF."""
    superresolution: int = 1
    """Grid steps per frame (not with "shared")."""
    amplitude_factors: tuple[float, ...] | None = None
    """Starts to try (not with "shared"): factors on the initial amplitudes."""
    steps: int | None = None
    """Gradient steps, instead of the default; with another posterior than "shared" N sleep and N/4 wake steps."""
    known: Path | None = None
    """CSV file of known spikes, a row a spike: neuron,time_s."""
    checkpoint: Path | None = None
    """Folder for the state of the fit; after an interruption the same command goes on from it."""
    seed: int = 0
    """Seed of the fit."""
    overwrite: bool = False
    """Replace what is there."""


def run(config: FitSpikes) -> int:
    """Fit and write; return 0."""
    from antidrome.core.configuration import part_of
    from antidrome.core.files import refuse_existing
    from antidrome.pipeline.sessions import read_sessions, refuse_errors
    from antidrome.spikes import SpikeVAE

    refuse_existing(config.output, overwrite=config.overwrite, is_file=True)
    sessions = read_sessions([config.path], part_of(config, ReadingConfig))
    if not config.force:
        refuse_errors(sessions)
    recording = sessions[0].recording
    model = SpikeVAE(
        None if config.model == "none" else config.model,
        posterior=config.posterior,
        generative=config.generative,
        superresolution=config.superresolution,
        amplitude_factors=config.amplitude_factors,
        config=_settings(config, float(recording.attrs["frame_rate_hz"])),
        seed=config.seed,
    )
    known = None if config.known is None else read_known(config.known)
    model.fit(recording, known_spikes=known, checkpoint=config.checkpoint)
    model.save(config.output)
    for note in model.notes_:
        say(note)
    say(config.output)
    return 0


def read_known(path: Path) -> Mapping[str, list[float]]:
    """Spike times by neuron label from a CSV file with the columns neuron and time_s.

    Raises
    ------
    InputError
        No such table, another header, no spikes, or a time that is no number; the message names the row.
    """
    import csv

    times: dict[str, list[float]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header, rows = reader.fieldnames or (), list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table ({error}); expected CSV in UTF-8.") from error
    if not {"neuron", "time_s"} <= set(header):
        raise InputError(f"{path}: expected a header with the columns neuron and time_s.")
    if not rows:
        raise InputError(f"{path} holds no spikes: there is no row below its header.")
    for number, row in enumerate(rows, 2):
        try:
            times.setdefault(str(row["neuron"]), []).append(float(row["time_s"]))
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}, row {number}: {row['time_s']!r} is not a time in seconds.") from error
    return times


def _settings(config: FitSpikes, rate: float) -> Any:
    """The default settings with the wanted number of steps."""
    from antidrome.spikes.learning import config_for

    if config.steps is None:
        return None
    settings = config_for(config.posterior, None, config.superresolution, rate)
    if config.posterior == "shared":
        return dataclasses.replace(settings, steps=config.steps)
    return dataclasses.replace(settings, sleep_steps=config.steps, wake_steps=max(1, config.steps // 4))
