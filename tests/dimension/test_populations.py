"""Populations: what is left out, what the controls say, and what cannot be concluded."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from antidrome.dimension.conclusions import last_doubling
from antidrome.dimension.population_data import population_points, shifted
from antidrome.dimension.populations import PopulationConfig, population
from antidrome.errors import InputError

FEW = {"n_draws": 2, "n_shuffles": 2, "progress": False}


def smooth(rng, n_frames: int, n: int, width: int = 1) -> np.ndarray:
    """Independent smoothed noise, each of variance 1."""
    raw = rng.normal(size=(n_frames + width - 1, n))
    kernel = np.ones(width) / np.sqrt(width)
    return np.stack([np.convolve(column, kernel, mode="valid") for column in raw.T], axis=1)


def test_three_latents_behind_many_neurons(rng) -> None:
    latents = smooth(rng, 1200, 3)
    recording = np.tanh(latents @ rng.normal(size=(3, 24)))
    found = population(recording, exclude_bins=0, **FEW)
    assert float(found["dimension"]) == pytest.approx(3, abs=0.5)
    assert float(found["shuffled_dimension"].mean()) > 8
    assert list(found["n_neurons"].values) == [6, 12, 24]
    assert found["dimension_by_neurons"].shape == (3, 2)
    assert found["dimension_by_points"].sizes["n_points_drawn"] == 4
    assert int(found["components_above_shuffled"]) >= 3
    assert not any("shared structure cannot" in s for s in found.attrs["conclusions"])


def test_independent_neurons_are_told_apart_from_structure(rng) -> None:
    found = population(rng.normal(size=(700, 16)), **FEW)
    said = " ".join(found.attrs["conclusions"])
    assert "shared structure cannot be concluded" in said
    assert "grows by" in said, "independent neurons: each adds its own dimension"
    assert float(found["dimension"]) == pytest.approx(float(found["shuffled_dimension"].mean()), rel=0.15)


@pytest.mark.parametrize("along", ["n_neurons", "n_points_drawn"])
def test_growth_is_per_doubling_also_where_half_was_rounded_down(along) -> None:
    table = xr.DataArray([[2.0, np.nan], [4.0, 5.0]], {along: [4, 9]}, dims=(along, "draw"))
    assert last_doubling(table) == pytest.approx(2.0), "in proportion to the size"


def test_noise_that_fills_dimensions_is_said(rng) -> None:
    latents = smooth(rng, 900, 2)
    clean = latents @ rng.normal(size=(2, 30))
    found = population(clean + 0.5 * rng.normal(size=clean.shape), **FEW)
    assert float(found["dimension"]) > 4
    assert "noise of single neurons" in " ".join(found.attrs["conclusions"])


def test_a_slow_trajectory_is_said(rng) -> None:
    recording = smooth(rng, 1000, 6, width=60) @ rng.normal(size=(6, 12))
    found = population(recording, exclude_bins=5, **FEW)
    assert float(found["temporal_neighbours"]) > 0.9
    assert float(found["dimension_apart"]) > float(found["dimension"])
    assert "right beside them in time" in " ".join(found.attrs["conclusions"])
    trials = population(xr.DataArray(recording, dims=("trial", "neuron")), **FEW)
    assert float(trials["temporal_neighbours"]) == 0


def test_shifts_keep_every_neuron_and_break_what_is_shared(rng) -> None:
    shared = smooth(rng, 500, 1, width=5) @ np.ones((1, 8))
    moved = shifted(shared, rng)
    np.testing.assert_allclose(np.sort(moved, axis=0), np.sort(shared, axis=0))
    lag_one = [np.corrcoef(c[:-1], c[1:])[0, 1] for c in moved.T]
    assert min(lag_one) > 0.7
    assert np.abs(np.corrcoef(moved.T)[0, 1:]).max() < 0.9


def test_times_of_a_table_are_no_neuron(rng) -> None:
    values = rng.normal(size=(60, 3))
    table = pd.DataFrame(values, index=np.arange(60) / 20, columns=list("abc"))
    np.testing.assert_array_equal(population_points(table, PopulationConfig()).values, values)
    with pytest.raises(InputError, match="column 'time' that tells of its rows"):
        population_points(table.rename_axis("time").reset_index(), PopulationConfig())
    with pytest.raises(InputError, match="a tuple that cannot be made an array"):
        population_points((values, list("abc")), PopulationConfig())


def test_stacked_trials_are_a_recording_as_with_frames_that_have_a_name_of_time(rng) -> None:
    cube = xr.DataArray(smooth(rng, 240, 6).reshape(4, 60, 6), dims=("trial", "time", "neuron"))
    named, stacked = (cube.stack({name: ("trial", "time")}) for name in ("frame", "sample"))
    for given in (stacked, stacked.transpose("sample", "neuron")):
        found = population_points(given, PopulationConfig())
        assert found.kind == "time"
        np.testing.assert_array_equal(found.values, population_points(named, PopulationConfig()).values)
    assert population_points(cube.stack(sample=("time", "trial")), PopulationConfig()).kind == "trial"


def test_what_is_left_out_is_counted(rng) -> None:
    recording = rng.normal(size=(400, 10))
    recording[:, 2] = 1.0
    recording[:300, 5] = np.nan
    recording[7, 0] = np.nan
    given = population_points(recording, PopulationConfig(max_points=100))
    assert given.values.shape == (399, 8)
    assert given.n_used == 100
    assert 7 not in given.frame
    said = " ".join(given.notes)
    for words in (
        "1 of 10 neurons is constant",
        "1 of 10 neurons is missing",
        "1 of 400 points",
        "100 of 399 points",
    ):
        assert words in said


def test_bins_are_means_and_the_rest_is_counted(rng) -> None:
    recording = rng.normal(size=(103, 4))
    given = population_points(recording, PopulationConfig(bin_frames=10))
    np.testing.assert_allclose(given.values, recording[:100].reshape(10, 10, 4).mean(axis=1))
    assert given.notes == ("3 frames were left out at the end: no whole bin.",)


def test_sparse_events_are_said(rng) -> None:
    events = (rng.random((600, 8)) < 0.15) * rng.exponential(size=(600, 8))
    found = population(events, **FEW)
    assert "were left out, being equal to others" in " ".join(found.attrs["conclusions"])


def test_the_same_seed_gives_the_same(rng) -> None:
    recording = rng.normal(size=(200, 6))
    xr.testing.assert_identical(population(recording, **FEW), population(recording, **FEW))


@pytest.mark.parametrize(
    ("recording", "settings", "message"),
    [
        (np.zeros((100, 5)), {}, "0 neurons are left"),
        (np.eye(20), {}, "20 points × 20 neurons are left; at least 50 points"),
        (np.full((100, 5), np.nan), {}, "neurons are left"),
        (np.zeros(100), {}, "expected numbers"),
        (np.array([["a"]]), {}, "expected numbers"),
        (np.full((60, 3), np.inf), {}, "infinite value"),
        (np.ones((100, 5)), {"bin_frames": 200}, "no whole bin"),
        (np.ones((100, 5)), {"bin_frames": 0}, "bin_frames = 0, expected a whole number, at least 1"),
        (np.ones((100, 5)), {"n_draws": 2.5}, "n_draws = 2.5, expected a whole number"),
        (np.ones((100, 5)), {"max_points": 99.5}, "max_points = 99.5, expected a whole number"),
        (np.ones((100, 5)), {"max_points": 3}, "max_points is 3"),
        (np.ones((100, 5)), {"discard_fraction": 1.0}, "discard_fraction is 1"),
    ],
)
def test_hostile_recordings_are_sentences(unchecked_types, recording, settings, message) -> None:
    with pytest.raises(InputError, match=message):
        population(recording, progress=False, **settings)


def test_axes_are_told_by_their_names_whatever_their_order(rng) -> None:
    settings = PopulationConfig(max_points=None)
    values = rng.standard_normal((200, 5))
    expected = population_points(xr.DataArray(values, dims=("time", "neuron")), settings)
    for dims in (("roi", "frame"), ("cell", "time"), ("component", "time")):
        found = population_points(xr.DataArray(values.T, dims=dims), settings)
        np.testing.assert_array_equal(found.values, expected.values)
        assert found.kind == "time"


def test_masked_values_are_missing(rng, unchecked_types) -> None:
    values = rng.standard_normal((200, 5))
    masked = np.ma.masked_array(values, mask=values > 2)
    found = population_points(masked, PopulationConfig(max_points=None))
    assert len(found.values) == int((values <= 2).all(axis=1).sum()) < 200
    assert found.notes[0] == f"{int((values > 2).sum())} masked samples taken as missing"


def test_a_result_of_several_arrays_is_refused_with_their_names(unchecked_types) -> None:
    with pytest.raises(InputError, match="Dataset with variables 'rate_hz', expected one array"):
        population(xr.Dataset({"rate_hz": (("time", "neuron"), np.zeros((60, 3)))}), progress=False)


def test_a_column_of_times_in_a_table_is_no_neuron(rng, unchecked_types) -> None:
    table = pd.DataFrame(rng.standard_normal((200, 5)), columns=list("abcde"))
    found = population_points(table, PopulationConfig(max_points=None))
    np.testing.assert_array_equal(found.values, table.to_numpy())
    with pytest.raises(InputError, match="column 'time' that tells of its rows"):
        population_points(table.assign(time=np.arange(200) / 20), PopulationConfig(max_points=None))
