"""What rounded times say of the frame rate, and of which frames are missing."""

import numpy as np
import pytest

import antidrome as ad
from antidrome.errors import InputError
from antidrome.recordings import check, delta_f_over_f, from_array, read
from antidrome.recordings.clock import clock_rate_hz, quantum_s, rate_agrees, whole_frames

FRAMES = np.arange(2400)

ROUNDED = {
    "30 Hz, two decimals": (30.0, np.round((FRAMES + 0.5) / 30, 2), 0.01),
    "30 Hz, cut to two decimals": (30.0, np.floor(FRAMES / 30 * 100) / 100, 0.01),
    "15 Hz, two decimals": (15.0, np.round(FRAMES / 15, 2), 0.01),
    "7 Hz, one decimal": (7.0, np.round(FRAMES / 7, 1), 0.1),
    "5.55 Hz, one decimal": (5.55, np.round(FRAMES / 5.55, 1), 0.1),
    "30 Hz, ms": (30.0, np.round(1000 * FRAMES / 30) * 1e-3, 1e-3),
    "30 Hz, float32 late": (30.0, (40_000 + FRAMES / 30).astype(np.float32).astype(float), 2.0**-8),
    "30 Hz, float32 ms late": (30.0, (4e7 + 1000 * FRAMES / 30).astype(np.float32).astype(float) * 1e-3, 4e-3),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_a_rounded_clock_has_its_rate_and_no_gaps(name):
    rate, time, quantum = ROUNDED[name]
    assert clock_rate_hz(time) == pytest.approx(rate, rel=1e-4)
    assert quantum_s(time) == pytest.approx(quantum)
    assert (whole_frames(time, rate) == 1).all()
    recording = from_array(np.zeros((len(time), 2)), time=time)
    assert recording.attrs["frame_rate_hz"] == pytest.approx(rate, rel=1e-4)
    assert len([note for note in recording.attrs["notes"] if "times are rounded" in note]) == 1
    again = from_array(np.zeros((len(time), 2)), rate, time=time, notes=recording.attrs["notes"])
    assert again.attrs["frame_rate_hz"] == rate
    assert len(again.attrs["notes"]) == 1, "said once, however often a recording is opened"
    assert "dropped-frames" not in {finding.id for finding in check(again)}


@pytest.mark.parametrize("rate", [1.0, 10.0, 29.97, 30.0])
@pytest.mark.parametrize("start", [0.0, 12.3, 40_000.0])
def test_an_exact_clock_keeps_its_rate_to_the_bit(rate, start):
    time = start + FRAMES / rate
    assert clock_rate_hz(time) == 1 / np.median(np.diff(time))
    assert from_array(np.zeros((len(time), 1)), time=time).attrs["notes"] == []
    some = np.delete(time, [100, 101, 700, 1200])
    assert clock_rate_hz(some) == pytest.approx(rate, rel=1e-9)
    assert np.flatnonzero(whole_frames(some, rate) > 1).tolist() == [99, 697, 1196]


def test_frames_that_an_exact_clock_lost_are_no_rounding(rng):
    lost = np.delete(FRAMES / 10, rng.choice(2300, 200, replace=False))
    assert clock_rate_hz(lost) == pytest.approx(10)
    assert whole_frames(lost, 10.0).sum() == 10 * round(lost[-1] - lost[0], 1)
    every_tenth = np.delete(FRAMES / 30, slice(9, None, 10))
    assert clock_rate_hz(every_tenth) == pytest.approx(30), "no clock is rounded to thirtieths of a second"


@pytest.mark.parametrize("rate", [10.0, 30.0])
@pytest.mark.parametrize("declared", [0.992, 1.0, 1.008])
def test_lost_frames_are_found_with_a_rate_that_is_a_little_off(rate, declared):
    time = np.delete(FRAMES / rate, [100, 101, 700, 1200])
    assert np.flatnonzero(whole_frames(time, declared * rate) > 1).tolist() == [99, 697, 1196]


def test_what_nobody_can_tell_is_said_and_left_to_the_user():
    time = np.round(FRAMES / 9, 1)  # or 10 Hz without every tenth frame
    unsaid = from_array(np.zeros((len(time), 1)), time=time)
    assert unsaid.attrs["frame_rate_hz"] == pytest.approx(10)
    assert "pass frame_rate_hz=9" in unsaid.attrs["notes"][0]
    said = from_array(np.zeros((len(time), 1)), 9.0, time=time)
    assert said.attrs["frame_rate_hz"] == 9.0
    assert (whole_frames(time, 9.0) == 1).all()
    assert not [finding for finding in check(said) if finding.id in ("frame-rate-disagrees", "timestamps-duplicated")]


def test_gaps_of_a_rounded_clock_are_found():
    time = np.round(FRAMES / 30 + 2.0 * (FRAMES // 100), 2)
    assert clock_rate_hz(time) == pytest.approx(30, rel=1e-4)
    assert np.flatnonzero(whole_frames(time, 30.0) > 1).tolist() == list(range(99, 2399, 100))


def test_a_rate_that_rounding_does_not_explain_is_refused():
    time = np.round(FRAMES / 30, 2)
    assert rate_agrees(30, time)
    assert not rate_agrees(33.3333, time)
    with pytest.raises(InputError, match="run at 30 Hz"):
        from_array(np.zeros((len(time), 1)), 33.3333, time=time)
    with pytest.raises(InputError, match="run at 30 Hz"):
        delta_f_over_f(from_array(np.ones((len(time), 1)), time=time), 20.0)


@pytest.mark.parametrize("name", ["30 Hz, two decimals", "7 Hz, one decimal"])
def test_spikes_of_a_rounded_clock_have_its_rate_and_no_missing_frames(name, rng, tmp_path):
    rate, time, _ = ROUNDED[name]
    np.savez(tmp_path / "a.npz", dff=rng.normal(0, 0.05, (600, 2)).astype(np.float32), time=time[:600])
    for options in ({}, {"frame_rate_hz": rate}):
        recording = read(tmp_path / "a.npz", **options)
        found = ad.SpikeVAE().predict(recording, progress=False)
        assert found.attrs["frame_rate_hz"] == pytest.approx(rate, rel=1e-3)
        assert np.array_equal(found["time"], time[:600])
        assert not [note for note in found.attrs["notes"] if "missing" in note]


def test_maximin_of_a_rounded_clock_is_that_of_the_exact_one(rng):
    values = 100 + np.cumsum(rng.normal(0, 0.1, (2400, 3)), axis=0)
    exact = delta_f_over_f(from_array(values, 30.0, quantity="fluorescence"), baseline="maximin")
    time = np.round((FRAMES + 0.5) / 30, 2)
    rounded = delta_f_over_f(from_array(values, time=time, quantity="fluorescence"), baseline="maximin")
    np.testing.assert_allclose(rounded, exact, atol=1e-6)
