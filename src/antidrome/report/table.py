"""The per-neuron table: one row a neuron, each column with its unit; the same numbers in page, CSV and JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray


@dataclass(frozen=True)
class Column:
    """A column of the table: its key, what the page calls it, what it means, and how many digits it deserves."""

    key: str
    title: str
    unit: str
    meaning: str
    digits: int


COLUMNS = (
    Column("mean_rate_hz", "mean rate", "spikes/s", "expected spikes divided by the time observed", 3),
    Column("expected_spikes", "expected spikes", "spikes", "sum of expected spikes over the frames observed", 1),
    Column("expected_spikes_sd", "± SD", "spikes", "posterior SD of that sum, frames taken as independent", 1),
    Column("noise_level", "noise level", "% Hz⁻¹ᐟ²", "median |Δ(ΔF/F)| · 100 / √frame rate", 2),
    Column("amplitude", "amplitude", "ΔF/F per spike", "estimated height of a single spike", 3),
    Column("tau_s", "decay τ", "s", "estimated decay time of the indicator", 2),
    Column("baseline", "baseline", "ΔF/F", "estimated resting level (mean over time if it drifts)", 3),
    Column("missing_frames", "missing", "frames", "frames without a value in the trace", 0),
)


def neuron_rows(block: xr.Dataset, interval_s: float) -> dict[str, NDArray[np.float64]]:
    """Table columns for a block of neurons.

    Parameters
    ----------
    block
        A spikes result in memory, variables with dims ``("time", "neuron")`` and per-neuron variables.
    interval_s
        Duration of a frame in seconds.

    Returns
    -------
    dict
        ``Column.key`` to an array of shape ``(n_neurons,)``; NaN where the result does not hold the quantity.
    """
    counts = block["expected_spikes"].transpose("neuron", "time").values.astype(np.float64)
    missing = _missing(block, counts)
    observed = ~missing & np.isfinite(counts)
    total = np.where(observed, counts, 0.0).sum(axis=1)
    seconds = observed.sum(axis=1) * interval_s
    rows = {
        "mean_rate_hz": np.divide(total, seconds, out=np.full(total.shape, np.nan), where=seconds > 0),
        "expected_spikes": np.where(seconds > 0, total, np.nan),
        "expected_spikes_sd": _total_sd(block, observed),
        "missing_frames": missing.sum(axis=1).astype(np.float64),
    }
    for key in ("noise_level", "amplitude", "tau_s", "baseline"):
        rows[key] = _per_neuron(block, key, total.shape)
    return rows


def recorded_rows(records: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[np.float64]]:
    """Table columns from the records of a summary, one a neuron, null where there is no number."""
    values = {column.key: [record.get(column.key) for record in records] for column in COLUMNS}
    return {key: np.array([np.nan if x is None else x for x in column], np.float64) for key, column in values.items()}


def _missing(block: xr.Dataset, counts: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where nothing was recorded, (neuron, time): what is inferred there follows from the prior."""
    return np.isnan(block["dff"].transpose("neuron", "time").values if "dff" in block else counts)


def _total_sd(block: xr.Dataset, observed: NDArray[np.bool_]) -> NDArray[np.float64]:
    if "expected_spikes_sd" not in block:
        return np.full(len(observed), np.nan)
    variance = block["expected_spikes_sd"].transpose("neuron", "time").values.astype(np.float64) ** 2
    total = np.sqrt(np.nansum(np.where(observed, variance, 0.0), axis=1))
    return np.where(observed.any(axis=1), total, np.nan)


def _per_neuron(block: xr.Dataset, key: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    if key not in block:
        return np.full(shape, np.nan)
    values = block[key]
    if "time" in values.dims:
        values = values.mean("time", skipna=True)
    return np.broadcast_to(values.values.astype(np.float64), shape).copy()


def digits_between(*values: float) -> int:
    """Significant digits that tell numbers apart: four, or as many as leave three of what differs between them."""
    finite = [value for value in values if math.isfinite(value)]
    width = max(finite, default=0.0) - min(finite, default=0.0)
    largest = max(map(abs, finite), default=0.0)
    needed = math.ceil(math.log10(largest / width)) + 3 if width > 0 else 0
    return min(max(needed, 4), 17)


def figures(*values: float) -> list[str]:
    """Numbers of one scale as the page prints them, with the digits that tell them apart."""
    digits = digits_between(*values)
    return [f"{value:.{digits}g}" if math.isfinite(value) else "–" for value in values]


def rounded(value: float, digits: int = 6) -> float | None:
    """A number for JSON, to so many significant digits; None where there is none."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def shown(value: float | xr.DataArray, digits: int) -> str:
    """A number as the page prints it; an en dash where there is none."""
    number = float(value)
    return f"{number:,.{digits}f}" if math.isfinite(number) else "–"
