"""Distances of pairs are those of float64 differences, however they are summed."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import antidrome.dimension.pairs as pairs
from antidrome.dimension.points import as_points


@pytest.mark.parametrize("pairs_at_a_time", [100, 2**14])
def test_pairs_measured_by_columns_and_by_rows_are_the_same(pairs_at_a_time, rng, monkeypatch) -> None:
    small = {"CACHED_NUMBERS": 64, "CACHED_COLUMNS": 16, "PAIRS_AT_A_TIME": pairs_at_a_time}
    for name, value in small.items():
        monkeypatch.setattr(pairs, name, value)
    points = rng.standard_normal((50, 90)).astype(np.float32)
    one, other = rng.integers(0, 50, (2, 333))
    exact = np.linalg.norm(points[one].astype(np.float64) - points[other], axis=1)
    with ThreadPoolExecutor(2) as pool:
        wide = pairs.pair_distances(as_points(points), one, other, pool)
    np.testing.assert_array_equal(wide, pairs.pair_distances(as_points(points), one, other))
    np.testing.assert_allclose(wide, exact, rtol=1e-14)
    monkeypatch.setattr(pairs, "CACHED_COLUMNS", 2048)
    np.testing.assert_allclose(pairs.pair_distances(as_points(points), one, other), exact, rtol=1e-14)
