"""Adaptation of the shipped network to unlabelled recordings: conservative wake–sleep.

Cells are described by what the network now infers (wake), recordings like theirs are simulated with their own residuals
as noise, and the network takes a few small steps on these (sleep), tied to what it said before. The result is kept only
where criteria that need no true spike say so; otherwise the network stays as it was.
"""

from antidrome.spikes.adaptation.adapt import Adaptation, adapt
from antidrome.spikes.adaptation.bound import evidence_bound
from antidrome.spikes.adaptation.cells import Cells, describe_cells, reconstruct
from antidrome.spikes.adaptation.config import AdaptationConfig
from antidrome.spikes.adaptation.lots import Recorded, working_rate

__all__ = [
    "Adaptation",
    "AdaptationConfig",
    "Cells",
    "Recorded",
    "adapt",
    "describe_cells",
    "evidence_bound",
    "reconstruct",
    "working_rate",
]
