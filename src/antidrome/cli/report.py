"""``antidrome report``: the page of a results folder, again."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from antidrome.cli.text import say


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Make report.html of a results folder anew, on any machine."""

    folder: Annotated[Path, tyro.conf.Positional]
    """A folder that `antidrome run` wrote."""


def run(config: Report) -> int:
    """Write the page; return 0."""
    from antidrome.pipeline import rebuild_report

    say(rebuild_report(config.folder))
    return 0
