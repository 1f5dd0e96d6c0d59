"""`layers`: the dimension of every chosen layer, of one network or several, whole and class by class."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from antidrome.core.files import atomic_write
from antidrome.core.hashing import hash_configuration
from antidrome.core.progress import progress as show_progress
from antidrome.dimension.measurement import FRACTIONS, Measurement, MeasurementConfig, measure
from antidrome.dimension.networks.extraction import Reduction, as_network, chosen_rows, record
from antidrome.dimension.networks.store import Activations
from antidrome.dimension.points import as_points
from antidrome.errors import AntidromeError, InputError

WHOLE = "all"
DEFAULT_NETWORK = "network"


def layers(
    network: Any,
    data: Any = None,
    at: str | Sequence[str] = "auto",
    *,
    classes: Any = None,
    store: str | Path | None = None,
    reduce: Reduction = "flatten",
    dtype: str = "float32",
    batch_size: int = 64,
    max_points: int | None = None,
    discard_fraction: float = 0.1,
    duplicates: str = "drop",
    linear: bool = True,
    scale: bool = True,
    seed: int = 0,
    progress: bool = True,
) -> xr.Dataset:
    """Estimate the intrinsic dimension of the representations in a network, layer by layer.

    Activations go to disk in one pass over the data, and each layer is read from there in blocks; a layer is never in
    memory as a whole. With `store`, an interrupted call goes on where it stopped.

    Parameters
    ----------
    network
        `torch.nn.Module`, `equinox.Module`, path of an ONNX file, or a mapping of layer names to arrays of activations
        (points, …). Several at once: a mapping of names to any of these.
    data
        What the networks are shown: array (points, …), mapping of arrays for several inputs, map-style dataset, or
        DataLoader without shuffling. Not needed for arrays of activations.
    at
        "auto" for the checkpoints of Ansuini et al. (2019): input, each pooling or residual stage, each fully connected
        layer, output; or names or glob patterns of layers.
    classes
        One label for each data point: each class is estimated too.
    store
        Folder for the activations and the estimates; None: a temporary one.
    reduce
        What is kept of layers with positions: "flatten", "mean" over positions, or the "first" position. This changes
        the answer more than the estimator does.
    dtype
        Type of the activations on disk: "float32", "float64" or "float16".
    batch_size
        Data points per pass.
    max_points
        At most so many data points, drawn without replacement; by default all.
    discard_fraction
        Share of the largest ratios that the fit leaves out.
    duplicates
        What to do with equal points: "drop", "merge" or "raise".
    linear
        Also the number of principal components for 90 % of the variance, and the participation ratio.
    scale
        Also the dependence on the number of points, which the verdict needs.
    seed
        Seed of all draws.
    progress
        Show a progress bar.

    Returns
    -------
    Dataset over (network, layer, class) with `dimension`, `standard_error`, `pca_dimension`, `participation_ratio`,
    `n_points`, `n_zero`, `n_ties`, `lower_bound`, `verdict` and its `reason` (or why there is no estimate, where it is
    NaN), `dimension_by_points` along `fraction` of the points; and over (network, layer) with `relative_depth`, `width`
    and `last_hidden`. The class "all" holds all points. A layer that a network does not have is NaN, and says so.

    Raises
    ------
    InputError
        Networks, data, layers or labels that cannot be used.
    ResumeError
        The store belongs to other networks, data or settings.

    Notes
    -----
    The figures are estimates at this number of points and this scale. Estimates can rise from one layer to the next
    although the dimension of the set cannot (Schulte & Rügamer 2026); flattening, pooling and the number of points
    change them. Values above about 20 are lower bounds.

    References
    ----------
    Ansuini, Laio, Macke & Zoccolan (2019), Intrinsic dimension of data representations in deep neural networks,
    Advances in Neural Information Processing Systems 32.
    """
    config = MeasurementConfig(
        discard_fraction=discard_fraction, duplicates=duplicates, linear=linear, scale=scale, seed=seed
    )
    networks = _named(network)
    with ExitStack() as stack:
        folder = Path(store) if store is not None else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = {"reduce": reduce, "dtype": dtype, "batch_size": batch_size, "max_points": max_points, "seed": seed}
        sources = {
            name: _source(one, data, at, folder / _folder_name(name, len(networks)), settings, progress)
            for name, one in networks.items()
        }
        groups = {name: _groups(source, classes, max_points, seed) for name, source in sources.items()}
        rows = _measured(sources, groups, config, folder if store is not None else None, progress)
        return _as_dataset(sources, rows, config, settings)


@dataclass(frozen=True)
class _Source:
    """Activations of one network: arrays in memory, or a store."""

    activations: Mapping[str, Any]
    depths: Mapping[str, float]
    last_hidden: str | None
    n_points: int
    identity: str


def _named(network: Any) -> dict[str, Any]:
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


def _source(
    network: Any, data: Any, at: str | Sequence[str], folder: Path, settings: Mapping[str, Any], progress: bool
) -> _Source:
    if isinstance(network, Mapping):
        return _given(network)
    activations = record(as_network(network), data, at, store=folder, progress=progress, **settings)
    return _from_store(activations)


def _from_store(activations: Activations) -> _Source:
    return _Source(
        activations=activations,
        depths={name: layer.relative_depth for name, layer in activations.layers.items()},
        last_hidden=activations.last_hidden,
        n_points=activations.n_rows,
        identity=hash_configuration({"identity": activations.identity, "digests": activations.digests}),
    )


def _given(activations: Mapping[str, Any]) -> _Source:
    if isinstance(activations, Activations):
        return _from_store(activations)
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
    return _Source(arrays, depths, None, next(iter(counts.values())), "")


def _groups(source: _Source, classes: Any, max_points: int | None, seed: int) -> dict[str, np.ndarray | None]:
    """Row numbers of each class; None for all rows."""
    if classes is None:
        return {WHOLE: None}
    labels = np.asarray(classes)
    if labels.ndim != 1:
        raise InputError(f"classes has the shape {labels.shape}; expected one label for each data point.")
    if labels.size != source.n_points:
        labels = labels[chosen_rows(labels.size, max_points, seed)]
    if labels.size != source.n_points:
        raise InputError(f"classes has {np.size(classes)} labels for {source.n_points} data points.")
    groups: dict[str, np.ndarray | None] = {WHOLE: None}
    for label in np.unique(labels):
        if str(label) in groups:
            raise InputError(f"A class is called {str(label)!r}, the name of all points together; rename it.")
        groups[str(label)] = np.flatnonzero(labels == label)
    return groups


def _measured(
    sources: Mapping[str, _Source],
    groups: Mapping[str, Mapping[str, np.ndarray | None]],
    config: MeasurementConfig,
    folder: Path | None,
    progress: bool,
) -> dict[tuple[str, str, str], Measurement | str]:
    """Every network, layer and class; what an interrupted call had finished is read from the folder."""
    todo = [(n, layer, group) for n, source in sources.items() for layer in source.activations for group in groups[n]]
    rows: dict[tuple[str, str, str], Measurement | str] = {}
    saved = {n: _Saved(folder, n, len(sources), source, config) for n, source in sources.items()}
    with show_progress("Estimating dimensions", len(todo), unit="estimates", enabled=progress) as bar:
        for name, layer, group in todo:
            bar.describe(f"Estimating {layer}")
            index = groups[name][group]
            row = saved[name].get(layer, group, index)
            if row is None:
                row = _one(sources[name].activations[layer], index, config)
                saved[name].put(layer, group, index, row)
            rows[name, layer, group] = row
            bar.advance(figure=row if isinstance(row, str) else f"{row.dimension:.1f}")
    return rows


def _one(activations: Any, index: np.ndarray | None, config: MeasurementConfig) -> Measurement | str:
    """One estimate, or the sentence that says why there is none."""
    points = as_points(activations)
    try:
        return measure(points if index is None else points.select(index), config, progress=False)
    except InputError as error:
        return str(error)


class _Saved:
    """Finished estimates of one network in a store, one file, rewritten atomically."""

    def __init__(
        self, folder: Path | None, name: str, n_networks: int, source: _Source, config: MeasurementConfig
    ) -> None:
        self.path = None
        if folder is not None and source.identity:
            self.path = folder / _folder_name(name, n_networks) / "estimates.json"
        self.key = hash_configuration({"source": source.identity, "config": config.to_dict()})
        self.rows: dict[str, Any] = {}
        if self.path is not None and self.path.exists():
            try:
                content = json.loads(self.path.read_text(encoding="utf-8"))
                self.rows = content["rows"] if content["key"] == self.key else {}
            except (ValueError, KeyError, TypeError):
                self.rows = {}  # estimates are made again; nothing is lost but time

    def get(self, layer: str, group: str, index: np.ndarray | None) -> Measurement | str | None:
        row = self.rows.get(_key(layer, group, index))
        return Measurement.from_dict(row) if isinstance(row, dict) else row

    def put(self, layer: str, group: str, index: np.ndarray | None, row: Measurement | str) -> None:
        if self.path is None:
            return
        self.rows[_key(layer, group, index)] = row if isinstance(row, str) else row.to_dict()
        with atomic_write(self.path) as temporary:
            temporary.write_text(json.dumps({"key": self.key, "rows": self.rows}), encoding="utf-8")


def _key(layer: str, group: str, index: np.ndarray | None) -> str:
    members = "" if index is None else hash_configuration({"rows": index.tolist()})
    return json.dumps([layer, group, members])


def _folder_name(name: str, n_networks: int) -> str:
    safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in name).strip(".") or "network"
    return safe if n_networks == 1 or safe == name else f"{safe}-{hash_configuration({'name': name})[:8]}"


def _layer_order(sources: Mapping[str, _Source]) -> list[str]:
    """All layers by their mean relative depth; of equal ones, first come first."""
    found: dict[str, list[float]] = {}
    for source in sources.values():
        for name in source.activations:
            found.setdefault(name, []).append(source.depths[name])
    return sorted(found, key=lambda name: float(np.mean(found[name])))


def _as_dataset(
    sources: Mapping[str, _Source],
    rows: Mapping[tuple[str, str, str], Measurement | str],
    config: MeasurementConfig,
    settings: Mapping[str, Any],
) -> xr.Dataset:
    names, layer_names = list(sources), _layer_order(sources)
    groups = list(dict.fromkeys(group for _, _, group in rows))
    shape = (len(names), len(layer_names), len(groups))
    absent = np.full(shape, "not a layer of this network", dtype=object)
    columns: dict[str, np.ndarray] = {"verdict": np.full(shape, "", dtype=object), "reason": absent}
    by_points = np.full((*shape, len(FRACTIONS)), np.nan)
    numbers = [row.numbers() for row in rows.values() if isinstance(row, Measurement)]
    for key in numbers[0] if numbers else Measurement.number_names():
        columns[key] = np.full(shape, np.nan)
    for (name, layer, group), row in rows.items():
        at = names.index(name), layer_names.index(layer), groups.index(group)
        columns["reason"][at] = row if isinstance(row, str) else row.reason
        if isinstance(row, Measurement):
            columns["verdict"][at], by_points[at] = row.verdict, row.by_points
            for key, value in row.numbers().items():
                columns[key][at] = value
    return xr.Dataset(
        {key: (("network", "layer", "class"), _tidy(values)) for key, values in columns.items()}
        | {"dimension_by_points": (("network", "layer", "class", "fraction"), by_points)}
        | {key: (("network", "layer"), values) for key, values in _per_layer(sources, layer_names).items()},
        coords={"network": names, "layer": layer_names, "class": groups, "fraction": list(FRACTIONS)},
        attrs={
            **config.to_dict(),
            **{key: value for key, value in settings.items() if value is not None},
            "estimated_at": "this number of points and this scale; values above about 20 are lower bounds",
            "citations": ["ansuini2019", "facco2017"],
            "notes": list(
                dict.fromkeys(note for row in rows.values() if isinstance(row, Measurement) for note in row.notes)
            ),
        },
    )


def _tidy(values: np.ndarray) -> np.ndarray:
    return values.astype(str) if values.dtype == object else values


def _per_layer(sources: Mapping[str, _Source], layer_names: Sequence[str]) -> dict[str, np.ndarray]:
    shape = (len(sources), len(layer_names))
    out = {
        "relative_depth": np.full(shape, np.nan),
        "width": np.zeros(shape, np.int64),
        "last_hidden": np.zeros(shape, bool),
    }
    for i, source in enumerate(sources.values()):
        for j, name in _present(source, layer_names):
            out["relative_depth"][i, j] = source.depths[name]
            out["width"][i, j] = as_points(source.activations[name]).n_dimensions
            out["last_hidden"][i, j] = name == source.last_hidden
    return out


def _present(source: _Source, layer_names: Sequence[str]) -> Iterator[tuple[int, str]]:
    return ((j, name) for j, name in enumerate(layer_names) if name in source.activations)
