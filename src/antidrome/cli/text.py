"""What commands print."""

import json
import sys
from typing import Any


def printable(text: object) -> str:
    """Text whose control characters (of a hostile path or neuron name) are shown, not obeyed."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in str(text))


def unmarked(text: object) -> str:
    """The same for rich, which takes no part of it for markup."""
    from rich.markup import escape

    return escape(printable(text))


def say(text: object) -> None:
    """Print a line, at once."""
    sys.stdout.write(printable(text) + "\n")
    sys.stdout.flush()


def say_json(document: Any) -> None:
    """Print JSON, in ASCII: whatever the encoding of a terminal or pipe, it stays JSON. What is not finite is null."""
    from antidrome.core.files import finite

    sys.stdout.write(json.dumps(finite(document), indent=1, allow_nan=False) + "\n")
