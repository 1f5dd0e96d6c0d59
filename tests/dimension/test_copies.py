"""Exact copies of points: noticed, counted, and neighbours of one another at distance zero."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import antidrome.dimension.copies as copies
from antidrome.dimension.graph import nearest_neighbours
from antidrome.errors import InputError


def plain(points, k):
    """Distances of the k nearest by float64 differences of all pairs."""
    distance = cdist(points, points)
    np.fill_diagonal(distance, np.inf)
    return np.sort(distance, axis=1)[:, :k]


def found(points, k=2, **options):
    return nearest_neighbours(points, k, progress=False, **options)


def test_copies_are_neighbours_at_zero(rng) -> None:
    points = np.vstack([rng.random((50, 3)), rng.random((50, 3))[[0]].repeat(4, 0)])
    graph = found(points, 3)
    np.testing.assert_allclose(graph["distance"], plain(points, 3), rtol=1e-12)
    assert graph["copies"].values[-1] == 4
    assert (graph["distance"].values[-4:] == 0).all()
    with pytest.raises(InputError, match=r"3 of 54 points are equal to an earlier one.*point 51 equals point 50"):
        found(points, duplicates="raise")


def test_rows_with_the_same_sum_by_accident_are_no_copies(rng, monkeypatch) -> None:
    points = rng.random((60, 3))
    points[40:50] = points[20:30]
    monkeypatch.setattr(copies, "_with_equal_sums", lambda _points, rows: (rows, np.full(rows.size, rows[0])))
    monkeypatch.setattr(copies, "NUMBERS_AT_A_TIME", 20)
    graph = found(points, 4)
    np.testing.assert_allclose(graph["distance"], plain(points, 4), rtol=1e-12)
    assert graph["copies"].values.tolist() == [2 if 20 <= i < 30 or 40 <= i < 50 else 1 for i in range(60)]


@pytest.mark.parametrize("k", [1, 3, 7])
def test_neighbours_among_many_copies(k, rng) -> None:
    points = rng.integers(0, 4, (500, 2)).astype(np.float64) + 0.1 * (np.arange(500) % 50 == 0)[:, None]
    graph = found(points, k)
    np.testing.assert_allclose(graph["distance"], plain(points, k), rtol=1e-12)
    gap = np.linalg.norm(points[:, None] - points[graph["neighbour"].values], axis=2)
    np.testing.assert_allclose(gap, graph["distance"], rtol=1e-12)
    rows = np.sort(np.hstack([graph["neighbour"].values, np.arange(500)[:, None]]), axis=1)
    assert (np.diff(rows, axis=1) > 0).all()  # nobody twice, and not oneself


def test_minus_zero_is_zero() -> None:
    points = np.array([[0.0, 1.0], [-0.0, 1.0], [1.0, 1.0], [3.0, 1.0]])
    assert found(points)["copies"].values.tolist() == [2, 2, 1, 1]


def test_points_that_differ_in_few_bits_are_no_copies(rng) -> None:
    points = np.repeat(rng.integers(0, 2**20, (40, 8)).astype(np.float64), 2, axis=0)
    points[1::2, 3] += 2.0**-20
    points[7] = points[6]
    assert found(points)["copies"].values.tolist() == [1] * 6 + [2, 2] + [1] * 72
