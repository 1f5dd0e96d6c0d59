"""Settings as TOML: what ``run.toml`` in a results folder holds, and what ``antidrome run --config`` reads."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from antidrome.core.files import read_json
from antidrome.errors import InputError
from antidrome.pipeline.folder import SETTINGS, SUMMARY, is_of_a_run


def to_toml(values: Mapping[str, Any]) -> str:
    """One line a setting, in order; settings that are None are left out, which means their default.

    Raises
    ------
    InputError
        If a value is not text, a number, true or false, or a list of these.
    """
    return "".join(f"{name} = {_value(name, value)}\n" for name, value in values.items() if value is not None)


def _value(name: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(name, one) for one in value)}]"
    if not isinstance(value, bool | int | float | str):
        raise InputError(f"{name} is a {type(value).__name__}; a settings file holds text, numbers and lists.")
    # a JSON string is a TOML basic string, but for DEL, which JSON leaves as it is
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")


def read_toml(path: Path) -> dict[str, Any]:
    """The settings of a TOML file.

    Raises
    ------
    InputError
        If there is no such file, or it is not TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; --config needs a TOML file with settings.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML: {error}.") from error


def moved_from(path: Path) -> str | None:
    """Where the results folder that a ``run.toml`` lies in was when it was written; None if it still is there.

    Also None for a settings file that lies in no results folder, or is not the one that its run left.
    """
    summary = read_json(path.parent / SUMMARY)
    if path.name != SETTINGS or not is_of_a_run(summary):
        return None
    former = read_toml(path).get("output")
    return former if isinstance(former, str) and former and not Path(former).exists() else None
