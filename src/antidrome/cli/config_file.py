"""``--config FILE``: settings from a TOML file, as the defaults of what the command line says."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def defaults_from_file(config_class: Any, options: Sequence[str]) -> Any | None:
    """The options as the named file sets them; None if the command has no ``--config`` or none was given.

    In a results folder that was moved, its ``run.toml`` means the folder it lies in.

    Raises
    ------
    InputError
        If the file cannot be read, or names a setting that the command does not have.
    """
    if not dataclasses.is_dataclass(config_class) or "config" not in {f.name for f in dataclasses.fields(config_class)}:
        return None
    path = _named(options)
    if path is None:
        return None
    from antidrome.core.configuration import from_dict
    from antidrome.pipeline.settings_file import moved_from, read_toml

    settings = read_toml(path)
    if moved_from(path):
        settings["output"] = str(path.parent)
    return from_dict(config_class, settings, where=str(path))  # type: ignore[type-var]


def _named(options: Sequence[str]) -> Path | None:
    for place, option in enumerate(options):
        if option.startswith("--config="):
            return Path(option.removeprefix("--config="))
        if option == "--config" and place + 1 < len(options):
            return Path(options[place + 1])
    return None
