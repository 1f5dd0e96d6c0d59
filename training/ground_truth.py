"""Ground truth for training: simultaneous fluorescence and spikes, from the public layout or from compact copies.

Two layouts are read: the `.mat` files of the CASCADE `Ground_truth` folder (one sub-folder a set), and compact `.npz`
copies (one file a set). Spike times are put on the clock of the frames: frame i is centred at i / frame_rate_hz.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from antidrome.errors import InputError


@dataclass(frozen=True)
class Recording:
    """One stretch of one neuron: ΔF/F (fraction) and spike times on the frames' clock, seconds."""

    dataset: str
    neuron: str
    dff: np.ndarray
    frame_rate_hz: float
    spikes_s: np.ndarray


def load_sets(folder: Path) -> dict[str, list[Recording]]:
    """All sets in a folder, by name; a set is a `.npz` copy or a sub-folder of `.mat` files."""
    sets = {path.stem: load_compact(path) for path in sorted(folder.glob("*.npz")) if "rawneuropil" not in path.stem}
    for sub in sorted(p for p in folder.iterdir() if p.is_dir() and any(p.glob("*.mat"))):
        sets[sub.name] = [r for file in sorted(sub.glob("*.mat")) for r in load_mat(file, sub.name)]
    if not sets:
        raise InputError(
            f"{folder} holds no ground truth: expected *.npz copies or sub-folders of CASCADE *.mat files."
        )
    return sets


def load_compact(path: Path, *, on_frame_clock: bool = True) -> list[Recording]:
    """Read one compact copy (dff_q int16 with scale and offset, spike times in seconds).

    Without `on_frame_clock`, spikes of irregular recordings stay at the times that are stored.
    """
    with np.load(path, allow_pickle=False) as file:
        z = {name: file[name] for name in file.files}
    frames, spikes = z["frame_offsets"], z["spike_offsets"]
    irregular = {int(r): i for i, r in enumerate(z.get("irregular_rec", ()))}
    recordings = []
    for i in range(len(frames) - 1):
        part = slice(frames[i], frames[i + 1])
        rate = float(z["fs"][i])
        spikes_s = z["spike_times"][spikes[i] : spikes[i + 1]].astype(float)
        if on_frame_clock and i in irregular:
            where = z["irregular_offsets"][irregular[i] : irregular[i] + 2]
            spikes_s = to_frame_clock(spikes_s, z["irregular_times"][where[0] : where[1]], rate)
        dff = (z["dff_q"][part] * z["scale"][i] + z["offset"][i]).astype(np.float32)
        recordings.append(Recording(str(z["dataset"]), str(z["neuron_names"][z["neuron"][i]]), dff, rate, spikes_s))
    return recordings


def load_mat(path: Path, dataset: str) -> list[Recording]:
    """Read one neuron of the CASCADE layout (`CAttached`: fluo_time, fluo_mean, events_AP in 0.1 ms)."""
    from antidrome.recordings import read_ground_truth_mat

    recordings = []
    for recording, spikes_s in read_ground_truth_mat(path):
        times, rate = recording["time"].values, float(recording.attrs["frame_rate_hz"])
        kept = np.isfinite(recording.values[:, 0])
        spikes = to_frame_clock(spikes_s, times[kept], rate)
        recordings.append(Recording(dataset, path.stem, recording.values[kept, 0].astype(np.float32), rate, spikes))
    return recordings


def to_frame_clock(spikes_s: np.ndarray, frame_times_s: np.ndarray, frame_rate_hz: float) -> np.ndarray:
    """Spike times on the clock in which frame i is centred at i / rate; spikes outside the recording are dropped."""
    index = np.arange(len(frame_times_s))
    inside = (spikes_s >= frame_times_s[0] - 0.5 / frame_rate_hz) & (
        spikes_s <= frame_times_s[-1] + 0.5 / frame_rate_hz
    )
    return np.interp(spikes_s[inside], frame_times_s, index) / frame_rate_hz
