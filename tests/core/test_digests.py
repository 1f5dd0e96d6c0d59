"""Every trace has a number of its own, whatever it is stored in."""

import dask.array as da
import numpy as np
import pytest
import scipy.sparse

from antidrome.dynamics import as_population
from antidrome.dynamics.resuming import fingerprint


@pytest.fixture
def counts(rng):
    return rng.poisson(0.6, (512, 5)).astype(float)


def hash_of(values, **given):
    return fingerprint(as_population(values, **given))


def test_the_storage_of_a_recording_does_not_change_its_hash(counts, monkeypatch):
    expected, holes = hash_of(counts), counts.copy()
    holes[3, 2] = np.nan
    expected_of_holes = hash_of(holes)
    monkeypatch.setattr("antidrome.dynamics.data.BLOCK_VALUES", 5 * 64)
    for chunks in ((512, 5), (100, 2)):
        assert hash_of(da.from_array(counts, chunks)) == expected
        assert hash_of(da.from_array(holes, chunks)) == expected_of_holes
    for one in (
        counts,
        np.where(counts > 0, counts, -0.0),
        counts.astype(np.uint16),
        counts.astype("f4"),
        scipy.sparse.csr_array(counts),
    ):
        assert hash_of(one) == expected
    assert hash_of(np.where(np.isnan(holes), np.inf, holes)) == expected_of_holes != expected


def test_frames_outside_all_segments_do_not_count(counts):
    other, segments = counts.copy(), {"0": [(0, 200), (300, 512)]}
    other[200:300] += 1
    for one in (other, da.from_array(other, (90, 5)), scipy.sparse.csr_array(other)):
        assert hash_of(one, segments=segments) == hash_of(counts, segments=segments)
    assert hash_of(other) != hash_of(counts)


@pytest.mark.parametrize("container", [np.asarray, lambda x: da.from_array(x, (100, 2)), scipy.sparse.csr_array])
def test_the_order_of_the_same_values_changes_the_hash(counts, container):
    shifted, swapped = np.column_stack([np.roll(x, 31 * (k + 1)) for k, x in enumerate(counts.T)]), counts.copy()
    one, other = np.flatnonzero(counts[:, 0] == 1)[0], np.flatnonzero(counts[:, 0] == 2)[0]
    swapped[[one, other], 0] = swapped[[other, one], 0]
    found = {hash_of(container(x)) for x in (counts, shifted, swapped, counts[::-1], 2 * counts)}
    assert len(found) == 5
