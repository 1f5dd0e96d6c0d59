"""How good inferred spikes are: agreement with true spikes, timing of events, and honesty of the uncertainty.

Everything takes plain arrays; `evaluate` takes a result of `ad.SpikeVAE` and the true spike times.
"""

from antidrome.spikes.metrics.agreement import (
    correlation,
    correlation_at_lags,
    count_ratio,
    error_and_bias,
    information_gain,
    learnt_lags,
    smoothed,
)
from antidrome.spikes.metrics.bins import bin_expected, bin_frames, bin_spike_times
from antidrome.spikes.metrics.calibration import Coverage, coverage, interval, probability_integral_transform
from antidrome.spikes.metrics.evaluation import Scores, evaluate, score
from antidrome.spikes.metrics.events import Matches, match_spikes, place_spikes, spike_synchrony

__all__ = [
    "Coverage",
    "Matches",
    "Scores",
    "bin_expected",
    "bin_frames",
    "bin_spike_times",
    "correlation",
    "correlation_at_lags",
    "count_ratio",
    "coverage",
    "error_and_bias",
    "evaluate",
    "information_gain",
    "interval",
    "learnt_lags",
    "match_spikes",
    "place_spikes",
    "probability_integral_transform",
    "score",
    "smoothed",
    "spike_synchrony",
]
