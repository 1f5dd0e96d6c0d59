"""Initial values from traces alone, against the simulated truth."""

import numpy as np
import pytest
from scipy.signal import lfilter

from antidrome.errors import InputError
from antidrome.spikes.variational import autocalibrate

RATE_HZ = 30.0


def recording(rng, n_cells=12, n_frames=9000, drift=0.0):
    amplitude, decay = rng.uniform(0.2, 0.5, n_cells), rng.uniform(0.3, 1.0, n_cells)
    noise = rng.uniform(0.05, 0.1, n_cells)
    spikes = rng.poisson(0.8 / RATE_HZ, (n_cells, n_frames)).astype(float)
    rows = [lfilter([a], [1, -np.exp(-1 / (RATE_HZ * d))], s) for a, d, s in zip(amplitude, decay, spikes, strict=True)]
    slow = drift * np.sin(np.arange(n_frames) / (RATE_HZ * 20))
    traces = np.array(rows) - 0.2 + slow + noise[:, None] * rng.standard_normal((n_cells, n_frames))
    return traces, spikes, amplitude, decay, noise


@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_autocalibration_finds_the_truth(rng, drift):
    traces, _, amplitude, decay, noise = recording(rng, drift=drift)
    found = autocalibrate(traces, RATE_HZ, drift=bool(drift))
    assert np.median(np.abs(np.log(found.amplitude / amplitude))) < 0.15
    assert np.median(np.abs(np.log(found.decay_s / decay))) < 0.25
    np.testing.assert_allclose(found.noise_sd, noise, rtol=0.1)
    assert 0.5 < np.median(found.rate_hz) < 1.2
    assert np.median(np.abs(found.baseline + 0.2)) < 0.15
    assert not found.guessed.any()


def test_segments_of_a_cell_and_holes_make_little_difference(rng):
    traces, *_ = recording(rng, 3)
    whole = autocalibrate(traces, RATE_HZ, drift=False)
    traces[:, 4000:4100] = np.nan
    halves = autocalibrate(traces.reshape(6, -1), RATE_HZ, np.repeat(np.arange(3), 2), drift=False)
    np.testing.assert_allclose(halves.amplitude, whole.amplitude, rtol=0.15)
    np.testing.assert_allclose(halves.decay_s, whole.decay_s, rtol=0.2)


def test_pure_noise_is_marked_as_a_guess(rng):
    found = autocalibrate(0.1 * rng.standard_normal((4, 3000)), RATE_HZ)
    assert found.guessed.sum() >= 3
    assert np.isfinite(np.array(found[:5])).all()
    assert (found.amplitude >= found.noise_sd).all()


def test_unusable_rows_are_named(rng):
    traces = rng.standard_normal((3, 100))
    traces[1] = np.nan
    with pytest.raises(InputError, match="Cell 1 has 0 observed frames"):
        autocalibrate(traces, RATE_HZ)
    with pytest.raises(InputError, match="without gaps"):
        autocalibrate(traces, RATE_HZ, np.array([0, 2, 3]))
