"""What the page needs of one session, gathered in one pass over blocks of neurons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from antidrome.errors import InputError
from antidrome.recordings.clock import clock_rate_hz
from antidrome.report.attributes import listed
from antidrome.report.decimate import Bins, evenly_spread, max_bins, min_max, sum_bins
from antidrome.report.encode import Channel, append_rows, new_channels
from antidrome.report.heatmap import MAX_ROWS, HeatMap, empty_heat_map
from antidrome.report.histogram import Histogram, histogram
from antidrome.report.table import neuron_rows, recorded_rows

MAX_NEURONS = 300
"""Neurons whose traces are in the page, over all sessions together."""
MAX_BINS = 1_200_000
"""Bins in the page, over all neurons and sessions together: about 14 MB of text."""
BLOCK_VALUES = 2_000_000
"""Values of one variable in memory at a time."""

CHANNELS = {"first": "int16", "second": "int16", "count": "uint16", "sd": "uint16", "probability": "uint8"}
REQUIRED = ("expected_spikes",)
HISTOGRAMS = {
    "noise-histogram": "noise_level",
    "rate-histogram": "mean_rate_hz",
    "amplitude-histogram": "amplitude",
}
"""Figure to column of the per-neuron table."""


@dataclass(frozen=True)
class SessionView:
    """One session as the page shows it.

    Attributes
    ----------
    neurons
        Labels of all neurons.
    recorded_s, duration_s
        Seconds that the frames last, and from the beginning of the first to the end of the last, pauses included.
    shown
        Indices of the neurons whose traces are in the page.
    factor
        Frames of a whole bin; 1 when every frame is drawn. Where frames are missing, and before a pause, a bin has
        fewer.
    time_s, bin_s
        Centre and duration of each bin in seconds, shape ``(n_bins,)``.
    channels
        Quantised traces of the shown neurons.
    table
        Per-neuron columns for all neurons.
    """

    session_id: str
    neurons: list[str]
    n_frames: int
    frame_rate_hz: float
    recorded_s: float
    duration_s: float
    shown: NDArray[np.int64]
    factor: int
    time_s: NDArray[np.float64]
    bin_s: NDArray[np.float64]
    channels: dict[str, Channel]
    table: dict[str, NDArray[np.float64]]
    heat_map: HeatMap
    histograms: dict[str, Histogram]
    findings: list[dict[str, Any]]
    notes: list[str]
    attrs: dict[str, Any]
    agreement: dict[str, float]

    def with_recorded(self, records: Sequence[Mapping[str, Any]]) -> "SessionView":
        """The session with the per-neuron numbers that an earlier summary holds, where its result lacks the traces."""
        if [record.get("neuron") for record in records] != self.neurons:
            return self
        table = recorded_rows(records)
        return replace(self, table=table, histograms=_histograms(table))


def session_view(
    result: xr.Dataset,
    *,
    max_neurons: int = MAX_NEURONS,
    max_bins_total: int = MAX_BINS,
    max_rows: int = MAX_ROWS,
) -> SessionView:
    """Gather what the page shows of a spikes result; reads it once, block by block.

    Parameters
    ----------
    result
        Dataset with ``expected_spikes`` (time, neuron) and, where known, ``expected_spikes_sd``,
        ``spike_probability``, ``dff``, ``baseline`` and the per-neuron estimates; may be dask-backed.
    max_neurons
        Neurons whose traces may enter the page; beyond it they are spread evenly over the recording's order.
    max_bins_total
        Bins that these neurons may have together.
    max_rows
        Neurons that may have a row in the overview.

    Raises
    ------
    InputError
        If the dataset is not a spikes result, or has no neuron or no frame.
    """
    _require(result)
    time_s = result["time"].values.astype(np.float64)
    n_frames, n_neurons = result.sizes["time"], result.sizes["neuron"]
    interval = 1.0 / (float(result.attrs.get("frame_rate_hz") or 0) or clock_rate_hz(time_s) or 1.0)
    shown = evenly_spread(n_neurons, max(1, max_neurons))
    bins = Bins.at_most(max(200, max_bins_total // shown.size), time_s)
    channels = new_channels(_channels_of(result), bins.count)
    heat_map = empty_heat_map(time_s, n_neurons, interval, max_rows)
    columns: list[dict[str, NDArray[np.float64]]] = []
    agreement: list[float] = []
    step = max(1, BLOCK_VALUES // n_frames)
    for first in range(0, n_neurons, step):
        block = result.drop_vars("samples", errors="ignore").isel(neuron=slice(first, first + step)).load()
        columns.append(neuron_rows(block, interval))
        heat_map.add(_rows(block, "expected_spikes"), first)
        _append(channels, block, shown[(shown >= first) & (shown < first + step)] - first, bins)
        agreement.extend(_agreement(block))
    time_bins, bin_s = bins.times(time_s, interval)
    table = {key: np.concatenate([rows[key] for rows in columns]) for key in columns[0]}
    return SessionView(
        session_id=str(result.attrs.get("session_id") or "session"),
        neurons=[str(label) for label in result["neuron"].values],
        n_frames=n_frames,
        frame_rate_hz=1.0 / interval,
        recorded_s=n_frames * interval,
        duration_s=float(time_s[-1] - time_s[0] + interval),
        shown=shown,
        factor=bins.factor,
        time_s=time_bins,
        bin_s=bin_s,
        channels=channels,
        table=table,
        heat_map=heat_map,
        histograms=_histograms(table),
        findings=listed(result.attrs.get("findings")),
        notes=[str(note) for note in listed(result.attrs.get("notes"))],
        attrs=dict(result.attrs),
        agreement=_summary(agreement),
    )


def _histograms(table: Mapping[str, NDArray[np.float64]]) -> dict[str, Histogram]:
    return {name: histogram(table[key]) for name, key in HISTOGRAMS.items()}


def _require(result: xr.Dataset) -> None:
    lacking = [name for name in REQUIRED if name not in result]
    if lacking:
        raise InputError(
            f"The report needs a spikes result, but the dataset has no {', '.join(lacking)}; it holds "
            f"{', '.join(map(str, result.data_vars)) or 'nothing'}. Pass what SpikeVAE.predict returned."
        )
    if not all(result.sizes.get(dim, 0) for dim in ("time", "neuron")):
        raise InputError(f"The spikes result is empty: its sizes are {dict(result.sizes)}. Nothing can be shown.")


def _channels_of(result: xr.Dataset) -> Mapping[str, str]:
    present = dict(CHANNELS)
    if "dff" not in result:
        del present["first"], present["second"]
    if "expected_spikes_sd" not in result:
        del present["sd"]
    if "spike_probability" not in result:
        del present["probability"]
    if "baseline" in result and "time" in result["baseline"].dims:
        present["baseline"] = "int16"
    if "true_spikes" in result:
        present["truth"] = "uint16"
    return present


def _rows(block: xr.Dataset, name: str) -> NDArray[np.float64]:
    return block[name].transpose("neuron", "time").values.astype(np.float64)


def _append(channels: dict[str, Channel], block: xr.Dataset, rows: NDArray[np.int64], bins: Bins) -> None:
    if rows.size == 0:
        return
    chosen = block.isel(neuron=rows)
    append_rows(channels["count"], sum_bins(_rows(chosen, "expected_spikes"), bins))
    if "first" in channels:
        first, second = min_max(_rows(chosen, "dff"), bins)
        append_rows(channels["first"], first)
        append_rows(channels["second"], second)
    if "sd" in channels:
        append_rows(channels["sd"], np.sqrt(sum_bins(_rows(chosen, "expected_spikes_sd") ** 2, bins)))
    if "probability" in channels:
        append_rows(channels["probability"], max_bins(_rows(chosen, "spike_probability"), bins))
    if "baseline" in channels:
        append_rows(channels["baseline"], max_bins(_rows(chosen, "baseline"), bins))
    if "truth" in channels:
        append_rows(channels["truth"], sum_bins(_rows(chosen, "true_spikes"), bins))


def _agreement(block: xr.Dataset) -> list[float]:
    """Correlation at lag 0, frame by frame, with the true spikes of a simulated recording; empty for a real one."""
    if "true_spikes" not in block:
        return []
    truth, guess = _rows(block, "true_spikes"), np.nan_to_num(_rows(block, "expected_spikes"))
    truth, guess = truth - truth.mean(1, keepdims=True), guess - guess.mean(1, keepdims=True)
    scale = np.sqrt((truth**2).sum(1) * (guess**2).sum(1))
    return [float(r / s) for r, s in zip((truth * guess).sum(1), scale, strict=True) if s > 0]


def _summary(values: Sequence[float]) -> dict[str, float]:
    return {"mean_r_lag0": float(np.mean(values)), "n_neurons": len(values)} if values else {}
