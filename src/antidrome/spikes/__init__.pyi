from . import metrics as metrics
from .estimator import SpikeVAE as SpikeVAE
from .generative import LinearModel as LinearModel
from .generative import SCDFModel as SCDFModel
from .simulate import simulate as simulate

__all__ = ["LinearModel", "SCDFModel", "SpikeVAE", "metrics", "simulate"]
