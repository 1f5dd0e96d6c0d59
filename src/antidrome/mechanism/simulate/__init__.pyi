from .adapt import as_simulator as as_simulator
from .batch import Failure as Failure
from .batch import SimulationBatch as SimulationBatch
from .batch import Simulator as Simulator
from .batch import simulation_seeds as simulation_seeds
from .external import external_simulations as external_simulations
from .external import read_external as read_external
from .external import write_parameters as write_parameters
from .jax_simulator import JaxSimulator as JaxSimulator
from .outputs import as_observation as as_observation
from .python_simulator import PythonSimulator as PythonSimulator
from .run import run_simulations as run_simulations
from .store import Simulations as Simulations
from .store import SimulationStore as SimulationStore
from .store import read_simulations as read_simulations

__all__ = [
    "Failure",
    "JaxSimulator",
    "PythonSimulator",
    "SimulationBatch",
    "SimulationStore",
    "Simulations",
    "Simulator",
    "as_observation",
    "as_simulator",
    "external_simulations",
    "read_external",
    "read_simulations",
    "run_simulations",
    "simulation_seeds",
    "write_parameters",
]
