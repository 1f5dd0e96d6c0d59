"""Fitting an estimator: which neurons are learned from, what they start from, which of the two ways is taken."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from antidrome.core.seeds import generator
from antidrome.errors import InputError
from antidrome.recordings.arguments import counted
from antidrome.recordings.axes import named_by_number
from antidrome.recordings.lazy import neuron_blocks
from antidrome.spikes.adaptation import Adaptation, AdaptationConfig, Cells, adapt, describe_cells, working_rate
from antidrome.spikes.adaptation.lots import Recorded, known_stretch, sum_groups
from antidrome.spikes.grid import FrameGrid
from antidrome.spikes.inference import group_size
from antidrome.spikes.known import Known, known_counts
from antidrome.spikes.own import OwnInference
from antidrome.spikes.recognition import RecognitionNetwork
from antidrome.spikes.results import unusable
from antidrome.spikes.same_cells import FittedTraces, fingerprints
from antidrome.spikes.shared import SharedInference
from antidrome.spikes.starts import Generative, amplitude_starts, calibration_of, make_model, start_cells, started
from antidrome.spikes.variational import FitConfig, PosteriorConfig, Selection, fit_with_restarts
from antidrome.spikes.variational.calibration import FEWEST_FRAMES, rescaled

MOST_NEURONS = 256
BLOCK = 64
RATE_OF_DEFAULTS_HZ = 60.0


class Opened(NamedTuple):
    """A recording of ΔF/F, its frame rate, and where its frames lie; the session's name where there are several."""

    recording: xr.DataArray
    frame_rate_hz: float
    grid: FrameGrid
    session: str | None = None


@dataclasses.dataclass(frozen=True)
class Lesson:
    """The neurons that are learned from, in memory.

    Parameters
    ----------
    traces
        (neuron, place) ΔF/F on the regular grid.
    labels
        Their names.
    known
        (neuron, place · steps) true spikes where known, or None.
    n_unusable
        Neurons without any variation, or with fewer than `FEWEST_FRAMES` observed frames.
    n_known_left_out
        Known spikes outside of the frames that are learned from.
    """

    traces: np.ndarray
    labels: np.ndarray
    known: np.ndarray | None
    n_unusable: int
    n_known_left_out: int = 0


def lesson(opened: Opened, known: Known, steps: int, seed: int) -> Lesson:
    """At most 256 neurons, drawn at random, those with known spikes first; read in blocks from a chunked recording."""
    recording, frame_rate_hz, grid, _ = opened
    n = recording.sizes["neuron"]
    labels = recording["neuron"].values.astype(str)
    order = generator(seed, "spikes/fit-neurons").permutation(n)
    named = {str(label) for label in (known["neuron"].values if isinstance(known, xr.DataArray) else known or ())}
    first = np.array([label in named for label in labels])
    chosen = np.sort(order[np.argsort(~first[order], kind="stable")][:MOST_NEURONS])
    blocks = [
        np.asarray(recording.isel(neuron=chosen[i : i + BLOCK]).values, np.float32).T
        for i in range(0, len(chosen), BLOCK)
    ]
    traces = np.concatenate(blocks)
    usable = ~unusable(traces, FEWEST_FRAMES)
    if not usable.any():
        raise InputError(
            f"None of {counted(n, 'neuron')} has {FEWEST_FRAMES} observed frames that vary; there is nothing to learn"
            " from."
        )
    kept = chosen[usable]
    counts = known_counts(known, recording, kept, grid, frame_rate_hz, steps)
    return Lesson(grid.spread(traces[usable]), labels[kept], counts, int((~usable).sum()))


def fit_shared(
    network: RecognitionNetwork,
    sessions: Sequence[Opened],
    config: AdaptationConfig,
    known: Sequence[Known],
    generative: Generative | None,
    seed: int,
    checkpoint: Path | None,
    progress: bool,
) -> tuple[SharedInference, Adaptation, list[Lesson]]:
    """Adapt the network, then describe every cell with what it has become, block by block."""
    lessons, recorded = [], []
    for opened, own in zip(sessions, known, strict=True):
        learn = lesson(opened, own, 1, seed)
        traces, slow_rate = working_rate(learn.traces, opened.frame_rate_hz)
        counts = None if learn.known is None else sum_groups(learn.known, group_size(opened.frame_rate_hz))
        recorded.append(Recorded(traces, slow_rate, counts))
        lessons.append(dataclasses.replace(learn, n_known_left_out=_left_out(counts)))
    make = None if generative is None else lambda cells: make_model(generative, cells)
    adapted = adapt(network, recorded, config, make=make, seed=seed, checkpoint=checkpoint, progress=progress)
    parts = [part for opened in sessions for part in _describe(adapted, opened)]
    cells = Cells(*(np.concatenate(columns) for columns in zip(*(cells for cells, _ in parts), strict=True)))
    numbered = any(named_by_number(opened.recording) for opened in sessions)
    traces = FittedTraces(numbered, np.concatenate([prints for _, prints in parts]))
    return SharedInference(adapted.network, _labels_of(sessions), cells, adapted.prior, traces=traces), adapted, lessons


def _left_out(counts: np.ndarray | None) -> int:
    """Known spikes that no lot is made of."""
    return 0 if counts is None else round(np.nansum(counts) - np.nansum(counts[:, known_stretch(counts)]))


def _labels_of(sessions: Sequence[Opened]) -> tuple[str, ...]:
    """Labels of all cells, with the session before them where there are several: a label may occur in each of them."""
    return tuple(
        str(label) if opened.session is None else f"{opened.session}/{label}"
        for opened in sessions
        for label in opened.recording["neuron"].values
    )


def _describe(adapted: Adaptation, opened: Opened) -> Iterator[tuple[Cells, np.ndarray]]:
    """Parameters of every cell of a recording and fingerprints of the traces, in blocks of neurons.

    The noise is that of the recording's own frames.
    """
    recording, rate, grid, _ = opened
    n = recording.sizes["neuron"]
    blocks = [slice(i, min(i + BLOCK, n)) for i in range(0, n, BLOCK)]
    for part in neuron_blocks(recording, blocks):
        block = grid.spread(np.asarray(part.values, np.float32).T)
        prints = fingerprints(block)
        block, slow_rate = working_rate(np.where(unusable(block)[:, None], np.float32(0), block), rate)
        cells = describe_cells(block, np.asarray(adapted.infer(block, slow_rate).mean), slow_rate)
        yield cells._replace(noise_sd=cells.noise_sd * group_size(rate) ** 0.5), prints


def fit_own(
    network: RecognitionNetwork | None,
    opened: Opened,
    config: FitConfig,
    known: Known,
    generative: Generative,
    drift_s: float,
    amplitude_factors: tuple[float, ...] | None,
    seed: int,
    checkpoint: Path | None,
    progress: bool,
) -> tuple[OwnInference, Selection, Lesson]:
    """Learn a network and generative models from the recording, from one or several starts."""
    rate = opened.frame_rate_hz
    learn = lesson(opened, known, config.posterior.superresolution, seed)
    cells, population = start_cells(network, learn.traces, rate)
    selection = fit_with_restarts(
        learn.traces,
        rate,
        config,
        calibration_of(cells),
        amplitude_factors=amplitude_factors or amplitude_starts(cells, learn.traces, rate),
        model=lambda calibration: make_model(generative, started(cells, calibration)),
        drift_s=drift_s,
        known=learn.known,
        seed=seed,
        checkpoint=checkpoint,
        progress=progress,
    )
    # the network was told of scaled amplitudes, and is to be told of the same again
    factor = selection.candidates[selection.place].amplitude_factor
    told = started(cells, rescaled(calibration_of(cells), factor))
    traces = FittedTraces(named_by_number(opened.recording), fingerprints(learn.traces))
    labels = tuple(learn.labels)
    fitted = OwnInference(selection.chosen, labels, told, generative, network, rate, traces, population, factor)
    return fitted, selection, learn


def config_for(posterior: str, config: Any, superresolution: int, frame_rate_hz: float) -> Any:
    """The settings of a fit: the user's, or defaults with windows as long in seconds as the paper's at 60 Hz.

    Below 20 Hz they have as many frames as at 20 Hz, and above 60 Hz as many as at 60 Hz.

    Raises
    ------
    InputError
        Settings of the other way of fitting, or that contradict the estimator's.
    """
    if posterior == "shared":
        if config is None:
            return AdaptationConfig()
        if not isinstance(config, AdaptationConfig):
            raise InputError(f"config is {type(config).__name__}; posterior='shared' expects an AdaptationConfig.")
        return config
    if config is not None and not isinstance(config, FitConfig):
        raise InputError(f"config is {type(config).__name__}; posterior={posterior!r} expects a FitConfig.")
    for name, asked in (("kind", posterior), ("superresolution", superresolution)):
        told = getattr(config.posterior if config else PosteriorConfig(), name)
        if told not in (getattr(PosteriorConfig(), name), asked):
            raise InputError(
                f"config.posterior.{name} is {told!r}, but the estimator says {asked!r}: give"
                f" SpikeVAE({'posterior' if name == 'kind' else name}={told!r}, …), or leave it out of the config."
            )
    if config is None:
        scale = float(np.clip(frame_rate_hz / RATE_OF_DEFAULTS_HZ, 0.34, 1.0))
        before, after, centre = (max(8, round(x * scale)) for x in (100, 50, 150))
        config = FitConfig(
            window_frames=before + after + centre, buffer_before=before, buffer_after=after, learning_rate=2e-3
        )
        config = dataclasses.replace(config, posterior=dataclasses.replace(config.posterior, max_count=3))
    return dataclasses.replace(
        config, posterior=dataclasses.replace(config.posterior, kind=posterior, superresolution=superresolution)
    )
