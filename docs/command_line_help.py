"""The help of every command, as the reference of the command line shows it; made when the documentation is built."""

import contextlib
import io
import os
import typing
from collections.abc import Iterator
from unittest import mock

from antidrome.cli.app import COMMANDS, load_command, main

PLACE = "<!-- the help of every command -->"
COLUMNS = 100


def commands() -> Iterator[str]:
    """Every command with its sub-commands, in the order of ``antidrome --help``."""
    for name in COMMANDS:
        yield name
        for part in typing.get_args(load_command(name)[0]):
            for about in getattr(part, "__metadata__", ()):
                yield f"{name} {about.name}"


def help_of(command: str) -> str:
    """What ``antidrome COMMAND --help`` prints."""
    printed = io.StringIO()
    with mock.patch.dict(os.environ, {"COLUMNS": str(COLUMNS)}), contextlib.redirect_stdout(printed):
        code = main([*command.split(), "--help"])
    assert code == 0, f"antidrome {command} --help ends with {code}"
    return "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())


def with_help(page: str) -> str:
    """The page with the help of every command in its place."""
    parts = [f"```text\n{help_of('')}\n```"]
    parts += [f"### antidrome {command}\n\n```text\n{help_of(command)}\n```" for command in commands()]
    return page.replace(PLACE, "\n\n".join(parts))
