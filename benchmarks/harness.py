"""What all benchmarks share: options, the data folder, the machine, the table, the JSON object."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from antidrome.core.files import finite, write_json
from antidrome.core.model_files import package_versions
from antidrome.data.catalogue import find
from benchmarks.dimension_peers import version_elsewhere
from benchmarks.tables import DATA


def options(claim: str) -> argparse.ArgumentParser:
    """The options of every benchmark."""
    parser = argparse.ArgumentParser(description=claim, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller honest version, a minute or two")
    parser.add_argument("--json", type=Path, help="write the result here")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def data_folder() -> Path:
    """Where the reference data are: $ANTIDROME_DATA, or ../shared/data beside the project."""
    return Path(os.environ.get("ANTIDROME_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def missing_data(benchmark: str) -> list[str]:
    """The data sets that a benchmark reads and of which the data folder does not hold every file."""
    folder = data_folder()
    return [
        name for name in DATA.get(benchmark, ()) if not all((folder / file.path).is_file() for file in find(name).files)
    ]


def require_data(benchmark: str) -> None:
    """End with exit code 2 and a sentence, before anything is computed, where a benchmark's data are not at hand."""
    if missing := missing_data(benchmark):
        sys.stderr.write(
            f"{benchmark} reads {', '.join(missing)}, of which {data_folder()} does not hold all files. `antidrome data"
            " list` says where they come from; there is no public mirror. From a folder or address with them:"
            f" `antidrome data get {' '.join(missing)} --mirror WHERE -o FOLDER`; then set ANTIDROME_DATA to FOLDER.\n"
        )
        raise SystemExit(2)


def machine() -> dict[str, Any]:
    """Processor, the cores that this process may use, and memory of this machine."""
    model = platform.processor() or platform.machine()
    cpuinfo, meminfo = Path("/proc/cpuinfo"), Path("/proc/meminfo")
    if cpuinfo.exists():
        names = [
            line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    memory = int(meminfo.read_text().split()[1]) / 2**20 if meminfo.exists() else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": model, "cores": cores, "memory_gib": memory and round(memory, 1)}


def show(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    """Print a table; floats with three digits."""
    table = Table(title=title)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*(f"{x:.3f}" if isinstance(x, float) else str(x) for x in row))
    Console(width=160).print(table)


def peer_versions(packages: Sequence[str]) -> dict[str, str]:
    """Version of each package that is installed here, or, where it cannot share this environment, in its own."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            if version := version_elsewhere(package):
                found[package] = version
    return found


def finish(result: dict[str, Any], started: float, path: Path | None, peers: Sequence[str] = ()) -> None:
    """Print the headline; add machine, versions (also those of the peers' packages) and seconds; write the JSON."""
    result = {
        **result,
        "machine": machine(),
        "versions": package_versions(),
        **({"peer_versions": peer_versions(peers)} if peers else {}),
        "seconds": round(time.time() - started, 1),
    }
    Console(width=160).print(f"[bold]{result['headline']}[/bold]")
    if path is not None:
        write_json(path, finite(result))
