from .autapse import autapse as autapse
from .catalogue import MODELS as MODELS
from .catalogue import named_model as named_model
from .glm import glm as glm
from .hodgkin_huxley import EIGHT_PARAMETERS as EIGHT_PARAMETERS
from .hodgkin_huxley import TWELVE_PARAMETERS as TWELVE_PARAMETERS
from .hodgkin_huxley import HodgkinHuxley as HodgkinHuxley
from .hodgkin_huxley import eight_parameter_prior as eight_parameter_prior
from .hodgkin_huxley import twelve_parameter_prior as twelve_parameter_prior
from .jaxley_cells import jaxley_parameters as jaxley_parameters
from .jaxley_cells import jaxley_simulator as jaxley_simulator
from .mixtures import bimodal_mixture as bimodal_mixture
from .mixtures import unimodal_mixture as unimodal_mixture
from .model import Model as Model
from .recorded import RecordedCell as RecordedCell
from .recorded import recorded_cell as recorded_cell
from .sbibm_tasks import sbibm_task as sbibm_task
from .stimulus import Stimulus as Stimulus
from .stimulus import current_density as current_density
from .stimulus import noise_stimulus as noise_stimulus
from .stimulus import resampled_stimulus as resampled_stimulus
from .stimulus import step_stimulus as step_stimulus
from .voltage_features import SEVEN_FEATURES as SEVEN_FEATURES
from .voltage_features import SPIKE_FEATURES as SPIKE_FEATURES
from .voltage_features import TWENTY_FEATURES as TWENTY_FEATURES
from .voltage_features import voltage_features as voltage_features

__all__ = [
    "EIGHT_PARAMETERS",
    "MODELS",
    "SEVEN_FEATURES",
    "SPIKE_FEATURES",
    "TWELVE_PARAMETERS",
    "TWENTY_FEATURES",
    "HodgkinHuxley",
    "Model",
    "RecordedCell",
    "Stimulus",
    "autapse",
    "bimodal_mixture",
    "current_density",
    "eight_parameter_prior",
    "glm",
    "jaxley_parameters",
    "jaxley_simulator",
    "named_model",
    "noise_stimulus",
    "recorded_cell",
    "resampled_stimulus",
    "sbibm_task",
    "step_stimulus",
    "twelve_parameter_prior",
    "unimodal_mixture",
    "voltage_features",
]
