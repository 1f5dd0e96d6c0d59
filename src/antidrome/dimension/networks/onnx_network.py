"""ONNX files, run by onnxruntime with the values of inner nodes as further outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from antidrome.dimension.networks.steps import Batch, Kind, Sink, Step, as_activations, label_of
from antidrome.errors import FileFormatError, InputError, UnsafeFileError

POOLS = frozenset({"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "ReduceMean"})
LINEAR = frozenset({"Gemm", "MatMul"})
WEIGHTED = LINEAR | {"Conv", "ConvTranspose", "LSTM", "GRU", "RNN"}
MAX_FILE_BYTES = 2 * 2**30


class OnnxNetwork:
    """An ONNX file.

    Parameters
    ----------
    path
        The file. Weights in separate files are read only from the file's own folder.

    Raises
    ------
    InputError
        The packages for ONNX are not installed.
    FileFormatError
        Not an ONNX model, damaged, or larger than 2 GB.
    UnsafeFileError
        It refers to files outside its folder.
    """

    framework = "onnx"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.model = _load(self.path)
        self._sessions: dict[tuple[str, ...], Any] = {}
        initialisers = {tensor.name for tensor in self.model.graph.initializer}
        self.inputs = [value for value in self.model.graph.input if value.name not in initialisers]
        self.weights = initialisers | {node.output[0] for node in self.model.graph.node if node.op_type == "Constant"}
        self.rows_per_pass = _fixed_rows(self.inputs[0]) if self.inputs else None
        self.names = _node_names(self.model.graph)

    def steps(self, batch: Batch) -> list[Step]:
        """The places that can be read: the first output of every node, what enters each linear layer, both ends."""
        n_rows = len(next(iter(batch.values())) if isinstance(batch, Mapping) else batch)
        wanted = list(self.names.values())
        values = self._run(batch, wanted)
        steps = []
        if not isinstance(batch, Mapping):
            rows = as_activations(batch, "input")
            steps.append(Step.of("input", "input", rows, 0))
        n_weighted, output = 0, self.model.graph.output[0].name
        for node in self.model.graph.node:
            value = values.get(node.output[0])
            if node.output[0] not in self.names.values() or not _is_rows(value, n_rows):
                continue
            label = next(key for key, tensor in self.names.items() if tensor == node.output[0])
            kind = self._kind(node)
            entering = values.get(node.input[0]) if kind == "linear" else None
            if _is_rows(entering, n_rows):
                steps.append(Step.of(f"{label}:input", "other", entering, n_weighted))
            n_weighted += kind in ("linear", "weighted")
            steps.append(Step.of(label, kind, value, n_weighted))
            if node.output[0] == output:
                steps.append(Step.of("output", "output", value, n_weighted))
        return steps

    def run(self, batch: Batch, names: Sequence[str], sink: Sink) -> None:
        """Run `batch`; give each named place to `sink`."""
        tensors = {name: self._tensor(name) for name in names if name != "input"}
        if "input" in names:
            sink("input", as_activations(batch, "input"))
        values = self._run(batch, list(dict.fromkeys(tensors.values()))) if tensors else {}
        for name, tensor in tensors.items():
            sink(name, as_activations(values[tensor], name))

    def fingerprint(self) -> str:
        """Hash of the model and its weights."""
        return hashlib.blake2b(self.model.SerializeToString(deterministic=True), digest_size=16).hexdigest()

    def _tensor(self, name: str) -> str:
        if name == "output":
            return self.model.graph.output[0].name
        label = name.removesuffix(":input")
        if not name.endswith(":input"):
            return self.names[label]
        return next(node.input[0] for node in self.model.graph.node if node.output[0] == self.names[label])

    def _kind(self, node: Any) -> Kind:
        if node.op_type in POOLS:
            return "pool"
        has_weights = any(name in self.weights for name in node.input)
        if node.op_type in LINEAR and has_weights:
            return "linear"
        if node.op_type in WEIGHTED:
            return "weighted"
        joins = node.op_type == "Add" and not has_weights and len(set(node.input)) == 2
        return "block" if joins else "other"

    def _run(self, batch: Batch, tensors: list[str]) -> dict[str, np.ndarray]:
        given = self._feed(batch)
        available = [value.name for value in self.inputs]
        inner = [name for name in tensors if name not in available]
        size = self.rows_per_pass
        n_rows = len(next(iter(given.values())))
        session = self._session(tuple(inner))
        parts = [
            self._pass(session, {k: v[i : i + (size or n_rows)] for k, v in given.items()}, inner, size)
            for i in range(0, n_rows, size or n_rows)
        ]
        values = dict(zip(inner, parts[0], strict=True))
        if len(parts) > 1:
            values = {k: _joined([part[i] for part in parts]) for i, k in enumerate(inner)}
        return values | {name: given[name] for name in tensors if name in given}

    def _pass(self, session: Any, given: dict[str, np.ndarray], inner: list[str], size: int | None) -> list[np.ndarray]:
        """One call of onnxruntime; a short batch of a model with a fixed one is filled up, and cut again."""
        n_rows = len(next(iter(given.values())))
        if size is not None and n_rows < size:
            given = {k: np.concatenate([v, np.repeat(v[-1:], size - n_rows, axis=0)]) for k, v in given.items()}
        try:
            values = session.run(inner, given)
        except Exception as error:  # onnxruntime has a class for each error code, and no common base but Exception
            shapes = ", ".join(f"{name} {value.shape}" for name, value in given.items())
            raise InputError(f"{self.path}: the network could not be run on {shapes}: {_first_line(error)}") from error
        if size is None or n_rows == size:
            return values
        return [v[:n_rows] if np.ndim(v) and len(v) == size else v for v in values]

    def _feed(self, batch: Batch) -> dict[str, np.ndarray]:
        given = dict(batch) if isinstance(batch, Mapping) else {self.inputs[0].name: batch} if self.inputs else {}
        missing = [value.name for value in self.inputs if value.name not in given]
        if missing or not given:
            raise InputError(
                f"{self.path}: the network takes the inputs {[v.name for v in self.inputs]}; missing: {missing}."
            )
        import onnx

        types = {value.name: value.type.tensor_type.elem_type for value in self.inputs}
        return {k: np.ascontiguousarray(v, onnx.helper.tensor_dtype_to_np_dtype(types[k])) for k, v in given.items()}

    def _session(self, tensors: tuple[str, ...]) -> Any:
        if tensors not in self._sessions:
            import onnx
            import onnxruntime

            model = onnx.ModelProto()
            model.CopyFrom(self.model)
            present = {value.name for value in model.graph.output}
            model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in present)
            settings = onnxruntime.SessionOptions()
            settings.log_severity_level = 4
            try:
                self._sessions[tensors] = onnxruntime.InferenceSession(
                    model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
                )
            except Exception as error:  # as above
                raise FileFormatError(
                    f"{self.path}: onnxruntime cannot load this model: {_first_line(error)}"
                ) from error
        return self._sessions[tensors]


def _load(path: Path) -> Any:
    if not path.is_file():
        raise FileFormatError(f"{path}: there is no such ONNX file.")
    try:
        import onnx
        import onnxruntime  # noqa: F401 - runs the network later; asked for before any work
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise InputError(f"{path}: ONNX files need onnx and onnxruntime: pip install 'antidrome[onnx]'") from error
    if path.stat().st_size > MAX_FILE_BYTES:
        raise FileFormatError(f"{path}: the file has {path.stat().st_size:,} bytes; an ONNX model has at most 2 GB.")
    try:
        model = onnx.load(path, load_external_data=False)
        for tensor in model.graph.initializer:
            _refuse_files_elsewhere(tensor, path)
        onnx.load_external_data_for_model(model, str(path.parent))
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, ValueError, OSError) as error:
        if isinstance(error, UnsafeFileError):
            raise
        raise FileFormatError(f"{path}: this is not a usable ONNX model: {_first_line(error)}") from error
    return model


def _refuse_files_elsewhere(tensor: Any, path: Path) -> None:
    places = [entry.value for entry in tensor.external_data if entry.key == "location"]
    for place in places:
        target = (path.parent / place).resolve()
        if Path(place).is_absolute() or not target.is_relative_to(path.parent.resolve()):
            raise UnsafeFileError(f"{path}: weights of {tensor.name!r} lie outside its folder ({place!r}); refused.")


def _node_names(graph: Any) -> dict[str, str]:
    """Label → tensor of each node's first output: the node's own name where it has one, never that of an end."""
    names: dict[str, str] = {}
    for node in graph.node:
        if node.op_type in ("Constant", "Shape", "Identity") or not node.output or not node.output[0]:
            continue
        label = label_of(node.name.strip("/") or node.output[0])
        names[label if label not in names else label_of(node.output[0])] = node.output[0]
    return names


def _fixed_rows(value: Any) -> int | None:
    dimensions = value.type.tensor_type.shape.dim
    fixed = dimensions[0].dim_value if dimensions and dimensions[0].HasField("dim_value") else 0
    return fixed or None


def _is_rows(value: Any, n_rows: int) -> bool:
    return isinstance(value, np.ndarray) and value.ndim > 0 and len(value) == n_rows and value.dtype.kind in "fbiu"


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if np.ndim(parts[0]) else parts[0]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
