"""What a later stage is: its settings, its files, how they are computed and how they are shown."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

    from antidrome.pipeline.config import RunConfig
    from antidrome.report.page import Part


@dataclass(frozen=True)
class Workplace:
    """Where a stage works.

    Attributes
    ----------
    output
        The results folder.
    scratch
        Folder for what an interrupted stage goes on from; kept until the stage is done, and only for the same input and
        settings. Made by who uses it.
    executor
        Where a stage may work; None: here.
    show_progress
        Whether to show a progress bar.
    """

    output: Path
    scratch: Path
    executor: Executor | None = None
    show_progress: bool = True


@dataclass(frozen=True)
class Stage:
    """One later stage of the job.

    Attributes
    ----------
    name
        As in ``RunConfig.stages``.
    files
        Session ids to its files: name to what it holds.
    settings
        The settings that change its numbers.
    compute
        ``compute(activity, config, place)`` writes the files; `activity` holds (time, neuron) of each session, binned.
        Raises InputError where the data do not allow it.
    summarise
        ``summarise(output, session_ids)``: what ``summary.json`` says of it, from its files.
    part
        ``part(output, session_ids)``: its share of the page, from its files.
    """

    name: str
    files: Callable[[Sequence[str]], dict[str, str]]
    settings: "Callable[[RunConfig], dict[str, Any]]"
    compute: "Callable[[Mapping[str, xr.DataArray], RunConfig, Workplace], None]"
    summarise: Callable[[Path, Sequence[str]], dict[str, Any]]
    part: "Callable[[Path, Sequence[str]], Part]"


def file_of(stem: str, session_id: str, session_ids: Sequence[str]) -> str:
    """``STEM.nc`` for a single session, ``STEM-SESSION.nc`` for each of several."""
    from antidrome.core.names import slug

    return f"{stem}.nc" if len(session_ids) == 1 else f"{stem}-{slug(session_id)}.nc"
