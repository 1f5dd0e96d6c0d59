from . import data as data
from . import dimension as dimension
from . import dynamics as dynamics
from . import errors as errors
from . import mechanism as mechanism
from . import recordings as recordings
from . import spikes as spikes
from .core.citations import cite as cite
from .dimension import TwoNN as TwoNN
from .dynamics import StitchedLDS as StitchedLDS
from .mechanism import SNPE as SNPE
from .plotting import plot as plot
from .recordings import check as check
from .recordings import delta_f_over_f as delta_f_over_f
from .recordings import read as read
from .recordings import write as write
from .spikes import SpikeVAE as SpikeVAE

__version__: str

__all__ = [
    "SNPE",
    "SpikeVAE",
    "StitchedLDS",
    "TwoNN",
    "check",
    "cite",
    "data",
    "delta_f_over_f",
    "dimension",
    "dynamics",
    "errors",
    "mechanism",
    "plot",
    "read",
    "recordings",
    "spikes",
    "write",
]
