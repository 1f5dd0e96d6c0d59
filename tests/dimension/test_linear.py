"""Linear companions against NumPy's own decomposition and against simulation."""

import numpy as np
import pytest

import antidrome.dimension.linear as linear
from antidrome.dimension import linear_dimension
from antidrome.dimension.points import as_points
from antidrome.errors import InputError


@pytest.mark.parametrize("shape", [(200, 30), (40, 300)])
@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("chunk", [2**12, 2**26])
def test_spectrum_is_that_of_the_covariance(shape, standardise, chunk, rng, monkeypatch) -> None:
    monkeypatch.setattr(linear, "CHUNK_BYTES", chunk)
    points = rng.standard_normal(shape) * np.arange(1, shape[1] + 1) + 100
    points[:, 3] = 7.0
    centred = points - points.mean(axis=0)
    if standardise:
        centred /= np.where(points.std(axis=0) > 0, points.std(axis=0), 1)
    expected = np.linalg.svd(centred, compute_uv=False) ** 2 / (shape[0] - 1)
    found = linear.principal_variances(as_points(points), standardise=standardise)
    np.testing.assert_allclose(found.variances, expected[: found.variances.size], atol=1e-9 * expected[0])
    assert found.n_constant == 1
    share = np.cumsum(expected) / expected.sum()
    result = linear_dimension(points, standardise=standardise)
    assert result["pca_dimension"] == np.flatnonzero(share >= 0.9)[0] + 1


def test_participation_ratio_has_no_bias_of_few_points(rng) -> None:
    scale = np.linspace(2, 0.5, 60)
    true = np.sum(scale**2) ** 2 / np.sum(scale**4)
    found = [linear_dimension(rng.standard_normal((25, 60)) * scale, standardise=False) for _ in range(200)]
    raw = np.mean([one["participation_ratio_raw"] for one in found])
    corrected = np.median([one["participation_ratio"] for one in found])
    assert abs(corrected - true) < 0.15 * true < 0.4 * abs(raw - true)


def test_parallel_analysis_counts_real_components(rng) -> None:
    latent = rng.standard_normal((300, 4)) @ rng.standard_normal((4, 40))
    result = linear_dimension(latent + 0.5 * rng.standard_normal((300, 40)), n_shuffles=5, seed=1)
    assert result["parallel_analysis"] == 4
    noise = linear_dimension(rng.standard_normal((300, 40)), n_shuffles=10, seed=1)
    assert noise["parallel_analysis"] <= 2


def test_what_cannot_be_used_is_said() -> None:
    with pytest.raises(InputError, match="do not vary"):
        linear_dimension(np.ones((10, 3)))
    with pytest.raises(InputError, match="too few"):
        linear_dimension(np.eye(4))
    with pytest.raises(InputError, match="share"):
        linear_dimension(np.eye(9), share=90)
    with pytest.raises(InputError, match="n_shuffles = -1, expected a whole number, at least 0"):
        linear_dimension(np.eye(9), n_shuffles=-1)
    with pytest.raises(InputError, match="finite"):
        linear_dimension(np.where(np.eye(9) == 1, np.nan, 0.0))
