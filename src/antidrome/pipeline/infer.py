"""Spikes of one session, block of neurons by block of neurons, each kept as soon as it is finished."""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from antidrome.core.progress import ProgressBar
from antidrome.errors import InputError
from antidrome.pipeline.cache import SessionCache
from antidrome.pipeline.model import model_hash
from antidrome.pipeline.sessions import Session
from antidrome.recordings.recording import of_frames
from antidrome.spikes.lazy import values_with_samples
from antidrome.spikes.results import notes_on_neurons, odd_neurons
from antidrome.spikes.same_cells import notes_on_others

if TYPE_CHECKING:
    import xarray as xr

    from antidrome.spikes import SpikeVAE

BLOCK_VALUES = 2_000_000
"""Frames × neurons of a block: what is computed, held in memory and, after an interruption, lost at most."""


def block_slices(n_frames: int, n_neurons: int, n_samples: int = 0) -> list[slice]:
    """Blocks of neurons; they depend on these numbers alone, so that a resumed run cuts as the first one did."""
    step = max(1, block_values(n_samples) // max(1, n_frames))
    return [slice(first, min(first + step, n_neurons)) for first in range(0, n_neurons, step)]


def block_values(n_samples: int) -> int:
    """Frames × neurons of a block that is inferred with so many samples."""
    return values_with_samples(BLOCK_VALUES, n_samples)


def infer_session(
    model: "SpikeVAE",
    session: Session,
    cache: SessionCache,
    n_samples: int,
    bar: ProgressBar,
    executor: Executor | None = None,
) -> tuple["xr.Dataset", int]:
    """Infer what the cache does not hold yet, and return the whole result and how many blocks were there before.

    With an executor, blocks are inferred wherever it runs, by the same model loaded there, and kept here.

    Returns
    -------
    result
        The spikes result with the trace as ``dff`` and the recording's coordinates of neurons and frames; dask-backed
        if large.
    n_kept
        Blocks that an earlier run had finished.
    """
    from antidrome.core.executor import map_tasks
    from antidrome.recordings.lazy import neuron_blocks

    recording = session.recording
    blocks = block_slices(recording.sizes["time"], recording.sizes["neuron"], n_samples)
    wanted = [number for number in range(len(blocks)) if not cache.has(number)]
    kept = set(range(len(blocks))) - set(wanted)
    bar.advance(sum(blocks[number].stop - blocks[number].start for number in kept))

    under_way: dict[int, xr.DataArray] = {}

    def parts() -> "Iterator[xr.DataArray]":
        for index, part in enumerate(neuron_blocks(recording, [blocks[number] for number in wanted])):
            under_way[index] = part
            yield part

    def keep(index: int, result: "xr.Dataset") -> None:
        number = wanted[index]
        session.refuse_replaced()
        cache.put(number, _with_trace(result, under_way.pop(index), session, blocks[number]))
        bar.advance(blocks[number].stop - blocks[number].start)

    origin = (cache.origin["antidrome version"], cache.origin["model weights"])
    infer = (
        partial(_infer_here, model, origin[1], n_samples)
        if executor is None
        else partial(_infer_there, str(model.model), int(model.seed), origin, n_samples)
    )
    for _ in map_tasks(infer, parts(), executor=executor, on_result=keep):
        pass
    whole = _complete(cache.open(len(blocks)), session, cache)
    return whole.assign_attrs(model=str(model.model)), len(kept)  # its file may have been moved since


def _infer_here(model: "SpikeVAE", weights: str, n_samples: int, part: "xr.DataArray") -> "xr.Dataset":
    """One block, by a network of these weights and no other: a file may be replaced while hours of work go on."""
    result = model.predict(part, n_samples=n_samples, progress=False)
    if model_hash(model) != weights:
        raise InputError(
            f"{model.model} is not the model that this run began with: it was replaced meanwhile, or another file has"
            " its path where the work is done. Run the job again; blocks of the first model are not used."
        )
    return result


def _infer_there(model: str, seed: int, origin: tuple[str, str], n_samples: int, part: "xr.DataArray") -> "xr.Dataset":
    """One block in another process, where the model is loaded (once) from its name or its file.

    `origin` is the version of Antidrome that asks, and the hash of the weights.
    """
    from antidrome import __version__

    version, weights = origin
    if __version__ != version:
        raise InputError(f"A worker has Antidrome {__version__}, the run {version}. Install the same on all machines.")
    return _infer_here(_loaded(model, seed), weights, n_samples, part)


@lru_cache(maxsize=1)
def _loaded(model: str, seed: int) -> "SpikeVAE":
    from antidrome.spikes import SpikeVAE

    return SpikeVAE(model=model, seed=seed)


def _with_trace(result: "xr.Dataset", part: "xr.DataArray", session: Session, block: slice) -> "xr.Dataset":
    """The block's result with the trace that it came from.

    Other neuron coordinates and the recording's notes are added at the end, once, as the recording then has them; so
    are notes that count neurons, of which the block keeps the counts.
    """
    extra = {"dff": part.drop_vars([name for name in part.coords if name not in part.dims]).astype("float32")}
    extra["dff"].attrs = {"units": "1", "long_name": "ΔF/F"}
    if session.truth is not None:
        truth = session.truth.isel(neuron=block).astype("float32")
        truth.attrs = {"units": "spikes per frame", "long_name": "true spikes of the simulation"}
        extra["true_spikes"] = truth.drop_vars([name for name in truth.coords if name not in truth.dims])
    odd, n_others = odd_neurons(result), int(result.attrs.get("other_cells", 0))
    said_later = {*_once(part.attrs.get("notes", [])), *notes_on_others(n_others), *notes_on_neurons(*odd)}
    notes = [note for note in _once(result.attrs.get("notes", [])) if note not in said_later]
    result = result.drop_vars([name for name in result.coords if name not in result.dims])
    return result.assign(extra).assign_attrs(notes=notes, odd_neurons=list(odd), other_cells=n_others)


def _complete(result: "xr.Dataset", session: Session, cache: SessionCache) -> "xr.Dataset":
    """Coordinates and attributes of the whole: the checks' findings, and the notes of all blocks, each said once."""
    of_blocks = result.attrs.pop("block_attributes")
    for of_block in ("odd_neurons", "other_cells", "series"):  # blocks from before have none
        result.attrs.pop(of_block, None)
    odd = (sum(map(int, counts)) for counts in zip(*(one.get("odd_neurons", (0, 0)) for one in of_blocks), strict=True))
    n_others = sum(int(one.get("other_cells", 0)) for one in of_blocks)
    of_all = [attributes.get("notes", []) for attributes in of_blocks]
    notes = _once(session.recording.attrs.get("notes", []), *of_all, notes_on_others(n_others), notes_on_neurons(*odd))
    recording = session.recording
    of_neurons = {name: ("neuron", c.values) for name, c in recording.coords.items() if c.dims == ("neuron",)}
    coords = {name: c for name, c in {**of_neurons, **of_frames(recording)}.items() if name not in result.variables}
    named = {name: recording.attrs[name] for name in ("neuron_labels", "series") if name in recording.attrs}
    return result.assign_coords(coords).assign_attrs(
        named,
        findings=json.dumps([finding.to_dict() for finding in session.findings], ensure_ascii=False),
        notes=notes,
        source=session.source,
        source_format=session.source_format,
        session_id=session.session_id,
        input_hash=session.input_hash,
        result_key=cache.key,
    )


def _once(*lists: Iterable[str] | str) -> list[str]:
    """All notes in order, each once; a list may come as JSON text."""
    opened = [json.loads(notes) if isinstance(notes, str) else notes for notes in lists]
    return list(dict.fromkeys(str(note) for notes in opened for note in notes))
