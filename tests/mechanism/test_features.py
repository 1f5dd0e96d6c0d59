"""Scaling of features, and what a measurement's gaps mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antidrome.mechanism.features import FeatureScaling, constant_features, outside_simulations
from antidrome.mechanism.observations import unrecorded_features


def test_every_kind_of_feature_comes_out_with_unit_spread(rng) -> None:
    x = np.column_stack(
        [
            rng.normal(-70, 4, 3000),
            np.exp(rng.normal(0, 3, 3000)),
            rng.standard_t(1.5, 3000),
            np.full(3000, 7.0),
            rng.poisson(0.2, 3000),
        ]
    )
    x[::5, 0] = np.nan
    scaling = FeatureScaling.of(x)
    z = scaling(x)
    assert scaling.kind.tolist()[:3] == [0, 1, 2]
    np.testing.assert_allclose(np.nanmean(z, axis=0), 0, atol=0.1)
    np.testing.assert_allclose(np.nanstd(z, axis=0)[[0, 1, 4]], 1, atol=0.1)
    assert np.isnan(z[::5, 0]).all()
    assert np.isfinite(z[:, 1:]).all()
    assert constant_features(x).tolist() == [False, False, False, True, False]


@pytest.mark.parametrize("unit", [1e-15, 1e-12, 1.0, 1e12])
def test_the_unit_of_a_feature_does_not_matter(unit: float, rng) -> None:
    x = np.column_stack([rng.normal(5, 2, 1000), np.exp(rng.normal(0, 3, 1000)), rng.standard_t(1.5, 1000)])
    scaling = FeatureScaling.of(x * unit)
    np.testing.assert_allclose(scaling(x * unit), FeatureScaling.of(x)(x), atol=1e-3)
    near = scaling.near(x * unit, np.exp(-np.square(x[:, 0] - 5)))
    assert np.ptp(near(x * unit), axis=0).min() > 1
    rounding = 3 * unit * (1 + 1e-16 * rng.integers(-3, 3, (1000, 1)))
    assert not FeatureScaling.of(rounding)(rounding).any()
    assert not FeatureScaling.of(rounding)(2 * rounding).any()


@given(st.lists(st.floats(-1e12, 1e12), min_size=2, max_size=30, unique=True))
def test_scaling_never_changes_the_order_and_is_always_finite(values: list[float]) -> None:
    fitted = np.random.default_rng(0).standard_t(1.2, (500, 1)) * 10
    z = FeatureScaling.of(fitted)(np.sort(values)[:, None])[:, 0]
    assert np.isfinite(z).all()
    assert (np.diff(z) >= 0).all()


def test_zero_and_negative_values_of_a_positive_feature_stay_finite(rng) -> None:
    scaling = FeatureScaling.of(np.exp(rng.normal(0, 3, (500, 1))))
    assert np.isfinite(scaling(np.array([[0.0], [-1.0]]))).all()


def test_scaling_near_the_observation_keeps_the_maps(rng) -> None:
    x = np.column_stack([rng.normal(0, 5, 2000), np.exp(rng.normal(0, 3, 2000)), np.full(2000, np.nan)])
    weights = np.exp(-0.5 * (x[:, 0] - 3) ** 2)
    x[::7, 1] = np.nan
    near = FeatureScaling.of(x).near(x, weights)
    z = near(x)
    mean = np.average(z[:, 0], weights=weights)
    assert mean == pytest.approx(0, abs=0.05)
    assert np.average((z[:, 0] - mean) ** 2, weights=weights) == pytest.approx(1, rel=0.05)
    assert near.kind.tolist() == FeatureScaling.of(x).kind.tolist()
    assert np.isfinite(near.mean).all()
    assert (near.sd > 0).all()


def test_traces_are_scaled_by_channel(rng) -> None:
    x = np.concatenate([rng.normal([-70.0, 2.0], [5.0, 0.1], (400, 10, 2)).reshape(400, 20), rng.random((400, 1))], 1)
    scaling = FeatureScaling.of(x, n_trace=20, channels=2)
    assert len(np.unique(scaling.mean[:20:2])) == 1
    assert len(np.unique(scaling.mean[1:20:2])) == 1
    again = FeatureScaling.from_arrays(scaling.to_arrays())
    np.testing.assert_array_equal(again(x), scaling(x))


def test_observation_outside_everything_is_named(rng) -> None:
    simulated = rng.random((100, 3))
    assert outside_simulations(np.array([0.5, 2.0, np.nan]), simulated).tolist() == [False, True, False]


def test_gaps_that_simulations_have_too_tell_something(rng) -> None:
    simulated = rng.random((100, 3))
    simulated[:30, 1] = np.nan
    observation = np.array([np.nan, np.nan, 0.5])
    hidden = unrecorded_features(observation, simulated, "auto")
    assert hidden is not None
    assert hidden.tolist() == [True, False, False]
    assert unrecorded_features(observation, simulated, "informative") is None
    assert unrecorded_features(observation, simulated, "unrecorded").tolist() == [True, True, False]
    assert unrecorded_features(np.ones(3), simulated, "auto") is None
