"""Finished rows of a long benchmark, kept in a file, so that an interrupted run goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


class KeptRows:
    """Rows by key, one JSON object a line; without a path they are kept in memory alone."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.rows = path, {}
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                key, rows = json.loads(line)
                self.rows[key] = rows

    def get(self, key: str, make: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """The rows of a key, made if they are not there."""
        if key not in self.rows:
            self.rows[key] = make()
            if self.path is not None:
                with self.path.open("a") as stream:
                    stream.write(json.dumps([key, self.rows[key]]) + "\n")
        return self.rows[key]
