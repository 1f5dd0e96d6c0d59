"""``antidrome check FILE…``: look at recordings before anything is inferred from them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from antidrome.cli.options import Options, Paths
from antidrome.cli.text import new_console, new_table, printable, say_json
from antidrome.errors import AntidromeError, InputError
from antidrome.pipeline.config import FileConfig
from antidrome.recordings.arguments import counted

if TYPE_CHECKING:
    from rich.console import Console

    from antidrome.recordings.checks import Finding

COLOURS = {"error": "bold red", "warning": "yellow", "info": "cyan"}
LISTED_NEURONS = 8


@dataclass(frozen=True)
class Check(Options, FileConfig):
    """Look at recordings before anything is inferred from them.

    Exit code: 0 nothing worse than warnings, 1 at least one error found, 2 a file could not be read.
    """

    paths: Paths
    """Recordings: NWB, suite2p folder, CaImAn, npy, npz, csv, mat, Zarr, NetCDF."""
    json: bool = False
    """Print findings as JSON on standard output instead of a table."""
    quantity: Literal["dff", "fluorescence", "unknown"] | None = None
    """What the traces are, where the file does not say: ΔF/F, raw fluorescence, or not known."""


@dataclass(frozen=True)
class _Looked:
    """What came of one file."""

    path: str
    error: str | None = None
    n_frames: int | None = None
    n_neurons: int | None = None
    frame_rate_hz: float | None = None
    quantity: str | None = None
    units: str | None = None
    source_format: str | None = None
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def run(config: Check) -> int:
    """Check every file, print what was found, and return the exit code (0, 1 or 2)."""
    if not config.paths:
        raise InputError("No file was given; name at least one recording: antidrome check FILE…")
    looked = [_look(path, config) for path in config.paths]
    code = _exit_code(looked)
    if config.json:
        _write_json(looked, code)
    else:
        _write_tables(looked)
    return code


def _look(path: Path, config: Check) -> _Looked:
    """Read and check one file; an unreadable one is a result too, so that the others are still looked at."""
    from antidrome.recordings import check, read

    try:
        recording = read(path, quantity=config.quantity, **config.choices())
        findings = check(recording)
    except AntidromeError as error:
        return _Looked(path=str(path), error=str(error))
    except OSError as error:
        return _Looked(path=str(path), error=f"{path}: {error.strerror or error}")
    attrs = recording.attrs
    return _Looked(
        path=str(path),
        n_frames=recording.sizes["time"],
        n_neurons=recording.sizes["neuron"],
        frame_rate_hz=attrs.get("frame_rate_hz"),
        quantity=attrs.get("quantity"),
        units=attrs.get("units"),
        source_format=attrs.get("source_format"),
        notes=tuple(attrs.get("notes", ())),
        findings=tuple(findings),
    )


def _exit_code(looked: list[_Looked]) -> int:
    if any(one.error is not None for one in looked):
        return 2
    return int(any(finding.severity == "error" for one in looked for finding in one.findings))


def _write_json(looked: list[_Looked], code: int) -> None:
    def plain(one: _Looked) -> dict[str, Any]:
        fields = {field.name: getattr(one, field.name) for field in dataclasses.fields(one)}
        return fields | {"notes": list(one.notes), "findings": [finding.to_dict() for finding in one.findings]}

    say_json({"exit_code": code, "files": [plain(one) for one in looked]})


def _write_tables(looked: list[_Looked]) -> None:
    from rich.text import Text

    console = new_console()
    for one in looked:
        console.print(Text(printable(one.path), style="bold"))
        if one.error is not None:
            console.print(Text(f"  could not be read: {printable(one.error)}", style=COLOURS["error"]))
        else:
            _write_findings(console, one)
        console.print()


def _write_findings(console: Console, one: _Looked) -> None:
    """Print one file's shape, its findings as a table, and how many there are of each severity."""
    from rich import box
    from rich.text import Text

    rate = "unknown frame rate" if one.frame_rate_hz is None else f"{one.frame_rate_hz:g} Hz"
    what = f"{one.quantity or 'unknown'}, units {one.units or 'unknown'}"
    console.print(
        Text(printable(f"  {counted(one.n_frames, 'frame')} × {counted(one.n_neurons, 'neuron')}, {rate}, {what}"))
    )
    for note in one.notes:
        console.print(Text(printable(f"  note: {note}"), style="dim"))
    if not one.findings:
        console.print(Text("  nothing found", style="green"))
        return
    columns = ("severity", "check", "what was seen, and what to do")
    table = new_table(*columns, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for finding in one.findings:
        words = Text(printable(finding.message))
        words.append(printable(f"\n→ {finding.fix}"), style="dim")
        if finding.neurons:
            words.append(printable(f"\n  neurons: {_listing(finding.neurons)}"), style="dim")
        table.add_row(Text(finding.severity, style=COLOURS[finding.severity]), Text(finding.id), words)
    console.print(table)
    counts = Counter(finding.severity for finding in one.findings)
    console.print(Text("  " + ", ".join(f"{counts[name]} {name}" for name in COLOURS if counts[name])))


def _listing(neurons: tuple[str, ...]) -> str:
    shown = ", ".join(neurons[:LISTED_NEURONS])
    return shown if len(neurons) <= LISTED_NEURONS else f"{shown} and {len(neurons) - LISTED_NEURONS} more"
