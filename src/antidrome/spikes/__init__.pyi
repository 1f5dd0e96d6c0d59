from . import adaptation as adaptation
from . import generative as generative
from . import metrics as metrics
from . import variational as variational
from .estimator import SpikeVAE as SpikeVAE
from .generative import LinearModel as LinearModel
from .generative import NeuralModel as NeuralModel
from .generative import PhysiologicalModel as PhysiologicalModel
from .generative import SCDFModel as SCDFModel
from .simulate import simulate as simulate

__all__ = [
    "LinearModel",
    "NeuralModel",
    "PhysiologicalModel",
    "SCDFModel",
    "SpikeVAE",
    "adaptation",
    "generative",
    "metrics",
    "simulate",
    "variational",
]
