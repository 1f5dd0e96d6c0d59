"""The main job: stages joined, cached by the hash of what they depend on, resumable, one results folder."""

from antidrome.pipeline.config import RunConfig
from antidrome.pipeline.job import run
from antidrome.pipeline.plan import plan
from antidrome.pipeline.rebuild import rebuild_report
from antidrome.pipeline.single import deconvolve

__all__ = ["RunConfig", "deconvolve", "plan", "rebuild_report", "run"]
