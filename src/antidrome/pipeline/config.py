"""Settings of the main job, said once: the command line, Python and the results folder share these dataclasses."""

import dataclasses
from typing import Annotated, Any, Literal

import tyro

from antidrome.core.configuration import settle_numbers, to_dict
from antidrome.core.seeds import check_seed
from antidrome.errors import InputError

Format = Literal["nwb", "zarr", "netcdf", "suite2p"]
StageName = Literal["spikes", "dynamics", "dimension"]
OrientationOption = Annotated[
    Literal["time,neuron", "neuron,time"] | None, tyro.conf.arg(metavar="time,neuron | neuron,time")
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileConfig:
    """What the files of recordings leave open."""

    frame_rate_hz: float | None = None
    """Frames per second, for recordings that do not state it."""
    orientation: OrientationOption = None
    """Meaning of the two axes, for files that do not say; by default the longer one is time."""
    series: str | None = None
    """Which array, for files with several; planes of an NWB file, parted by commas, are joined."""
    accepted_only: bool = True
    """Read accepted ROIs only (suite2p, CaImAn, NWB); --no-accepted-only also takes what the file marks as no cell."""

    def __post_init__(self) -> None:
        """See to it that equal settings have the same hash."""
        settle_numbers(self)

    def choices(self) -> dict[str, Any]:
        """What was decided, as keywords of `antidrome.read`."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(FileConfig)}
        return {name: value for name, value in found.items() if value is not None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadingConfig(FileConfig):
    """How recordings become ΔF/F."""

    quantity: Literal["dff", "fluorescence"] | None = None
    """What the traces are, where the file does not say: ΔF/F or raw fluorescence."""
    neuropil_factor: float = 0.7
    """Share of the neuropil that is subtracted from raw fluorescence."""
    baseline: Literal["percentile", "maximin"] = "percentile"
    """Running baseline of ΔF/F from raw fluorescence."""
    force: bool = False
    """Go on although a check found an error."""

    def __post_init__(self) -> None:
        """Refuse impossible settings at once, not after hours of work."""
        super().__post_init__()
        if self.frame_rate_hz is not None and not 0 < self.frame_rate_hz < float("inf"):
            raise InputError(
                f"frame_rate_hz is {self.frame_rate_hz}; it must be a positive number of frames per second."
            )
        if not 0 <= self.neuropil_factor <= 2:
            raise InputError(
                f"neuropil_factor is {self.neuropil_factor}; it must lie between 0 and 2 (suite2p uses 0.7)."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class InferenceConfig(ReadingConfig):
    """How spikes are inferred from them."""

    model: str = "default"
    """The shipped network ("default"), or a model file."""
    samples: int = 0
    """Posterior samples to keep."""
    seed: int = 0
    """Seed of everything random."""
    overwrite: bool = False
    """Forget earlier results, and replace files that are in the way."""

    def __post_init__(self) -> None:
        """Refuse impossible settings at once."""
        super().__post_init__()
        if self.samples < 0:
            raise InputError(f"samples is {self.samples}; it must be 0 (none) or a number of samples.")
        check_seed(self.seed)

    def inference_settings(self) -> dict[str, Any]:
        """The settings that change the spikes; a change of any of them makes earlier results stale."""
        names = {field.name for field in dataclasses.fields(InferenceConfig)} - {"force", "overwrite"}
        if self.accepted_only:
            names.remove("accepted_only")  # results of before there was the choice stay what they are
        values = to_dict(self)
        return {name: values[name] for name in sorted(names)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig(InferenceConfig):
    """Settings of `antidrome.pipeline.run`: how recordings are read, what is computed from them, what is written."""

    format: Format = "nwb"
    """Format of the spikes."""
    stages: tuple[StageName, ...] = ("spikes", "dynamics", "dimension")
    """What is computed: spikes always; one linear dynamical system of all sessions; each population's dimension."""
    bin_s: float = 0.1
    """Width in seconds of the bins in which dynamics and dimension see the spikes."""
    n_components: Annotated[int, tyro.conf.arg(name="components")] = 0
    """Latent dimensions of the dynamics (n_components in a TOML file); 0: chosen on held-out pairs."""

    def __post_init__(self) -> None:
        """Refuse impossible settings at once."""
        super().__post_init__()
        if "spikes" not in self.stages:
            raise InputError(
                f"stages is {', '.join(self.stages) or 'empty'}; the other stages need spikes: name spikes too. (For"
                " recordings of spikes there are `antidrome dynamics` and `antidrome dimension`.)"
            )
        if not 0 < self.bin_s < float("inf"):
            raise InputError(f"bin_s is {self.bin_s}; it must be a positive number of seconds.")
        if self.n_components < 0:
            raise InputError(f"n_components is {self.n_components}; it must be 0 (chosen) or a number of dimensions.")
