"""Whether a recording's neurons are the fitted cells: by their names, and where these are numbers by their traces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from antidrome.core.digests import column_digests, frame_weights
from antidrome.recordings.arguments import counted
from antidrome.spikes.adaptation.cells import places_of

OTHER_CELL = " (not the fitted cell)"
HOW_TO_NAME = "Where they are the same cells, name the neurons in both recordings (as 'cell-7'), and fit again."


class FittedTraces(NamedTuple):
    """What tells fitted cells from others with the same label.

    Parameters
    ----------
    numbered
        Whether nobody named the neurons, so that their labels are their places in the recording.
    fingerprints
        (neuron,) of each fitted trace; see `fingerprints`.
    """

    numbered: bool
    fingerprints: np.ndarray


def fingerprints(traces: np.ndarray) -> np.ndarray:
    """(neuron,) uint64: equal for equal traces (neuron, place), however they are stored and cut into blocks."""
    n_places = traces.shape[1]
    digests = column_digests(np.asarray(traces, np.float32).T, frame_weights(0, n_places))
    return digests ^ np.uint64(n_places)  # zeros at the end are no part of a digest


def other_cells(
    traces: np.ndarray, labels: np.ndarray, numbered: bool, described: Sequence[str], fitted: FittedTraces | None
) -> np.ndarray:
    """(neuron,) True where a label is that of a fitted cell because both are numbers, and the trace is another.

    Parameters
    ----------
    traces
        (neuron, place) ΔF/F on the regular grid.
    numbered
        Whether nobody named the neurons of this recording.
    described, fitted
        Labels of the fitted cells, and what is known of their traces; None in files that do not hold it.
    """
    others = np.zeros(len(labels), bool)
    if fitted is None or not (numbered or fitted.numbered):
        return others
    place = places_of(labels, described)
    asked = np.flatnonzero(place >= 0)
    others[asked] = fingerprints(traces[asked]) != fitted.fingerprints[place[asked]]
    return others


def told_apart(labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The labels, with a name that no fitted cell has for those that are other cells."""
    return np.where(others, np.char.add(labels.astype(str), OTHER_CELL), labels)


def notes_on_others(n_others: int) -> list[str]:
    """What is said of neurons that have the number of a fitted cell and another trace."""
    if not n_others:
        return []
    return [
        f"Neurons are numbers, and {counted(n_others, 'neuron', 'has')} the number of a fitted cell but another trace:"
        f" taken for other cells. {HOW_TO_NAME}"
    ]


def notes_before_reading(
    labels: np.ndarray, numbered: bool, described: Sequence[str], fitted: FittedTraces | None
) -> list[str]:
    """The same where no trace has been read yet."""
    if fitted is None or not (numbered or fitted.numbered) or not (places_of(labels, described) >= 0).any():
        return []
    return [
        "Neurons are numbers: those with the number of a fitted cell but another trace are taken for other cells."
        f" {HOW_TO_NAME}"
    ]
