"""Write the table of measured claims into README.md from the committed results, so that no number is typed by hand.

python -m benchmarks.readme            # rewrites the part between the markers
python -m benchmarks.readme --check    # exit code 1 if README.md says something else than the results
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.tables.headlines import command_of, headline_of

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def table() -> str:
    """One row a benchmark: what it found, how to repeat it, on which machine."""
    rows = ["| measured | repeat with |", "|---|---|"]
    machines = []
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text())
        rows.append(f"| {headline_of(path.stem, result)} | `{command_of(path.stem, result)}` |")
        machine, versions = result["machine"], result["versions"]
        machines.append(f"{machine['processor']}, cores used: {machine['cores']}; JAX {versions['jax']}")
    return "\n".join([*rows, "", f"Machine: {'; '.join(dict.fromkeys(machines))}."])


def with_table(text: str) -> str:
    """README.md with the table between its markers."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


def settle(path: Path, wanted: str, module: str) -> None:
    """Write a page that a module makes; with ``--check`` only compare, and end with exit code 1 if they differ."""
    if "--check" in sys.argv:
        same = path.exists() and path.read_text("utf-8") == wanted
        raise SystemExit(0 if same else f"{path.name} differs from the committed results: run {module}")
    path.write_text(wanted, "utf-8")


def main() -> None:
    """Rewrite README.md, or compare."""
    path = ROOT / "README.md"
    settle(path, with_table(path.read_text("utf-8")), "benchmarks.readme")


if __name__ == "__main__":
    main()
