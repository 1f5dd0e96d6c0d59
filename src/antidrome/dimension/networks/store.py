"""Activations on disk: one folder a network, one plain `.npy` file a layer, filled row by row.

While rows are added the files are named `LAYER.npy.partial`, and `progress.json` says how many rows are safely there;
what a killed run had written beyond is cut off. A file with its final name is complete.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from antidrome.core.files import write_json
from antidrome.core.names import slug
from antidrome.dimension.networks.reserving import reserved
from antidrome.dimension.networks.steps import Step, alike
from antidrome.errors import FileFormatError, InputError, ResumeError
from antidrome.recordings.arguments import counted

SPARE_BYTES = 256 * 2**20
FLOAT16_LOSES_BELOW = 6e-4
"""Ten times the smallest number that float16 keeps with all its digits."""


@dataclass(frozen=True)
class StoredLayer:
    """One layer of a store, as its index file describes it."""

    name: str
    file: str
    shape: tuple[int, ...]
    width: int
    relative_depth: float
    kind: str


class Activations(Mapping[str, np.ndarray]):
    """Layer name → activations (rows, units) as read-only memory maps; nothing is loaded until it is used.

    Parameters
    ----------
    folder
        A finished folder, as `record` leaves it.

    Raises
    ------
    FileFormatError
        No such folder, unfinished, or damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        index = _read_json(self.folder / "index.json")
        progress = _read_json(self.folder / "progress.json")
        try:
            layers = [StoredLayer(**{**entry, "shape": tuple(entry["shape"])}) for entry in index["layers"]]
            done, self.n_rows = int(progress["rows_done"]), int(index["n_rows"])
            self.digests: list[str] = list(progress["digests"])
            self.identity: dict[str, Any] = dict(index["identity"])
            self.last_hidden: str | None = index["last_hidden"]
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(f"{self.folder}: the index of the activations is damaged ({error}).") from error
        if done < self.n_rows:
            raise FileFormatError(
                f"{self.folder}: only {done} of {self.n_rows} rows are there; run the same call again."
            )
        self.layers = {layer.name: layer for layer in layers}

    def __getitem__(self, name: str) -> np.ndarray:
        path = self.folder / _safe(self.layers[name].file)
        try:
            values = np.lib.format.open_memmap(path, mode="r")
            n_bytes = path.stat().st_size
        except Exception as error:  # NumPy answers damage with errors of every kind, TokenError among them
            raise FileFormatError(f"{path}: the activations cannot be read ({error}).") from error
        if n_bytes != values.offset + values.nbytes:
            raise FileFormatError(
                f"{path}: more values than its header says, as of two layers mixed; delete the folder and start again."
            )
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)


class Writer:
    """Adds rows to the files of chosen layers.

    Parameters
    ----------
    folder
        Where; made if it is missing. What an interrupted run of the same identity left is taken up.
    identity
        JSON-ready description of network, data and settings.
    steps, shapes, depths
        The layers, the shape of a row of each as it is stored, and their relative depths.
    n_rows
        Rows in the end.
    dtype
        "float32", "float64" or "float16".
    last_hidden
        Name of the last hidden representation.
    probe
        Hash of the rows that the sketches of the steps are of; "" where there are none. Structure and weights do not
        say all that a network does (heads of attention, functions that its code calls); what it gives does.

    Raises
    ------
    ResumeError
        The folder belongs to another run.
    InputError
        The disk is too small, two layers have the same name, or another process works in the folder.
    """

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, Any],
        steps: Sequence[Step],
        shapes: Mapping[str, tuple[int, ...]],
        depths: Sequence[float],
        *,
        n_rows: int,
        dtype: str,
        last_hidden: str | None,
        probe: str = "",
    ) -> None:
        self.folder, self.n_rows, self.dtype = folder, n_rows, np.dtype(dtype)
        self.layers = [
            StoredLayer(
                step.name,
                f"{slug(f'{number:03d}-{step.name}')}.npy",
                shapes[step.name],
                int(np.prod(shapes[step.name], dtype=np.int64)),
                depth,
                step.kind,
            )
            for number, (step, depth) in enumerate(zip(steps, depths, strict=True))
        ]
        _require_different([layer.name for layer in self.layers])
        self.index = {
            "identity": dict(identity),
            "n_rows": n_rows,
            "last_hidden": last_hidden,
            "layers": [asdict(layer) for layer in self.layers],
        }
        if probe:
            self.index["probe"] = {"rows": probe, "sketches": {step.name: list(step.sketch) for step in steps}}
        self.digests: list[str] = []
        self.rows_done = 0
        self._open: dict[str, Any] = {}
        self._added: dict[str, int] = {}
        self._largest: dict[str, float] = {}
        self._by_name = {layer.name: layer for layer in self.layers}
        self._reserved = ExitStack()

    @property
    def bytes_needed(self) -> int:
        """Size of all layers on disk."""
        return sum(layer.width for layer in self.layers) * self.n_rows * self.dtype.itemsize

    def start(self) -> None:
        """Open the files: anew, or where an interrupted run of the same identity stopped."""
        self._reserved.enter_context(reserved(self.folder))
        if (self.folder / "index.json").exists():
            self._take_up()
        else:
            _require_space(self.folder, self.bytes_needed)
            write_json(self.folder / "progress.json", {"rows_done": 0, "digests": []})
            write_json(self.folder / "index.json", self.index)
        if self.rows_done < self.n_rows:
            for layer in self.layers:
                self._open[layer.name] = self._prepared(layer)

    def add(self, name: str, values: np.ndarray) -> None:
        """Append rows to one layer.

        Raises
        ------
        InputError
            NaN or infinite values, or another number of units than before.
        """
        layer, first = self._by_name[name], self._added.get(name, self.rows_done)
        stored = values.reshape(len(values), -1)
        if stored.shape[1] != layer.width:
            raise InputError(
                f"Layer {name!r} has {stored.shape[1]} units from row {first} on, {layer.width} before; all"
                " rows need the same shape."
            )
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(stored, self.dtype)
        bad = np.flatnonzero(~np.isfinite(stored).all(axis=1))
        if bad.size:
            hint = " float16 ends at 65,504: use float32." if self.dtype == np.float16 else ""
            raise InputError(
                f"Layer {name!r} has NaN or infinite values for {bad.size} rows, the first being row"
                f" {first + int(bad[0])}.{hint} Check the data and the network."
            )
        if self.dtype == np.float16:
            self._largest[name] = max(self._largest.get(name, 0.0), float(np.abs(values).max()))
        self._open[name].write(stored.tobytes())
        self._added[name] = first + len(stored)

    def commit(self, n_rows: int, digests: Sequence[str]) -> None:
        """Make all rows added so far safe, and say so.

        Raises
        ------
        InputError
            A layer got more or fewer rows than were done.
        """
        done = self.rows_done + n_rows
        for layer in self.layers:
            added = self._added.get(layer.name, self.rows_done)
            if added != done:
                raise InputError(
                    f"Layer {layer.name!r} got {counted(added, 'row')} for {counted(done, 'data point')}; each point"
                    " has one row in each layer. Choose other layers (at=…)."
                )
        for stream in self._open.values():
            stream.flush()
            os.fsync(stream.fileno())
        self.rows_done = done
        self.digests.extend(digests)
        progress = {"rows_done": self.rows_done, "digests": self.digests}
        largest = {"largest": self._largest} if self._largest else {}
        write_json(self.folder / "progress.json", {**progress, **largest})

    def finish(self) -> Activations:
        """Give the files their final names; `close` comes after.

        Raises
        ------
        InputError
            The values of a layer are too small for float16.
        """
        self._close_files()
        self._require_digits()
        for layer in self.layers:
            partial = self.folder / f"{layer.file}.partial"
            if partial.exists():
                os.replace(partial, self.folder / layer.file)
        return Activations(self.folder)

    def close(self) -> None:
        """Close the files and let others in; what was not committed will be cut off by the next run."""
        self._close_files()
        self._reserved.close()

    def _close_files(self) -> None:
        for stream in self._open.values():
            stream.close()
        self._open.clear()

    def _require_digits(self) -> None:
        """Refuse a layer whose values are not all zero, yet all so small that float16 loses their digits."""
        for name, largest in self._largest.items():
            if 0 < largest < FLOAT16_LOSES_BELOW:
                raise InputError(
                    f"Layer {name!r} has values of at most {largest:.2g}, of which float16 loses digits (below 6e-5):"
                    ' use dtype="float32".'
                )

    def _take_up(self) -> None:
        index = _read_json(self.folder / "index.json")
        saved = index.get("identity", {})
        differing = [key for key in self.index["identity"] if saved.get(key) != self.index["identity"][key]]
        if not differing and not self._takes_names_of(index):
            differing = ["layers"]
        if differing:
            raise ResumeError(
                f"{self.folder} holds activations of another run: {', '.join(differing)} differ. Give another folder,"
                " or delete this one."
            )
        self._require_same_network(index.get("probe"))
        progress = _read_json(self.folder / "progress.json")
        self.rows_done, self.digests = int(progress["rows_done"]), list(progress["digests"])
        if self.dtype == np.float16:
            unknown = FLOAT16_LOSES_BELOW if self.rows_done else 0.0  # early versions did not say it: no refusal
            self._largest = dict.fromkeys(self._by_name, unknown) | progress.get("largest", {})

    def _require_same_network(self, saved: Any) -> None:
        """Compare what a network gives for the same rows; early versions saved nothing of it."""
        mine = self.index.get("probe")
        if not isinstance(saved, dict) or mine is None or saved.get("rows") != mine["rows"]:
            return
        sketches = saved.get("sketches", {})
        other = [name for name, sketch in mine["sketches"].items() if not alike(sketch, sketches.get(name, []))]
        if other:
            raise ResumeError(
                f"{self.folder} holds activations of another network: its weights are the same, but layer {other[0]!r}"
                " gives other values for the first rows. Give another folder, or delete this one."
            )

    def _takes_names_of(self, index: dict[str, Any]) -> bool:
        """Whether an index is of these layers; the files keep its names, which early versions shortened otherwise."""
        expected, index = ({k: v for k, v in one.items() if k != "probe"} for one in (self.index, index))
        expected, layers = json.loads(json.dumps(expected)), index.get("layers")
        if not isinstance(layers, list) or len(layers) != len(self.layers):
            return False
        files = [layer.get("file") if isinstance(layer, dict) else None for layer in layers]
        expected["layers"] = [{**layer, "file": file} for layer, file in zip(expected["layers"], files, strict=True)]
        if expected != index or not all(isinstance(file, str) for file in files):
            return False
        self.layers = [replace(layer, file=_safe(file)) for layer, file in zip(self.layers, files, strict=True)]
        self._by_name = {layer.name: layer for layer in self.layers}
        return True

    def _prepared(self, layer: StoredLayer) -> Any:
        """The file of a layer, open at the end of its last safe row."""
        partial = self.folder / f"{layer.file}.partial"
        header = _header((self.n_rows, layer.width), self.dtype)
        size = len(header) + self.rows_done * layer.width * self.dtype.itemsize
        if self.rows_done == 0:
            stream = open(partial, "wb")  # noqa: SIM115 (closed by close)
            stream.write(header)
            return stream
        if not partial.exists() or partial.stat().st_size < size:
            raise FileFormatError(
                f"{partial}: fewer rows than {self.folder / 'progress.json'} says; delete the folder and start again."
            )
        stream = open(partial, "r+b")  # noqa: SIM115
        stream.truncate(size)
        stream.seek(size)
        return stream


def _header(shape: tuple[int, int], dtype: np.dtype) -> bytes:
    """Header of a `.npy` file."""
    import io

    stream = io.BytesIO()
    description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, description)
    return stream.getvalue()


def _require_different(names: Sequence[str]) -> None:
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise InputError(
            f"Two layers of the network are called {twice[0]!r}; rename one of them, or choose other layers (at=…)."
        )


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed + SPARE_BYTES > free:
        raise InputError(
            f"The activations need {needed / 2**30:.1f} GiB and {folder} has {free / 2**30:.1f} GiB free. Choose fewer"
            ' layers (at=…), fewer points (max_points=…), dtype="float16", or another folder (store=…).'
        )


def _safe(file: str) -> str:
    if not isinstance(file, str) or Path(file).name != file or not file.endswith(".npy"):
        raise FileFormatError(f"The index of the activations names the file {file!r}, which lies elsewhere; refused.")
    return file


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileFormatError(f"{path.parent}: this is no folder of activations ({path.name} is missing).") from error
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{path}: damaged ({error}).") from error
    if not isinstance(content, dict):
        raise FileFormatError(f"{path}: damaged (not a table).")
    return content
