"""The ground-truth protocol: which stretches of the real sets are scored, and how.

Up to 8 neurons of a set (10 of those in `TEN_NEURONS`), the first 60 s of each: recordings of 8 s and more, with 3
spikes and more, at 7 Hz and more. Those faster than 31.5 Hz are brought to 30 Hz by area averaging, the others keep
their rate. Frame i is centred at i / rate, also where frames came irregularly (a few recordings of DS24, DS25 and
DS27). Prediction and spikes go into bins of 40 ms, 1.12 s at both ends are masked for every method, and Pearson
correlation is taken; the peers' rows were measured in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from training.ground_truth import Recording, load_compact

RATE_HZ = 30.0
FASTER = 1.05
"""From which multiple of a rate on a recording is resampled to it."""
MAX_SECONDS, MIN_SECONDS, MIN_RATE_HZ, MIN_SPIKES = 60.0, 8.0, 7.0, 3
MAX_NEURONS = 8
TEN_NEURONS = ("DS30", "DS31", "DS32", "DS33")
BIN_HZ, FINE_BIN_HZ = 25.0, 100.0
LAGS = range(-6, 7)
"""Bins of 40 ms; positive: the prediction comes late."""
EDGE_BINS, FINE_EDGE_BINS, MIN_BINS = 28, 112, 100
SMOOTHING_BINS = 20
"""Standard deviation of the Gaussian, in bins of 10 ms."""


@dataclass(frozen=True)
class Case:
    """A scored stretch: the trace as methods are given it, the one recorded, and the true spikes."""

    dataset: str
    neuron: str
    dff: np.ndarray
    frame_rate_hz: float
    start_s: float
    seconds: float
    spikes_s: np.ndarray
    native_dff: np.ndarray
    native_rate_hz: float


@dataclass(frozen=True)
class Scores:
    """Correlation at each of `LAGS`, correlation after smoothing with 0.2 s, expected over true spikes."""

    r_by_lag: np.ndarray
    r_smooth: float
    count_ratio: float

    @property
    def r_lag0(self) -> float:
        """Correlation without a lag."""
        return float(self.r_by_lag[LAGS.index(0)])


Scored = Sequence[tuple[Case, Scores | None]]


def read_recordings(path: Path) -> list[Recording]:
    """Every recording of a compact copy, with spike times in seconds from the first frame, as they are stored."""
    return load_compact(path, on_frame_clock=False)


def cases(path: Path, max_neurons: int | None = None, max_seconds: float = MAX_SECONDS) -> Iterator[Case]:
    """The scored stretches of one set; `max_neurons` is by default what the peers were given."""
    usual = 10 if path.name.startswith(TEN_NEURONS) else MAX_NEURONS
    limit = usual if max_neurons is None else max_neurons
    used: dict[str, float] = {}
    for one in read_recordings(path):
        if one.neuron not in used and len(used) >= limit:
            continue
        rate, left = one.frame_rate_hz, max_seconds - used.get(one.neuron, 0.0)
        n_frames = min(len(one.dff), int(left * rate))
        if left <= 0 or rate < MIN_RATE_HZ or len(one.spikes_s) < MIN_SPIKES or n_frames < MIN_SECONDS * rate:
            continue
        used[one.neuron] = used.get(one.neuron, 0.0) + n_frames / rate
        dff, dff_hz = at_most(one.dff[:n_frames], rate, RATE_HZ)
        yield Case(
            dataset=one.dataset,
            neuron=one.neuron,
            dff=dff,
            frame_rate_hz=dff_hz,
            start_s=-0.5 / rate,
            seconds=n_frames / rate,
            spikes_s=one.spikes_s[one.spikes_s < (n_frames - 0.5) / rate],
            native_dff=one.dff[:n_frames],
            native_rate_hz=rate,
        )


def at_most(trace: np.ndarray, rate_hz: float, limit_hz: float) -> tuple[np.ndarray, float]:
    """A trace at `limit_hz` by area averaging, and its rate; as it is where it is not faster than that."""
    values = trace.astype(float)
    if rate_hz <= limit_hz * FASTER:
        return values, rate_hz
    total = np.r_[0, np.cumsum(values)] / rate_hz
    edges = (np.arange(len(values) + 1) - 0.5) / rate_hz
    wanted = np.arange(edges[0], edges[-1], 1 / limit_hz)
    return np.diff(np.interp(wanted, edges, total)) * limit_hz, limit_hz


def score(expected: np.ndarray, case: Case) -> Scores | None:
    """Scores of expected spikes per frame of `case.dff`; None where the stretch is too short."""
    bins, edges = _in_bins(expected, case, BIN_HZ)
    true = np.histogram(case.spikes_s, edges)[0].astype(float)
    if len(true) <= MIN_BINS:
        return None
    inside = slice(EDGE_BINS, len(true) - EDGE_BINS)
    by_lag = np.array([_correlation(np.roll(bins, -lag)[inside], true[inside]) for lag in LAGS])
    fine, fine_edges = _in_bins(expected, case, FINE_BIN_HZ)
    fine_true = np.histogram(case.spikes_s, fine_edges)[0].astype(float)
    smoothed = [gaussian_filter1d(x, SMOOTHING_BINS)[FINE_EDGE_BINS:-FINE_EDGE_BINS] for x in (fine, fine_true)]
    return Scores(by_lag, _correlation(*smoothed), float(np.nansum(expected) / max(1, len(case.spikes_s))))


def per_neuron(scored: Scored) -> dict[str, Scores]:
    """Scores of the neurons of a set: stretches weighted by length, those without a correlation left out."""
    found = {}
    for neuron in dict.fromkeys(case.neuron for case, _ in scored):
        rows = [(case.seconds, s) for case, s in scored if case.neuron == neuron and s and np.isfinite(s.r_lag0)]
        if rows:
            weights, kept = [seconds for seconds, _ in rows], [scores for _, scores in rows]
            found[neuron] = Scores(
                np.average([s.r_by_lag for s in kept], axis=0, weights=weights),
                float(np.average([s.r_smooth for s in kept], weights=weights)),
                float(np.average([s.count_ratio for s in kept], weights=weights)),
            )
    return found


def summarise(sets: Mapping[str, Scored]) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Medians over the neurons of every set, and their means over the sets."""
    table = {}
    for name, scored in sets.items():
        neurons = list(per_neuron(scored).values())
        if not neurons:
            continue
        table[name] = {
            "neurons": len(neurons),
            "r_lag0": float(np.median([one.r_lag0 for one in neurons])),
            "r_learnt_lag": float(np.median(_at_learnt_lags(np.array([one.r_by_lag for one in neurons])))),
            "r_smooth": float(np.median([one.r_smooth for one in neurons])),
            "count_ratio": float(np.median([one.count_ratio for one in neurons])),
        }
    measures = ("r_lag0", "r_learnt_lag", "r_smooth", "count_ratio")
    return table, {key: float(np.mean([row[key] for row in table.values()])) for key in measures}


def _at_learnt_lags(curves: np.ndarray) -> list[float]:
    """Each neuron's correlation at the lag that is best in the median of the other neurons; curves (neuron, lag)."""
    found = []
    for neuron, curve in enumerate(curves):
        others = np.delete(curves, neuron, axis=0) if len(curves) > 1 else curves
        found.append(float(curve[int(np.nanargmax(np.nanmedian(others, axis=0)))]))
    return found


def _in_bins(expected: np.ndarray, case: Case, bin_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Expected spikes per bin, spread evenly over each frame, and the edges of the bins in seconds."""
    per_frame = np.nan_to_num(np.asarray(expected, float))
    frames = np.arange(len(per_frame) + 1) / case.frame_rate_hz + case.start_s
    edges = np.arange(frames[0], frames[-1] + 1e-9, 1 / bin_hz)
    return np.diff(np.interp(edges, frames, np.r_[0, np.cumsum(per_frame)])), edges


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson correlation; NaN where one side does not vary."""
    varies = first.std() > 0 and second.std() > 0
    return float(np.corrcoef(first, second)[0, 1]) if varies else float("nan")
