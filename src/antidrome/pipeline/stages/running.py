"""Running the later stages: what is up to date stays, what the data do not allow is said and leaves the rest alone."""

import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antidrome.core.hashing import hash_configuration
from antidrome.errors import FileFormatError, InputError
from antidrome.pipeline.folder import CACHE, Manifest
from antidrome.pipeline.stages.activity import binned_spikes
from antidrome.pipeline.stages.stage import Stage, Workplace

if TYPE_CHECKING:
    import xarray as xr

    from antidrome.pipeline.config import RunConfig
    from antidrome.report.page import Part


@dataclass(frozen=True)
class StageOutcome:
    """What became of one stage.

    Attributes
    ----------
    summary
        For ``summary.json``: what was found, or ``skipped`` with the reason.
    files
        Its files: name to what it holds; none if it was skipped.
    """

    summary: dict[str, Any]
    files: dict[str, str]


def stage_settings(stages: Sequence[Stage], config: "RunConfig") -> dict[str, Any]:
    """Everything of the configuration that the wanted stages depend on, by stage."""
    return {stage.name: stage.settings(config) for stage in stages if stage.name in config.stages}


def run_stages(
    stages: Sequence[Stage],
    results: "Mapping[str, xr.Dataset]",
    output: Path,
    config: "RunConfig",
    manifest: Manifest,
    *,
    key: str,
    executor: Executor | None,
    show_progress: bool,
) -> dict[str, StageOutcome]:
    """Run the stages that the configuration names; returns what became of each.

    Parameters
    ----------
    stages
        All later stages, in their order.
    results
        Spikes of each session.
    output, config, manifest
        The results folder, its settings and its list of files.
    key
        What the spikes were made from.
    executor
        Where a stage may work.
    """
    outcomes = {}
    for stage in stages:
        if stage.name not in config.stages:
            continue
        files = stage.files(list(results))
        own = _key(stage, config, key)
        start = time.perf_counter()
        manifest.claim(list(files), overwrite=config.overwrite)
        try:
            if not all(manifest.is_done(name, own) for name in files):
                activity = {name: binned_spikes(result, config.bin_s) for name, result in results.items()}
                scratch = _scratch(output, stage.name, own)
                for name in files:
                    manifest.begin(name)
                _compute(stage, activity, config, Workplace(output, scratch, executor, show_progress))
                for name in files:
                    manifest.done(name, own)
                shutil.rmtree(scratch, ignore_errors=True)
        except FileFormatError:  # a file of ours is damaged: the data are not to blame, and the stage is not skipped
            raise
        except InputError as error:
            outcomes[stage.name] = StageOutcome({"skipped": str(error)}, {})
            continue
        summary = stage.summarise(output, list(results))
        outcomes[stage.name] = StageOutcome(
            {**summary, "key": own, "seconds": round(time.perf_counter() - start, 3)}, files
        )
    return outcomes


def files_of(stages: Sequence[Stage], session_ids: Sequence[str], config: "RunConfig") -> list[str]:
    """The files that the wanted stages will write."""
    return [name for stage in stages if stage.name in config.stages for name in stage.files(session_ids)]


def still_valid(
    stages: Sequence[Stage], session_ids: Sequence[str], config: "RunConfig", manifest: Manifest, *, key: str
) -> list[str]:
    """Files of stages that the configuration leaves out, made by an earlier run from the same input and settings."""
    left_out = [stage for stage in stages if stage.name not in config.stages]
    files = {name: _key(stage, config, key) for stage in left_out for name in stage.files(session_ids)}
    return [name for name, own in files.items() if manifest.made_from(name, own)]


def _key(stage: Stage, config: "RunConfig", key: str) -> str:
    """Everything that the stage's files depend on."""
    from antidrome import __version__

    return hash_configuration({"results": key, **stage.settings(config), "antidrome version": __version__})


def _compute(stage: Stage, activity: "Mapping[str, xr.DataArray]", config: "RunConfig", place: Workplace) -> None:
    """The stage's work; once more from its beginning where what an earlier run left of it is damaged."""
    try:
        stage.compute(activity, config, place)
    except FileFormatError:
        if not place.scratch.exists():
            raise
        shutil.rmtree(place.scratch)
        stage.compute(activity, config, place)


def _scratch(output: Path, name: str, key: str) -> Path:
    """The stage's own folder for unfinished work; what other input or settings left there goes."""
    wanted = output / CACHE / f"stage-{name}-{key[:16]}"
    for other in (output / CACHE).glob(f"stage-{name}-*"):
        if other != wanted:
            shutil.rmtree(other, ignore_errors=True)
    return wanted


def forget_unfinished(output: Path) -> None:
    """Remove what interrupted stages would go on from."""
    for scratch in (output / CACHE).glob("stage-*"):
        shutil.rmtree(scratch, ignore_errors=True)


def parts_of(stages: Sequence[Stage], output: Path, summary: Mapping[str, Any]) -> "list[Part]":
    """The page's parts of the stages that a summary tells of, from their files."""
    from antidrome.report.stages_part import skipped_part

    session_ids = [session["session_id"] for session in summary["sessions"]]
    found = summary.get("stages", {})
    parts = [
        stage.part(output, session_ids)
        for stage in stages
        if stage.name in found and "skipped" not in found[stage.name]
    ]
    skipped = {name: entry["skipped"] for name, entry in found.items() if "skipped" in entry}
    return [*parts, skipped_part(skipped)] if skipped else parts
