"""Amplitude, decay and baseline come back from a trace whose spikes are known."""

import numpy as np
import pytest
from scipy.signal import lfilter

from antidrome.spikes.response import DECAYS_S, fit_response

RATE = 30.0


def test_known_response_is_recovered(rng):
    decay = DECAYS_S[5]
    spikes = rng.poisson(0.03, (1, 6000)).astype(float)
    trace = 0.3 * lfilter([1.0], [1.0, -np.exp(-1 / (decay * RATE))], spikes, axis=1) + 0.5
    trace += 0.02 * rng.standard_normal(trace.shape)
    trace[0, 100:130] = np.nan
    response = fit_response(trace, spikes, RATE)
    assert response.amplitude[0] == pytest.approx(0.3, rel=0.03)
    assert response.decay_s[0] == decay
    assert response.baseline[0] == pytest.approx(0.5, abs=0.02)


def test_without_spikes_nothing_is_claimed(rng):
    response = fit_response(rng.standard_normal((1, 500)), np.zeros((1, 500)), RATE)
    assert np.isnan(response.amplitude[0])
    assert np.isnan(response.decay_s[0])
    assert np.isfinite(response.baseline[0])
