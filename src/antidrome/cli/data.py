"""``antidrome data``: public recordings and references by name, fetched and checked, never bundled."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from antidrome.cli.text import say, say_json
from antidrome.errors import InputError
from antidrome.recordings.arguments import counted


@dataclasses.dataclass(frozen=True, kw_only=True)
class List:
    """Show what there is: name, size, licence, citation."""

    json: bool = False
    """Print JSON."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Get:
    """Fetch data sets, checking every file against its sha256; print their folders."""

    names: tyro.conf.Positional[tuple[str, ...]]
    """Data sets, as listed by ``antidrome data list``."""
    mirror: str | None = None
    """Folder or URL that holds the files; by default the environment variable ANTIDROME_MIRROR."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Where to put the files; by default the user's cache."""


def run(
    config: (
        Annotated[List, tyro.conf.subcommand("list", prefix_name=False)]
        | Annotated[Get, tyro.conf.subcommand("get", prefix_name=False)]
    ),
) -> int:
    """List or fetch; return 0."""
    return _list(config) if isinstance(config, List) else _get(config)


def _list(config: List) -> int:
    from antidrome.data import datasets

    if config.json:
        say_json({name: dataclasses.asdict(dataset) for name, dataset in datasets().items()})
        return 0
    for dataset in datasets().values():
        say(
            f"{dataset.name}  ({dataset.size / 1e6:.1f} MB, {counted(len(dataset.files), 'file')})\n  {dataset.title}\n"
            f"  from {dataset.origin}\n  licence: {dataset.licence}\n  cite: {dataset.cite}"
        )
    return 0


def _get(config: Get) -> int:
    from antidrome.data import get

    if not config.names:
        raise InputError("No data set was named. `antidrome data list` shows their names: antidrome data get NAME…")
    for name in config.names:
        say(get(name, mirror=config.mirror, folder=config.output))
    return 0
