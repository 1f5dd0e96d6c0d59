"""What commands print."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDE = 160
"""Columns of what is printed into a pipe or a file, unless the variable ``COLUMNS`` says otherwise."""


def printable(text: object) -> str:
    """Text whose control characters (of a hostile path or neuron name) are shown, not obeyed."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in str(text))


def unmarked(text: object) -> str:
    """The same for rich, which takes no part of it for markup."""
    from rich.markup import escape

    return escape(printable(text))


def new_console() -> Console:
    """Where tables are printed: as wide as the terminal; wide where there is none, so that names stay on a line."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDE
    return console


def new_table(*columns: str, whole: Collection[str] = (), right: bool = False, **options: Any) -> Table:
    """A table that loses no letter where it does not fit: its words go on in the next line.

    Parameters
    ----------
    columns
        Their headings.
    whole
        Columns of numbers, which are not broken.
    right
        Whether these stand on the right of their columns.
    **options
        Of `rich.table.Table`; by default no lines are drawn.
    """
    from rich.table import Table

    table = Table(**{"box": None, **options})
    for name in columns:
        justify = "right" if right and name in whole else "left"
        table.add_column(name, justify=justify, no_wrap=name in whole, overflow="fold")
    return table


def say(text: object) -> None:
    """Print a line, at once."""
    sys.stdout.write(printable(text) + "\n")
    sys.stdout.flush()


def say_json(document: Any) -> None:
    """Print JSON, in ASCII: whatever the encoding of a terminal or pipe, it stays JSON. What is not finite is null."""
    from antidrome.core.files import finite

    sys.stdout.write(json.dumps(finite(document), indent=1, allow_nan=False) + "\n")
