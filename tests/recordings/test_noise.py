"""The standardised noise level: known noise, gaps, missing samples, units."""

import numpy as np
import pytest
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings.noise import noise_level


def dff(values, rate=30.0, time=None, **attrs):
    time = np.arange(len(values)) / rate if time is None else time
    coords = {"time": time, "neuron": [f"n{i}" for i in range(values.shape[1])]}
    attrs = {"quantity": "dff", "units": "1", **attrs}
    return xr.DataArray(values, dims=("time", "neuron"), coords=coords, attrs=attrs)


@pytest.mark.parametrize("rate", [7.5, 30.0, 120.0])
def test_white_noise_has_its_closed_form_level(rate):
    """For Gaussian noise of SD σ the median |Δ| is 0.6745·√2·σ."""
    sd = 0.1
    values = sd * np.random.default_rng(0).standard_normal((20_000, 3))
    level = noise_level(dff(values, rate))
    expected = 0.67449 * np.sqrt(2) * sd * 100 / np.sqrt(rate)
    np.testing.assert_allclose(level.values, expected, rtol=0.02)
    assert level.dims == ("neuron",)
    assert level.attrs["units"] == "% Hz^-1/2"
    assert list(level.neuron.values) == ["n0", "n1", "n2"]


def test_percent_is_understood():
    values = 0.1 * np.random.default_rng(0).standard_normal((2000, 2))
    np.testing.assert_allclose(noise_level(dff(values * 100, units="percent")), noise_level(dff(values)), rtol=1e-6)


def test_missing_samples_and_gaps_do_not_inflate_it():
    values = np.zeros((400, 2))
    values[1::2] = 0.01  # every step is 0.01
    values[200:] += 5.0  # a jump over the gap
    time = np.arange(400) / 30.0
    time[200:] += 60.0
    values[50:60, 1] = np.nan
    level = noise_level(dff(values, time=time))
    np.testing.assert_allclose(level, 1.0 / np.sqrt(30.0), rtol=1e-5)


def test_empty_neuron_is_nan_without_a_warning():
    values = np.random.default_rng(0).standard_normal((100, 2))
    values[:, 1] = np.nan
    level = noise_level(dff(values))
    assert np.isfinite(level[0])
    assert np.isnan(level[1])


def test_dask_blocks_agree(monkeypatch):
    da = pytest.importorskip("dask.array")
    values = np.random.default_rng(0).standard_normal((500, 7)).astype(np.float32)
    eager = noise_level(dff(values))
    monkeypatch.setattr("antidrome.recordings.noise.BLOCK_VALUES", 1000)
    lazy = noise_level(dff(values).copy(data=da.from_array(values, chunks=(100, 3))))
    np.testing.assert_array_equal(eager.values, lazy.values)


def test_raw_fluorescence_is_refused():
    with pytest.raises(InputError, match="delta_f_over_f"):
        noise_level(dff(np.ones((10, 1)), quantity="fluorescence"))


def test_unknown_frame_rate_is_refused():
    bare = xr.DataArray(np.zeros((10, 2)), dims=("time", "neuron"))
    with pytest.raises(InputError, match="frame rate"):
        noise_level(bare)


def test_a_frame_rate_that_the_times_contradict_is_refused():
    recording = dff(np.random.default_rng(0).random((60, 2)), rate=30.0, frame_rate_hz=30.0)
    every_other = recording.isel(time=slice(None, None, 2))
    with pytest.raises(InputError, match=r"30, but the times of the recording run at 15 Hz"):
        noise_level(every_other)


@pytest.mark.usefixtures("unchecked_types")
def test_other_names_of_the_axes_are_heeded_and_what_is_no_recording_refused():
    values = np.random.default_rng(0).random((40, 2))
    called = xr.DataArray(values.T, dims=("roi", "frame"), attrs={"frame_rate_hz": 20.0})
    np.testing.assert_allclose(noise_level(called).values, noise_level(dff(values, rate=20.0)).values)
    for given in (values, values.tolist(), "a.nwb"):
        with pytest.raises(InputError, match="make it one first"):
            noise_level(given)
