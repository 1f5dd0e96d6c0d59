"""Simulated recordings: labelled, reproducible, and with the statistics that were asked for."""

import numpy as np
import pytest
import xarray as xr

import antidrome as ad
from antidrome.errors import InputError
from antidrome.spikes.spike_trains import SpikeTrainRanges, random_spike_trains, shared_gain


def test_equal_seeds_give_equal_recordings():
    a, b, c = (ad.spikes.simulate(3, 10, 30, seed) for seed in (1, 1, 2))
    xr.testing.assert_identical(a, b)
    assert not a["dff"].equals(c["dff"])


@pytest.mark.parametrize("generative", ["linear", "scdf"])
@pytest.mark.parametrize("indicator", ["fast", "slow", "red", "dye", "any"])
def test_every_indicator_gives_a_recording(generative, indicator):
    simulated = ad.spikes.simulate(4, 20, 15, 3, indicator=indicator, generative=generative)
    assert simulated["dff"].shape == (300, 4)
    assert np.isfinite(simulated["dff"].values).all()
    assert simulated["dff"].attrs["frame_rate_hz"] == 15
    assert (simulated["spike_count"].values >= 0).all()


def test_noise_scales_with_the_frame_rate():
    slow, fast = (ad.spikes.simulate(1, 60, rate, 4) for rate in (10.0, 40.0))
    assert float(fast["true_noise_sd"][0]) == pytest.approx(2 * float(slow["true_noise_sd"][0]))


def test_rates_are_those_asked_for():
    ranges = SpikeTrainRanges(rate_hz=(2.0, 2.0), modulation_sd=(0.0, 0.0), burst_share=0.0)
    spikes = random_spike_trains(np.random.default_rng(0), 40_000, np.zeros(20, bool), 0.005, ranges)
    assert spikes.sum(axis=0).mean() / 200 == pytest.approx(2.0, rel=0.1)


def test_bursts_come_close_together():
    ranges = SpikeTrainRanges(rate_hz=(0.5, 0.5), modulation_sd=(0.0, 0.0), burst_share=1.0, burst_spikes=(3.0, 3.0))
    spikes = random_spike_trains(np.random.default_rng(0), 200_000, np.zeros(10, bool), 0.001, ranges)
    intervals = np.concatenate([np.diff(np.flatnonzero(spikes[:, i])) for i in range(10)]) * 0.001
    assert (intervals < 0.04).mean() > 0.2


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"n_neurons": 0}, "n_neurons"),
        ({"frame_rate_hz": 0.0}, "frame_rate_hz"),
        ({"duration_s": 0.0}, "duration_s"),
        ({"duration_s": float("nan")}, "duration_s is nan"),
        ({"duration_s": float("inf")}, "duration_s is inf"),
        ({"indicator": "slaw"}, "indicator = 'slaw', expected one of 'fast', 'slow'"),
        ({"generative": "ar1"}, "generative = 'ar1', expected one of 'linear', 'scdf'"),
        ({"seed": -1}, "seed"),
    ],
)
def test_impossible_wishes_are_refused(unchecked_types, change, match):
    with pytest.raises(InputError, match=match):
        ad.spikes.simulate(**{"n_neurons": 2, "duration_s": 5.0, "frame_rate_hz": 30.0, **change})


def test_shared_gains_have_mean_one_and_turn_together():
    gain = shared_gain(np.random.default_rng(0), 40_000, 60, 0.02, 3)
    assert gain.shape == (40_000, 60)
    assert (gain > 0).all()
    assert np.median(gain.mean(axis=0)) == pytest.approx(1, abs=0.3)
    strength = np.linalg.svd(np.log(gain) - np.log(gain).mean(axis=0), compute_uv=False)
    assert strength[3] < 1e-6 * strength[2]


def test_neurons_that_share_factors_are_more_correlated():
    def correlation(n_factors):
        counts = ad.spikes.simulate(20, 120, 30, 2, n_factors=n_factors)["spike_count"].values
        found = np.corrcoef(counts.reshape(-1, 30, 20).sum(axis=1).T)
        return np.abs(found[np.triu_indices(20, 1)]).mean()

    assert correlation(2) > 1.3 * correlation(0)


def test_a_negative_number_of_factors_is_refused():
    with pytest.raises(InputError, match="n_factors = -1"):
        ad.spikes.simulate(2, 10, 30, n_factors=-1)


def test_rounding_does_not_cost_a_frame():
    assert ad.spikes.simulate(n_neurons=1, duration_s=8.2, frame_rate_hz=30).sizes["time"] == 246
    assert ad.spikes.simulate(n_neurons=1, duration_s=8.19, frame_rate_hz=30).sizes["time"] == 245
