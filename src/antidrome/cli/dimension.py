"""``antidrome dimension FILE…``: the intrinsic dimension of points in files."""

from __future__ import annotations

import dataclasses
import json as json_format
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from antidrome.cli.text import printable
from antidrome.errors import AntidromeError, InputError

if TYPE_CHECKING:
    import xarray as xr

NAMES = {
    "two_nn": "TwoNN (fit)",
    "mle": "TwoNN (maximum likelihood)",
    "censored": "TwoNN (censored likelihood)",
    "bayes": "TwoNN (Bayes)",
    "levina_bickel": "Levina–Bickel",
    "abide": "at a selected scale (ABIDE)",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dimension:
    """Estimate the intrinsic dimension of points.

    Exit code: 0 done, 2 a file could not be used. The layers of a network: antidrome dimension layers --help.
    """

    paths: tyro.conf.Positional[tuple[Path, ...]]
    """Points: npy, npz, csv, Zarr, NetCDF (first axis: points), or a recording (its frames are the points)."""
    metric: Literal["euclidean", "cosine", "hamming", "precomputed"] = "euclidean"
    """Distance; "precomputed": the files are distance matrices."""
    duplicates: Literal["drop", "merge", "raise"] = "drop"
    """Points with an exact copy: leave out, keep one of each, or refuse."""
    discard_fraction: float = 0.1
    """Share of the largest ratios that the fit leaves out."""
    neighbours: int = 64
    """Neighbours per point."""
    blocks: Literal["octaves", "paper", "none"] = "octaves"
    """Block decimation: 1, 2, 4, 8, 16 blocks; the paper's 1 to 20; or none."""
    series: str | None = None
    """Which array, for files with several."""
    drop_missing: bool = False
    """Leave out points with values that are not finite."""
    seed: int = 0
    """Seed of the bootstrap and the blocks."""
    cluster: str | None = None
    """Address of a Dask scheduler: the neighbour search runs there, block by block."""
    json: bool = False
    """Print JSON on standard output instead of tables."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Also write the results: a .json file, or for one file of points a .nc file."""
    overwrite: bool = False
    """Replace the output file if it exists."""


def run(config: Dimension) -> int:
    """Estimate, print, write; return the exit code (0 or 2)."""
    if not config.paths:
        raise InputError("No file was given; name at least one: antidrome dimension FILE…")
    _check_output(config)
    results = [_estimated(path, config) for path in config.paths]
    document = [_plain(path, result) for path, result in zip(config.paths, results, strict=True)]
    if config.json:
        sys.stdout.write(json_format.dumps(document, indent=2) + "\n")
    else:
        for path, result in zip(config.paths, results, strict=True):
            _write_table(path, result)
    if config.output is not None:
        _write(config.output, document, results)
    return 2 if any(isinstance(result, str) for result in results) else 0


def _check_output(config: Dimension) -> None:
    if config.output is None:
        return
    if config.output.exists() and not config.overwrite:
        raise InputError(f"{config.output} exists; give --overwrite to replace it.")
    if config.output.suffix not in (".json", ".nc"):
        raise InputError(f"{config.output}: results are written as .json or .nc.")
    if config.output.suffix == ".nc" and len(config.paths) > 1:
        raise InputError("A .nc file holds the result of one file of points; give a .json file for several.")


def _estimated(path: Path, config: Dimension) -> xr.Dataset | str:
    """The result, or why there is none."""
    from antidrome.core.executor import open_executor
    from antidrome.dimension.estimating import estimate
    from antidrome.dimension.reading import read_points

    try:
        points, notes = read_points(path, series=config.series, drop_missing=config.drop_missing)
        with open_executor(cluster=config.cluster) as executor:
            result = estimate(
                points,
                metric=config.metric,
                duplicates=config.duplicates,
                discard_fraction=config.discard_fraction,
                n_neighbours=config.neighbours,
                blocks=None if config.blocks == "none" else config.blocks,
                seed=config.seed,
                executor=executor,
            )
    except AntidromeError as error:
        return str(error)
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    return result.assign_attrs(notes=[*notes, *result.attrs["notes"]], source=str(path))


def _plain(path: Path, result: xr.Dataset | str) -> dict[str, Any]:
    """A result as JSON; numbers that are not finite are null."""
    if isinstance(result, str):
        return {"path": str(path), "error": result}

    def finite(value: Any) -> Any:
        if isinstance(value, list):
            return [finite(one) for one in value]
        return None if isinstance(value, float) and value - value != 0 else value

    values = {str(name): finite(array.values.tolist()) for name, array in result.variables.items()}
    return {"path": str(path), **values, **{key: finite(value) for key, value in result.attrs.items()}}


def _write(output: Path, document: list[dict[str, Any]], results: list[xr.Dataset | str]) -> None:
    from antidrome.core.files import atomic_write

    with atomic_write(output) as temporary:
        if output.suffix == ".json":
            Path(temporary).write_text(json_format.dumps(document, indent=1) + "\n", encoding="utf-8")
            return
        result = results[0]
        if isinstance(result, str):
            raise InputError(f"Nothing was written to {output}: {result}")
        storable = result.assign_attrs(notes=json_format.dumps(result.attrs["notes"]))
        storable.to_netcdf(temporary, engine="h5netcdf")


def _write_table(path: Path, result: xr.Dataset | str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(printable(str(path)), style="bold"))
    if isinstance(result, str):
        console.print(Text(f"  no estimate: {printable(result)}\n", style="bold red"))
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("estimator")
    for name in ("dimension", "standard error", "90 % interval"):
        table.add_column(name, justify="right")
    for name in result["estimator"].values:
        row = result.sel(estimator=name)
        interval = f"{row['low'].item():.2f} – {row['high'].item():.2f}"
        table.add_row(
            NAMES[str(name)], f"{row['dimension'].item():.2f}", f"{row['standard_error'].item():.2f}", interval
        )
    console.print(table)
    for line in _lines(result):
        console.print(Text(printable(f"  {line}")))
    style = "green" if result.attrs["verdict"] == "reliable" else "yellow"
    bound = " A lower bound." if result.attrs["lower_bound"] else ""
    console.print(Text(printable(f"  {result.attrs['verdict']}: {result.attrs['reason']}{bound}"), style=style))
    for note in result.attrs["notes"]:
        console.print(Text(printable(f"  note: {note}"), style="dim"))
    console.print()


def _lines(result: xr.Dataset) -> list[str]:
    """What is known of the scale, and the linear companions, in words."""
    n, used = int(result["n_points"]), int(result["n_used"])
    lines = [f"estimated from {n} points ({used} ratios), at the scale of their nearest neighbours"]
    if "block_dimension" in result:
        pairs = zip(result["block_points"].values, result["block_dimension"].values, strict=True)
        lines.append("against N: " + ", ".join(f"{size}: {value:.2f}" for size, value in pairs))
    pairs = zip(result["scale_rank"].values, result["gride"].values, strict=True)
    lines.append("against neighbour rank (Gride): " + ", ".join(f"{rank}: {value:.2f}" for rank, value in pairs))
    if "pca_dimension" in result:
        lines.append(
            f"linear: {int(result['pca_dimension'])} components for 90 % of the variance, participation ratio"
            f" {result['participation_ratio'].item():.1f}"
        )
    return lines
