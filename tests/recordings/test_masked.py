"""Masked samples are missing ones, and dask arrays of unknown length are told what to do, at every door."""

import dask.array as da
import numpy as np
import pytest

import antidrome as ad
from antidrome.dynamics.sessions import as_population
from antidrome.errors import InputError
from antidrome.recordings import as_recording, check, delta_f_over_f, from_array


@pytest.fixture
def masked(rng: np.random.Generator) -> np.ma.MaskedArray:
    """600 frames of three neurons at about 100, of which 60 samples are masked and hold a million."""
    values = rng.normal(100, 5, (600, 3)).astype(np.float32)
    mask = np.zeros(values.shape, dtype=bool)
    mask[100:160, 1] = True
    values[mask] = 1e6
    return np.ma.MaskedArray(values, mask)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16", "int32"])
def test_masked_samples_become_nan_and_are_counted(dtype):
    values = np.ma.MaskedArray(np.arange(12).reshape(6, 2).astype(dtype), np.arange(12).reshape(6, 2) % 5 == 0)
    recording = from_array(values, 30.0)
    assert recording.dtype.kind == "f"
    assert not isinstance(recording.data, np.ma.MaskedArray)
    assert np.array_equal(np.isnan(recording.values), values.mask)
    assert np.array_equal(recording.values[~values.mask], values.compressed())
    assert recording.attrs["notes"] == ["3 masked samples taken as missing"]
    assert np.array_equal(from_array(values.T, 30.0, orientation="neuron,time"), recording, equal_nan=True)


def test_a_mask_that_hides_nothing_is_not_worth_a_word():
    recording = from_array(np.ma.MaskedArray(np.zeros((4, 2))), 30.0)
    assert recording.attrs["notes"] == []


def test_masked_blocks_of_dask(masked):
    recording = as_recording(da.from_array(masked, chunks=(200, 3), asarray=False), 30.0)
    assert np.array_equal(np.isnan(recording.values), masked.mask)
    assert "masked samples" in recording.attrs["notes"][0]


def test_masked_times_are_refused(masked):
    time = np.ma.MaskedArray(np.arange(600) / 30, np.arange(600) == 7)
    with pytest.raises(InputError, match="first: frame 7"):
        from_array(masked, time=time)


def test_spikes_and_dff_see_no_masked_sample(masked):
    masked_dff, dff = masked / 100 - 1, masked.filled(np.nan) / 100 - 1
    found, expected = (ad.SpikeVAE().predict(x, 30.0, progress=False) for x in (masked_dff, dff))
    np.testing.assert_allclose(found["expected_spikes"], expected["expected_spikes"], rtol=1e-4)
    found = delta_f_over_f(masked, 30.0)
    assert np.array_equal(np.isnan(found), masked.mask)
    assert float(found.max()) < 1


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("lazy", [False, True])
def test_masked_neuropil_is_missing_neuropil(masked, lazy):
    plain = np.full(masked.shape, 100, np.float32)
    neuropil = da.from_array(masked, chunks=(600, 1), asarray=False) if lazy else masked
    found = delta_f_over_f(plain, 30.0, neuropil=neuropil)
    assert np.array_equal(np.isnan(found), masked.mask)
    assert any("masked samples of the neuropil" in note for note in found.attrs["notes"])


def test_checks_do_not_see_masked_samples(masked):
    unmasked = masked.filled(np.nan)
    assert [f.message for f in check(masked)] == [f.message for f in check(unmasked)]


@pytest.mark.parametrize("pair", [False, True])
def test_dynamics_takes_masked_entries_as_missing(masked, pair):
    plain, labels = masked.filled(np.nan), ["a", "b", "c"]
    found, expected = (as_population((x, labels) if pair else x) for x in (masked, plain))
    assert any("60 masked entries" in note for note in found.notes)
    np.testing.assert_array_equal(found.sessions[0].mean, expected.sessions[0].mean)
    np.testing.assert_array_equal(found.sessions[0].n_observed, [600, 540, 600])


@pytest.mark.usefixtures("unchecked_types")
def test_dask_arrays_of_unknown_length_are_told_what_to_do(rng):
    x = da.from_array(rng.normal(0, 1, (300, 2)).astype(np.float32), chunks=(100, 2))
    unknown = x[x[:, 0] > 0]
    for use in (
        lambda: from_array(unknown, 30.0),
        lambda: ad.SpikeVAE().predict(unknown, 30.0, progress=False),
        lambda: delta_f_over_f(unknown, 30.0),
        lambda: check(unknown),
        lambda: ad.StitchedLDS(n_components=1).fit(unknown),
    ):
        with pytest.raises(InputError, match=r"compute_chunk_sizes\(\)"):
            use()
    assert from_array(unknown.compute_chunk_sizes(), 30.0).sizes["neuron"] == 2
