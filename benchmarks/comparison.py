"""Write docs/comparison.md, the measured tables beside the peers, from the committed results: no number is typed.

What a table shows of a result, and what its columns are called, is in `benchmarks.tables`.

python -m benchmarks.comparison            # writes the page
python -m benchmarks.comparison --check    # exit code 1 if the page says something else than the results
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

from benchmarks.readme import RESULTS, ROOT, settle
from benchmarks.tables import DATA, tables_of
from benchmarks.tables.headlines import command_of, headline_of

PAGE = ROOT / "docs" / "comparison.md"
HEAD = """# Measured, beside others

Every table below is written from the results of a benchmark (`python -m benchmarks.NAME` of the source tree), on the
same data and, where a peer is timed, in the same run; figures that others published are called so. The sentences below
the tables say who is ahead, also where it is a peer. "Level" means equal in the digits that are printed; > stands
before the time of a run that was stopped; – is what was not measured or is no number. GB are 10⁹ bytes. The last line
of a section names the versions of the peers' packages where the result kept them; older results do not.

To repeat one, `make bench` or `pip install '.[bench]'` brings the peers (DADApy wants an environment of its own, which
`make bench` makes). Where data are named below, a benchmark needs recordings or published figures that are no part of
the repository, and **there is no public mirror of them**: `antidrome data list` says where each set comes from, and
under which terms. Whoever has a folder or an address that holds the files as listed takes them with
`antidrome data get NAMES --mirror FOLDER_OR_URL -o DATA`, then `ANTIDROME_DATA=DATA python -m benchmarks.NAME`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(_section(path) for path in sorted(RESULTS.glob("*.json")))])


def _section(path: Path) -> str:
    result = json.loads(path.read_text())
    claim = _documentation(path.stem).strip().split("\n\n")[0]
    machine = result["machine"]
    data = f"; data: {', '.join(f'`{name}`' for name in DATA[path.stem])}" if path.stem in DATA else ""
    packages = ", ".join(f"{name} {version}" for name, version in result.get("peer_versions", {}).items())
    parts = [
        f"## {path.stem.replace('_', ' ').capitalize()}",
        " ".join(claim.split()),
        f"**{headline_of(path.stem, result)}**",
        *(table.markdown() for table in tables_of(path.stem, result)),
        f"`{command_of(path.stem, result)}`; {machine['processor']}, cores used: {machine['cores']};"
        f" {result['seconds']:.0f} s{data}{f'; beside {packages}' if packages else ''}.",
    ]
    return "\n\n".join(parts) + "\n"


def _documentation(benchmark: str) -> str:
    """What a benchmark says of itself, read without importing it: this page needs none of the peers that it does."""
    source = Path(__file__).with_name(f"{benchmark}.py").read_text()
    return ast.get_docstring(ast.parse(source)) or ""


def main() -> None:
    """Write the page, or compare."""
    settle(PAGE, page(), "benchmarks.comparison")


if __name__ == "__main__":
    main()
