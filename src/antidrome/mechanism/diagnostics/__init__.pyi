from .calibration import Pairs as Pairs
from .calibration import coverage_levels as coverage_levels
from .calibration import rank_levels as rank_levels
from .calibration import tarp_levels as tarp_levels
from .diagnose import Diagnosis as Diagnosis
from .diagnose import diagnose as diagnose
from .local_c2st import local_c2st as local_c2st
from .predictive import predictive_check as predictive_check

__all__ = [
    "Diagnosis",
    "Pairs",
    "coverage_levels",
    "diagnose",
    "local_c2st",
    "predictive_check",
    "rank_levels",
    "tarp_levels",
]
