"""What a run would do, before it does it: sizes, time and memory, from the recordings' headers."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from antidrome.pipeline.config import RunConfig
from antidrome.pipeline.demo import demo_sessions
from antidrome.pipeline.infer import BLOCK_VALUES
from antidrome.pipeline.sessions import Session, read_sessions
from antidrome.pipeline.stages.dimension import MAX_POINTS

INFERENCE_S = 8e-6
"""Seconds for each frame of each neuron, reading and writing included, on one core of 2020."""
DIMENSION_S = 1.5e-10
"""Seconds for each product in the distances between points; about 30 passes over all pairs of points."""
DYNAMICS_S = 1.5e-7
"""Seconds for each bin of each neuron, all candidates on held-out pairs together."""
START_GB = 0.7
"""Resident memory of the process before any data: Python, JAX, the network."""
BLOCK_BYTES = 200
"""Bytes for each frame of each neuron of a block that is inferred."""


def plan(paths: Sequence[str | os.PathLike[str]], config: RunConfig | None = None) -> dict[str, Any]:
    """Sizes, and rough time and memory of a run; nothing is computed or written.

    Parameters
    ----------
    paths, config
        As for `antidrome.pipeline.run`.

    Returns
    -------
    dict
        ``sessions`` (name, neurons, frames, frame rate, findings), ``seconds`` of each stage, ``memory_gb`` and
        ``disk_gb``. Times are rough: within a factor of three on a machine of today.

    Raises
    ------
    InputError
        As `antidrome.pipeline.run` would.
    """
    config = config or RunConfig()
    sessions = read_sessions(paths, config) if paths else demo_sessions(config)
    sizes = [(s.recording.sizes["time"], s.recording.sizes["neuron"]) for s in sessions]
    values = sum(frames * neurons for frames, neurons in sizes)
    binned = [(int(_duration(s) / config.bin_s), n) for s, (_, n) in zip(sessions, sizes, strict=True)]
    in_bins = sum(bins * neurons for bins, neurons in binned)
    seconds = {"spikes": INFERENCE_S * values}
    memory = [START_GB + 1e-9 * BLOCK_BYTES * min(BLOCK_VALUES, values) + 1e-9 * 4 * max(f * n for f, n in sizes)]
    if "dynamics" in config.stages:
        seconds["dynamics"] = 5 + DYNAMICS_S * in_bins
        memory.append(START_GB + 1e-9 * 12 * in_bins)
    if "dimension" in config.stages:
        pairs = sum(min(MAX_POINTS, bins) ** 2 * neurons for bins, neurons in binned)
        seconds["dimension"] = 3 + DIMENSION_S * 30 * pairs
        memory.append(START_GB + 1e-9 * 24 * max(bins * neurons for bins, neurons in binned))
    return {
        "sessions": [_described(session) for session in sessions],
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "memory_gb": round(max(memory), 2),
        "disk_gb": round(1e-9 * 4 * 6 * values, 3),
    }


def _duration(session: Session) -> float:
    return session.recording.sizes["time"] / float(session.recording.attrs["frame_rate_hz"])


def _described(session: Session) -> dict[str, Any]:
    return {
        "session_id": session.session_id,
        "path": str(Path(session.source)) if session.source else "",
        "n_neurons": session.recording.sizes["neuron"],
        "n_frames": session.recording.sizes["time"],
        "frame_rate_hz": float(session.recording.attrs["frame_rate_hz"]),
        "findings": [finding.to_dict() for finding in session.findings],
    }
