from .batch import Failure as Failure
from .batch import SimulationBatch as SimulationBatch
from .batch import Simulator as Simulator
from .batch import simulation_seeds as simulation_seeds

__all__ = ["Failure", "SimulationBatch", "Simulator", "simulation_seeds"]
