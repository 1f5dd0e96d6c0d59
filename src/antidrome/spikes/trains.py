"""True spike trains that a user gives, matched to the neurons of a recording or of a result by their labels."""

from __future__ import annotations

from collections.abc import Mapping, Set, Sized
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from antidrome.errors import InputError, did_you_mean
from antidrome.recordings.arguments import counted
from antidrome.spikes.grid import spike_seconds

_NO_TRAINS = (xr.DataArray, xr.Dataset, pd.DataFrame, pd.Series, Set, str, bytes)
"""Of tables, or without an order that neurons could have."""


def trains_by_label(trains: Any, labels: list[str], n_frames: int, what: str) -> dict[str, np.ndarray]:
    """(spike,) seconds by the label of each neuron that has a train.

    Parameters
    ----------
    trains
        By neuron label (also a Series of trains that pandas grouped), or one a neuron in the order of the neurons.
    labels
        Of all neurons.
    n_frames
        Frames of the recording: as many whole numbers are counts, no times.
    what
        What a message calls the trains.

    Raises
    ------
    InputError
        No trains, of a neuron that there is not, two of one neuron, fewer or more than neurons, or no times.
    """
    if isinstance(trains, pd.Series) and trains.dtype == object:
        trains = _of_series(trains, labels, what)
    if isinstance(trains, _NO_TRAINS) or not (np.iterable(trains) and isinstance(trains, Sized)):
        raise InputError(
            f"{what}: got a {type(trains).__name__}, expected times in seconds, {{neuron label: times}}."
            " Of counts (time, neuron) the times are np.repeat(counts['time'].values,"
            " counts.sel(neuron=label).values.astype(int)); of what SpikeVAE.spike_times gives, and of a table with a"
            " row a spike, found['time_s'][found['neuron'] == label]."
        )
    if not isinstance(trains, Mapping):
        if len(trains) != len(labels):
            raise InputError(
                f"{what}: {counted(len(trains), 'spike train')} for {counted(len(labels), 'neuron')}; give one train a"
                " neuron, or a mapping from neuron label to spike times."
            )
        trains = dict(zip(labels, trains, strict=True))
    named = [str(label) for label in trains]
    for label in named:
        if label not in labels:
            raise InputError(f"{what}: there is no neuron {label!r}.{did_you_mean(label, labels)}")
    if len(set(named)) < len(named):
        raise _twice(what)
    return {
        str(label): spike_seconds(times, n_frames, f"{what} of neuron {str(label)!r}")
        for label, times in trains.items()
    }


def _of_series(trains: pd.Series, labels: list[str], what: str) -> dict[str, Any] | list[Any]:
    """Trains by the names in the index of a Series; in its order where the index does no more than count them."""
    named = [str(name) for name in trains.index]
    if named == [str(i) for i in range(len(named))] and not set(named) <= set(labels):
        return list(trains)
    if len(set(named)) < len(named):
        raise _twice(what)
    return dict(zip(named, trains, strict=True))


def _twice(what: str) -> InputError:
    return InputError(f"{what} name a neuron more than once; expected one train a neuron.")
