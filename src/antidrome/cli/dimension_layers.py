"""``antidrome dimension layers``: the intrinsic dimension of every layer of a network."""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from antidrome.cli.dimension_output import check_places, names_of, write_report
from antidrome.cli.text import new_console, new_table, say, unmarked
from antidrome.errors import FileFormatError, InputError, UnsafeFileError

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

PICKLES = frozenset({".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class DimensionLayers:
    """Estimate the intrinsic dimension of the representations in networks, layer by layer."""

    network: Annotated[tuple[Path, ...], tyro.conf.arg(aliases=["-n"])]
    """Networks: .onnx files, or .safetensors files of weights with --architecture. Pickles (.pt, .pth) are refused."""
    data: Annotated[Path, tyro.conf.arg(aliases=["-d"])]
    """What the networks are shown: .npy, .npz or .zarr of shape (points, …), preprocessed as for training."""
    architecture: str | None = None
    """For .safetensors: what makes the network, as PACKAGE.MODULE:FUNCTION; it is imported and called."""
    series: str | None = None
    """Which array, for .npz files and Zarr groups with several."""
    classes: Path | None = None
    """Labels of the data points (.npy): each class is estimated too."""
    at: tuple[str, ...] = ("auto",)
    """Layers: "auto" (input, poolings or stages, fully connected layers, output), names, or patterns ("layer*")."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """NetCDF file to write."""
    store: Path | None = None
    """Folder for activations and estimates; with it, an interrupted command goes on where it stopped."""
    reduce: Literal["flatten", "mean", "first"] = "flatten"
    """What is kept of layers with positions."""
    max_points: int | None = None
    """At most so many data points, drawn at random."""
    batch_size: int = 64
    """Data points per pass."""
    seed: int = 0
    """Seed of all draws."""
    cluster: str | None = None
    """Address of a Dask scheduler: neighbours are searched there; its workers must be able to read --store."""
    report: Path | None = None
    """Also write a page (.html) with figures."""
    accuracy: Path | None = None
    """JSON file, network (stem of its file) to accuracy: on the page, beside the last hidden layer's dimension."""
    overwrite: bool = False
    """Replace what is there."""


def run(config: DimensionLayers) -> int:
    """Estimate, print a table, write the result; return 0."""
    named = _names(config.network)
    optional = [path for path in (config.classes, config.accuracy) if path is not None]
    inputs = [*config.network, config.data, *optional]
    check_places(inputs, output=config.output, report=config.report, overwrite=config.overwrite)
    accuracy = _accuracy(config, list(named))
    import numpy as np

    from antidrome.core.executor import open_executor
    from antidrome.dimension.networks.profile import layers

    data = read_array(config.data, config.series)
    labels = None if config.classes is None else np.asarray(read_array(config.classes, None))
    networks = {name: open_network(path, config.architecture) for name, path in named.items()}
    with open_executor(config.cluster) as executor:
        result = layers(
            networks,
            data,
            list(config.at),
            classes=labels,
            store=config.store,
            reduce=config.reduce,
            batch_size=config.batch_size,
            max_points=config.max_points,
            seed=config.seed,
            executor=executor,
        )
    _write_table(result)
    if config.output is not None:
        from antidrome.recordings.xarray_writing import write_netcdf

        write_netcdf(result, config.output)
        say(config.output)
    if config.report is not None:
        lede = "How many numbers describe what each layer represents."
        write_report(config.report, result, "Dimension across layers", lede, config.seed, accuracy=accuracy)
        say(config.report)
    return 0


def _accuracy(config: DimensionLayers, networks: list[str]) -> dict[str, float] | None:
    """Network to accuracy, where it was asked for.

    Raises
    ------
    InputError
        There is no page to draw it on, or a name that none of the networks has.
    """
    if config.accuracy is None:
        return None
    if config.report is None:
        raise InputError("--accuracy: drawn on the page; add --report, or leave it out.")
    found = _read_accuracy(config.accuracy)
    if unknown := [name for name in found if name not in networks]:
        raise InputError(
            f"{config.accuracy}: no network is called {', '.join(map(repr, unknown))}. The networks are:"
            f" {', '.join(networks)}."
        )
    if len(found) < 2:
        say(f"note: {config.accuracy}: accuracy is drawn for two networks or more; {len(found)} of them is named.")
    return found


def _read_accuracy(path: Path) -> dict[str, float]:
    """Network to accuracy, from a JSON object of numbers."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): float(value) for name, value in found.items()}
    except OSError as error:
        raise FileFormatError(f"{path}: {error.strerror}.") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise FileFormatError(f'{path}: expected a JSON object of numbers such as {{"resnet": 0.93}}.') from error


def open_network(path: Path, architecture: str | None) -> Any:
    """A network from a file that holds no code.

    Raises
    ------
    UnsafeFileError
        A pickle; it would run code of whoever made the file.
    InputError
        Weights without an architecture, or weights that do not fit it.
    """
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        return path
    if suffix in PICKLES:
        raise UnsafeFileError(
            f"{path}: PyTorch files of this kind are pickles, which run code when they are opened; refused. Save the"
            " weights with safetensors.torch.save_file(network.state_dict(), 'network.safetensors') and name what makes"
            " the network with --architecture, or export it with torch.onnx.export."
        )
    if suffix != ".safetensors":
        raise FileFormatError(f"{path}: networks are read from .onnx and .safetensors files.")
    if architecture is None:
        raise InputError(f"{path}: weights alone are no network; add --architecture PACKAGE.MODULE:FUNCTION.")
    return _with_weights(_made(architecture), path)


def read_array(path: Path, series: str | None) -> Any:
    """An array of a .npy (mapped), .npz or Zarr file, guarded as recordings are.

    Raises
    ------
    FileFormatError
        Damaged, of another format, or with objects instead of numbers.
    InputError
        There is no such file, or it holds several arrays and none was chosen.
    """
    from antidrome.recordings.archives import load_npy, load_npz
    from antidrome.recordings.safety import require_file
    from antidrome.recordings.xarray_files import open_zarr
    from antidrome.recordings.xarray_groups import arrays_of
    from antidrome.recordings.zarr_guard import guard_zarr

    require_file(path)
    if path.suffix == ".npy":
        return load_npy(path)
    if path.suffix == ".npz":
        return _chosen(path, load_npz(path, only=series), series)
    if path.suffix == ".zarr":
        guard_zarr(path)
        opened = open_zarr(path)
        return opened if hasattr(opened, "dtype") else _chosen(path, arrays_of(opened), series)
    raise FileFormatError(f"{path}: arrays are read from .npy, .npz and .zarr.")


def _chosen(path: Path, arrays: Mapping[str, Any], series: str | None) -> Any:
    if series is None and len(arrays) == 1:
        return next(iter(arrays.values()))
    if series not in arrays:
        raise InputError(f"{path}: choose one of its arrays with --series: {', '.join(arrays)}.")
    return arrays[series]


def _names(paths: tuple[Path, ...]) -> dict[str, Path]:
    """Networks by the stems of their files; by their whole names where stems are equal."""
    if not paths:
        raise InputError("No network was given; name at least one: --network FILE.")
    return dict(zip(names_of(paths), paths, strict=True))


def _made(architecture: str) -> Any:
    module_name, _, function = architecture.partition(":")
    try:
        module = importlib.import_module(module_name)
        made = getattr(module, function)()
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"--architecture {architecture}: cannot be made ({error}). Expected PACKAGE.MODULE:FUNCTION, importable"
            " from here, with a function (or class) that needs no arguments."
        ) from error
    if not hasattr(made, "load_state_dict"):
        raise InputError(f"--architecture {architecture}: gives a {type(made).__name__}, not a torch.nn.Module.")
    return made


def _with_weights(network: Any, path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise FileFormatError(f"{path}: the weights cannot be read ({error}).") from error
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:400]
        raise InputError(f"{path}: the weights do not fit the architecture. {reason}") from error
    return network


def _write_table(result: xr.Dataset) -> None:
    from rich import box

    console, numbers = new_console(), ("depth", "width", "dimension", "PCA 90 %", "points")
    style: dict[str, Any] = {"whole": numbers, "right": True, "box": box.SIMPLE_HEAD, "show_edge": False}
    for name in result["network"].values:
        table = new_table("layer", *numbers, "verdict", title=unmarked(name), **style)
        for layer in result["layer"].values:
            row = result.sel({"network": name, "layer": layer, "class": "all"})
            if int(row["width"]):
                table.add_row(unmarked(layer), *_cells(row))
        console.print(table)
    console.print("Estimates at this number of points and this scale; values above about 20 are lower bounds.")


def _cells(row: xr.Dataset) -> list[str]:
    def number(name: str, digits: int = 1) -> str:
        value: np.ndarray = row[name].values
        return f"{float(value):.{digits}f}"

    estimated = bool(str(row["verdict"].item()))
    found = f"{number('dimension')} ± {number('standard_error', 2)}" if estimated else "—"
    pca = number("pca_dimension", 0) if estimated else "—"
    points = number("n_points", 0) if estimated else "—"
    judged = str(row["verdict"].item()) or str(row["reason"].item())
    return [number("relative_depth", 2), str(int(row["width"])), found, pca, points, unmarked(judged)]
