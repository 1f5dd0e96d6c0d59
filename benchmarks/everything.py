"""Run every benchmark that has a committed result, one after the other, whatever becomes of the others.

What reads data that are not at hand is left out, and said; what fails is told at the end, and the exit code is then 1.
In full, a result takes the place of the committed one once its benchmark is through, and the pages are written anew;
until then it lies in FOLDER, from where a benchmark that can goes on after an interruption. With --quick nothing that
is committed changes.

    python -m benchmarks.everything [--quick] [--only NAME …] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import missing_data
from benchmarks.readme import RESULTS, ROOT
from benchmarks.tables.headlines import command_of

PAGES = ("readme", "comparison", "million")


def main(arguments: list[str] | None = None) -> int:
    """Run all; return the exit code."""
    known = sorted(path.stem for path in RESULTS.glob("*.json"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the quick version of each; nothing is written")
    parser.add_argument("--only", nargs="+", choices=known, default=known, metavar="NAME", help="these alone")
    parser.add_argument("--folder", type=Path, default=ROOT / ".venv" / "bench", help="for unfinished results")
    chosen = parser.parse_args(arguments)
    left_out = {name: missing for name in chosen.only if (missing := missing_data(name))}
    measured, failed = [], []
    for name in chosen.only:
        if name in left_out:
            continue
        print(f"== {name}", flush=True)
        done = run(name, None if chosen.quick else chosen.folder.resolve())
        (measured if done else failed).append(name)
    if measured and not chosen.quick:
        failed += [page for page in PAGES if not finished([sys.executable, "-m", f"benchmarks.{page}"])]
    print(closing(measured, left_out, failed))
    return 1 if failed else 0


def run(name: str, folder: Path | None) -> bool:
    """Run one benchmark: quickly without a folder, else in full, and keep its result; whether it went well."""
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    if folder is None:
        return finished([*command, "--quick"])
    folder.mkdir(parents=True, exist_ok=True)
    committed, fresh, disk = RESULTS / f"{name}.json", folder / f"{name}.json", folder / "disk"
    _, *options = shlex.split(command_of(name, json.loads(committed.read_text("utf-8"))).partition(" -m ")[2])
    command += [str(disk) if option == "FOLDER" else option for option in options]
    done = finished([*command, "--json", str(fresh)]) and fresh.exists()
    shutil.rmtree(disk, ignore_errors=True)
    if done:
        shutil.move(fresh, committed)
    return done


def finished(command: list[str]) -> bool:
    """Whether a command, run in the source tree, ends with exit code 0."""
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def closing(measured: list[str], left_out: dict[str, list[str]], failed: list[str]) -> str:
    """What was measured, what was left out for want of data, what failed."""
    lines = [f"Measured: {', '.join(measured) or 'nothing'}."]
    if left_out:
        lines.append(
            "Left out for want of data, which $ANTIDROME_DATA names the folder of (see `antidrome data list`):"
        )
        lines += [f"  {name}: {', '.join(missing)}" for name, missing in left_out.items()]
    if failed:
        lines.append(f"Failed, see above: {', '.join(failed)}.")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
