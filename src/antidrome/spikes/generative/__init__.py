"""Generative models of fluorescence: what a spike train does to a calcium indicator.

Each model is an immutable module whose array fields hold one value per cell, in physical units, so that the same
parameters serve every frame rate. ``fluorescence(spikes, step_s)`` maps spike counts on a regular time grid to
noiseless ΔF/F on the same grid, for many cells and many samples at once. `Observation` adds frames, noise and drift.

References
----------
Speiser et al. (2017), Fast amortized inference of neural activity from calcium imaging data with variational
autoencoders, NeurIPS 30; Vogelstein et al. (2010), J Neurophysiol 104 (AR models); Deneux et al. (2016), Nat Commun 7.
"""

from antidrome.spikes.generative.base import (
    AbstractGenerativeModel,
    from_unconstrained,
    map_parameters,
    named_parameters,
    parameter,
    take_cells,
    to_unconstrained,
)
from antidrome.spikes.generative.filters import decay_filter
from antidrome.spikes.generative.likelihood import Observation
from antidrome.spikes.generative.linear import LinearModel
from antidrome.spikes.generative.neural import NeuralModel
from antidrome.spikes.generative.physiological import PhysiologicalModel
from antidrome.spikes.generative.scdf import SCDFModel

__all__ = [
    "AbstractGenerativeModel",
    "LinearModel",
    "NeuralModel",
    "Observation",
    "PhysiologicalModel",
    "SCDFModel",
    "decay_filter",
    "from_unconstrained",
    "map_parameters",
    "named_parameters",
    "parameter",
    "take_cells",
    "to_unconstrained",
]
