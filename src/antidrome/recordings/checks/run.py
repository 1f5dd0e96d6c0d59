"""Run the registered checks on a recording."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from antidrome.errors import InputError, did_you_mean
from antidrome.recordings.checks import layout, missing, noise, periodic, timing, traces, units  # noqa: F401 (register)
from antidrome.recordings.checks.finding import SEVERITIES, Finding
from antidrome.recordings.checks.registry import Check, registered_checks
from antidrome.recordings.checks.view import view_of
from antidrome.recordings.masked import require_known_shape, unmasked
from antidrome.recordings.recording import refuse_paths
from antidrome.recordings.tables import opened_table


def check(recording: xr.DataArray | np.ndarray, *, checks: Sequence[str] | None = None) -> list[Finding]:
    """Look at a recording for what makes inference wrong or doubtful; nothing is changed.

    A recording of more than 16 million samples is sampled (beginning, middle and end; groups of neurons), so that
    memory stays bounded whatever its size; findings then say what was looked at. Timestamps are always checked whole.

    Parameters
    ----------
    recording : DataArray (time, neuron), or array of that shape
        May be dask-backed. It need not be a valid recording: that is what is checked.
    checks : sequence of check ids, optional
        Run these only; default all (`antidrome.recordings.checks.registered_checks()` lists them).

    Returns
    -------
    list of Finding
        Errors first, then warnings, then information; empty when nothing was noticed.

    Raises
    ------
    InputError
        If it has other dimensions, is empty, or a check id is unknown.
    """
    chosen = _chosen(checks)
    if not isinstance(recording, xr.DataArray):
        refuse_paths(recording)
        if isinstance(recording, xr.Dataset) or not hasattr(recording, "ndim"):
            raise InputError(f"Expected a recording or an array (time, neuron), got a {type(recording).__name__}.")
        if recording.ndim != 2:
            raise InputError(f"Expected an array (time, neuron), got shape {recording.shape}.")
        values, labels, times = opened_table(recording)
        given = {"time": times, "neuron": labels}
        coords = {name: (name, np.asarray(along)) for name, along in given.items() if along is not None}
        recording = xr.DataArray(unmasked(values, []), coords, ("time", "neuron"))
    require_known_shape(recording)
    if set(recording.dims) != {"time", "neuron"} or 0 in recording.shape:
        raise InputError(f"Expected non-empty dims (time, neuron), got {dict(recording.sizes)}.")
    if recording.dtype.kind not in "fiu":
        raise InputError(f"Expected real numbers, got values of type {recording.dtype}.")
    view = view_of(recording)
    findings = [finding for one in chosen if (finding := one(view)) is not None]
    return sorted(findings, key=lambda finding: -SEVERITIES.index(finding.severity))


def _chosen(ids: Sequence[str] | None) -> list[Check]:
    """The checks to run, in registration order."""
    known = {one.id: one for one in registered_checks()}
    if ids is None:
        return list(known.values())
    for name in ids:
        if name not in known:
            hint = did_you_mean(name, known) or f" Expected one of {', '.join(known)}."
            raise InputError(f"There is no check {name!r}.{hint}")
    return [known[name] for name in dict.fromkeys(ids)]
