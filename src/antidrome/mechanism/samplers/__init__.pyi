from .abc import AbcResult as AbcResult
from .abc import rejection_abc as rejection_abc
from .abc import smc_abc as smc_abc
from .hamiltonian import hamiltonian_monte_carlo as hamiltonian_monte_carlo
from .metropolis import McmcResult as McmcResult
from .metropolis import random_walk_metropolis as random_walk_metropolis
from .polya_gamma import glm_gibbs as glm_gibbs
from .polya_gamma import polya_gamma as polya_gamma

__all__ = [
    "AbcResult",
    "McmcResult",
    "glm_gibbs",
    "hamiltonian_monte_carlo",
    "polya_gamma",
    "random_walk_metropolis",
    "rejection_abc",
    "smc_abc",
]
