"""What the options of several commands are made of."""

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

Paths = Annotated[tuple[Path, ...], tyro.conf.Positional]


class Options:
    """Options of a command: checked when they become settings (`part_of`), by Antidrome and in its words."""

    def __post_init__(self) -> None:
        """Leave the checks of the settings' own class for later: tyro would put them into a frame of its own."""


def given(options: Any, *names: str) -> str:
    """Those of the options that were given (are not their default), as they are typed; empty if there are none."""
    default = {field.name: field.default for field in dataclasses.fields(options)}
    return ", ".join(f"--{name.replace('_', '-')}" for name in names if getattr(options, name) != default[name])


def command_line(command: str) -> str:
    """The line that started this process, for a page; empty if it was not this command of ``antidrome``."""
    return shlex.join(["antidrome", *sys.argv[1:]]) if sys.argv[1:2] == [command] else ""
