from .reading import read_current_clamp as read_current_clamp
from .sweeps import current_clamp_from_array as current_clamp_from_array
from .sweeps import stimulus_epoch as stimulus_epoch

__all__ = ["current_clamp_from_array", "read_current_clamp", "stimulus_epoch"]
