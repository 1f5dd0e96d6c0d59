from .adaptive import adaptive_dimension as adaptive_dimension
from .estimating import estimate as estimate
from .estimator import TwoNN as TwoNN
from .graph import nearest_neighbours as nearest_neighbours
from .likelihoods import gride as gride
from .likelihoods import levina_bickel as levina_bickel
from .likelihoods import local_dimension as local_dimension
from .linear import linear_dimension as linear_dimension
from .scale import block_analysis as block_analysis
from .uncertainty import paper_error_bar as paper_error_bar

__all__ = [
    "TwoNN",
    "adaptive_dimension",
    "block_analysis",
    "estimate",
    "gride",
    "levina_bickel",
    "linear_dimension",
    "local_dimension",
    "nearest_neighbours",
    "paper_error_bar",
]
