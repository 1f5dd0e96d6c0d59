from .estimator import StitchedLDS as StitchedLDS
from .overlap import OverlapReport as OverlapReport
from .overlap import overlap_report as overlap_report
from .population import Population as Population
from .population import Session as Session
from .sessions import as_population as as_population
from .simulate import SimulatedPopulation as SimulatedPopulation
from .simulate import simulate as simulate

__all__ = [
    "OverlapReport",
    "Population",
    "Session",
    "SimulatedPopulation",
    "StitchedLDS",
    "as_population",
    "overlap_report",
    "simulate",
]
