"""Lagged covariances in their three forms against sums written out."""

import dask.array
import numpy as np
import pytest

from antidrome.dynamics.lags import LagSet, lag_set, largest_lag, pair_counts
from antidrome.dynamics.moments import dense_moments, streamed_moments
from antidrome.dynamics.pairwise import pair_moments
from antidrome.dynamics.preparation import rescaled_for_missing
from antidrome.dynamics.sketch import orthonormal, sketch
from antidrome.errors import InputError

LAGS = LagSet((0, 1, 4), np.array([1.0, 2.0, 0.5]))
SEGMENT = np.repeat([0, 1, -1, 2], [15, 9, 3, 13])


def by_hand(values, segment, lag):
    """Σ over pairs of frames of one stretch, one at a time."""
    seen = segment >= 0
    y = values - values[seen].mean(axis=0)
    total, n = np.zeros((values.shape[1],) * 2), 0
    for t in range(len(y) - lag):
        if segment[t] >= 0 and segment[t] == segment[t + lag]:
            total += np.outer(y[t + lag], y[t])
            n += 1
    return total / max(n - 1, 1), n


@pytest.fixture
def values(rng):
    return rng.standard_normal((40, 6)).cumsum(axis=0) + 5


@pytest.mark.parametrize("segment", [np.zeros(40, int), SEGMENT])
def test_dense_covariances_never_cross_a_gap(values, segment, data_of):
    moments = dense_moments(data_of(values, segment=segment), LAGS)
    for i, lag in enumerate(LAGS.lags):
        expected, n = by_hand(values, segment, lag)
        assert pair_counts(segment, [lag])[0] == n
        if lag == 0:
            np.testing.assert_allclose(moments.variance, np.diagonal(expected))
            np.fill_diagonal(expected, 0)
        np.testing.assert_allclose(moments.covariance[i], expected, atol=1e-12)


@pytest.mark.parametrize("form", ["streamed", "sketched", "restricted"])
def test_all_forms_answer_alike(values, rng, data_of, form):
    data = data_of(values, segment=SEGMENT)
    dense = dense_moments(data, LAGS)
    other = streamed_moments(data, LAGS) if form != "sketched" else sketch(data, LAGS, 6, rng)
    if form == "restricted":
        keep = np.array([0, 2, 5])
        dense, other = dense.restricted(keep, 3.0), other.restricted(keep, 3.0)
        assert other.weight == 3.0
    loadings, mixing = rng.standard_normal((len(dense.rows), 2)), rng.standard_normal((3, 2, 2))
    (expected, cache), (found, other_cache) = dense.products(loadings), other.products(loadings)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    np.testing.assert_allclose(other.mix(other_cache, mixing), dense.mix(cache, mixing), atol=1e-10)
    diagonals = np.diagonal(dense.covariance, axis1=1, axis2=2)
    np.testing.assert_allclose(other.diagonals(), diagonals, atol=1e-10)
    np.testing.assert_allclose(dense.diagonals(), diagonals)
    np.testing.assert_allclose(dense.mix(cache, mixing), mixed_by_hand(dense.covariance, loadings, mixing), atol=1e-10)
    np.testing.assert_allclose(
        other.pairs(np.array([0]), np.array([1, 2])), dense.pairs(np.array([0]), np.array([1, 2]))
    )


def mixed_by_hand(covariance, loadings, mixing):
    return sum(c @ loadings @ x.T + c.T @ loadings @ x for c, x in zip(covariance, mixing, strict=True))


def test_streaming_in_small_blocks_changes_nothing(values, rng, data_of, monkeypatch):
    data = data_of(values, segment=SEGMENT)
    basis, mixing = rng.standard_normal((6, 2)), rng.standard_normal((3, 2, 2))

    def mix(z, segment):
        from antidrome.dynamics.lags import lagged_mixture

        return lagged_mixture(z, segment, LAGS.lags, mixing)

    whole = data.project_and_back(basis, mix, LAGS.largest)
    monkeypatch.setattr("antidrome.dynamics.data.BLOCK_VALUES", 1)
    monkeypatch.setattr("antidrome.dynamics.data.FEWEST_FRAMES", 1)
    assert len(list(data.blocks(LAGS.largest))) == 3
    diagonals = np.diagonal(dense_moments(data, LAGS).covariance, axis1=1, axis2=2)
    np.testing.assert_allclose(streamed_moments(data, LAGS).diagonals(), diagonals, atol=1e-12)
    np.testing.assert_allclose(data.project_and_back(basis, mix, LAGS.largest), whole, atol=1e-12)


@pytest.mark.parametrize("lags", [LAGS, LagSet((0, 7, 39), np.ones(3))], ids=["short", "long"])
@pytest.mark.parametrize("n_frames", [1, 12, 13, 14, 39, 40, 41])
@pytest.mark.parametrize("chunks", [None, (17, 2)], ids=["numpy", "dask"])
def test_covariances_are_summed_over_blocks_that_are_read_once(
    values, lags, n_frames, chunks, data_of, rng, monkeypatch
):
    values[rng.random(values.shape) < 0.1] = np.nan
    data = data_of(values if chunks is None else dask.array.from_array(values, chunks=chunks), segment=SEGMENT)
    dense, pairs = dense_moments(data, lags), pair_moments([data], lags, 6)
    monkeypatch.setattr("antidrome.dynamics.data.BLOCK_VALUES", 6 * n_frames)
    monkeypatch.setattr("antidrome.dynamics.data.FEWEST_FRAMES", 1)
    blocks = list(data.once(lags.largest))
    assert sum(len(block) - before for _, before, block in blocks) == 40
    assert len(blocks) > 1 or n_frames >= 40 or lags.largest == 39
    np.testing.assert_allclose(dense_moments(data, lags).covariance, dense.covariance, atol=1e-12)
    again = pair_moments([data], lags, 6)
    np.testing.assert_allclose(again.covariance, pairs.covariance, atol=1e-12)
    np.testing.assert_array_equal(again.count, pairs.count)


def test_sessions_kept_in_memory_stay_there_when_scaled_for_missing_entries(values, rng, data_of):
    values[rng.random(values.shape) < 0.1] = np.nan
    data = data_of(values)
    kept = rescaled_for_missing(data.in_memory()).kept
    assert kept is not None
    np.testing.assert_array_equal(kept, rescaled_for_missing(data).read(0, 40))


def test_pair_counts_of_missing_entries_are_exact(values, rng, data_of):
    values[rng.random(values.shape) < 0.2] = np.nan
    data = data_of(values, segment=SEGMENT)
    moments = pair_moments([data], LAGS, 6)
    y = values - data.session.mean
    for i, lag in enumerate(LAGS.lags):
        for a, b in ((0, 1), (3, 3), (5, 2)):
            joint = [
                y[t + lag, a] * y[t, b]
                for t in range(40 - lag)
                if SEGMENT[t] >= 0 and SEGMENT[t] == SEGMENT[t + lag] and np.isfinite(y[t + lag, a] * y[t, b])
            ]
            assert moments.count[i, a, b] == len(joint)
            np.testing.assert_allclose(moments.covariance[i, a, b], sum(joint) / (len(joint) - 1))


def test_orthonormal_of_many_rows(rng):
    columns = rng.standard_normal((20_001, 3)) @ np.array([[1, 1, 1], [0, 1e-3, 1], [0, 0, 1e-2]])
    basis = orthonormal(columns)
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-10)
    np.testing.assert_allclose(basis @ (basis.T @ columns), columns, atol=1e-8)


@pytest.mark.parametrize("lengths", [[9], [4, 4, 4], [5, 3], [7, 2], [2], [1, 1]])
def test_the_largest_lag_joins_two_pairs(lengths):
    segment = np.repeat(np.arange(len(lengths)), lengths)
    found = largest_lag(np.concatenate([segment, [-1]]))
    counts = pair_counts(segment, range(10))
    assert found == max((lag for lag in range(1, 10) if counts[lag] > 1), default=0)


def test_lag_sets():
    assert lag_set(None, None, 3).lags == (0, 1, 2, 3, 4, 5)
    without_zero = lag_set([5, 2], [1.0, 3.0], 3)
    assert without_zero.lags == (0, 2, 5)
    np.testing.assert_array_equal(without_zero.weights, [0, 3, 1])
    for lags, weights in (([-1], None), ([1, 1], None), ([], None), ([1], [0.0]), ([1], [1.0, 1.0])):
        with pytest.raises(InputError, match="lag"):
            lag_set(lags, weights, 3)
