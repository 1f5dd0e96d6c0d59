"""Windows of stochastic gradients: all used frames count alike, none is empty."""

import numpy as np
import pytest

import antidrome as ad
from antidrome.dynamics import simulate
from antidrome.dynamics.adam import _begin, _chances, notes_on_descent
from antidrome.dynamics.gauge import principal_angles
from antidrome.errors import InputError

QUICK = {"solver": "adam", "max_iterations": 5, "seed": 1}


def test_windows_are_drawn_in_proportion_to_their_used_frames(rng):
    segment = np.full(40, -1)
    segment[:3], segment[30:36] = 0, 1
    chances = _chances(segment, 5)
    begins = np.array([_begin(chances, 36, rng) for _ in range(4000)])
    within = np.array([(segment[b : b + 5] >= 0).sum() for b in range(36)])
    shares = np.bincount(begins, minlength=36) / 4000
    np.testing.assert_allclose(shares, within / within.sum(), atol=0.02)
    assert within[begins].min() > 0
    assert _chances(np.zeros(40, int), 5) is None


@pytest.mark.parametrize("kind", ["blocks", "gap"])
def test_streams_with_gaps_are_fitted(kind):
    activity, given = simulate(12, 2, 4000, seed=1).activity, {}
    if kind == "blocks":
        activity[:2000, 8:], activity[2000:, :4] = np.nan, np.nan
    else:
        given["segments"] = {"0": [(0, 300), (3700, 4000)]}
    found = ad.StitchedLDS(2, **QUICK).fit(activity, progress=False, **given)
    assert np.isfinite(found.losses_).all()
    assert np.isfinite(found.predict_covariance(np.arange(12)).values).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_the_default_descent_finds_all_latent_directions(seed):
    truth = simulate(100, 4, 6000, seed=seed)
    found = ad.StitchedLDS(4, solver="adam", seed=seed).fit(truth.activity, progress=False)
    assert principal_angles(found.loadings_.values, truth.loadings)[-1] < 0.05
    assert not any("not settled" in note for note in found.notes_)


def test_a_descent_that_goes_on_is_told(rng):
    noise = rng.standard_normal(500)
    assert notes_on_descent(noise.tolist()) == []
    assert notes_on_descent([1.0] * 3) == []
    assert "Give more max_iterations" in notes_on_descent((noise - np.linspace(0, 3, 500)).tolist())[0]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"solver": "adam", "n_starts": 2}, "n_starts = 2 would change nothing beside solver='adam'"),
        ({"solver": "adam", "tolerance": 1e-3}, "tolerance = 0.001 would change nothing"),
        ({"solver": "adam", "n_folds": 5}, "n_folds = 5 would change nothing"),
        ({"observation": "poisson", "scaling": "none"}, "scaling = 'none' would change nothing beside observation"),
        ({"em_iterations": 5}, "em_iterations = 5 would change nothing beside refine=None"),
        ({"zero_lag": "always", "lags": [0, 1], "lag_weights": [1, 2]}, "lag_weights = .* would change nothing"),
    ],
)
def test_options_without_effect_are_refused(options, named):
    with pytest.raises(InputError, match=named):
        ad.StitchedLDS(2, **options).fit(np.abs(simulate(10, 2, 60, seed=1).activity), progress=False)


def test_the_order_is_selected_whatever_refines_the_fit():
    model = ad.StitchedLDS(2, refine="em", em_iterations=3, n_folds=1, max_iterations=3)
    curve = model.select_order(simulate(12, 2, 120, seed=1).activity, orders=(1, 2), progress=False)
    assert list(curve["order"].values) == [1, 2]
