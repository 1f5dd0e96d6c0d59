"""What the method works on: sessions of one population, matched by neuron label, cut where time is interrupted."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from antidrome.errors import InputError
from antidrome.recordings.arguments import counted
from antidrome.recordings.units import spelled, units_in


@dataclasses.dataclass(frozen=True)
class Session:
    """One recording of a part of the population, still in its own storage.

    Parameters
    ----------
    name
        Session id.
    values
        Anything with ``shape`` (frame, neuron) and slices: numpy, memmap, HDF5, Zarr, dask, or scipy.sparse.
    columns
        (neuron,) columns of `values` that are used; columns never observed are left out.
    rows
        (neuron,) place of each used column in the population.
    segment
        (frame,) number of the uninterrupted stretch that each frame belongs to, −1 for frames to be left out; a lag
        never joins two stretches.
    mean, variance
        (neuron,) over the observed frames, in the units of the recording.
    n_observed
        (neuron,) observed frames.
    least, whole
        (neuron,) the smallest observed value or 0, whichever is less, and whether all are whole numbers.
    digest
        (neuron,) whole numbers that tell the observed trace from any other; see `antidrome.core.digests`.
    time_s
        (frame,) frame centres in seconds, where known.
    units
        What the recording says that it is in, of `stated_units`; None where it does not say.
    along
        (frame,) each: trial, stimulus and whatever else is known of the frames.
    """

    name: str
    values: Any
    columns: np.ndarray
    rows: np.ndarray
    segment: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    n_observed: np.ndarray
    least: np.ndarray
    whole: np.ndarray
    digest: np.ndarray
    time_s: np.ndarray | None = None
    units: str | None = None
    along: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def n_frames(self) -> int:
        """Frames in storage."""
        return int(self.values.shape[0])

    @property
    def n_used(self) -> int:
        """Frames in some segment."""
        return int((self.segment >= 0).sum())

    @property
    def is_complete(self) -> bool:
        """Whether every used neuron was observed in every used frame."""
        return bool((self.n_observed == self.n_used).all())

    @property
    def uses_all(self) -> bool:
        """Whether the used columns are all columns of `values`, in their order."""
        return np.array_equal(self.columns, np.arange(self.values.shape[1]))

    def restricted(self, keep: np.ndarray) -> Session:
        """The same for some of its used columns (places or flags)."""
        names = ("columns", "rows", "mean", "variance", "n_observed", "least", "whole", "digest")
        return dataclasses.replace(self, **{name: getattr(self, name)[keep] for name in names})

    def in_units(self, wanted: str | None, frame_rate_hz: float | None) -> Session:
        """The same in the wanted units; as it is where it states none, or none are wanted.

        Raises
        ------
        InputError
            It is in units that do not become the wanted.
        """
        if None in (self.units, wanted) or self.units == wanted:
            return self
        factor = units_in(str(self.units), str(wanted), frame_rate_hz)
        if factor is None:
            raise InputError(
                f"Session {self.name!r} is in {spelled(self.units)}, the others (or the fit) in {spelled(wanted)}: one"
                " population, one unit. Convert it (fluorescence with delta_f_over_f, rates with their frame rate), or"
                " correct the attribute 'units'."
            )
        return dataclasses.replace(
            self,
            values=self.values * factor,
            mean=self.mean * factor,
            variance=self.variance * factor**2,
            least=self.least * factor,
            digest=self.digest ^ np.float64(factor).view(np.uint64),
            units=wanted,
        )


@dataclasses.dataclass(frozen=True)
class Population:
    """All sessions, and the union of their neurons in the order in which they were met.

    Parameters
    ----------
    labels
        (neuron,) names.
    sessions
        The recordings.
    frame_rate_hz
        Frames per second where the recordings state one (the same for all).
    notes
        What was left out or taken as something, one sentence each.
    """

    labels: np.ndarray
    sessions: tuple[Session, ...]
    frame_rate_hz: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def n_neurons(self) -> int:
        """Neurons in all."""
        return len(self.labels)

    @property
    def observed(self) -> np.ndarray:
        """(session, neuron) True where a session has observed the neuron."""
        table = np.zeros((len(self.sessions), self.n_neurons), dtype=bool)
        for k, session in enumerate(self.sessions):
            table[k, session.rows] = True
        return table

    @property
    def units(self) -> str | None:
        """The units of all sessions that state any: fractions of fractions and percent, counts of counts and rates."""
        said = sorted({str(session.units) for session in self.sessions if session.units})
        return next((unit for unit in ("1", "spikes per frame") if unit in said), said[0]) if said else None

    @property
    def mean(self) -> np.ndarray:
        """(neuron,) mean over all observed frames."""
        return self.pooled([session.mean for session in self.sessions])

    @property
    def variance(self) -> np.ndarray:
        """(neuron,) variance about the session means, over all observed frames."""
        return self.pooled([session.variance for session in self.sessions])

    def find(self, neuron: Any) -> np.ndarray:
        """Place of neurons given by label (or an array of labels); integers are places already.

        Raises
        ------
        InputError
            If a label is unknown or a place is out of range.
        """
        wanted = np.atleast_1d(np.asarray(neuron))
        if wanted.dtype.kind == "b":
            if wanted.shape != self.labels.shape:
                raise InputError(f"The mask of neurons has shape {wanted.shape}, expected {self.labels.shape}.")
            return np.flatnonzero(wanted)
        if wanted.dtype.kind in "iu":
            outside = wanted[(wanted < -self.n_neurons) | (wanted >= self.n_neurons)]
            if outside.size:
                raise InputError(
                    f"Neuron {outside[0]} is out of range: the population has {counted(self.n_neurons, 'neuron')}. Give"
                    f" places from 0 to {self.n_neurons - 1}, or labels as text."
                )
            return wanted % max(self.n_neurons, 1)
        return find_labels(self.labels, wanted.astype(str))

    def pooled(self, values: Sequence[np.ndarray]) -> np.ndarray:
        """(neuron,) mean over all observed frames of what each session has for its own neurons."""
        total, count = np.zeros(self.n_neurons), np.zeros(self.n_neurons)
        for session, column in zip(self.sessions, values, strict=True):
            total[session.rows] += column * session.n_observed
            count[session.rows] += session.n_observed
        return total / np.maximum(count, 1)


def find_labels(labels: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Place of each wanted label among `labels`.

    Raises
    ------
    InputError
        If one is unknown; the message names it.
    """
    order = np.argsort(labels, kind="stable")
    places = np.searchsorted(labels, wanted, sorter=order)
    found = order[np.minimum(places, len(labels) - 1)]
    unknown = labels[found] != wanted
    if unknown.any():
        first = ", ".join(map(repr, labels[:3].tolist()))
        raise InputError(
            f"No neuron is called {str(wanted[unknown][0])!r}; the population has {len(labels)} neurons, the first of"
            f" them {first}."
        )
    return found
