"""The Hodgkin–Huxley model against a plain implementation, and features against those of whole traces."""

import numpy as np
import pytest
import xarray as xr

from antidrome.errors import InputError
from antidrome.mechanism.models.hh_kinetics import noise_of_step
from antidrome.mechanism.models.hodgkin_huxley import (
    TWELVE_PARAMETERS,
    TWELVE_TRUE_VALUES,
    HodgkinHuxley,
    eight_parameter_prior,
    twelve_parameter_prior,
)
from antidrome.mechanism.models.stimulus import Stimulus, noise_stimulus, step_stimulus
from antidrome.mechanism.models.voltage_features import FEATURE_UNITS, TWENTY_FEATURES, voltage_features
from antidrome.mechanism.simulate import Simulator, run_simulations

SHORT = step_stimulus(4.0, duration_ms=60, on_ms=10, off_ms=55)


def plain(theta: dict, stimulus: Stimulus) -> np.ndarray:
    """Exponential Euler in float64 as the equations say, without noise."""
    dt, current = stimulus.dt_ms, stimulus.current_ua_cm2
    e_na, e_k, e_leak, v_t = theta["e_na"], -theta["minus_e_k"], -theta["minus_e_leak"], -theta["minus_v_t"]
    exp = np.exp

    def rates(v):
        u = v - v_t
        am = 0.32 * (u - 13) / (1 - exp(-(u - 13) / 4))
        bm = 0.28 * (u - 40) / (exp((u - 40) / 5) - 1)
        ah = 0.128 * exp(-(u - 17) / 18)
        bh = 4 / (1 + exp(-(u - 40) / 5))
        an = 0.032 * (u - 15) / (1 - exp(-(u - 15) / 5))
        bn = theta["k_beta_n1"] * exp(-(u - 10) / theta["k_beta_n2"])
        p_inf = 1 / (1 + exp(-(v + 35) / 10))
        tau_p = theta["tau_max"] / (3.3 * exp((v + 35) / 20) + exp(-(v + 35) / 20))
        return [(am, am + bm), (ah, ah + bh), (an, an + bn), (p_inf / tau_p, 1 / tau_p)]

    v = np.empty(len(current))
    v[0] = e_leak
    m, h, n, p = (a / s for a, s in rates(v[0]))
    for i in range(1, len(v)):
        na, k = theta["g_na"] * m**3 * h, theta["g_k"] * n**4 + theta["g_m"] * p
        total = na + k + theta["g_leak"]
        target = (na * e_na + k * e_k + theta["g_leak"] * e_leak + current[i - 1]) / total
        v[i] = target + (v[i - 1] - target) * exp(-dt * total)
        m, h, n, p = (
            a / s + (gate - a / s) * exp(-dt * s) for gate, (a, s) in zip((m, h, n, p), rates(v[i]), strict=True)
        )
    return v


@pytest.fixture(scope="module")
def quiet() -> HodgkinHuxley:
    return HodgkinHuxley(SHORT, parameters=TWELVE_PARAMETERS, features=tuple(FEATURE_UNITS), batch=4, n_threads=1)


def test_traces_are_those_of_the_equations(quiet: HodgkinHuxley) -> None:
    truth = TWELVE_TRUE_VALUES | {"noise": 0.0}
    others = truth | {"g_na": 30.0, "tau_max": 100.0, "k_beta_n2": 35.0, "minus_v_t": 55.0}
    theta = np.array([[values[name] for name in TWELVE_PARAMETERS] for values in (truth, others)])
    traces = quiet.voltage(theta)
    for trace, values in zip(traces.values, (truth, others), strict=True):
        expected = plain(values, SHORT)
        assert expected.max() > 10, "it spikes"
        onsets = [np.flatnonzero((v[1:] >= -10) & (v[:-1] < -10)) for v in (trace, expected)]
        assert len(onsets[0]) == len(onsets[1])
        assert np.abs(onsets[0] - onsets[1]).max() <= 2, "spikes within 0.05 ms"
        before = SHORT.time_ms < 10
        np.testing.assert_allclose(trace[before], expected[before], atol=5e-3)
        assert np.sqrt(np.mean((trace - expected) ** 2)) < 1.0
    assert traces.attrs["units"] == "mV"
    assert traces.sizes == {"simulation": 2, "time": len(SHORT.time_ms)}


def test_online_features_are_those_of_the_trace(quiet: HodgkinHuxley) -> None:
    """All features at once, spiking and silent cells, with noise."""
    prior = twelve_parameter_prior()
    theta = prior.sample(4, seed=3)
    theta[0] = [TWELVE_TRUE_VALUES[name] for name in TWELVE_PARAMETERS]
    theta[1] = theta[0] * np.where(np.array(TWELVE_PARAMETERS) == "g_na", 0.01, 1)
    batch = quiet.run(theta, seed=4)
    traces = quiet.voltage(theta, seed=4).values
    assert batch.valid.all()
    assert np.isnan(batch.features[1]).any(), "a silent cell has no latency"
    assert not np.isnan(batch.features[0]).any()
    for features, trace in zip(batch.features, traces, strict=True):
        expected = quiet.features_of(trace)
        assert np.array_equal(np.isnan(features), np.isnan(expected))
        np.testing.assert_allclose(features, expected, rtol=5e-3, atol=2e-3)


def test_same_seed_same_features_whatever_the_batch() -> None:
    theta = eight_parameter_prior().sample(6, seed=0)
    brief = step_stimulus(4.0, duration_ms=20, on_ms=5, off_ms=18, dt_ms=0.05)
    small, large = (HodgkinHuxley(brief, batch=batch, n_threads=1) for batch in (4, 8))
    first = run_simulations(small, theta, seed=1, progress=False)
    np.testing.assert_array_equal(first.features, run_simulations(small, theta, seed=1, progress=False).features)
    np.testing.assert_allclose(first.features, large.run_seeded(theta, first.seed).features, rtol=1e-3, atol=1e-2)
    other = run_simulations(small, theta, seed=2, progress=False)
    assert not np.array_equal(first.features, other.features)
    assert isinstance(small, Simulator)
    assert small.feature_units[:2] == ("1", "mV")


def test_noise_is_white_and_of_unit_variance() -> None:
    import jax
    import jax.numpy as jnp

    words = np.random.default_rng(0).integers(0, 2**32, (300, 2), dtype=np.uint32)
    noise = np.asarray(jax.vmap(lambda i: noise_of_step(jnp.asarray(words), i))(jnp.arange(3000, dtype=jnp.uint32)))
    n = noise.size
    assert abs(noise.mean()) < 5 / np.sqrt(n)
    assert abs(noise.var() - 1) < 5 * np.sqrt(1.7 / n)
    assert abs((noise**3).mean()) < 5 * np.sqrt(12 / n)
    for lag in (1, 2, 7, 1000):
        assert abs((noise[lag:] * noise[:-lag]).mean()) < 5 / np.sqrt(n - lag * 300)
    between = np.corrcoef(noise.T)
    assert np.abs(between[np.triu_indices(300, 1)]).max() < 5.5 / np.sqrt(3000)


def test_unstable_simulations_are_failures() -> None:
    brief = step_stimulus(4.0, duration_ms=6, on_ms=1, off_ms=5, dt_ms=0.05)
    model = HodgkinHuxley(brief, parameters=("g_leak",), batch=2, n_threads=1)
    batch = model.run(np.array([[0.1], [np.finfo(np.float32).max]]), seed=0)
    assert batch.valid.tolist() == [True, False]


def test_stimuli_and_parameters_are_checked() -> None:
    with pytest.raises(InputError, match=r"no parameter 'g_Na'\. Did you mean 'g_na'"):
        HodgkinHuxley(parameters=("g_Na",))
    with pytest.raises(InputError, match="either in theta"):
        HodgkinHuxley(parameters=("g_na",), fixed={"g_na": 3.0})
    with pytest.raises(InputError, match=r"theta has 3 columns; this model takes 8"):
        HodgkinHuxley(SHORT).run(np.zeros((1, 3)), 0)
    with pytest.raises(InputError, match="no voltage feature 'spikes'"):
        HodgkinHuxley(features=("spikes",))
    noise = noise_stimulus(seed=1)
    assert 0 < np.abs(noise.current_ua_cm2).max() < 100
    assert np.array_equal(noise.current_ua_cm2, noise_stimulus(seed=1).current_ua_cm2)


def test_features_of_a_known_trace() -> None:
    """Two square spikes of 2 ms on a flat line."""
    v = np.full(1000, -60.0)
    v[300:320], v[500:520] = 20.0, 30.0
    found = voltage_features(v, 0.1, 20.0, 90.0, tuple(FEATURE_UNITS))
    assert found["spike_count"] == 2
    assert found["latency_ms"] == pytest.approx(10.0, abs=0.11)
    assert found["mean_isi_ms"] == pytest.approx(20.0)
    assert found["peak_mv"] == 25.0
    assert found["trough_mv"] == -60.0
    assert found["width_ms"] == pytest.approx(2.0)
    assert np.isnan(found["isi_cv"])
    assert found["rest_mean_mv"] == -60.0
    assert found["rest_sd_mv"] == 0.0
    with pytest.raises(InputError, match="has no part between 200 and 300 ms"):
        voltage_features(v, 0.1, 200.0, 300.0)
    flat = voltage_features(np.full(1000, -60.0), 0.1, 20.0, 90.0, TWENTY_FEATURES)
    assert np.isnan(flat["autocorrelation_0.1ms"])


def test_voltage_takes_parameters_with_labels_by_name() -> None:
    cell = HodgkinHuxley(SHORT, parameters=("g_na", "g_k"), n_threads=1)
    plain = cell.voltage(np.array([[50.0, 5.0]]))
    turned = xr.DataArray([[5.0, 50.0]], {"parameter": ["g_k", "g_na"]}, ("sample", "parameter"))
    for given in (turned, turned[0], turned.to_pandas(), turned[0].to_pandas(), [50.0, 5.0]):
        assert cell.voltage(given).equals(plain)


@pytest.mark.parametrize(
    ("dt_ms", "lacking"),
    [(0.2, (1, 3, 5, 7, 9)), (0.04, (1, 3, 5, 7, 9)), (0.1, ()), (0.05, ()), (0.025, ()), (0.02, ())],
)
def test_autocorrelations_are_at_their_own_lag_or_missing(dt_ms: float, lacking: tuple[int, ...]) -> None:
    """At 0.2 ms a sample, that of 0.1 ms was that of 0.2 ms; at 0.04 ms it was that of 0.08 ms."""
    time = np.arange(round(400 / dt_ms)) * dt_ms
    found = voltage_features(np.sin(time / 0.7), dt_ms, 50.0, 350.0, TWENTY_FEATURES)
    for i in range(1, 11):
        expected = np.nan if i in lacking else np.cos(0.1 * i / 0.7)
        assert found[f"autocorrelation_{0.1 * i:g}ms"] == pytest.approx(expected, abs=5e-3, nan_ok=True)


def test_lags_that_are_no_whole_number_of_steps_are_missing_in_simulations_too() -> None:
    names = ("mean_mv", "autocorrelation_0.1ms", "autocorrelation_0.2ms")
    cell = HodgkinHuxley(
        step_stimulus(4.0, duration_ms=12, on_ms=2, off_ms=10, dt_ms=0.04), features=names, batch=2, n_threads=1
    )
    theta = np.array([cell.defaults])
    batch = cell.run(theta, seed=1)
    assert batch.valid.all()
    assert np.isnan(batch.features[0]).tolist() == [False, True, False]
    expected = cell.features_of(cell.voltage(theta, seed=1).values[0])
    np.testing.assert_allclose(batch.features[0], expected, rtol=5e-3, atol=2e-3)
