"""``antidrome run``: the whole job, from recordings to results and the page."""

import dataclasses
import statistics
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

from antidrome.cli.options import Options, Paths, command_line
from antidrome.cli.text import printable, say_json, unmarked
from antidrome.pipeline.config import RunConfig
from antidrome.recordings.arguments import counted, listing

MOST_NAMES = 4
"""Sessions that are named where a finding is told of several."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run(Options, RunConfig):
    """The whole job: spikes, shared dynamics, dimension, and a page.

    Without a path, a simulated recording of two sessions is run, so that there is something to look at. An interrupted
    run goes on with the same command.
    """

    paths: Paths = ()
    """Recordings: NWB, suite2p folder, CaImAn, npy, npz, csv, mat, Zarr, NetCDF."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("antidrome-results")
    """Folder for the results."""
    config: Path | None = None
    """TOML file with any of these settings; what the command line says goes before. Every run leaves a run.toml.
    Relative paths in it start at the working directory; the run.toml of a results folder that was moved means that
    folder."""
    cluster: str | None = None
    """Address of a Dask scheduler: blocks of neurons are inferred there. The same command goes on after a failure."""
    dry_run: bool = False
    """Only tell what would be done, how long it would take and how much memory."""
    json: bool = False
    """Print the summary as JSON."""


def run(config: Run) -> int:
    """Run the job; return 0."""
    from antidrome.core.configuration import part_of
    from antidrome.core.executor import open_executor
    from antidrome.pipeline import plan
    from antidrome.pipeline import run as run_job
    from antidrome.pipeline.settings_file import moved_from

    settings = part_of(config, RunConfig)
    if config.config is not None and (former := moved_from(config.config)) and config.output == config.config.parent:
        sys.stderr.write(
            printable(f"{config.config} names {former}, which is not there: its own folder {config.output} is used.\n")
        )
    if config.dry_run:
        planned = plan(config.paths, settings, config.output)
        say_json(planned) if config.json else _tell_plan(planned)
        return 0
    with open_executor(config.cluster) as executor:
        summary = run_job(
            config.paths,
            config.output,
            settings,
            command=command_line("run"),
            executor=executor,
            progress=not config.json,
        )
    say_json(summary) if config.json else _tell(summary, config.output)
    return 0


def _tell(summary: dict[str, Any], output: Path) -> None:
    """What was done and where the page is, in a few lines."""
    console = _console()
    _tell_sessions(console, summary["sessions"])
    for name, stage in summary["stages"].items():
        _tell_stage(console, name, stage)
    for file in summary["files"]:
        console.print(f"  {unmarked(output / file['name'])}  [dim]{unmarked(file['what'])}[/dim]")
    for name in summary.get("kept_files", []):  # summaries of before files were kept have none
        console.print(f"  [dim]{unmarked(name)} is of an earlier run with the same input and settings, and stays[/dim]")
    for name in summary.get("rewritten_files", []):
        console.print(f"  [yellow]{unmarked(name)} was no longer what had been written, and was written anew[/yellow]")
    anew = summary["config"]["overwrite"]
    why = f"is of an earlier run{', which --overwrite forgot' if anew else ' with other recordings or settings'}"
    for name in summary["removed_files"]:
        console.print(f"  [dim]{unmarked(name)} {why}, and was removed[/dim]")
    if left_out := summary.get("left_out_sessions", []):
        console.print(f"  [dim]{unmarked(_told_left_out(left_out))}[/dim]")
    if "passed" in summary:
        console.print(unmarked(summary["passed"]))
    console.print(f"Open the page: {unmarked((output / 'report.html').resolve().as_uri())}")


def _told_left_out(session_ids: list[str]) -> str:
    them = "it" if len(session_ids) == 1 else "them"
    return (
        f"Not named by this run: {listing(session_ids, MOST_NAMES)}. What was computed of {them} is kept in .antidrome,"
        f" and a run that names {them} beside these recordings writes the files again."
    )


def _tell_stage(console: Any, name: str, stage: dict[str, Any]) -> None:
    """What a later stage found, and what speaks against trusting it."""
    if "skipped" in stage:
        console.print(f"[yellow]no {name}[/yellow]: {unmarked(stage['skipped'])}")
        return
    console.print(f"[bold]{name}[/bold]: {unmarked(_found(stage))}")
    for session in stage.get("deviating_sessions", []):
        console.print(f"  [yellow]session {unmarked(session)} differs from the others by more than chance[/yellow]")
    for note in stage.get("notes", []):
        console.print(f"  [dim]{unmarked(note)}[/dim]")


def _tell_plan(planned: dict[str, Any]) -> None:
    console = _console()
    _tell_sessions(console, planned["sessions"])
    times = ", ".join(f"{name} {_duration(seconds)}" for name, seconds in planned["seconds"].items())
    core = f"one core like that of the measurement ({unmarked(planned['measured_on'])})"
    console.print(f"About {_duration(sum(planned['seconds'].values()))} in all ({times}) on {core},")
    disk = f"{planned['disk_gb']:.2g} GB on disk, {planned['kept_gb']:.2g} GB of it in .antidrome"
    console.print(
        f"{planned['memory_gb']:.1f} GB of memory, {disk}, from which a repeated command goes on. Nothing was done."
    )


def _tell_sessions(console: Any, sessions: list[dict[str, Any]]) -> None:
    """Each with its findings and notes; a finding that is the same in several, once and after them."""
    owners: dict[tuple[str, ...], list[str]] = {}
    for session in sessions:
        for finding in session["findings"]:
            owners.setdefault(_words(finding), []).append(session["session_id"])
    for session in sessions:
        rates = [n["mean_rate_hz"] for n in session.get("neurons", []) if n["mean_rate_hz"] is not None]
        median = f", median rate {statistics.median(rates):.2f} spikes/s" if rates else ""
        size = f"{counted(session['n_neurons'], 'neuron')}, {counted(session['n_frames'], 'frame')}"
        rate = f"{session['frame_rate_hz']:.4g} Hz"
        console.print(f"[bold]{unmarked(session['session_id'])}[/bold]: {size} at {rate}{median}")
        for finding in session["findings"]:
            if len(owners[_words(finding)]) == 1:
                _tell_finding(console, *_words(finding))
        for note in session.get("notes", []):
            console.print(f"  [dim]{unmarked(note)}[/dim]")
    for words, names in owners.items():
        if len(names) > 1:
            more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            console.print(f"[bold]{unmarked(', '.join(names[:MOST_NAMES]))}{more}[/bold]:")
            _tell_finding(console, *words)


def _words(finding: dict[str, Any]) -> tuple[str, str, str]:
    return finding["severity"], finding["message"], finding["fix"]


def _tell_finding(console: Any, severity: str, message: str, fix: str) -> None:
    colour = {"error": "red", "warning": "yellow"}.get(severity, "blue")
    console.print(f"  [{colour}]{severity}[/{colour}] {unmarked(message)}")
    console.print(f"    [dim]{unmarked(fix)}[/dim]")


def _found(stage: dict[str, Any]) -> str:
    """The figures of a later stage, in a line."""
    if "n_components" in stage:
        return f"{counted(stage['n_components'], 'dimension')} shared by {counted(stage['n_neurons'], 'neuron')}"
    return "; ".join(
        f"{one['session_id']} {one['dimension']:.1f} ± {one['standard_error']:.1f}" for one in stage["sessions"]
    )


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)
