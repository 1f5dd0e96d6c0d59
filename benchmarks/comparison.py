"""Write docs/comparison.md, the measured tables beside the peers, from the committed results: no number is typed.

python -m benchmarks.comparison            # writes the page
python -m benchmarks.comparison --check    # exit code 1 if the page says something else than the results
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

from benchmarks.readme import RESULTS, ROOT, settle

PAGE = ROOT / "docs" / "comparison.md"
MOST_ROWS, MOST_COLUMNS = 40, 12
HEAD = """# Measured, beside others

Every table below is written from the results of a benchmark that anyone can repeat (`python -m benchmarks.NAME`), on
the same data and, where a peer is timed, in the same run; also where a peer is better.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(_section(path) for path in sorted(RESULTS.glob("*.json")))])


def _section(path: Path) -> str:
    result = json.loads(path.read_text())
    claim = _documentation(path.stem).strip().split("\n\n")[0]
    machine = result["machine"]
    tables = [text for name, value in result.items() if (text := _table(name, value))]
    parts = [
        f"## {path.stem.replace('_', ' ').capitalize()}",
        " ".join(claim.split()),
        f"**{result['headline']}**",
        *tables,
        f"`python -m benchmarks.{path.stem}`; {machine['processor']}, cores used: {machine['cores']};"
        f" {result['seconds']:.0f} s.",
    ]
    return "\n\n".join(parts) + "\n"


def _documentation(benchmark: str) -> str:
    """What a benchmark says of itself, read without importing it: this page needs none of the peers that it does."""
    source = Path(__file__).with_name(f"{benchmark}.py").read_text()
    return ast.get_docstring(ast.parse(source)) or ""


def _table(name: str, value: Any) -> str:
    """A list of records, or a mapping of names to records, as a table; anything else is no table."""
    if name in ("machine", "versions"):
        return ""
    records = (
        [{"": key, **one} for key, one in value.items() if isinstance(one, dict)] if isinstance(value, dict) else value
    )
    if not isinstance(records, list) or not records or not all(isinstance(one, dict) for one in records):
        return ""
    every = dict.fromkeys(key for one in records for key, cell in one.items() if not isinstance(cell, dict | list))
    columns = list(every)[:MOST_COLUMNS]
    if columns in ([], [""]):
        return ""
    if len(records) > MOST_ROWS:
        return f"{len(records)} records ({name.replace('_', ' ')}) are in `benchmarks/results`."
    lines = ["| " + " | ".join(column.replace("_", " ") for column in columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(_cell(one.get(column)) for column in columns) + " |" for one in records]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value).replace("|", "\\|")


def main() -> None:
    """Write the page, or compare."""
    settle(PAGE, page(), "benchmarks.comparison")


if __name__ == "__main__":
    main()
