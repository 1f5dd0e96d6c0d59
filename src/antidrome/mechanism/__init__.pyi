from . import models as models
from . import simulate as simulate
from .priors import LogNormal as LogNormal
from .priors import LogUniform as LogUniform
from .priors import MultivariateNormal as MultivariateNormal
from .priors import Normal as Normal
from .priors import Prior as Prior
from .priors import TruncatedNormal as TruncatedNormal
from .priors import Uniform as Uniform
from .priors import as_prior as as_prior

__all__ = [
    "LogNormal",
    "LogUniform",
    "MultivariateNormal",
    "Normal",
    "Prior",
    "TruncatedNormal",
    "Uniform",
    "as_prior",
    "models",
    "simulate",
]
