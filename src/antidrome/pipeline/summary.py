"""``summary.json``: what was run, on what, with what result, in a form that programs read and people can."""

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from antidrome.core.model_files import package_versions

if TYPE_CHECKING:
    from antidrome.report import RunInfo
    from antidrome.report.session import SessionView

FORMAT_VERSION = 1


def session_summary(
    view: "SessionView", *, input_hash: str, result_key: str, file: str, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """One session's part: its input, what the checks said, and one record a neuron."""
    from antidrome.report.table import COLUMNS, rounded

    neurons = [
        {"neuron": label} | {c.key: rounded(view.table[c.key][row], 9) for c in COLUMNS}
        for row, label in enumerate(view.neurons)
    ]
    return {
        "session_id": view.session_id,
        "input": {
            "path": str(view.attrs.get("source", "")),
            "format": str(view.attrs.get("source_format", "")),
            "hash": input_hash,
        },
        "n_neurons": len(view.neurons),
        "n_frames": view.n_frames,
        "frame_rate_hz": view.frame_rate_hz,
        "duration_s": view.duration_s,
        "findings": view.findings,
        "notes": view.notes,
        "result": {"file": file, "key": result_key, "blocks": str(view.attrs.get("result_key", ""))},
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "neurons": neurons,
    }


def run_summary(
    sessions: Sequence[Mapping[str, Any]],
    stages: Mapping[str, Mapping[str, Any]],
    *,
    command: str,
    config: Mapping[str, Any],
    model_card: Mapping[str, Any],
    files: Sequence[Mapping[str, str]],
) -> dict[str, Any]:
    """The whole summary; strict JSON, every unit in its key."""
    from antidrome.report.table import COLUMNS

    return {
        "format_version": FORMAT_VERSION,
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": command,
        "config": dict(config),
        "versions": package_versions(),
        "machine": f"{platform.system()} {platform.machine()}",
        "model_card": json.loads(json.dumps(dict(model_card), default=str)),
        "units": {column.key: column.unit for column in COLUMNS},
        "files": [dict(file) for file in files],
        "sessions": [dict(session) for session in sessions],
        "stages": {name: dict(stage) for name, stage in stages.items()},
    }


def run_record(summary: Mapping[str, Any], hashes: Mapping[str, str]) -> dict[str, Any]:
    """``run.json``: what makes the run repeatable, without its results.

    Parameters
    ----------
    summary
        ``summary.json``.
    hashes
        SHA-256 of every other file that was written, by name.
    """
    kept = ("format_version", "created", "command", "config", "versions", "machine")
    return {
        **{name: summary[name] for name in kept},
        "seed": summary["config"]["seed"],
        "inputs": {session["session_id"]: session["input"] for session in summary["sessions"]},
        "findings": {session["session_id"]: session["findings"] for session in summary["sessions"]},
        "results": {
            **{session["result"]["file"]: session["result"]["key"] for session in summary["sessions"]},
            **{name: stage["key"] for name, stage in summary["stages"].items() if "key" in stage},
        },
        "files": dict(hashes),
        "skipped": {name: stage["skipped"] for name, stage in summary["stages"].items() if "skipped" in stage},
    }


def run_info(summary: Mapping[str, Any]) -> "RunInfo":
    """What the page says of the run, from its summary."""
    from antidrome.report import RunInfo

    sessions = summary["sessions"]
    config = dict(summary["config"])
    return RunInfo.of(
        [session["session_id"] for session in sessions],
        _lede([name for name, stage in summary.get("stages", {}).items() if "skipped" not in stage]),
        created=str(summary["created"]),
        command=summary["command"],
        model=str(config.pop("model", "")),
        seed=config.pop("seed", None),
        config=config,
        versions=summary["versions"],
        inputs={session["session_id"]: session["input"] for session in sessions},
        files=summary["files"],
    )


def _lede(stages: Sequence[str]) -> str:
    """What the page holds, in a sentence."""
    further = {"dynamics": "the dynamics that the sessions share", "dimension": "the dimension of the population"}
    found = [further[name] for name in stages if name in further]
    return f"{'; '.join(['Spikes inferred from fluorescence, with their uncertainty', *found])}."
