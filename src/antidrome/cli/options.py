"""Options that several commands share."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

Paths = Annotated[tuple[Path, ...], tyro.conf.Positional]


@dataclasses.dataclass(frozen=True, kw_only=True)
class InferenceOptions:
    """What decides the numbers: how the recordings are read, and how spikes are inferred."""

    frame_rate_hz: float | None = None
    """Frames per second, for recordings that do not state it."""
    quantity: Literal["dff", "fluorescence"] | None = None
    """What the traces are, where the file does not say: ΔF/F or raw fluorescence."""
    neuropil_factor: float = 0.7
    """Share of the neuropil that is subtracted from raw fluorescence."""
    baseline: Literal["percentile", "maximin"] = "percentile"
    """Running baseline of ΔF/F from raw fluorescence."""
    model: str = "default"
    """The shipped network ("default"), or a model file."""
    samples: int = 0
    """Posterior samples to keep."""
    seed: int = 0
    """Seed of the samples."""
    force: bool = False
    """Go on although a check found an error."""
    overwrite: bool = False
    """Forget earlier results, and replace files that are in the way."""
