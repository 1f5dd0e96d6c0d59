"""`layers`: the dimension of every chosen layer, of one network or several, whole and class by class."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from antidrome.core.progress import progress as show_progress
from antidrome.core.seeds import check_seed
from antidrome.core.whole import whole_number
from antidrome.dimension.measurement import FRACTIONS, Measurement, MeasurementConfig, measure
from antidrome.dimension.networks.extraction import Reduction
from antidrome.dimension.networks.reserving import reserved
from antidrome.dimension.networks.saved_estimates import SavedEstimates
from antidrome.dimension.networks.sources import Source, folder_name, groups_of, labels_of, named, source_of
from antidrome.dimension.points import as_points
from antidrome.dimension.units import with_units
from antidrome.errors import InputError


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
    executor: Executor | None = None,
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
        layer, output (of arrays of activations, all); or names or glob patterns of layers.
    classes
        One label for each data point: each class is estimated too. Of recorded activations that were drawn of more
        points, one for each of these, or of all.
    store
        Folder for the activations and the estimates; None: a temporary one.
    reduce
        What is kept of layers with positions: "flatten", "mean" over positions, or the "first" position. Layers
        (points, channels, height, width) have their positions last, those with three axes are taken for sequences
        (points, positions, features), also where a one-dimensional convolution has its channels there. This changes
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
    executor
        Where neighbours are searched, block by block; the workers read activations from `store`, under the same path.
        None: threads of this process.
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
        Networks, data, layers or labels that cannot be used, or another process works in the store.
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
    seed, batch_size = check_seed(seed), whole_number("batch_size", batch_size, 1)
    max_points = None if max_points is None else whole_number("max_points", max_points, 1)
    config = MeasurementConfig(
        discard_fraction=discard_fraction, duplicates=duplicates, linear=linear, scale=scale, seed=seed
    )
    networks, labels = named(network), labels_of(classes)
    with ExitStack() as stack:
        folder = Path(store) if store is not None else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(reserved(folder))
        settings = {"reduce": reduce, "dtype": dtype, "batch_size": batch_size, "max_points": max_points, "seed": seed}
        sources = {
            name: source_of(one, data, at, folder / folder_name(name, len(networks)), settings, progress, labels)
            for name, one in networks.items()
        }
        groups = {name: groups_of(source, labels, max_points, seed) for name, source in sources.items()}
        kept = folder if store is not None else None
        rows = _measured(sources, groups, config, kept, executor, progress)
        return _as_dataset(sources, rows, config, settings)


def _measured(
    sources: Mapping[str, Source],
    groups: Mapping[str, Mapping[str, np.ndarray | None]],
    config: MeasurementConfig,
    folder: Path | None,
    executor: Executor | None,
    progress: bool,
) -> dict[tuple[str, str, str], Measurement | str]:
    """Every network, layer and class; what an interrupted call had finished is read from the folder."""
    todo = [(n, layer, group) for n, source in sources.items() for layer in source.activations for group in groups[n]]
    rows: dict[tuple[str, str, str], Measurement | str] = {}
    saved = {n: SavedEstimates(folder, n, len(sources), source, config) for n, source in sources.items()}
    with show_progress("Estimating dimensions", len(todo), unit="estimates", enabled=progress) as bar:
        for name, layer, group in todo:
            bar.describe(f"Estimating {layer}")
            index = groups[name][group]
            row = saved[name].get(layer, group, index)
            if row is None:
                row = _one(sources[name].activations[layer], index, config, executor)
                saved[name].put(layer, group, index, row)
            rows[name, layer, group] = row
            bar.advance(figure=row if isinstance(row, str) else f"{row.dimension:.1f}")
    return rows


def _one(
    activations: Any, index: np.ndarray | None, config: MeasurementConfig, executor: Executor | None
) -> Measurement | str:
    """One estimate, or the sentence that says why there is none."""
    points = as_points(activations)
    try:
        return measure(points if index is None else points.select(index), config, executor=executor, progress=False)
    except InputError as error:
        return str(error)


def _layer_order(sources: Mapping[str, Source]) -> list[str]:
    """All layers by their mean relative depth; of equal ones, first come first."""
    found: dict[str, list[float]] = {}
    for source in sources.values():
        for name in source.activations:
            found.setdefault(name, []).append(source.depths[name])
    return sorted(found, key=lambda name: float(np.mean(found[name])))


def _as_dataset(
    sources: Mapping[str, Source],
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
    profile = xr.Dataset(
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
    return with_units(profile)


def _tidy(values: np.ndarray) -> np.ndarray:
    return values.astype(str) if values.dtype == object else values


def _per_layer(sources: Mapping[str, Source], layer_names: Sequence[str]) -> dict[str, np.ndarray]:
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


def _present(source: Source, layer_names: Sequence[str]) -> Iterator[tuple[int, str]]:
    return ((j, name) for j, name in enumerate(layer_names) if name in source.activations)
