"""The ground-truth protocol: which stretches are scored, and the numbers that the peers' rows were measured with."""

from pathlib import Path

import numpy as np
import pytest

RATE_HZ = 60.0
REFERENCE = {
    "DS20-jRCaMP1a-m-V1": (7, 0.4446839451756536, 0.49223877532777865, 0.8556805715263882, 0.7086326200260373),
    "DS24-GCaMP6f-m-PV-V1": (8, 0.2618266133735788, 0.29266634129026387, 0.6818458649126655, 0.030173352792234334),
    "DS32-GCaMP8s-m-V1": (10, 0.7829804615396523, 0.7829804615396523, 0.9378933707808659, 4.106661758382366),
}
"""Neurons, r (lag 0, learnt lag, smoothed) and count ratio of `rising`, by the script that made the peers' rows."""


def rising(trace: np.ndarray) -> np.ndarray:
    """A prediction: how much the trace rises."""
    return np.maximum(np.gradient(trace), 0)


def compact_set(path: Path, spikes_s: list[np.ndarray], neurons: list[int], n_frames: int, rate_hz: float) -> Path:
    """A set of recordings whose ΔF/F is the number of spikes in each frame."""
    frames = [np.histogram(s, (np.arange(n_frames + 1) - 0.5) / rate_hz)[0] for s in spikes_s]
    np.savez(
        path,
        dataset=path.stem,
        dff_q=np.concatenate(frames).astype(np.int16),
        frame_offsets=n_frames * np.arange(len(frames) + 1),
        scale=np.full(len(frames), 0.5),
        offset=np.full(len(frames), 0.25),
        fs=np.full(len(frames), rate_hz),
        neuron=np.array(neurons),
        neuron_names=np.array([f"cell {i}" for i in range(max(neurons) + 1)]),
        spike_times=np.concatenate(spikes_s),
        spike_offsets=np.r_[0, np.cumsum([len(s) for s in spikes_s])],
    )
    return path


def test_recordings_are_read_as_they_are_stored(tmp_path):
    from benchmarks.ground_truth import read_recordings

    spikes = [np.array([0.0, 1.0, 1.001]), np.array([2.0])]
    first, second = read_recordings(compact_set(tmp_path / "DS99-test.npz", spikes, [0, 1], 600, RATE_HZ))
    assert (first.dataset, first.neuron, second.neuron, first.frame_rate_hz) == (
        "DS99-test",
        "cell 0",
        "cell 1",
        RATE_HZ,
    )
    assert first.dff[[0, 30, 60]].tolist() == [0.75, 0.25, 1.25]
    assert second.spikes_s.tolist() == [2.0]


def test_stretches_are_at_most_a_minute_of_eight_neurons_with_spikes(tmp_path, rng):
    from benchmarks.ground_truth import cases

    spikes = [np.sort(rng.uniform(0, 40, 30)) for _ in range(12)]
    spikes[1] = spikes[1][:2]
    neurons = [0, 1, 0, *range(2, 11)]
    found = list(cases(compact_set(tmp_path / "DS99-test.npz", spikes, neurons, 2400, RATE_HZ)))
    assert len({case.neuron for case in found}) == 8
    assert "cell 1" not in {case.neuron for case in found}, "two spikes are too few"
    assert [case.seconds for case in found if case.neuron == "cell 0"] == [40.0, 20.0]
    assert all(case.frame_rate_hz == 30.0 and case.native_rate_hz == RATE_HZ for case in found)
    ten = compact_set(tmp_path / "DS30-test.npz", spikes, neurons, 2400, RATE_HZ)
    assert len({case.neuron for case in cases(ten)}) == 10
    assert len({case.neuron for case in cases(ten, max_neurons=3)}) == 3


def test_area_averaging_keeps_the_mean_and_leaves_slow_recordings_alone(rng):
    from benchmarks.ground_truth import at_most

    trace = rng.random(1200).astype(np.float32)
    averaged, rate = at_most(trace, 60.0, 30.0)
    assert rate == 30.0
    np.testing.assert_allclose(averaged, trace[: 2 * len(averaged)].reshape(-1, 2).mean(axis=1), rtol=1e-6)
    same, rate = at_most(trace, 31.0, 30.0)
    assert rate == 31.0
    assert np.array_equal(same, trace)


def test_the_true_counts_are_right_and_a_late_prediction_has_its_lag(tmp_path, rng):
    from benchmarks.ground_truth import LAGS, cases, score, summarise

    spikes = [np.sort(rng.integers(0, 1500, 200) / 25.0) for _ in range(3)]
    path = compact_set(tmp_path / "DS99-test.npz", spikes, [0, 1, 2], 1500, 25.0)
    rows, late = [], []
    for case in cases(path):
        true = (case.dff - 0.25) / 0.5
        rows.append((case, score(true, case)))
        late.append((case, score(np.roll(true, 2), case)))
    table, mean = summarise({"DS99-test": rows})
    assert mean == pytest.approx(dict.fromkeys(("r_lag0", "r_learnt_lag", "r_smooth", "count_ratio"), 1.0), abs=1e-3)
    assert table["DS99-test"]["neurons"] == 3
    assert LAGS[int(np.argmax(late[0][1].r_by_lag))] == 2
    assert summarise({"DS99-test": late})[1]["r_learnt_lag"] == pytest.approx(1.0)


def test_a_short_stretch_has_no_scores_and_a_constant_no_correlation(tmp_path, rng):
    from benchmarks.ground_truth import cases, per_neuron, score

    spikes = [np.sort(rng.uniform(0, 8, 30))]
    case = next(cases(compact_set(tmp_path / "DS99-test.npz", spikes, [0], 240, 30.0)))
    nothing = score(np.zeros(len(case.dff)), case)
    assert np.isnan(nothing.r_lag0)
    assert per_neuron([(case, nothing)]) == {}
    assert score(case.dff[:60], case) is None


@pytest.mark.data
@pytest.mark.parametrize("name", REFERENCE)
def test_scores_are_those_of_the_script_that_made_the_peers_rows(data_folder, name):
    from benchmarks.ground_truth import cases, score, summarise

    rows = [(case, score(rising(case.dff), case)) for case in cases(data_folder / "spikes" / "cascade" / f"{name}.npz")]
    (row,) = summarise({name: rows})[0].values()
    assert list(row.values()) == pytest.approx(REFERENCE[name], rel=1e-12)
