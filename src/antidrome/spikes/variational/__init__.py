"""The variational autoencoder that learns spikes from unlabelled fluorescence (Speiser et al. 2017).

A recognition network shared by all cells, generative models with parameters of their own for every cell, and bounds
with gradients through discrete spikes. Everything is a pure function of arrays; `ad.SpikeVAE` is the face.
"""

from antidrome.spikes.variational.calibration import Calibration, autocalibrate
from antidrome.spikes.variational.config import FitConfig, PosteriorConfig
from antidrome.spikes.variational.fit import Fit, fit, held_out_bound, linear_model
from antidrome.spikes.variational.infer import Inferred, for_new_cells, infer
from antidrome.spikes.variational.selection import Candidate, Selection, fit_with_restarts

__all__ = [
    "Calibration",
    "Candidate",
    "Fit",
    "FitConfig",
    "Inferred",
    "PosteriorConfig",
    "Selection",
    "autocalibrate",
    "fit",
    "fit_with_restarts",
    "for_new_cells",
    "held_out_bound",
    "infer",
    "linear_model",
]
