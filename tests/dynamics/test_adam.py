"""Windows of stochastic gradients: all used frames count alike, none is empty."""

import numpy as np
import pytest

import antidrome as ad
from antidrome.dynamics import simulate
from antidrome.dynamics.adam import _begin, _chances

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
