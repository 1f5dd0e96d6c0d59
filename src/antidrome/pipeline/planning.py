"""What a run would do, before it does it: sizes, time and memory, from the recordings' headers and measured costs."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from antidrome.pipeline.config import RunConfig
from antidrome.pipeline.entering import enter
from antidrome.pipeline.infer import BLOCK_VALUES, block_values
from antidrome.pipeline.model import load_model, refuse_other_rates
from antidrome.pipeline.sessions import Session
from antidrome.pipeline.stages.dimension import MAX_POINTS
from antidrome.recordings.lazy import IN_MEMORY_VALUES

COSTS = files("antidrome.pipeline") / "costs.json"
"""Core seconds and gigabytes of each stage: a fixed part and a slope, measured by ``benchmarks/load.py --costs``."""
BYTES_HELD = {"dynamics": 12, "dimension": 24}
"""Bytes for each bin and neuron that a later stage holds: the bins as float32 and a float64 copy; three of float64 (as
they are, without what is missing, standardised)."""
N_RESULTS = 6
"""Arrays (time, neuron) of a spikes result: trace, three of spikes, their SD and probability."""
BYTES_OF_SAMPLES = 9
"""Bytes that inference holds for each posterior sample of a value: as they are drawn, joined, and written (int16)."""
N_COPIES = 2
"""How often a run keeps the spikes: in the results file, and in blocks that a repeated command goes on from."""


@dataclass(frozen=True)
class Work:
    """How much work a stage is, in the units that its time and its memory grow with.

    Attributes
    ----------
    steps
        Spikes: frames × neurons. Dynamics: neurons, since what is fitted for every candidate is a sketch. Dimension:
        products in the distances between points.
    held
        Values in memory together: of a block that is inferred, or of the binned sessions (dynamics read large ones from
        disk).
    """

    steps: float
    held: float


def work_of(
    sizes: Sequence[tuple[int, int]], frame_rate_hz: float | Sequence[float], bin_s: float = RunConfig.bin_s
) -> dict[str, Work]:
    """The work of each stage for sessions of these sizes (frames, neurons)."""
    rates = [frame_rate_hz] * len(sizes) if isinstance(frame_rate_hz, int | float) else list(frame_rate_hz)
    values = sum(frames * neurons for frames, neurons in sizes)
    binned = [(frames / rate / bin_s, neurons) for (frames, neurons), rate in zip(sizes, rates, strict=True)]
    in_bins = sum(bins * neurons for bins, neurons in binned)
    products = sum(min(MAX_POINTS, bins) ** 2 * neurons for bins, neurons in binned)
    return {
        "spikes": Work(values, min(BLOCK_VALUES, values)),
        "dynamics": Work(sum(neurons for _, neurons in sizes), min(in_bins, IN_MEMORY_VALUES)),
        "dimension": Work(products, max(bins * neurons for bins, neurons in binned)),
    }


def plan(
    paths: Sequence[str | os.PathLike[str]],
    config: RunConfig | None = None,
    output: str | os.PathLike[str] = "antidrome-results",
) -> dict[str, Any]:
    """Sizes, and rough time and memory of a run; nothing is inferred or written.

    The recordings are checked as a run checks them, on a bounded sample; only for ΔF/F from raw fluorescence they are
    read whole.

    Parameters
    ----------
    paths, config, output
        As for `antidrome.pipeline.run`.

    Returns
    -------
    dict
        ``sessions`` (name, neurons, frames, frame rate, findings), ``seconds`` of each stage, ``memory_gb``,
        ``disk_gb`` (uncompressed; spikes in NWB go into a copy of a recording in NWB, movies and all), ``kept_gb``, the
        share of it that the hidden folder ``.antidrome`` keeps, and ``measured_on``, the machine whose speed the times
        are those of. Times are rough, all the more so far outside the measured sizes; dynamics are counted as if their
        dimensions were chosen, which takes longest.

    Raises
    ------
    InputError
        As `antidrome.pipeline.run` would.
    """
    config = config or RunConfig()
    sessions, _ = enter(paths, Path(output), config)
    refuse_other_rates(load_model(config), sessions)  # and a model that cannot be opened
    costs = json.loads(COSTS.read_text("utf-8"))
    sizes = [(s.recording.sizes["time"], s.recording.sizes["neuron"]) for s in sessions]
    work = work_of(sizes, [float(s.recording.attrs["frame_rate_hz"]) for s in sessions], config.bin_s)
    wanted = [name for name in work if name in config.stages]
    seconds = {name: _at(costs["core_seconds"][name], work[name].steps) for name in wanted}
    memory = {name: _at(costs["memory_gb"][name], work[name].held) for name in wanted}
    values = sum(frames * neurons for frames, neurons in sizes)
    block = min(values, max(block_values(config.samples), *(frames for frames, _ in sizes)))
    kept_gb = 1e-9 * (4 * N_RESULTS + 2 * config.samples) * values
    memory["spikes"] += 1e-9 * BYTES_OF_SAMPLES * config.samples * block
    return {
        "sessions": [_described(session) for session in sessions],
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "memory_gb": round(max(memory.values()) + 1e-9 * _held_whole(sessions), 2),
        "disk_gb": round(N_COPIES * kept_gb + 1e-9 * _copied(sessions, config), 3),
        "kept_gb": round(kept_gb, 3),
        "measured_on": costs["machine"]["processor"],
    }


def _at(cost: dict[str, float], amount: float) -> float:
    return cost["fixed"] + cost["slope"] * amount


def _held_whole(sessions: Sequence[Session]) -> int:
    """Bytes of the recordings and results that stay in memory from beginning to end: those that are small."""
    total = 0
    for session in sessions:
        recording = session.recording
        total += 0 if recording.chunks is not None else recording.nbytes
        total += 4 * N_RESULTS * recording.size if N_RESULTS * recording.size <= IN_MEMORY_VALUES else 0
    return total


def _copied(sessions: Sequence[Session], config: RunConfig) -> int:
    """Bytes of the recordings that the results files are copies of."""
    if config.format != "nwb":
        return 0
    return sum(os.path.getsize(session.source) for session in sessions if session.source_format == "nwb")


def _described(session: Session) -> dict[str, Any]:
    return {
        "session_id": session.session_id,
        "path": str(Path(session.source)) if session.source else "",
        "n_neurons": session.recording.sizes["neuron"],
        "n_frames": session.recording.sizes["time"],
        "frame_rate_hz": float(session.recording.attrs["frame_rate_hz"]),
        "findings": [finding.to_dict() for finding in session.findings],
    }
