"""The objective against plain NumPy and SciPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.special import gammaln

from antidrome.spikes.counts import CountPosterior
from antidrome.spikes.objective import CORRELATION_WEIGHT, SMOOTHING_S, SPIKE_SOFTENING, smooth, supervised_loss


def test_smoothing_is_a_gaussian_of_each_samples_own_width(rng):
    x = rng.random((2, 300)).astype(np.float32)
    result = np.asarray(smooth(jnp.asarray(x), jnp.array([2.0, 6.0])))
    for row, width in enumerate((2.0, 6.0)):
        np.testing.assert_allclose(result[row], gaussian_filter1d(x[row], width, mode="constant"), atol=2e-3)


def test_loss_against_plain_numpy(rng):
    logit, extra = rng.normal(-1, 1, (3, 200)), rng.uniform(0.05, 1, (3, 200))
    counts = rng.poisson(0.2, (3, 200)).astype(float)
    counts[2] = 0
    rate = np.array([10.0, 30.0, 60.0])
    p = 1 / (1 + np.exp(-logit))
    further = np.maximum(counts - 1, 0)
    some = np.log(p) + further * np.log(extra) - extra - gammaln(further + 1)
    likelihood = np.where(counts > 0, some, np.log(1 - p)).sum(axis=1) / (counts.sum(axis=1) + SPIKE_SOFTENING)
    agreement = 0.0
    for width in SMOOTHING_S:
        pairs = [
            [gaussian_filter1d(x[i], width * rate[i], mode="constant", truncate=8) for x in (p * (1 + extra), counts)]
            for i in range(2)
        ]
        agreement += sum(np.corrcoef(a, b)[0, 1] for a, b in pairs) / 3
    posterior = CountPosterior(jnp.asarray(logit, jnp.float32), jnp.asarray(extra, jnp.float32))
    arrays = [jnp.asarray(a, jnp.float32) for a in (counts, np.ones((3, 200)), rate)]
    expected = -likelihood.mean() - CORRELATION_WEIGHT * agreement
    assert float(supervised_loss(posterior, *arrays)) == pytest.approx(expected, abs=5e-3)


def test_padding_does_not_count(rng):
    logit = rng.normal(-1, 1, (2, 128))
    counts = rng.poisson(0.3, (2, 128)).astype(float)
    inside = np.ones((2, 128))
    inside[:, 100:] = 0

    def loss(change):
        altered = logit.copy()
        altered[:, 100:] += change
        posterior = CountPosterior(jnp.asarray(altered, jnp.float32), jnp.full((2, 128), 0.1))
        return float(
            supervised_loss(posterior, *(jnp.asarray(a, jnp.float32) for a in (counts, inside, np.full(2, 30.0))))
        )

    assert loss(0.0) == pytest.approx(loss(5.0), abs=1e-5)
    assert loss(0.0) != loss_with_all_frames(logit, counts)


def loss_with_all_frames(logit, counts):
    posterior = CountPosterior(jnp.asarray(logit, jnp.float32), jnp.full((2, 128), 0.1))
    arrays = (jnp.asarray(counts, jnp.float32), jnp.ones((2, 128)), jnp.full(2, 30.0))
    return float(supervised_loss(posterior, *arrays))
