"""What follows the spikes: each stage reads the results of the sessions, binned, and leaves files of its own."""

from antidrome.pipeline.stages.dimension import DIMENSION
from antidrome.pipeline.stages.dynamics import DYNAMICS
from antidrome.pipeline.stages.running import (
    StageOutcome,
    files_of,
    forget_unfinished,
    parts_of,
    run_stages,
    stage_settings,
    still_valid,
)
from antidrome.pipeline.stages.stage import Stage

LATER: tuple[Stage, ...] = (DYNAMICS, DIMENSION)
"""In the order in which they run."""

__all__ = [
    "LATER",
    "Stage",
    "StageOutcome",
    "files_of",
    "forget_unfinished",
    "parts_of",
    "run_stages",
    "stage_settings",
    "still_valid",
]
