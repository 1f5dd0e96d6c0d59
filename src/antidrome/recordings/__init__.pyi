from .baseline import delta_f_over_f as delta_f_over_f
from .checks import Finding as Finding
from .checks import check as check
from .current_clamp import current_clamp_from_array as current_clamp_from_array
from .current_clamp import read_current_clamp as read_current_clamp
from .current_clamp import stimulus_epoch as stimulus_epoch
from .ground_truth import read_ground_truth_mat as read_ground_truth_mat
from .noise import noise_level as noise_level
from .reading import read as read
from .reading import read_with_neuropil as read_with_neuropil
from .recording import as_recording as as_recording
from .recording import from_array as from_array
from .writing import read_spikes as read_spikes
from .writing import write as write

__all__ = [
    "Finding",
    "as_recording",
    "check",
    "current_clamp_from_array",
    "delta_f_over_f",
    "from_array",
    "noise_level",
    "read",
    "read_current_clamp",
    "read_ground_truth_mat",
    "read_spikes",
    "read_with_neuropil",
    "stimulus_epoch",
    "write",
]
