"""`antidrome.plot`: what is drawn of each thing, in both libraries, and what has no picture."""

import numpy as np
import pytest
import xarray as xr

import antidrome as ad
from antidrome.errors import InputError
from antidrome.plotting.pictures import picture_of
from antidrome.plotting.shapes import MOST_TRACES

POINTS = np.random.default_rng(0).standard_normal((300, 2)) @ np.ones((2, 4))


def recording(n_neurons=3, n_frames=50):
    values = np.random.default_rng(0).standard_normal((n_frames, n_neurons))
    values[3, 0] = np.nan
    coords = {"time": np.arange(n_frames) / 30, "neuron": [f"n{i}" for i in range(n_neurons)]}
    return xr.DataArray(values, dims=("time", "neuron"), coords=coords, attrs={"units": "1"})


def test_traces_stand_above_one_another_and_keep_their_shape():
    given = recording()
    picture = picture_of(given)
    assert len(picture.series) == 3
    for series, trace in zip(picture.series, given.values.T, strict=True):
        np.testing.assert_allclose(np.diff(series.y), np.diff(trace))
    assert [np.nanmean(series.y) for series in picture.series] == sorted(np.nanmean(s.y) for s in picture.series)


def test_axes_are_in_the_units_that_they_name():
    given = recording()
    seconds = given["time"].values
    for time in (("time", seconds * 1000, {"units": "ms"}), (seconds * 1e9).round().astype("m8[ns]")):
        picture = picture_of(given.assign_coords(time=time))
        assert picture.x_label == "time (s)"
        np.testing.assert_allclose(picture.series[0].x, seconds)
    assert picture_of(given.drop_vars("time")).x_label == "frame"
    assert "spikes per frame" in picture_of(given.to_dataset(name="expected_spikes")).y_label


def test_many_neurons_are_cut_and_it_is_said():
    picture = picture_of(recording(MOST_TRACES + 5))
    assert len(picture.series) == MOST_TRACES
    assert picture.title == f"{MOST_TRACES} neurons of {MOST_TRACES + 5}"


def test_no_event_of_a_long_trace_is_lost(monkeypatch):
    monkeypatch.setattr("antidrome.plotting.shapes.MOST_POINTS", 100)
    given = recording(3, 995)
    given.values[:] = np.random.default_rng(4).random(given.shape)
    given.values[[7, 501, 990], [0, 1, 2]] = 5
    given.values[300:340, 1] = np.nan
    for series, trace in zip(picture_of(given).series, given.values.T, strict=True):
        places = np.searchsorted(given["time"].values, series.x)
        assert places.size <= 100
        assert np.nanargmax(trace) in places
        assert np.nanargmin(trace) in places
        np.testing.assert_allclose(series.y - series.y[0], trace[places] - trace[places[0]])


def test_a_fit_of_two_nn_shows_its_line():
    model = ad.TwoNN().fit(POINTS + 1e-3 * np.random.default_rng(1).standard_normal(POINTS.shape), progress=False)
    ratios, line = picture_of(model).series
    assert (np.diff(ratios.x) >= 0).all()
    assert line.y[1] / line.x[1] == pytest.approx(model.dimension_)


def test_a_population_is_shown_beside_its_control():
    found = ad.dimension.population(recording(8, 400), n_draws=1, n_shuffles=1, progress=False)
    assert [series.name for series in picture_of(found).series] == ["recorded", "shifted against one another"]


@pytest.fixture(scope="module")
def system():
    """A small fit, and the activity that it was made from."""
    truth = ad.dynamics.simulate(n_neurons=12, n_components=2, n_frames=200, seed=3)
    model = ad.StitchedLDS(2, n_starts=1, zero_lag="never")
    return model.fit([truth.activity], frame_rate_hz=30, progress=False), truth.activity


def test_a_system_shows_its_eigenvalues(system):
    for drawn in (system[0], system[0].dynamics_table()):
        _, eigenvalues = picture_of(drawn).series
        np.testing.assert_array_less(np.hypot(eigenvalues.x, eigenvalues.y), 1.0)
        assert eigenvalues.x.size == 2


def test_predictions_have_a_band_of_their_sd(system):
    model, activity = system
    for found, mean, sd in (
        (model.impute(activity), "mean", "sd"),
        (model.forecast(activity, 5), "mean", "sd"),
        (model.transform(activity), "latent", None),
    ):
        series = picture_of(found).series
        lines, bands = ([one for one in series if one.kind == kind] for kind in ("line", "band"))
        values = found[mean].values
        variance = (
            np.diagonal(found["latent_covariance"].values, axis1=1, axis2=2) if sd is None else found[sd].values ** 2
        )
        assert len(lines) == len(bands) == values.shape[1]
        for place, (line, band) in enumerate(zip(lines, bands, strict=True)):
            np.testing.assert_allclose(np.diff(line.y), np.diff(values[:, place]), atol=1e-9)
            np.testing.assert_array_equal(line.y, band.y)
            np.testing.assert_allclose(band.half_width**2, variance[:, place])
    chosen = model.transform(activity).isel(component=1)
    assert [one.kind for one in picture_of(chosen).series] == ["line", "band"]
    assert [one.kind for one in picture_of(chosen.isel(component_2=0)).series] == ["line"]


def test_every_result_of_a_system_is_drawn_in_both_libraries(system):
    model, activity = system
    matrix = picture_of(model.predict_correlation([2, 0, 1]))
    assert matrix.rows == matrix.columns == ("2", "0", "1")
    assert matrix.largest == pytest.approx(1)
    found = (
        model.sample(20),
        model.dynamics_table(),
        model.select_order(activity, [1, 2], progress=False),
        model.stationarity(activity),
        model.predict_covariance([0, 1]),
        model.impute(activity).sel(neuron="3"),
    )
    for one in found:
        assert one.antidrome.plot().renderers
    np.testing.assert_array_equal(picture_of(found[2]).series[0].x, [1, 2])
    assert picture_of(found[3]).x_names == ("0",)
    pytest.importorskip("matplotlib").use("agg")
    for one in found:
        ad.plot(one, backend="matplotlib").figure.clear()


def test_spike_times_are_points_in_the_row_of_their_neuron():
    names = ["n10", "n9", "n9"]
    found = xr.Dataset(
        {"neuron": ("spike", names)}
        | {name: ("spike", [0.5, 0.1, 0.7]) for name in ("time_s", "low_s", "high_s", "probability")}
    )
    picture = picture_of(found)
    assert picture.y_names == ("n10", "n9")
    np.testing.assert_array_equal(picture.series[0].y, [0, 1, 1])
    np.testing.assert_array_equal(picture.series[0].x, [0.5, 0.1, 0.7])
    assert ad.plot(found).yaxis.major_label_overrides == {0: "n10", 1: "n9"}


def test_drawn_trains_are_shown_by_mean_and_sd():
    draws = xr.concat([recording(), recording() + 2.0], "sample")
    line, band = (picture_of(draws).series[place] for place in (1, 4))
    np.testing.assert_allclose(np.diff(line.y), np.diff(recording().values[:, 1]))
    np.testing.assert_allclose(band.half_width, 1.0)


class Fitted(ad.SpikeVAE):
    """Holds what a fit of SpikeVAE leaves."""

    def __init__(self, parameters=None, losses=None):
        super().__init__()
        if parameters is not None:
            self.generative_parameters_ = xr.Dataset({name: ("neuron", values) for name, values in parameters.items()})
            self.report_ = {"losses": losses}


Fitted.__name__ = "SpikeVAE"
Fitted.__module__ = ad.SpikeVAE.__module__
LOSSES = {"step": [10, 20], "training_loss": [3.0, 2.0], "held_out_loss": [3.5, 2.5]}


def test_fitted_spikes_show_which_cells_have_spikes_below_the_noise():
    cells, half = picture_of(Fitted({"amplitude": [0.2, 0.01], "noise_sd": [0.1, 0.1]}, LOSSES)).series
    assert list(cells.y > np.interp(cells.x, half.x, half.y)) == [True, False]


def test_fitted_spikes_of_another_generative_model_show_the_training():
    for losses, names in ((LOSSES, [""]), ({"sleep": LOSSES, "wake": LOSSES}, ["sleep", "wake"])):
        series = picture_of(Fitted({"gain": [1.0]}, losses)).series
        assert [one.name for one in series] == names
        assert list(series[0].y) == [3.5, 2.5]


def test_results_of_dimension_have_a_picture_each():
    points = np.random.default_rng(2).standard_normal((300, 3))
    found = ad.dimension.estimate(points, progress=False)
    curve, one = picture_of(found).series
    assert one.y[0] == found["dimension"].sel(estimator="two_nn")
    assert (np.diff(curve.x) > 0).all()
    blocks = ad.dimension.block_analysis(points, progress=False)
    np.testing.assert_array_equal(picture_of(blocks).series[0].x, blocks["n_points"])
    gride = ad.dimension.gride(ad.dimension.nearest_neighbours(points, 4, progress=False))
    np.testing.assert_array_equal(picture_of(gride).series[0].y, gride["dimension"])
    assert "3 components" in picture_of(ad.dimension.linear_dimension(points)).title


@pytest.mark.parametrize("scale", ["gride", "blocks"])
def test_the_curve_of_two_nn_is_drawn_however_it_is_given(scale):
    model = ad.TwoNN(scale=scale).fit(np.random.default_rng(2).standard_normal((300, 3)), progress=False)
    for given in (model.scale_, model.to_dataset()):
        (curve,) = picture_of(given).series
        np.testing.assert_array_equal(curve.x, model.scale_["distance" if scale == "gride" else "n_points"])
        np.testing.assert_array_equal(curve.y, model.scale_["dimension"])


def profile(**classes):
    draw = np.random.default_rng(3)
    networks = {one: {f"{one}{i}": draw.standard_normal((60, 4 + i)) for i in range(3)} for one in "ab"}
    return ad.dimension.layers(networks, linear=False, scale=False, progress=False, **classes)


def test_layers_of_several_networks_are_unbroken_curves_along_depth():
    found = profile().isel(layer=[4, 0, 5, 2, 1, 3])
    for series in picture_of(found).series:
        own = found.sel(network=series.name, layer=[f"{series.name}{i}" for i in range(3)])
        np.testing.assert_array_equal(series.x, [0, 0.5, 1])
        np.testing.assert_array_equal(series.y, own["dimension"].values[:, 0])


def test_classes_that_were_selected_have_a_curve_each():
    found = profile(classes=["x", "y"] * 30)
    assert [one.name for one in picture_of(found).series] == ["a", "b"]
    for chosen, names in (
        (found.sel({"class": ["x", "y"]}), ["a, x", "a, y", "b, x", "b, y"]),
        (found.sel({"class": "y", "network": "a"}), ["a, y"]),
    ):
        series = picture_of(chosen).series
        assert [one.name for one in series] == names
        for one in series:
            network, group = one.name.split(", ")
            expected = found.sel({"network": network, "class": group})["dimension"].dropna("layer")
            np.testing.assert_array_equal(one.y, expected)


def test_what_was_selected_is_drawn_as_it_was_with_the_others():
    given = recording().transpose("neuron", "time")
    result = xr.Dataset({"expected_spikes": given, "rate_hz": 30 * given})
    for one in (given.sel(neuron="n1"), given.sel(neuron=["n1"]), result.sel(neuron="n1")):
        (series,) = picture_of(one).series
        factor = 30 if hasattr(one, "data_vars") else 1
        np.testing.assert_allclose(series.y, factor * given.sel(neuron="n1").values)
    found = ad.dimension.population(recording(8, 400), n_draws=2, n_shuffles=1, progress=False)
    one = picture_of(found.isel(draw=1)).series[0]
    np.testing.assert_array_equal(one.y, found["dimension_by_neurons"].isel(draw=1))
    samples = xr.DataArray(np.eye(5), dims=("sample", "parameter"), coords={"parameter": list("abcde")})
    assert [series.name for series in picture_of(samples.sel(parameter="b")).series] == ["b"]


def test_an_estimate_of_one_estimator_is_drawn_under_its_name():
    found = ad.dimension.estimate(np.random.default_rng(2).standard_normal((300, 3)), blocks=None, progress=False)
    for name, shown in (("mle", "mle"), ("two_nn", "TwoNN")):
        _, point = picture_of(found.sel(estimator=name)).series
        assert point.name == shown
        assert (point.x, point.y) == (found["gride_distance"].values[0], found["dimension"].sel(estimator=name).values)
    _, point = picture_of(found.isel(scale_rank=slice(1, None))).series
    assert point.x.size == 0  # of its distance, that of the second neighbours, nothing is known any more


@pytest.mark.parametrize("without", ["time", "n_neurons"])
def test_what_has_no_axis_left_to_draw_along_is_refused(without):
    result = recording().to_dataset(name="expected_spikes")
    found = ad.dimension.population(recording(8, 400), n_draws=1, n_shuffles=1, progress=False)
    with pytest.raises(InputError, match="no picture"):
        ad.plot((result if without == "time" else found).isel({without: 0}))


def test_samples_of_a_posterior_show_a_marginal_for_each_parameter():
    values = np.random.default_rng(0).standard_normal((500, 2))
    samples = xr.DataArray(values, dims=("sample", "parameter"), coords={"parameter": ["a", "b"]})
    assert [series.name for series in picture_of(samples).series] == ["a", "b"]


@pytest.mark.slow
def test_a_posterior_draws_itself():
    prior = {"a": ad.mechanism.Uniform(-3, 3)}
    model = ad.SNPE("npe", n_simulations=200, diagnose=False, n_predictive=0)
    model.fit(lambda a, seed: {"x": a + np.random.default_rng(seed).normal()}, prior, {"x": 0.5}, progress=False)
    assert len(model.plot().renderers) == len(model.posterior_.plot().renderers) == 1
    assert [series.name for series in picture_of(model.posterior_).series] == ["a"]
    assert [series.name for series in picture_of(model.posterior_.density()).series] == ["a"]


def test_estimators_recordings_and_results_draw_themselves():
    model = ad.TwoNN().fit(POINTS + 1e-3 * np.random.default_rng(1).standard_normal(POINTS.shape), progress=False)
    assert len(model.plot().renderers) == 2
    assert len(recording().antidrome.plot().renderers) == 3
    assert len(ad.dimension.linear_dimension(POINTS).antidrome.plot().renderers) == 1
    for estimator in (ad.SpikeVAE(), ad.StitchedLDS(), ad.TwoNN(), ad.SNPE()):
        with pytest.raises(InputError, match="not fitted yet"):
            estimator.plot()


def test_both_libraries_draw_it():
    from bokeh.plotting import figure

    drawn = ad.plot(recording())
    assert isinstance(drawn, figure)
    assert len(drawn.renderers) == 3
    pytest.importorskip("matplotlib").use("agg")
    axes = ad.plot(recording(), backend="matplotlib")
    assert len(axes.lines) == 3
    axes.figure.clear()


@pytest.mark.parametrize("thing", [np.zeros((3, 3)), "text", None, ad.TwoNN(), xr.Dataset()])
def test_what_has_no_picture_is_refused(thing):
    with pytest.raises(InputError, match=r"no picture|not fitted"):
        ad.plot(thing)


def test_an_unknown_backend_is_refused():
    with pytest.raises(InputError, match="backend is 'ggplot'"):
        ad.plot(recording(), backend="ggplot")
