"""What ``antidrome dimension`` prints and writes: tables, JSON, NetCDF, and the page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antidrome.cli.options import command_line
from antidrome.cli.text import new_console, new_table, printable
from antidrome.errors import InputError

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


def check_places(inputs: Sequence[Path], *, output: Path | None, report: Path | None, overwrite: bool) -> None:
    """See to it that nothing is replaced unasked, and neither what is read nor the other result at all.

    Parameters
    ----------
    inputs
        Files and folders that are read.
    output, report, overwrite
        The options ``-o``, ``--report`` and ``--overwrite``.

    Raises
    ------
    InputError
        What is wrong with one of the places.
    """
    from antidrome.core.files import refuse_existing
    from antidrome.pipeline.folder import spare_recordings
    from antidrome.recordings.reading import is_format

    known = {str(path): "zarr" if is_format(path, "zarr") else "" for path in inputs}
    for option, path in (("-o", output), ("--report", report)):
        if path is not None:
            refuse_existing(path, overwrite=overwrite, option=option, is_file=True)
            spare_recordings(known, [path], called="input", option=option)
    if report is None:
        return
    if report.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{report}: a page is written to a file that ends in .html.")
    if output is not None and os.path.realpath(output) == os.path.realpath(report):
        raise InputError(f"{output} is named by -o and by --report; give the page another place.")


def plain(path: Path, result: xr.Dataset | str) -> dict[str, Any]:
    """A result as JSON; numbers that are not finite are null.

    An axis that is called as one number of the result is kept beside it: the numbers of neurons that were drawn
    (`n_neurons_drawn`) beside that of the recording (`n_neurons`).
    """
    if isinstance(result, str):
        return {"path": str(path), "error": result}
    from antidrome.core.files import finite

    values = {
        f"{name}_drawn" if name in result.dims and name in result.attrs else str(name): array.values.tolist()
        for name, array in result.variables.items()
    }
    return finite({"path": str(path), **values, **result.attrs})


def write(output: Path, document: list[dict[str, Any]], results: list[xr.Dataset | str]) -> None:
    """Write JSON, or one result as NetCDF."""
    from antidrome.core.files import write_json
    from antidrome.recordings.xarray_writing import write_netcdf

    if output.suffix == ".json":
        write_json(output, document)
        return
    result = results[0]
    if isinstance(result, str):
        raise InputError(f"Nothing was written to {output}: {result}")
    write_netcdf(result, output)


def write_table(path: Path, result: xr.Dataset | str) -> None:
    """Print a result, or why there is none."""
    from rich import box
    from rich.text import Text

    console = new_console()
    console.print(Text(printable(str(path)), style="bold"))
    if isinstance(result, str):
        console.print(Text(f"  no estimate: {printable(result)}\n", style="bold red"))
        return
    if "estimator" not in result.dims:
        _write_population(console, result)
        return
    numbers = ("dimension", "standard error", "90 % interval")
    style: dict[str, Any] = {"box": box.SIMPLE_HEAD, "show_edge": False, "pad_edge": False}
    table = new_table("estimator", *numbers, whole=numbers, right=True, **style)
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


def _write_population(console: Any, result: xr.Dataset) -> None:
    from rich.text import Text

    first, *others = (printable(str(sentence)) for sentence in result.attrs["conclusions"])
    console.print(Text(f"  {first}", style="bold"))
    for sentence in others:
        console.print(Text(f"  {sentence}", style="yellow"))
    pairs = zip(result["n_neurons"].values, result["dimension_by_neurons"].mean("draw").values, strict=True)
    console.print(Text("  against neurons: " + ", ".join(f"{n}: {value:.2f}" for n, value in pairs)))
    for note in result.attrs["notes"]:
        console.print(Text(printable(f"  note: {note}"), style="dim"))
    console.print()


def write_report(path: Path, found: Any, title: str, lede: str, seed: int, **options: Any) -> None:
    """The page of results; nothing where there is none."""
    from antidrome.report import RunInfo, write_dimension_report

    if not len(found):
        return
    run = RunInfo.of(title, lede, command=command_line("dimension"), seed=seed)
    write_dimension_report(path, found, run, **options)


def names_of(paths: Sequence[Path]) -> list[str]:
    """Stems of files; whole paths where stems are equal."""
    stems = [path.stem for path in paths]
    return [path.stem if stems.count(path.stem) == 1 else str(path) for path in paths]


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
            f"linear: {int(result['pca_dimension'])} components for 90 % of the variance"
            f" ({int(result['pca_dimension_standardised'])} of standardised columns), participation ratio"
            f" {result['participation_ratio'].item():.1f}"
        )
    return lines
