"""``antidrome run``: the whole job, from recordings to results and the page."""

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from antidrome.cli.options import InferenceOptions, Paths


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run(InferenceOptions):
    """The whole job.

    Without a path, a simulated recording of two sessions is run, so that there is something to look at. An interrupted
    run goes on with the same command.
    """

    paths: Paths = ()
    """Recordings: NWB, suite2p folder, CaImAn, npy, npz, csv, mat, Zarr, NetCDF."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("antidrome-results")
    """Folder for the results."""
    format: Literal["nwb", "zarr", "netcdf", "suite2p"] = "nwb"
    """Format of the spikes."""
    json: bool = False
    """Print the summary as JSON."""


def run(config: Run) -> int:
    """Run the job; return 0."""
    from antidrome.pipeline import RunConfig
    from antidrome.pipeline import run as run_job

    options = {field.name: getattr(config, field.name) for field in dataclasses.fields(RunConfig)}
    summary = run_job(
        config.paths,
        config.output,
        RunConfig(**options),
        command=shlex.join(["antidrome", *sys.argv[1:]]),
        show_progress=not config.json,
    )
    if config.json:
        import json

        sys.stdout.write(json.dumps(summary, indent=1) + "\n")
    else:
        _tell(summary, config.output)
    return 0


def _tell(summary: dict[str, Any], output: Path) -> None:
    """What was done and where the page is, in a few lines."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    for session in summary["sessions"]:
        rates = sorted(n["mean_rate_hz"] for n in session["neurons"] if n["mean_rate_hz"] is not None)
        median = f", median rate {rates[len(rates) // 2]:.2f} spikes/s" if rates else ""
        console.print(f"[bold]{escape(session['session_id'])}[/bold]: {session['n_neurons']:,} neurons, "
                      f"{session['n_frames']:,} frames at {session['frame_rate_hz']:.4g} Hz{median}")  # fmt: skip
        for finding in session["findings"]:
            colour = {"error": "red", "warning": "yellow"}.get(finding["severity"], "blue")
            console.print(f"  [{colour}]{finding['severity']}[/{colour}] {escape(finding['message'])}")
        for note in session["notes"]:
            console.print(f"  [dim]{escape(note)}[/dim]")
    for file in summary["files"]:
        console.print(f"  {escape(str(output / file['name']))}  [dim]{escape(file['what'])}[/dim]")
    for name in summary["removed_files"]:
        console.print(f"  [dim]{escape(name)} was made from other input or settings, and was removed[/dim]")
    console.print(f"Open the page: {escape((output / 'report.html').resolve().as_uri())}")
