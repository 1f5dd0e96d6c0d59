"""The generative models against closed forms and a plain loop."""

import jax.numpy as jnp
import numpy as np
import pytest

from antidrome.spikes.generative import LinearModel, SCDFModel

STEP_S = 1 / 200


def one_spike(n_steps, n_neurons=1):
    spikes = np.zeros((n_steps, n_neurons), np.float32)
    spikes[10] = 1
    return jnp.asarray(spikes)


def linear(amplitude=0.2, decay_s=0.5, rise_s=0.0, baseline=0.1):
    return LinearModel(*(jnp.array([x], jnp.float32) for x in (amplitude, decay_s, rise_s, baseline)))


def scdf(amplitude=0.2, hill=1.0, saturation=20.0):
    values = (amplitude, 0.05, 0.6, 1.0, hill, saturation, 0.0)
    return SCDFModel(*(jnp.array([x], jnp.float32) for x in values))


def test_ar1_is_an_exponential():
    trace = np.asarray(linear().fluorescence(one_spike(400), STEP_S))[:, 0]
    after = np.arange(390) * STEP_S
    np.testing.assert_allclose(trace[10:], 0.1 + 0.2 * np.exp(-after / 0.5), rtol=1e-4)
    np.testing.assert_allclose(trace[:10], 0.1)


def test_ar2_is_a_difference_of_exponentials_that_peaks_at_the_amplitude():
    trace = np.asarray(linear(rise_s=0.08).fluorescence(one_spike(400), STEP_S))[10:, 0] - 0.1
    after = (np.arange(390) + 0.5) * STEP_S
    expected = np.exp(-after / 0.5) - np.exp(-after / 0.08)
    np.testing.assert_allclose(trace, 0.2 * expected / expected.max(), atol=1e-4)


def test_linear_response_adds_up():
    model = linear(rise_s=0.05, baseline=0.0)
    a, b = one_spike(200), jnp.roll(one_spike(200), 30, axis=0)
    together = model.fluorescence(a + 2 * b, STEP_S)
    np.testing.assert_allclose(together, model.fluorescence(a, STEP_S) + 2 * model.fluorescence(b, STEP_S), atol=1e-6)


def test_scdf_against_a_plain_loop():
    model, spikes = scdf(hill=1.7), np.random.default_rng(0).poisson(0.05, 300).astype(float)
    calcium = dye = 0.0
    dyes = []
    for spike in spikes:
        calcium = np.exp(-STEP_S / 0.05) * calcium + spike
        free = 20.0 - min(dye, 20.0)
        dye = min(STEP_S * calcium**1.7, 1.0) * free + np.exp(-STEP_S / 0.6) * min(dye, 20.0)
        dyes.append(dye)
    trace = np.asarray(model.fluorescence(jnp.asarray(spikes[:, None], jnp.float32), STEP_S))[:, 0]
    single = np.asarray(model.fluorescence(one_spike(400), STEP_S))[:, 0]
    np.testing.assert_allclose(trace / trace.max(), np.array(dyes) / max(dyes), rtol=1e-3, atol=1e-5)
    assert single.max() == pytest.approx(0.2, rel=1e-3)


def test_scdf_facilitates_and_saturates():
    def peak(model, n):
        return float(model.fluorescence(n * one_spike(400), STEP_S).max())

    facilitating = scdf(hill=2.0, saturation=200.0)
    assert peak(facilitating, 3) > 5 * peak(facilitating, 1)
    saturating = scdf(hill=1.0, saturation=1.0)
    assert peak(saturating, 50) < 30 * peak(saturating, 1)


@pytest.mark.parametrize("step_s", [1 / 400, 1 / 100])
def test_the_step_does_not_change_the_response(step_s):
    coarse = np.asarray(scdf(hill=1.5).fluorescence(one_spike(int(1 / step_s)), step_s)).max()
    assert coarse == pytest.approx(0.2, rel=0.05)


@pytest.mark.parametrize("rate_hz", [3.0, 10.0, 30.0])
def test_scdf_means_the_same_at_every_frame_rate(rate_hz):
    """2, 5 and 20 spikes over one spike, in long steps and on the grid of simulations (240 Hz)."""

    def peaks(model, rate):
        spikes = jnp.zeros((int(rate), 3, 1)).at[0, :, 0].set(jnp.array([2.0, 5.0, 20.0]))
        return model.fluorescence(spikes, 1 / rate).max(axis=(0, 2))

    for hill, saturation in ((1.5, 20.0), (1.0, 5.0)):
        model = scdf(amplitude=1.0, hill=hill, saturation=saturation)
        np.testing.assert_allclose(peaks(model, rate_hz), peaks(model, 240.0), rtol=0.1)
