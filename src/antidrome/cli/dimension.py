"""``antidrome dimension FILE…``: the intrinsic dimension of points in files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from antidrome.cli.options import Paths, given
from antidrome.cli.text import say, say_json
from antidrome.errors import AntidromeError, InputError
from antidrome.pipeline.config import OrientationOption

if TYPE_CHECKING:
    import xarray as xr


OF_POINTS = ("metric", "duplicates", "neighbours", "blocks", "drop_missing", "cluster")
OF_POPULATIONS = ("bin_frames",)
WIDER_BINS = ", frame by frame (--bin-frames N averages it, as `antidrome run` does in bins of 0.1 s)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dimension:
    """Estimate the intrinsic dimension of points.

    Exit code: 0 done, 2 a file could not be used. The layers of a network: antidrome dimension layers --help.
    """

    paths: Paths
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
    orientation: OrientationOption = None
    """Meaning of the two axes of a recording; its frames are the points."""
    accepted_only: bool = True
    """Read accepted ROIs only (suite2p, CaImAn, NWB); --no-accepted-only also takes what the file marks as no cell."""
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
    population: bool = False
    """The files are recordings (time × neuron; of what Antidrome wrote, its spikes): the dimension of the population's
    states, with its controls."""
    bin_frames: int = 1
    """With --population: frames that are averaged to one point, for sparse spikes and slow indicators."""
    report: Path | None = None
    """Also write a page (.html) with figures."""
    overwrite: bool = False
    """Replace what is there."""


def run(config: Dimension) -> int:
    """Estimate, print, write; return the exit code (0 or 2)."""
    if not config.paths:
        raise InputError("No file was given; name at least one: antidrome dimension FILE…")
    from antidrome.cli import dimension_output as written

    _check_use(config)
    _check_output(config)
    results = [_estimated(path, config) for path in config.paths]
    document = [written.plain(path, result) for path, result in zip(config.paths, results, strict=True)]
    if config.json:
        say_json(document)
    else:
        for path, result in zip(config.paths, results, strict=True):
            written.write_table(path, result)
    if config.output is not None:
        written.write(config.output, document, results)
    if config.report is not None:
        title = "Dimension of populations" if config.population else "Intrinsic dimension of points"
        lede = "How many numbers describe a state." if config.population else "How many numbers describe a point."
        found = [result for result in results if not isinstance(result, str)]
        named = dict(zip(written.names_of([Path(one.attrs["source"]) for one in found]), found, strict=True))
        written.write_report(config.report, named, title, lede, config.seed)
        if found and not config.json:
            say(config.report)
    return 2 if any(isinstance(result, str) for result in results) else 0


def _check_use(config: Dimension) -> None:
    """InputError if an option was given that the other kind of analysis has."""
    here, there = (
        ("--population", OF_POINTS) if config.population else ("points (without --population)", OF_POPULATIONS)
    )
    if named := given(config, *there):
        raise InputError(f"{named}: no option for {here}; leave it out.")


def _check_output(config: Dimension) -> None:
    from antidrome.cli.dimension_output import check_places

    check_places(config.paths, output=config.output, report=config.report, overwrite=config.overwrite)
    for path in (config.output, config.report):
        if path is not None and not path.absolute().parent.is_dir():
            raise InputError(f"{path}: the folder {path.absolute().parent} does not exist.")
    if config.output is None:
        return
    if config.output.suffix not in (".json", ".nc"):
        raise InputError(f"{config.output}: results are written as .json or .nc.")
    if config.output.suffix == ".nc" and len(config.paths) > 1:
        raise InputError("A .nc file holds the result of one file of points; give a .json file for several.")


def _estimated(path: Path, config: Dimension) -> xr.Dataset | str:
    """The result, or why there is none."""
    try:
        result, notes = _of_population(path, config) if config.population else _of_points(path, config)
    except AntidromeError as error:
        return str(error)
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    return result.assign_attrs(notes=[*notes, *result.attrs["notes"]], source=str(path))


def _of_points(path: Path, config: Dimension) -> tuple[xr.Dataset, list[str]]:
    from antidrome.core.executor import open_executor
    from antidrome.dimension.estimating import estimate
    from antidrome.dimension.reading import read_points

    points, notes = read_points(
        path,
        series=config.series,
        accepted_only=config.accepted_only,
        drop_missing=config.drop_missing,
        orientation=config.orientation,
    )
    with open_executor(config.cluster) as executor:
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
    return result, notes


def _of_population(path: Path, config: Dimension) -> tuple[xr.Dataset, list[str]]:
    from antidrome.cli.dynamics_recordings import inferred_spikes
    from antidrome.dimension.populations import population
    from antidrome.dimension.reading import read_points

    settings = {"discard_fraction": config.discard_fraction, "bin_frames": config.bin_frames, "seed": config.seed}
    if config.series is None and config.orientation is None and (spikes := inferred_spikes(path)) is not None:
        told = f"expected_spikes was read{WIDER_BINS if config.bin_frames == 1 else ''}."
        return population(spikes, **settings), [told, *spikes.attrs["notes"]]
    recording, notes = read_points(
        path,
        series=config.series,
        accepted_only=config.accepted_only,
        recording=True,
        orientation=config.orientation,
    )
    return population(recording, **settings), notes
