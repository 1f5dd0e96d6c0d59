"""From a network and data to activations on disk: one pass over the data for all layers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from antidrome.core.hashing import hash_arrays
from antidrome.core.progress import progress as show_progress
from antidrome.core.seeds import generator
from antidrome.dimension.networks.checkpoints import choose, last_hidden, relative_depth
from antidrome.dimension.networks.rows import Rows, as_rows
from antidrome.dimension.networks.steps import Batch, Network, framework_of
from antidrome.dimension.networks.store import Activations, Writer
from antidrome.errors import InputError, ResumeError
from antidrome.recordings.arguments import counted, one_of

Reduction = Literal["flatten", "mean", "first"]
DTYPES = ("float32", "float64", "float16")
PROBE_ROWS = 2
SECONDS_BETWEEN_COMMITS = 5.0


def as_network(network: Any) -> Network:
    """Take a network of any framework.

    Parameters
    ----------
    network
        A `torch.nn.Module`, an `equinox.Module`, or the path of an ONNX file.

    Raises
    ------
    InputError
        Anything else; a pickled PyTorch file gets its own sentence.
    """
    if isinstance(network, Network):
        return network
    if isinstance(network, str | Path):
        return _from_path(Path(network))
    framework = framework_of(network)
    if framework == "torch":
        from antidrome.dimension.networks.torch_network import TorchNetwork

        return TorchNetwork(network)
    if framework == "equinox":
        from antidrome.dimension.networks.equinox_network import EquinoxNetwork

        return EquinoxNetwork(network)
    raise InputError(
        f"A network of type {type(network).__name__} is not known; give a torch.nn.Module, an equinox.Module, the path"
        " of an .onnx file, or a mapping of layer names to arrays of activations."
    )


def record(
    network: Any,
    data: Any,
    at: str | Sequence[str] = "auto",
    *,
    store: str | Path,
    reduce: Reduction = "flatten",
    dtype: str = "float32",
    batch_size: int = 64,
    max_points: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Activations:
    """Run data through a network once, and write the activations of chosen layers to disk.

    Memory holds one batch of one layer at a time. The same call goes on where an interrupted one stopped, and gives
    the same files, byte for byte; a finished folder is used as it is.

    Parameters
    ----------
    network
        `torch.nn.Module`, `equinox.Module`, or path of an ONNX file.
    data
        Array (rows, …), mapping of arrays for several inputs, map-style dataset, or DataLoader without shuffling.
    at
        "auto" for the paper's checkpoints (input, each pooling or stage, each fully connected layer, output), names,
        or glob patterns.
    store
        Folder to write.
    reduce
        What is kept of a layer with positions: all units ("flatten"), their mean over positions ("mean"), or the first
        position of a sequence ("first"). This changes the dimension more than the estimator does.
    dtype
        Type on disk: "float32", "float64" or "float16".
    batch_size
        Rows per pass.
    max_points
        At most so many rows, drawn without replacement; by default all.
    seed
        Seed of that draw.
    progress
        Show a progress bar.

    Raises
    ------
    InputError
        A network or data that cannot be used, layers that do not exist, non-finite activations, too small a disk, or a
        store in which another process works.
    ResumeError
        The folder belongs to another network, other data or settings.
    """
    one_of("dtype", dtype, DTYPES)
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; expected at least 1.")
    net, rows = as_network(network), as_rows(data)
    index = chosen_rows(rows.n_rows, max_points, seed)
    probe = rows.batch(index[:PROBE_ROWS])
    steps = net.steps(probe)
    chosen = choose(steps, at)
    shapes = {step.name: reduced_shape(step.shape, reduce) for step in chosen}
    identity = {
        "network": net.fingerprint(),
        "framework": net.framework,
        "reduce": reduce,
        "dtype": dtype,
        "batch_size": batch_size,
        "rows": hash_arrays({"index": index}),
    }
    writer = Writer(
        Path(store),
        identity,
        chosen,
        shapes,
        relative_depth(chosen),
        n_rows=index.size,
        dtype=dtype,
        last_hidden=_last_hidden_of(steps, chosen),
        probe=_digest(probe) if all(step.sketch for step in chosen) else "",
    )
    try:
        writer.start()
        _fill(writer, net, rows, index, reduce, batch_size, progress)
        return writer.finish()
    finally:
        writer.close()


def chosen_rows(n_rows: int, max_points: int | None, seed: int) -> np.ndarray:
    """Numbers of the rows that are used, rising: all, or a random part."""
    if max_points is not None and max_points < 1:
        raise InputError(f"max_points is {max_points}; expected at least 1, or None for all.")
    if max_points is None or max_points >= n_rows:
        return np.arange(n_rows)
    return np.sort(generator(seed, "dimension/networks/rows").choice(n_rows, max_points, replace=False))


def reduced(values: np.ndarray, reduce: Reduction) -> np.ndarray:
    """Activations (rows, …) as (rows, units).

    Layers (rows, channels, height, width, …) have their positions last, sequences (rows, positions, features) in the
    middle; two axes have none.
    """
    if values.ndim <= 2 or reduce == "flatten":
        return values.reshape(len(values), -1)
    if values.ndim == 3:
        return values[:, 0] if reduce == "first" else values.mean(axis=1)
    if reduce == "first":
        raise InputError(
            f'reduce="first" is for sequences (rows, positions, features); a layer has {values.shape[1:]}.'
        )
    return values.mean(axis=tuple(range(2, values.ndim)))


def _from_path(path: Path) -> Network:
    if path.suffix.lower() == ".onnx":
        from antidrome.dimension.networks.onnx_network import OnnxNetwork

        return OnnxNetwork(path)
    raise InputError(
        f"{path}: a network file needs to be .onnx here. For PyTorch give the module itself, or on the command line"
        " its weights (.safetensors) with --architecture."
    )


def reduced_shape(shape: tuple[int, ...], reduce: Reduction) -> tuple[int, ...]:
    """Shape of one row of activations once it is reduced."""
    one_of("reduce", reduce, get_args(Reduction))
    return shape if reduce == "flatten" else reduced(np.zeros((1, *shape), np.float32), reduce).shape[1:]


def _last_hidden_of(steps: Sequence[Any], chosen: Sequence[Any]) -> str | None:
    """Name of the chosen layer that is the last hidden representation."""
    name = last_hidden(steps)
    digest = next((step.digest for step in steps if step.name == name), None)
    same = [step.name for step in chosen if step.digest == digest]
    return same[0] if same else None


def _fill(
    writer: Writer, net: Network, rows: Rows, index: np.ndarray, reduce: Reduction, batch_size: int, progress: bool
) -> None:
    """All batches; those that an interrupted run had finished are only compared with its record."""
    n_done, n_pending, pending, last = writer.rows_done, 0, [], time.monotonic()
    with show_progress("Recording activations", index.size, unit="rows", enabled=progress) as bar:
        for number, start in enumerate(range(0, index.size, batch_size)):
            part = index[start : start + batch_size]
            batch = rows.batch(part)
            digest = _digest(batch)
            if start < n_done:
                _require_same(writer, number, digest, start)
            else:
                _pass(writer, net, batch, part.size, reduce)
                pending.append(digest)
                n_pending += part.size
            due = time.monotonic() - last > SECONDS_BETWEEN_COMMITS or start + part.size == index.size
            if n_pending and due:
                writer.commit(n_pending, pending)
                n_pending, pending, last = 0, [], time.monotonic()
            bar.advance(part.size)


def _pass(writer: Writer, net: Network, batch: Batch, n_rows: int, reduce: Reduction) -> None:
    """Run one batch, and add its rows to every layer."""
    names = [layer.name for layer in writer.layers]
    seen: set[str] = set()

    def sink(name: str, values: np.ndarray) -> None:
        if len(values) != n_rows:
            raise InputError(
                f"Layer {name!r} gave {counted(len(values), 'row')} for {counted(n_rows, 'point')}; its first axis is"
                " not the data points."
            )
        if name in seen:
            raise InputError(
                f"The network gave layer {name!r} twice for one batch, so that two of its tensors share this name."
                " Rename one of its modules, or choose other layers (at=…)."
            )
        seen.add(name)
        writer.add(name, reduced(values, reduce))

    net.run(batch, names, sink)
    missing = [name for name in names if name not in seen]
    if missing:
        raise InputError(f"The network did not call {missing} for some rows, although it did for the first ones.")


def _require_same(writer: Writer, number: int, digest: str, start: int) -> None:
    if number >= len(writer.digests) or writer.digests[number] != digest:
        raise ResumeError(
            f"{writer.folder} holds activations of other data: rows from {start} on differ. Give another folder, or"
            " delete this one."
        )


def _digest(batch: Batch) -> str:
    return hash_arrays(batch if isinstance(batch, Mapping) else {"rows": batch})
