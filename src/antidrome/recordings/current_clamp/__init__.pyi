from .reading import holds_voltage as holds_voltage
from .reading import read_current_clamp as read_current_clamp
from .sweeps import choose_sweep as choose_sweep
from .sweeps import current_clamp_from_array as current_clamp_from_array
from .sweeps import stimulus_epoch as stimulus_epoch

__all__ = [
    "choose_sweep",
    "current_clamp_from_array",
    "holds_voltage",
    "read_current_clamp",
    "stimulus_epoch",
]
