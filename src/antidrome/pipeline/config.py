"""Settings of the main job: one frozen dataclass, the same for the command line, Python and the results folder."""

import dataclasses
from typing import Any, Literal

from antidrome.errors import InputError

Format = Literal["nwb", "zarr", "netcdf", "suite2p"]
StageName = Literal["spikes", "dynamics", "dimension"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Settings of `antidrome.pipeline.run`.

    Attributes
    ----------
    frame_rate_hz
        Frame rate of recordings that do not state one.
    quantity
        What the traces are, where the file does not say: ``"dff"`` or ``"fluorescence"``.
    neuropil_factor
        Share of the neuropil that is subtracted from raw fluorescence.
    baseline
        Baseline of ΔF/F from raw fluorescence.
    model
        ``"default"`` (the shipped network) or the path of a model file.
    samples
        Posterior samples to keep; 0 for none.
    seed
        Seed of the samples.
    format
        Format of the results.
    stages
        What is computed: spikes always, then dynamics (one linear dynamical system of all sessions) and dimension (of
        each session's population).
    bin_s
        Width in seconds of the bins in which dynamics and dimension see the spikes.
    n_components
        Latent dimensions of the dynamics; 0: chosen on held-out pairs.
    force
        Go on although a check found an error.
    overwrite
        Forget what the output folder holds, and replace files that this job did not write.
    """

    frame_rate_hz: float | None = None
    quantity: Literal["dff", "fluorescence"] | None = None
    neuropil_factor: float = 0.7
    baseline: Literal["percentile", "maximin"] = "percentile"
    model: str = "default"
    samples: int = 0
    seed: int = 0
    format: Format = "nwb"
    stages: tuple[StageName, ...] = ("spikes", "dynamics", "dimension")
    bin_s: float = 0.1
    n_components: int = 0
    force: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Refuse impossible settings at once, not after hours of work."""
        if self.frame_rate_hz is not None and not 0 < self.frame_rate_hz < float("inf"):
            raise InputError(
                f"frame_rate_hz is {self.frame_rate_hz}; it must be a positive number of frames per second."
            )
        if not 0 <= self.neuropil_factor <= 2:
            raise InputError(
                f"neuropil_factor is {self.neuropil_factor}; it must lie between 0 and 2 (suite2p uses 0.7)."
            )
        if self.samples < 0:
            raise InputError(f"samples is {self.samples}; it must be 0 (none) or a number of samples.")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; it must not be negative.")
        if "spikes" not in self.stages:
            raise InputError(
                f"stages is {', '.join(self.stages) or 'empty'}; the other stages need spikes: name spikes too. (For"
                " recordings of spikes there are `antidrome dynamics` and `antidrome dimension`.)"
            )
        if not 0 < self.bin_s < float("inf"):
            raise InputError(f"bin_s is {self.bin_s}; it must be a positive number of seconds.")
        if self.n_components < 0:
            raise InputError(f"n_components is {self.n_components}; it must be 0 (chosen) or a number of dimensions.")

    def inference_settings(self) -> dict[str, Any]:
        """The settings that change the numbers; a change of any of them makes earlier results stale."""
        return {
            "frame_rate_hz": self.frame_rate_hz,
            "quantity": self.quantity,
            "neuropil_factor": self.neuropil_factor,
            "baseline": self.baseline,
            "model": self.model,
            "samples": self.samples,
            "seed": self.seed,
        }
