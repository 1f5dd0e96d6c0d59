"""What an adapter tells of a network: the places where activations can be read, in the order in which they happen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from antidrome.dimension.points import spread_rows
from antidrome.errors import InputError

Kind = Literal["input", "weighted", "linear", "pool", "block", "stage", "other", "output"]
Batch = np.ndarray | Mapping[str, np.ndarray]
Sink = Callable[[str, np.ndarray], None]
ENDS = frozenset({"input", "output"})
SKETCHED = 64
"""Values of the probe rows that a sketch holds at most."""
ALIKE = 2e-3
"""How far two sketches of one network may be apart on two machines, relative to their size."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One place of a network where activations can be read.

    Parameters
    ----------
    name
        Name of the layer; "input" and "output" for the ends, "NAME:input" for what enters a layer, "NAME#2" for the
        second call of a layer that is used twice. A part that is itself called "input" or "output" is ".input" or
        ".output".
    kind
        What happens there.
    shape
        Shape of one row of activations.
    n_weighted
        Layers with weights that were passed up to here, this one included.
    digest
        Hash of the activations of the probe rows: steps with equal values are one representation.
    inside_block
        Whether it is a part of a repeated block.
    sketch
        Some of the activations of the probe rows, by which a network is known again, also on another machine.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    n_weighted: int
    digest: str
    inside_block: bool = False
    sketch: tuple[float, ...] = ()

    @classmethod
    def of(cls, name: str, kind: Kind, values: np.ndarray, n_weighted: int, *, inside_block: bool = False) -> Step:
        """The place at which the probe rows have these values (row, …)."""
        return cls(
            name=name,
            kind=kind,
            shape=values.shape[1:],
            n_weighted=n_weighted,
            digest=digest_of(values),
            inside_block=inside_block,
            sketch=sketch_of(values),
        )


@runtime_checkable
class Network(Protocol):
    """A network of any framework, as the extraction sees it."""

    framework: str

    def steps(self, batch: Batch) -> list[Step]:
        """The places that can be read, found by running `batch` once."""
        ...

    def run(self, batch: Batch, names: Sequence[str], sink: Sink) -> None:
        """Run `batch` and give the activations of each named place to `sink` as soon as they exist."""
        ...

    def fingerprint(self) -> str:
        """Hash of structure and weights."""
        ...


def framework_of(network: Any) -> str | None:
    """The framework of a network ("torch", "equinox"), told without importing either; None: another one."""
    bases = {f"{base.__module__}.{base.__qualname__}" for base in type(network).__mro__}
    if "torch.nn.modules.module.Module" in bases:
        return "torch"
    return "equinox" if any(base.startswith("equinox._module") for base in bases) else None


def digest_of(values: np.ndarray) -> str:
    """Hash of values without their shape, so that a flattened copy counts as the same."""
    return hashlib.blake2b(np.ascontiguousarray(values).tobytes(), digest_size=16).hexdigest()


def sketch_of(values: np.ndarray) -> tuple[float, ...]:
    """Values spread evenly over all, to six digits."""
    some = np.nan_to_num(np.ravel(values)[spread_rows(values.size, SKETCHED)].astype(np.float64))
    return tuple(float(f"{value:.6g}") for value in some)


def alike(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two sketches differ by no more than rounding on another machine."""
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    return a.shape == b.shape and bool(np.linalg.norm(a - b) <= ALIKE * np.linalg.norm(b))


def label_of(path: str) -> str:
    """Name of the place of a module: its path, "output" for the whole; a part that is called as an end gets a dot."""
    return f".{path}" if path in ENDS else path or "output"


def path_of(label: str) -> str:
    """Path of the module that a name belongs to, whichever call of it is meant, and whether its input or output."""
    place = label.removesuffix(":input").split("#")[0]
    return "" if place == "output" else place.removeprefix(".")


def nth_call(name: str, n: int) -> str:
    """Name of the n-th call of a layer: "relu", "relu#2", …"""
    return name if n == 1 else f"{name}#{n}"


def numbered(names: Iterable[str]) -> list[str]:
    """Names made unique in their order: the second "relu" becomes "relu#2"."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(nth_call(name, seen[name]))
    return unique


def as_activations(value: Any, name: str) -> np.ndarray:
    """Values of a layer as a numpy array of numbers with the batch as first axis.

    Raises
    ------
    InputError
        Complex numbers, text, or a value without a batch axis.
    """
    values = np.asarray(value)
    if values.dtype.kind not in "fbiu" and values.dtype.name != "bfloat16":
        raise InputError(f"Layer {name!r} gives values of type {values.dtype}; real numbers were expected.")
    if values.ndim == 0:
        raise InputError(f"Layer {name!r} gives one number for the whole batch; it has no row for each data point.")
    return values
