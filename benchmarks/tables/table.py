"""A table of measured figures: named columns with units, and sentences about who is ahead, made from the figures."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_ROWS, MOST_COLUMNS, MOST_NAMES = 40, 9, 4
SMALLEST_WHOLE = 999.5
"""From here on figures are printed as whole numbers."""

Row = Mapping[str, Any]


class AtLeast(float):
    """A measurement that was stopped: it takes more than this."""


@dataclass(frozen=True)
class Table:
    """One table of the page.

    Attributes
    ----------
    caption
        What a row is, and over what its figures are medians or means.
    columns
        Heading, with its unit, → key of the rows; "ours/seconds" is a key within a key.
    rows
        The records, already aggregated.
    words
        Sentences below the table.
    """

    caption: str
    columns: Mapping[str, str]
    rows: Sequence[Row]
    words: Sequence[str] = ()

    def markdown(self) -> str:
        """The table as text; SystemExit where it has no figures, or more of them than a person reads."""
        if not self.rows or not self.columns:
            raise SystemExit(f"The table {self.caption!r} has no rows or no columns.")
        if len(self.rows) > MOST_ROWS or len(self.columns) > MOST_COLUMNS:
            raise SystemExit(
                f"The table {self.caption!r} has {len(self.rows)} rows and {len(self.columns)} columns; at most"
                f" {MOST_ROWS} and {MOST_COLUMNS}: aggregate."
            )
        for heading, key in self.columns.items():
            if all(value(row, key) is None for row in self.rows):
                raise SystemExit(f"The table {self.caption!r} has no figure in its column {heading!r} (key {key!r}).")
        lines = [_line(self.columns), "|---" * len(self.columns) + "|"]
        lines += [_line(cell(value(row, key)) for key in self.columns.values()) for row in self.rows]
        return "\n\n".join([f"*{self.caption}*", "\n".join(lines), " ".join(self.words)]).strip()


def value(row: Row, key: str) -> Any:
    """What a row holds under a key; the limit where the measurement was stopped, None where there is nothing."""
    found: Any = row
    for part in key.split("/"):
        if not isinstance(found, Mapping):
            return None
        if found.get("timed_out"):
            return AtLeast(found["seconds"]) if part == "seconds" else None
        found = found.get(part)
    return found


def cell(content: Any) -> str:
    """A figure as it is printed: three digits; the kind of an error alone."""
    if content is None:
        return "–"
    if isinstance(content, bool):
        return "yes" if content else "no"
    if isinstance(content, AtLeast):
        return f"> {cell(float(content))}"
    if isinstance(content, int | float):
        whole = float(content).is_integer() or abs(content) >= SMALLEST_WHOLE
        return f"{content:,.0f}" if whole else f"{content:#.3g}".rstrip(".")
    return re.sub(r"^(\w+Error): .*", r"\1", str(content), flags=re.DOTALL).replace("|", "\\|")


def medians(records: Iterable[Row], by: Sequence[str], of: Sequence[str]) -> list[dict[str, Any]]:
    """One row for the records alike in `by`: how many they are (`n`), and the medians of the known values in `of`."""
    groups: dict[tuple, list[Row]] = {}
    for record in records:
        groups.setdefault(tuple(value(record, key) for key in by), []).append(record)
    rows = []
    for alike, members in groups.items():
        known = {key: [v for one in members if (v := value(one, key)) is not None] for key in of}
        rows.append(
            dict(zip(by, alike, strict=True))
            | {"n": len(members)}
            | {key.replace("/", "_"): statistics.median(values) if values else None for key, values in known.items()}
        )
    return rows


def pivoted(records: Iterable[Row], by: str, across: str) -> list[dict[str, Any]]:
    """One row for every value of `by`, with the records' other values under their value of `across`."""
    rows: dict[Any, dict[str, Any]] = {}
    for record in records:
        rows.setdefault(record[by], {by: record[by]})[str(record[across])] = record
    return list(rows.values())


def beside(
    what: str,
    rows: Sequence[Row],
    ours: str,
    peers: Mapping[str, str],
    *,
    name: str | Callable[[Row], str],
    who: str = "ours",
    more: bool = True,
    most: int = MOST_NAMES,
) -> str:
    """A sentence: in how many rows we are ahead of every peer, and in which one of them is ahead of us.

    Parameters
    ----------
    what
        The measure, which begins the sentence.
    ours, peers
        Key of our figure; name of a peer → key of its figure. Rows without one of the two do not count.
    name
        How a row is called: one of its keys, or a function.
    who
        Who is compared.
    more
        Whether more is better.
    most
        How many rows are named at most.
    """
    parts = []
    for peer, key in peers.items():
        pairs = [(row, mine, other) for row in rows if _both(mine := value(row, ours), other := value(row, key))]
        if not pairs:
            continue
        level = [row for row, mine, other in pairs if _level(mine, other)]
        behind = [row for row, mine, other in pairs if not _level(mine, other) and (mine > other) != more]
        found = {"ahead": len(pairs) - len(level) - len(behind), "level": len(level), "behind": len(behind)}
        if len(pairs) in found.values():
            place = next(word for word, count in found.items() if count == len(pairs))
            parts.append(f"{peer}: {place} in {f'all {len(pairs)}' if len(pairs) > 1 else 'the only one'}")
            continue
        part = f"{peer}: ahead in {found['ahead']} of {len(pairs)}"
        part += f", level in {_named(level, name, most)}" if level else ""
        parts.append(part + (f", behind in {_named(behind, name, most)}" if behind else ""))
    return f"{what}, {who} beside {'; '.join(parts)}."


def ranked(what: str, figures: Mapping[str, float | None], ours: str, *, more: bool = True) -> str:
    """A sentence: our place among all, and the best other."""
    known = {name: figure for name, figure in figures.items() if figure is not None}
    mine, others = known[ours], {name: figure for name, figure in known.items() if name != ours}
    ahead = [name for name, figure in others.items() if not _level(figure, mine) and (figure > mine) == more]
    best = (max if more else min)(others, key=others.__getitem__)
    level = "; level" if _level(others[best], mine) else ""
    return (
        f"{what}: {ours} {cell(mine)}, place {len(ahead) + 1} of {len(known)}"
        f" (best other: {best} {cell(others[best])}{level})."
    )


def constant(benchmark: str, name: str) -> Any:
    """A constant of a benchmark, read without importing it."""
    tree = ast.parse(Path(__file__).parents[1].joinpath(f"{benchmark}.py").read_text("utf-8"))
    for node in tree.body:
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            if ast.unparse(target) == name:
                return ast.literal_eval(node.value)
            if isinstance(target, ast.Tuple) and name in (names := [ast.unparse(one) for one in target.elts]):
                return ast.literal_eval(node.value)[names.index(name)]
    raise KeyError(f"{name} in benchmarks/{benchmark}.py")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _level(first: float, second: float) -> bool:
    """Whether two figures are equal in the digits that are printed."""
    one, other = (round(x) if abs(x) >= SMALLEST_WHOLE else float(f"{float(x):.3g}") for x in (first, second))
    return one == other


def _both(mine: Any, other: Any) -> bool:
    figures = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (mine, other))
    return figures and not isinstance(mine, AtLeast) and not (isinstance(other, AtLeast) and mine >= other)


def _named(rows: Sequence[Row], name: str | Callable[[Row], str], most: int) -> str:
    names = [cell(value(row, name)) if isinstance(name, str) else name(row) for row in rows]
    shown = ", ".join(names[:most])
    return f"{len(names)} ({shown}{f' and {len(names) - most} more' if len(names) > most else ''})"
