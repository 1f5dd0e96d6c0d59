"""From a user's recording and a model's name to what inference works on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from antidrome.core.executor import map_tasks
from antidrome.core.hashing import hash_configuration, hash_recording
from antidrome.core.model_files import ModelHeader, read_header
from antidrome.core.progress import progress as show_progress
from antidrome.errors import InputError
from antidrome.recordings import as_recording
from antidrome.recordings.arguments import counted
from antidrome.recordings.axes import named_by_number
from antidrome.recordings.lazy import neuron_blocks
from antidrome.recordings.units import is_percent
from antidrome.spikes.grid import FrameGrid
from antidrome.spikes.inference import group_size
from antidrome.spikes.known import Known, opened_known
from antidrome.spikes.lazy import infer_with_noise
from antidrome.spikes.learning import Opened
from antidrome.spikes.own import OwnInference
from antidrome.spikes.results import implausible, notes_on_neurons, unusable
from antidrome.spikes.same_cells import notes_before_reading, notes_on_others, other_cells, told_apart
from antidrome.spikes.shared import SharedInference
from antidrome.spikes.starts import Generative
from antidrome.spikes.storage import CLASS, load_fitted
from antidrome.spikes.weights import SHIPPED, load_network

BLOCK_FRAMES = 2_000_000
OTHERS = "others"
Method = Literal["infer", "expected", "reconstruct", "bound"]


@dataclasses.dataclass(frozen=True)
class Bound:
    """An inference engine with everything that one block of neurons needs besides its traces.

    Arrays of the result, and `OTHERS`: the neurons that have a fitted cell's number and are other cells.
    """

    inference: SharedInference | OwnInference
    frame_rate_hz: float
    grid: FrameGrid
    n_samples: int
    seed: int
    numbered: bool

    def __call__(self, traces: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        labels, others = _of_cells(self.inference, "infer", self.grid.spread(traces), labels, self.numbered)
        found = self.inference.infer(traces, labels, self.frame_rate_hz, self.grid, self.n_samples, self.seed)
        return {**found, OTHERS: others}

    def notes_before_reading(self, labels: np.ndarray) -> list[str]:
        """What is to be said of neurons with these labels as long as no trace has been read."""
        engine = self.inference
        known = engine.traces if "infer" in engine.reads_cells else None
        return notes_before_reading(labels, self.numbered, engine.labels, known)


def open_sessions(recording: Any, frame_rate_hz: float | None, known: Any) -> tuple[list[Opened], list[Known]]:
    """One recording, or several by session id; and the known spikes of each (by session id too, where several)."""
    if isinstance(recording, list | tuple) and any(getattr(one, "ndim", 0) == 2 for one in recording):
        raise InputError(
            f"A {type(recording).__name__} of {counted(len(recording), 'recording')} was given; expected one, or"
            " {session: recording} with a name for each."
        )
    if not isinstance(recording, Mapping) or isinstance(recording, xr.Dataset):
        opened = open_recording(recording, frame_rate_hz)
        return [opened], [opened_known(known, opened.recording)]
    if not recording:
        raise InputError("No recording was given.")
    if known is not None and not isinstance(known, Mapping):
        raise InputError(
            f"known_spikes is a {type(known).__name__}; with several sessions give {{session: spikes}}, the spikes of"
            " each as for one recording."
        )
    foreign = set(known or {}) - set(recording)
    if foreign:
        raise InputError(
            f"known_spikes: there is no session {sorted(map(str, foreign))[0]!r}; with several sessions give"
            " {session: {neuron label: seconds}}."
        )
    opened = [
        open_recording(one, frame_rate_hz)._replace(session=str(name) if len(recording) > 1 else None)
        for name, one in recording.items()
    ]
    given = [(known or {}).get(session) for session in recording]
    return opened, [opened_known(own, one.recording) for own, one in zip(given, opened, strict=True)]


def hash_sessions(sessions: Sequence[Opened]) -> str:
    """Hash of the contents of one or several recordings and of their names."""
    hashes = {one.session or "": hash_recording(one.recording) for one in sessions}
    return hash_configuration(hashes)


def open_recording(recording: Any, frame_rate_hz: float | None) -> Opened:
    """A labelled recording of ΔF/F, its frame rate, and where its frames lie.

    Raises
    ------
    InputError
        No frame rate, raw fluorescence instead of ΔF/F, an array that is not a recording, or hardly any frames.
    """
    if isinstance(recording, Mapping) and not isinstance(recording, xr.Dataset):
        raise InputError("Several recordings were given; this takes one at a time, and only fit {session: recording}.")
    recording = _require_dff(as_recording(recording, frame_rate_hz))
    if "frame_rate_hz" not in recording.attrs:
        raise InputError("The recording has no frame rate; give frame_rate_hz=… (frames per second).")
    rate = float(recording.attrs["frame_rate_hz"])
    _require_frames(recording.sizes["time"], rate)
    return Opened(recording, rate, FrameGrid.of(recording["time"].values, rate))


def _require_frames(n_frames: int, rate: float) -> None:
    """Two at least, after what averaging leaves of them."""
    group = group_size(rate)
    if n_frames < 2 * group:
        averaged = f", which at {rate:g} Hz are averaged in groups of {group} (is the frame rate right?)"
        raise InputError(
            f"The recording has {n_frames} frame{'s' * (n_frames != 1)}{averaged if group > 1 else ''}; expected at"
            f" least {2 * group}."
        )


def open_model(model: str | Path, generative: Generative | None) -> tuple[SharedInference | OwnInference, ModelHeader]:
    """A shipped network, a network of one's own, or a fitted estimator.

    Raises
    ------
    ModelFileError
        No such file, or damaged.
    """
    if str(model) not in SHIPPED and read_header(model).class_name == CLASS:
        return load_fitted(model, generative)
    network, header = load_network(model)
    return SharedInference(network), header


def infer_in_blocks(
    infer: Bound, recording: xr.DataArray, attrs: dict[str, Any], progress: bool, executor: Executor | None
) -> dict[str, Any]:
    """Arrays of the result for all neurons of a recording, block by block, wherever the executor runs.

    Blocks are the same with and without an executor, and are read as they are needed. What is to be said of the
    neurons is added to the `notes` of the attributes; neurons taken for other cells than the fitted ones are counted
    there under `other_cells`.
    """
    one_block = partial(_infer_block, infer, recording.attrs, recording["time"].values)
    with show_progress("Inferring spikes", recording.sizes["neuron"], unit="neurons", enabled=progress) as bar:

        def tick(_: int, part: dict[str, np.ndarray]) -> None:
            bar.advance(len(part["baseline"]))

        parts = list(map_tasks(one_block, _blocks(recording), executor=executor, on_result=tick))
    joined = {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}
    if n_others := int(joined.pop(OTHERS).sum()):
        attrs["other_cells"] = n_others
    n_unusable = int(np.isnan(joined["expected_spikes"][0]).sum())
    n_implausible = int(implausible(joined["rate_hz"], infer.frame_rate_hz).sum())
    attrs["notes"] += notes_on_others(n_others) + notes_on_neurons(n_unusable, n_implausible)
    return joined


def _infer_block(
    infer: Bound, attrs: dict[str, Any], time_s: np.ndarray, block: tuple[np.ndarray, np.ndarray]
) -> dict[str, np.ndarray]:
    """(time, neuron) traces and labels of one block; at the top of the module, so that other processes find it."""
    return infer_with_noise(infer, attrs, time_s, *block)


def over_neurons(
    inference: SharedInference | OwnInference,
    method: Method,
    opened: Opened,
    seed: int,
    executor: Executor | None = None,
    attrs: dict[str, Any] | None = None,
) -> Iterator[np.ndarray]:
    """One row a neuron of what an engine's method gives on the regular grid; NaN where a trace says nothing.

    What is to be said of the neurons becomes the `notes` of these attributes after the last row.
    """
    numbered, n_others = named_by_number(opened.recording), 0
    of_block = partial(_rows_of_block, inference, method, numbered, opened.grid, opened.frame_rate_hz, seed)
    for rows, n in map_tasks(of_block, _blocks(opened.recording), executor=executor):
        n_others += n
        yield from rows
    if attrs is not None and n_others:
        attrs["notes"] = notes_on_others(n_others)


def _blocks(recording: xr.DataArray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(time, neuron) traces and labels, a block of neurons at a time, each read when it is needed."""
    labels = recording["neuron"].values.astype(str)
    size = max(1, BLOCK_FRAMES // max(1, recording.sizes["time"]))
    blocks = [slice(start, min(start + size, len(labels))) for start in range(0, len(labels), size)]
    for block, part in zip(blocks, neuron_blocks(recording, blocks), strict=True):
        yield np.asarray(part.values), labels[block]


def _rows_of_block(
    inference: SharedInference | OwnInference,
    method: Method,
    numbered: bool,
    grid: FrameGrid,
    frame_rate_hz: float,
    seed: int,
    block: tuple[np.ndarray, np.ndarray],
) -> tuple[list[np.ndarray], int]:
    """The rows of (time, neuron) traces with these labels, and how many have a fitted cell's number and are others."""
    traces, labels = np.asarray(block[0], np.float32).T, block[1]
    rows = [np.asarray(np.nan)] * len(traces)
    useful = np.flatnonzero(~unusable(traces, inference.fewest_frames))
    if not len(useful):
        return rows, 0
    spread = grid.spread(traces[useful])
    names, others = _of_cells(inference, method, spread, labels[useful], numbered)
    found = getattr(inference, method)(spread, names, frame_rate_hz, seed)
    for i, row in zip(useful, found, strict=True):
        rows[i] = np.asarray(row)
    return rows, int(others.sum())


def _of_cells(
    inference: SharedInference | OwnInference, method: Method, traces: np.ndarray, labels: np.ndarray, numbered: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Labels that are those of fitted cells only where the cells are the same; and which of the neurons are not."""
    if method not in inference.reads_cells:
        return labels, np.zeros(len(labels), bool)
    others = other_cells(traces, labels, numbered, inference.labels, inference.traces)
    return told_apart(labels, others), others


def _require_dff(recording: xr.DataArray) -> xr.DataArray:
    """ΔF/F as a fraction; percent is divided by 100, raw fluorescence refused."""
    if recording.attrs.get("quantity") == "fluorescence":
        raise InputError(
            "The recording holds raw fluorescence, and spikes are inferred from ΔF/F. Use"
            " antidrome.delta_f_over_f(recording, neuropil=…) first."
        )
    if not is_percent(recording.attrs):
        return recording
    with xr.set_options(keep_attrs=True):
        converted = recording / 100
    notes = [*recording.attrs.get("notes", []), "ΔF/F was in percent and was divided by 100."]
    return converted.assign_attrs(units="1", notes=notes)
