from . import controls as controls
from .adaptive import adaptive_dimension as adaptive_dimension
from .estimating import estimate as estimate
from .estimator import TwoNN as TwoNN
from .graph import nearest_neighbours as nearest_neighbours
from .likelihoods import gride as gride
from .likelihoods import levina_bickel as levina_bickel
from .likelihoods import local_dimension as local_dimension
from .linear import linear_dimension as linear_dimension
from .networks.extraction import record as record
from .networks.profile import layers as layers
from .networks.store import Activations as Activations
from .populations import PopulationConfig as PopulationConfig
from .populations import population as population
from .scale import block_analysis as block_analysis
from .uncertainty import paper_error_bar as paper_error_bar

__all__ = [
    "Activations",
    "PopulationConfig",
    "TwoNN",
    "adaptive_dimension",
    "block_analysis",
    "controls",
    "estimate",
    "gride",
    "layers",
    "levina_bickel",
    "linear_dimension",
    "local_dimension",
    "nearest_neighbours",
    "paper_error_bar",
    "population",
    "record",
]
