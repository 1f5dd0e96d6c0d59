"""Equinox modules, read by taps: every submodule that is called records what it gives, inside the same trace."""

from __future__ import annotations

import hashlib
import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from antidrome.dimension.networks.steps import (
    Batch,
    Kind,
    Sink,
    Step,
    as_activations,
    label_of,
    numbered,
    path_of,
)
from antidrome.errors import InputError

Record = list[tuple[str, Any]]


class EquinoxNetwork:
    """An `equinox.Module` that maps one data point to its output; it is vectorised over the rows here.

    Parameters
    ----------
    module
        The module, with `__call__(x)` or `__call__(x, key=…)`; dropout and batch statistics are put in inference mode.
    """

    framework = "equinox"

    def __init__(self, module: Any) -> None:
        import equinox as eqx

        self.module = eqx.nn.inference_mode(module)
        self._compiled: dict[tuple[str, ...] | None, tuple[Callable, list[str]]] = {}

    def steps(self, batch: Batch) -> list[Step]:
        """The places that can be read: every submodule that is called, what enters each linear layer, both ends."""
        rows = _rows(batch)
        values = self._run(rows, None)
        modules, kinds = dict(_walk(self.module, "")), _kinds(self.module)
        steps, n_weighted = [Step.of("input", "input", rows, 0)], 0
        for label, array in values:
            name, entering = path_of(label), label.endswith(":input")
            kind, inside = kinds[name]
            n_weighted += not entering and _has_weights(modules[name])
            steps.append(Step.of(label, "other" if entering else kind, array, n_weighted, inside_block=inside))
        return steps

    def run(self, batch: Batch, names: Sequence[str], sink: Sink) -> None:
        """Run `batch`; give each named place to `sink`."""
        rows = _rows(batch)
        if "input" in names:
            sink("input", rows)
        for label, array in self._run(rows, tuple(names)):
            sink(label, array)

    def fingerprint(self) -> str:
        """Hash of structure and leaves."""
        import jax

        leaves, structure = jax.tree.flatten(self.module)
        digest = hashlib.blake2b(_without_addresses(structure).encode(), digest_size=16)
        for leaf in leaves:
            if hasattr(leaf, "dtype"):
                if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                    leaf = jax.random.key_data(leaf)
                digest.update(np.asarray(leaf).tobytes())
            elif not callable(leaf):
                digest.update(repr(leaf).encode())
        return digest.hexdigest()

    def _run(self, rows: np.ndarray, names: tuple[str, ...] | None) -> list[tuple[str, np.ndarray]]:
        import jax

        if names not in self._compiled:
            labels: list[str] = []
            self._compiled[names] = (jax.jit(jax.vmap(_tapped(self.module, names, labels))), labels)
        compiled, labels = self._compiled[names]
        try:
            values = compiled(rows)
        except jax.errors.UnexpectedTracerError as error:
            raise InputError(
                "A submodule runs inside a transformation of its own (vmap, scan or checkpoint within the network), so"
                " its values cannot be read there. Give the activations as a mapping of arrays instead."
            ) from error
        except (TypeError, ValueError) as error:
            raise InputError(
                f"The network could not be run on rows of shape {rows.shape[1:]}: {error}. Equinox modules take one"
                " data point at a time; data need the shape (rows, …)."
            ) from error
        return [(label, as_activations(value, label)) for label, value in zip(labels, values, strict=True)]


def _tapped(module: Any, names: tuple[str, ...] | None, labels: list[str]) -> Callable:
    """The module as a function of one data point that returns its activations in order of the calls.

    Tracing the function writes what was called into `labels`.
    """

    def run(row: Any) -> list[Any]:
        record: Record = []
        _with_taps(module, "", record)(row, **_keywords(module))
        called = zip(numbered_calls(record), record, strict=True)
        kept = [(label, value) for label, (_, value) in called if names is None or label in names]
        labels[:] = [label for label, _ in kept]
        return [value for _, value in kept]

    return run


def numbered_calls(record: Record) -> list[str]:
    """Labels of recorded calls: outputs and inputs are numbered each for themselves."""
    bare = [label.removesuffix(":input") for label, _ in record]
    outputs = iter(numbered(b for b, (label, _) in zip(bare, record, strict=True) if not label.endswith(":input")))
    inputs = iter(numbered(b for b, (label, _) in zip(bare, record, strict=True) if label.endswith(":input")))
    return [f"{next(inputs)}:input" if label.endswith(":input") else next(outputs) for label, _ in record]


def _with_taps(module: Any, name: str, record: Record) -> Any:
    """A copy whose submodules record their outputs: instances of subclasses that differ in `__call__` alone."""
    import equinox as eqx

    def visit(value: Any, path: str) -> Any:
        if isinstance(value, eqx.Module):
            return _with_taps(value, path, record)
        if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
            return type(value)(visit(item, f"{path}.{i}") for i, item in enumerate(value))
        if isinstance(value, dict):
            return {key: visit(item, f"{path}.{key}") for key, item in value.items()}
        return value

    copy = object.__new__(_tap_class(type(module), name, record) if callable(module) else type(module))
    for field in module.__dataclass_fields__:
        if hasattr(module, field):
            object.__setattr__(copy, field, visit(getattr(module, field), f"{name}.{field}".lstrip(".")))
    return copy


def _tap_class(cls: type, name: str, record: Record) -> type:
    import equinox as eqx

    label = label_of(name)

    def call(self: Any, *arguments: Any, **keywords: Any) -> Any:
        if isinstance(self, eqx.nn.Linear) and arguments:
            record.append((f"{label}:input", arguments[0]))
        output = cls.__call__(self, *arguments, **keywords)
        value = _first_array(output)
        if value is not None:
            record.append((label, value))
        return output

    return type(cls)(cls.__name__, (cls,), {"__call__": call, "__module__": cls.__module__})


def _first_array(value: Any) -> Any:
    if hasattr(value, "dtype") and hasattr(value, "ndim"):
        return value
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return next((found for item in value if (found := _first_array(item)) is not None), None)
    return None


def _keywords(module: Any) -> dict[str, Any]:
    """`key=` for modules that insist on one; in inference mode it decides nothing."""
    import jax

    parameters = inspect.signature(type(module).__call__).parameters
    wants_key = "key" in parameters and parameters["key"].default is inspect.Parameter.empty
    return {"key": jax.random.key(0)} if wants_key else {}


def _walk(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every submodule with its path, outer ones first."""
    import equinox as eqx

    if isinstance(value, eqx.Module):
        yield name, value
        items = [(field, getattr(value, field)) for field in value.__dataclass_fields__ if hasattr(value, field)]
    elif isinstance(value, list | tuple):
        items = [(str(i), item) for i, item in enumerate(value)]
    elif isinstance(value, dict):
        items = [(str(key), item) for key, item in value.items()]
    else:
        return
    for key, item in items:
        yield from _walk(item, f"{name}.{key}".lstrip("."))


def _kinds(root: Any) -> dict[str, tuple[Kind, bool]]:
    import equinox as eqx

    modules = dict(_walk(root, ""))
    held = [
        name
        for name, module in modules.items()
        if name.rpartition(".")[2].isdigit()
        and type(module).__module__.partition(".")[0] != "equinox"
        and any(other.startswith(f"{name}.") for other in modules)
    ]
    classes = Counter(type(modules[name]) for name in held)
    blocks = {name for name in held if classes[type(modules[name])] > 1}
    kinds: dict[str, tuple[Kind, bool]] = {}
    for name, module in modules.items():
        kind: Kind = "weighted" if _has_weights(module) else "other"
        if name == "":
            kind = "output"
        elif isinstance(module, eqx.nn.Linear):
            kind = "linear"
        elif "Pool" in type(module).__name__:
            kind = "pool"
        elif name in blocks:
            kind = "block"
        kinds[name] = (kind, any(name.startswith(f"{block}.") for block in blocks))
    return kinds


def _has_weights(module: Any) -> bool:
    values = (getattr(module, field, None) for field in module.__dataclass_fields__)
    return any(hasattr(value, "dtype") and value.ndim >= 2 for value in values)


def _rows(batch: Batch) -> np.ndarray:
    if isinstance(batch, Mapping):
        raise InputError("Equinox modules are run on one array (rows, …); a mapping of inputs was given.")
    return as_activations(batch, "input")


def _without_addresses(structure: Any) -> str:
    import re

    return re.sub(r" at 0x[0-9a-f]+", "", str(structure))
