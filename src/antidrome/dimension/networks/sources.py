"""Where activations come from: networks that are run, folders, arrays; and which rows belong to which class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Number
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from antidrome.core.hashing import hash_arrays, hash_configuration
from antidrome.core.names import slug
from antidrome.dimension.networks.checkpoints import chosen_names
from antidrome.dimension.networks.extraction import (
    Reduction,
    as_network,
    chosen_rows,
    record,
    reduced,
    reduced_shape,
)
from antidrome.dimension.networks.rows import as_rows
from antidrome.dimension.networks.store import Activations
from antidrome.dimension.points import Points, as_points
from antidrome.errors import AntidromeError, InputError
from antidrome.recordings.arguments import counted

WHOLE = "all"
DEFAULT_NETWORK = "network"


@dataclass(frozen=True)
class Source:
    """Activations of one network: arrays in memory, or a store."""

    activations: Mapping[str, Any]
    depths: Mapping[str, float]
    last_hidden: str | None
    n_points: int
    identity: str
    n_given: int
    """Data points before some of them were drawn."""
    drawn: str = ""
    """Hash of the numbers of the points that an earlier recording drew of more; "" where none did."""


def named(network: Any) -> dict[str, Any]:
    """Networks by name; a mapping of arrays is one network."""
    if not isinstance(network, Mapping) or isinstance(network, Activations):
        return {DEFAULT_NETWORK: network}
    if not network:
        raise InputError("The mapping is empty; expected layer names with arrays, or names with networks.")
    arrays = [_is_array(value) for value in network.values()]
    if all(arrays):
        return {DEFAULT_NETWORK: network}
    if any(arrays):
        raise InputError("The mapping holds both arrays and networks; give either layers of one network, or networks.")
    return {str(name): value for name, value in network.items()}


def _is_array(value: Any) -> bool:
    return isinstance(value, list) or (hasattr(value, "shape") and hasattr(value, "dtype"))


def source_of(
    network: Any,
    data: Any,
    at: str | Sequence[str],
    folder: Path,
    settings: Mapping[str, Any],
    progress: bool,
    labels: np.ndarray | None = None,
) -> Source:
    """Activations of one network: given, or recorded into a folder, if there is one label for each data point.

    Raises
    ------
    InputError
        If network, data or layers cannot be used, or there are more or fewer labels.
    """
    if isinstance(network, Mapping):
        return _given(network, at, settings)
    network = as_network(network)
    if labels is not None and labels.size != (n_given := as_rows(data).n_rows):
        raise InputError(f"{_numbers(labels, n_given)} each that is given, also where some of them are drawn.")
    activations = record(network, data, at, store=folder, progress=progress, **settings)
    return replace(_from_store(activations), n_given=as_rows(data).n_rows, drawn="")


def _from_store(activations: Activations) -> Source:
    rows = str(activations.identity.get("rows", ""))
    return Source(
        activations=activations,
        depths={name: layer.relative_depth for name, layer in activations.layers.items()},
        last_hidden=activations.last_hidden,
        n_points=activations.n_rows,
        identity=hash_configuration({"identity": activations.identity, "digests": activations.digests}),
        n_given=activations.n_rows,
        drawn="" if rows == _hash_of_rows(np.arange(activations.n_rows)) else rows,
    )


def _hash_of_rows(index: np.ndarray) -> str:
    """What the identity of recorded activations says of the numbers of their rows."""
    return hash_arrays({"index": index})


def _given(activations: Mapping[str, Any], at: str | Sequence[str], settings: Mapping[str, Any]) -> Source:
    """Activations that are there already, chosen, drawn from and reduced as those of a network would be."""
    if isinstance(activations, Activations):
        source = _from_store(activations)
        shapes = {name: layer.shape for name, layer in activations.layers.items()}
    else:
        source = _from_arrays(activations)
        shapes = {name: tuple(points.source.shape[1:]) for name, points in source.activations.items()}
    index = chosen_rows(source.n_points, settings["max_points"], settings["seed"])
    names = chosen_names(list(shapes), at, list(shapes))
    as_stored = index.size == source.n_points and settings["reduce"] == "flatten"
    return replace(
        source,
        activations={
            name: _reduced(as_points(source.activations[name]), index, shapes[name], settings["reduce"])
            for name in names
        },
        n_points=index.size,
        identity=source.identity if as_stored else "",  # estimates of others are not kept
    )


def _from_arrays(activations: Mapping[str, Any]) -> Source:
    arrays = {}
    for name, value in activations.items():
        try:
            arrays[str(name)] = as_points(value)
        except AntidromeError as error:
            raise InputError(f"Layer {name!r}: {error}") from error
    counts = {name: points.n_points for name, points in arrays.items()}
    if len(set(counts.values())) > 1:
        raise InputError(f"Layers of one network need the same data points; their numbers are {counts}.")
    last = max(1, len(arrays) - 1)
    depths = {name: i / last for i, name in enumerate(arrays)}
    n_points = next(iter(counts.values()))
    return Source(arrays, depths, None, n_points, "", n_points)


def _reduced(points: Points, index: np.ndarray, shape: tuple[int, ...], reduce: Reduction) -> Points:
    """Some rows, each of the given shape; block by block where their positions are averaged or left out."""
    if index.size < points.n_points:
        points = points.select(index)
    if reduced_shape(shape, reduce) == shape:
        return points
    blocks = (points.rows(*block) for block in points.blocks())
    return Points(np.concatenate([reduced(rows.reshape(len(rows), *shape), reduce) for rows in blocks]))


def labels_of(classes: Any) -> np.ndarray | None:
    """Labels of the data points, checked before anything is recorded; None where there are none.

    Raises
    ------
    InputError
        If a data point has no label, or a label cannot be one of its own.
    """
    if classes is None:
        return None
    if isinstance(classes, list | tuple):
        labels = np.array([_unpacked(label) for label in classes], object)
    else:
        labels = np.asarray(classes)
    if labels.ndim != 1:
        raise InputError(f"classes has the shape {labels.shape}; expected one label for each data point.")
    missing = np.flatnonzero(pd.isna(labels))
    if missing.size:
        raise InputError(f"classes has no label for data point {missing[0]} ({missing.size} of {labels.size}).")
    if labels.dtype.kind == "O":
        labels = _of_one_kind(labels)
    if WHOLE in map(str, np.unique(labels)):
        raise InputError(f"A class is called {WHOLE!r}, the name of all points together; rename it.")
    return labels


def _unpacked(label: Any) -> Any:
    """A label itself, where an array or tensor without axes holds it."""
    if getattr(label, "ndim", None) != 0:
        return label
    if isinstance(label, np.generic):
        return label
    return label[()] if isinstance(label, np.ndarray) else label.item()


def _of_one_kind(labels: np.ndarray) -> np.ndarray:
    """Labels of any objects, as text where they are of several kinds, which have no order."""
    try:
        names = dict.fromkeys(labels)
    except TypeError as error:
        raise InputError(f"classes has labels that are neither numbers nor text: {error}.") from error
    if len(set(map(str, names))) < len(names):
        raise InputError("Classes must differ as text: two of them, such as 1 and '1', are written alike.")
    kinds = {Number if isinstance(name, Number) else type(name) for name in names}
    return labels.astype(str) if len(kinds) > 1 else labels


def groups_of(
    source: Source, labels: np.ndarray | None, max_points: int | None, seed: int
) -> dict[str, np.ndarray | None]:
    """Row numbers of each class; None for all rows."""
    if labels is None:
        return {WHOLE: None}
    labels = _of_given(source, labels, seed)
    labels = labels[chosen_rows(labels.size, max_points, seed)]
    groups: dict[str, np.ndarray | None] = {WHOLE: None}
    for label in np.unique(labels):
        groups[str(label)] = np.flatnonzero(labels == label)
    return groups


def _of_given(source: Source, labels: np.ndarray, seed: int) -> np.ndarray:
    """One label for each point that is given; recorded points take theirs from the labels of all they were drawn of.

    Raises
    ------
    InputError
        If there are more or fewer labels.
    """
    if labels.size == source.n_given:
        return labels
    what = _numbers(labels, source.n_given)
    if not source.drawn:
        raise InputError(f"{what} each that is given, also where some of them are drawn.")
    index = chosen_rows(labels.size, source.n_given, seed)
    if _hash_of_rows(index) != source.drawn:
        raise InputError(
            f"{what} each of these, which were drawn when they were recorded, or for each of all data points, with the"
            " seed of that draw (seed=…)."
        )
    return labels[index]


def _numbers(labels: np.ndarray, n_given: int) -> str:
    return f"classes has {counted(labels.size, 'label')} for {counted(n_given, 'data point')}; expected one for"


def folder_name(name: str, n_networks: int) -> str:
    """Name of a network's folder in a store."""
    safe = slug(name, empty=DEFAULT_NETWORK)
    return safe if n_networks == 1 or safe == name else f"{safe}-{hash_configuration({'name': name})[:8]}"
