"""Ratios of neighbour distances, with everything counted that must not enter them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from antidrome.errors import InputError
from antidrome.recordings.arguments import counted

MIN_RATIOS = 10
NEAR = 1e-6
"""A nearest neighbour closer than this many times the median is a near-duplicate."""


class Ratios(NamedTuple):
    """mu = r_far / r_near of the usable points, and why others are not usable."""

    mu: Float[np.ndarray, " used"]
    used: Bool[np.ndarray, " points"]
    n_zero: int
    n_tied: int
    n_near_duplicates: int
    notes: tuple[str, ...]


def ratios(graph: xr.Dataset, near: int = 1, far: int = 2) -> Ratios:
    """Ratios of the distances to the neighbours of rank `far` and `near`.

    Points with an equal one among their `near` neighbours (distance 0), and points with both distances equal, are left
    out and counted, as in the protocol of Ansuini et al. (2019).

    Parameters
    ----------
    graph
        As `nearest_neighbours` gives it.
    near, far
        Ranks, 1 being the nearest.

    Raises
    ------
    InputError
        If fewer than ten ratios are left, with the reason.
    """
    distance = graph["distance"].values
    if not 1 <= near < far <= distance.shape[1]:
        raise InputError(f"Ranks {near} and {far} need to rise and to be in the graph, which has {distance.shape[1]}.")
    inner, outer = distance[:, near - 1], distance[:, far - 1]
    mu, used = usable_ratios(inner, outer)
    zero = inner == 0
    tied = ~zero & (inner == outer)
    positive = inner[~zero]
    n_close = int(np.sum(positive < NEAR * np.median(positive))) if positive.size else 0
    n, n_zero, n_tied = inner.size, int(zero.sum()), int(tied.sum())
    notes = _notes(graph, positive, n, n_zero, n_tied, n_close)
    return Ratios(mu, used, n_zero, n_tied, n_close, notes)


def usable_ratios(
    inner: Float[np.ndarray, " points"], outer: Float[np.ndarray, " points"]
) -> tuple[Float[np.ndarray, " used"], Bool[np.ndarray, " points"]]:
    """The ratios of two columns of distances, and which points have one; InputError if fewer than ten have."""
    used = (inner > 0) & (outer > inner)
    if used.sum() < MIN_RATIOS:
        n_zero = int(np.sum(inner == 0))
        raise InputError(
            f"Only {counted(used.sum(), 'point', 'has', of=inner.size)} a usable ratio of distances (with an exact"
            f" copy: {n_zero}; with two neighbours equally far: {inner.size - n_zero - int(used.sum())}); at least"
            f" {MIN_RATIOS} are needed. Give more points, merge copies (duplicates='merge'), or use an estimator for"
            " discrete data."
        )
    if (outer > 1e300).any():  # the ratio of huge distances is taken from logarithms
        return np.exp(np.log(outer[used]) - np.log(inner[used])), used
    return outer[used] / inner[used], used


def discreteness(graph: xr.Dataset) -> str | None:
    """A sentence if the distances look like those of counts or quantised values, else None."""
    inner = graph["distance"].values[:, 0]
    inner = inner[inner > 0]
    distinct = np.unique(inner).size
    whole = bool(graph.attrs.get("whole_numbers", 0)) or graph.attrs.get("metric") == "hamming"
    if inner.size and distinct < 0.5 * inner.size:
        kind = "whole numbers" if whole else "quantised values"
        return (
            f"The points are {kind}: the {inner.size} nearest distances take only {distinct} different values, and the"
            " theory of continuous ratios holds roughly at best; consider an estimator for discrete data (I3D, BID)."
        )
    return None


def _notes(graph: xr.Dataset, positive: np.ndarray, n: int, n_zero: int, n_tied: int, n_close: int) -> tuple[str, ...]:
    notes = []
    if n_zero:
        notes.append(f"{counted(n_zero, 'point', 'has', of=n)} an exact copy: left out of the ratios.")
    if n_tied:
        notes.append(f"{counted(n_tied, 'point', 'has', of=n)} two neighbours equally far: left out of the ratios.")
    if n_close:
        notes.append(
            f"{counted(n_close, 'point', 'has', of=n)} a near-duplicate, closer than {NEAR:g} of the median nearest"
            f" distance ({np.median(positive):.3g}): the estimate at this scale may describe the copying, not the data."
        )
    sentence = discreteness(graph)
    return (*notes, sentence) if sentence else tuple(notes)
