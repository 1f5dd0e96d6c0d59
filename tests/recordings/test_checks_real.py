"""False alarms of the checks on real ΔF/F, and alarms on the same traces spoilt on purpose (counts are printed)."""

import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from antidrome.recordings.checks import check

ALARMS = ["looks-denoised", "looks-smoothed", "looks-percent", "not-dff", "periodic-artefact", "constant-traces",
          "clipped-traces", "wrong-orientation", "identical-traces"]  # fmt: skip

pytestmark = [pytest.mark.data, pytest.mark.slow, pytest.mark.usefixtures("source_tree")]


def as_recording(values, time, rate):
    coords = {"time": time, "neuron": [f"n{i}" for i in range(values.shape[1])]}
    attrs = {"quantity": "dff", "units": "1", "frame_rate_hz": rate}
    return xr.DataArray(values, dims=("time", "neuron"), coords=coords, attrs=attrs)


def trials(data_folder: Path):
    """(name of the set, recording) of every recording of the 25 real sets."""
    from benchmarks.ground_truth import read_recordings

    for path in sorted((data_folder / "spikes" / "cascade").glob("*DS*.npz")):
        if "rawneuropil" not in path.name:
            yield from ((path.stem, one) for one in read_recordings(path))


def populations(data_folder: Path):
    """Each set as one recording: one trial a neuron, of the set's commonest frame rate, cut to the shortest."""
    sets = defaultdict(list)
    for name, trial in trials(data_folder):
        if len(trial.dff) >= 20 * trial.frame_rate_hz:
            sets[name].append(trial)
    for name, members in sets.items():
        rate = Counter(round(m.frame_rate_hz, 1) for m in members).most_common(1)[0][0]
        longest = {}
        for m in members:
            known = longest.get(m.neuron)
            if abs(m.frame_rate_hz - rate) < 0.2 and (known is None or len(m.dff) > len(known.dff)):
                longest[m.neuron] = m
        n_frames = min(len(m.dff) for m in longest.values())
        values = np.stack([m.dff[:n_frames] for m in longest.values()], axis=1)
        yield name, as_recording(values, np.arange(n_frames) / rate, float(rate))


def report(capsys, title, counts, total):
    with capsys.disabled():
        sys.stdout.write(f"\n{title} ({total}): {', '.join(f'{k} {counts[k]}' for k in counts) or 'none'}")


def test_no_false_alarm_on_whole_sets(data_folder, capsys):
    counts, total = Counter(), 0
    for name, recording in populations(data_folder):
        total += 1
        counts.update((finding.id, name) for finding in check(recording, checks=ALARMS))
    report(capsys, "alarms on real sets as populations", counts, total)
    assert total >= 25
    assert not counts


def test_hardly_a_false_alarm_on_single_neurons(data_folder, capsys):
    """What fires is broken: one neuron with F0 near zero (ΔF/F up to 49,900 %) and one interpolated trace."""
    counts, total = Counter(), 0
    for _, trial in trials(data_folder):
        total += 1
        time = np.arange(len(trial.dff)) / trial.frame_rate_hz
        one = as_recording(trial.dff[:, None], time, trial.frame_rate_hz)
        counts.update(finding.id for finding in check(one, checks=ALARMS))
    report(capsys, "alarms on single real recordings", counts, total)
    assert total > 1000
    assert counts.total() <= 5
    assert not set(counts) - {"looks-percent", "looks-denoised"}


SPOILT = {
    "looks-percent": lambda values, rate: 100 * values,
    "not-dff": lambda values, rate: 300 * (1 + values.clip(-0.9)),
    "looks-smoothed": lambda values, rate: gaussian_filter1d(values, 1.5, axis=0),
    "looks-denoised": lambda values, rate: gaussian_filter1d(values, 0.3 * rate, axis=0),
    "periodic-artefact": lambda values, rate: values + 2 * _noise_sd(values) * _sine(len(values), rate),
    "constant-traces": lambda values, rate: np.where(np.arange(values.shape[1]) == 0, 0.1, values),
    "wrong-orientation": lambda values, rate: values[: min(len(values), 4000)].T,
}


def _noise_sd(values):
    return np.median(np.abs(np.diff(values, axis=0)), axis=0) / 0.6745 / np.sqrt(2)


def _sine(n_frames, rate):
    return np.sin(2 * np.pi * 0.4 * np.arange(n_frames) / rate)[:, None]


def _share_caught(data_folder, capsys, name, spoil, is_caught, checks):
    """Share of the real sets in which findings tell that they were spoilt; printed with those that were missed."""
    caught, missed = 0, []
    for set_name, recording in populations(data_folder):
        rate = recording.attrs["frame_rate_hz"]
        spoilt = spoil(recording.values, rate)
        if is_caught(check(as_recording(spoilt, np.arange(len(spoilt)) / rate, rate), checks=checks)):
            caught += 1
        else:
            missed.append(set_name)
    with capsys.disabled():
        sys.stdout.write(f"\n{name}: caught in {caught}, missed in {len(missed)} {missed}")
    return caught / (caught + len(missed))


@pytest.mark.parametrize("name", SPOILT)
def test_spoilt_sets_are_caught(data_folder, capsys, name):
    same = {"looks-denoised", "looks-smoothed"} if name in ("looks-denoised", "looks-smoothed") else {name}

    def is_caught(findings):
        return same & {finding.id for finding in findings}

    assert _share_caught(data_folder, capsys, name, SPOILT[name], is_caught, ALARMS) >= 0.8


def test_moving_averages_are_caught_with_their_width(data_folder, capsys):
    def averaged(values, rate):
        return uniform_filter1d(values, 5, axis=0, mode="nearest")

    def is_caught(findings):
        return any("5 frames later" in finding.message for finding in findings)

    assert _share_caught(data_folder, capsys, "moving average", averaged, is_caught, ["looks-smoothed"]) >= 0.5
