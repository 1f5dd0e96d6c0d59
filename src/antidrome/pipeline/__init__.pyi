from .config import InferenceConfig as InferenceConfig
from .config import ReadingConfig as ReadingConfig
from .config import RunConfig as RunConfig
from .job import run as run
from .planning import plan as plan
from .rebuild import rebuild_report as rebuild_report
from .single import deconvolve as deconvolve

__all__ = [
    "InferenceConfig",
    "ReadingConfig",
    "RunConfig",
    "deconvolve",
    "plan",
    "rebuild_report",
    "run",
]
