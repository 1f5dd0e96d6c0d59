from . import models as models
from . import samplers as samplers
from . import simulate as simulate
from .densities.embedding import TraceFeatures as TraceFeatures
from .densities.network import FlowSettings as FlowSettings
from .densities.network import MixtureSettings as MixtureSettings
from .diagnostics import Diagnosis as Diagnosis
from .diagnostics import diagnose as diagnose
from .estimator import SNPE as SNPE
from .posterior import Posterior as Posterior
from .priors import LogNormal as LogNormal
from .priors import LogUniform as LogUniform
from .priors import MultivariateNormal as MultivariateNormal
from .priors import Normal as Normal
from .priors import Prior as Prior
from .priors import TruncatedNormal as TruncatedNormal
from .priors import Uniform as Uniform
from .priors import as_prior as as_prior
from .training import TrainingSettings as TrainingSettings
from .views import ParameterDensity as ParameterDensity
from .weights import KernelSettings as KernelSettings

__all__ = [
    "SNPE",
    "Diagnosis",
    "FlowSettings",
    "KernelSettings",
    "LogNormal",
    "LogUniform",
    "MixtureSettings",
    "MultivariateNormal",
    "Normal",
    "ParameterDensity",
    "Posterior",
    "Prior",
    "TraceFeatures",
    "TrainingSettings",
    "TruncatedNormal",
    "Uniform",
    "as_prior",
    "diagnose",
    "models",
    "samplers",
    "simulate",
]
