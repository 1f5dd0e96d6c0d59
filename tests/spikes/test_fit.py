"""`SpikeVAE.fit` in both ways: what it keeps, what it says, saved and loaded, seen and unseen cells, bad input."""

import copy
import dataclasses
from types import SimpleNamespace

import equinox as eqx
import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone

import antidrome as ad
from antidrome.core.model_files import load_model, save_model
from antidrome.errors import InputError, ModelFileError, ResumeError
from antidrome.spikes import lazy, learning
from antidrome.spikes.adaptation import AdaptationConfig
from antidrome.spikes.conditioning import noise_sd
from antidrome.spikes.generative import AbstractGenerativeModel, decay_filter, parameter
from antidrome.spikes.inference import infer_counts
from antidrome.spikes.opening import open_recording
from antidrome.spikes.same_cells import fingerprints
from antidrome.spikes.shared import SharedInference
from antidrome.spikes.starts import amplitude_starts, start_cells
from antidrome.spikes.variational import FitConfig, PosteriorConfig
from antidrome.spikes.variational.fit import bounds_of_windows
from antidrome.spikes.variational.windows import cut_windows
from antidrome.spikes.weights import load_network

RATE_HZ = 20.0
SHORT = AdaptationConfig(steps=3, batch=4, simulated_cells=8, gain=-1.0)
OWN = FitConfig(
    sleep_steps=6,
    wake_steps=3,
    samples=3,
    batch=6,
    window_frames=80,
    buffer_before=20,
    buffer_after=10,
    evaluate_every=3,
    posterior=PosteriorConfig(filters=(6,), widths=(9,), last_width=5, features=4, units=6, max_count=2),
)


@pytest.fixture(scope="module")
def dff():
    recording = ad.spikes.simulate(n_neurons=4, duration_s=40, frame_rate_hz=RATE_HZ, seed=3)["dff"].copy(deep=True)
    recording[:, 2] = 0.5
    return recording


@pytest.fixture(scope="module")
def others():
    return ad.spikes.simulate(n_neurons=2, duration_s=40, frame_rate_hz=RATE_HZ, seed=9)["dff"].assign_coords(
        neuron=["unseen", "neuron-001"]
    )


@pytest.fixture(scope="module")
def adapted(dff):
    return ad.SpikeVAE("simulations", config=SHORT, seed=4).fit(dff, progress=False)


@pytest.fixture(scope="module")
def own(dff):
    model = ad.SpikeVAE(posterior="factorised", superresolution=2, config=OWN, seed=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "amplitude_starts", lambda *_: (1.0,))  # each start is compiled anew
        return model.fit(dff, known_spikes={"neuron-001": [3.0, 4.2, 99.0]}, progress=False)


def agree(a, b):
    for name in a.data_vars:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_known_spikes_behind_the_recording_are_told(own):
    assert any(note.startswith("1 of 3 true spikes lie before the first or after") for note in own.notes_)


def test_the_traces_of_fitted_cells_are_kept_in_mind(own, dff):
    assert not own.inference_.traces.numbered
    expected = fingerprints(dff.sel(neuron=list(own.inference_.labels)).values.T)
    np.testing.assert_array_equal(own.inference_.traces.fingerprints, expected)


def test_what_is_drawn_for_a_neuron_does_not_depend_on_its_neighbours(own, dff):
    whole = own.predict(dff, n_samples=3, progress=False)
    turned = own.predict(dff[:, ::-1], n_samples=3, progress=False)
    np.testing.assert_array_equal(turned["samples"][..., ::-1], whole["samples"])
    agree(turned.isel(neuron=slice(None, None, -1)).drop_vars("samples"), whole.drop_vars("samples"))


@pytest.mark.parametrize(
    ("posterior", "told"), [("factorised", {"kind": "autoregressive"}), ("factorised", {"superresolution": 3})]
)
def test_settings_that_contradict_the_estimator_are_refused(dff, posterior, told):
    config = dataclasses.replace(OWN, posterior=dataclasses.replace(OWN.posterior, **told))
    with pytest.raises(InputError, match=f"config.posterior.{next(iter(told))} is .*but the estimator says"):
        ad.SpikeVAE(posterior=posterior, config=config).fit(dff, progress=False)


def test_the_adapted_network_is_kept_and_described(adapted, dff):
    parameters = adapted.generative_parameters_
    assert list(parameters["neuron"].values) == list(dff["neuron"].values)
    assert np.isnan(parameters["amplitude"].values[2])
    assert (parameters["amplitude"].values[[0, 1, 3]] > 0).all()
    assert parameters["decay_s"].attrs["units"] == "s"
    assert [row["mixture"] for row in adapted.report_["candidates"]] == [0.0, 0.25]
    assert adapted.report_["pooling"] == 0  # three usable cells say too little
    assert any("1 neuron was not learned from" in note for note in adapted.notes_)
    assert not adapted.inference_.traces.numbered
    np.testing.assert_array_equal(adapted.inference_.traces.fingerprints, fingerprints(dff.values.T))
    assert adapted.frame_rate_hz_ == RATE_HZ


def test_uses_of_a_fit(adapted, dff, others):
    for recording in (dff, others):
        result = adapted.predict(recording, n_samples=3, progress=False)
        assert result["samples"].dims == ("sample", "time", "neuron")
        explained = adapted.reconstruct(recording)
        assert explained.dims == ("time", "neuron")
        assert float(((explained - recording) ** 2).mean()) < float(recording.var())
        assert np.isfinite(adapted.score(recording))
    assert adapted.sample(others, n_samples=5).sizes["sample"] == 5
    assert set(adapted.spike_times(dff).data_vars) == {"neuron", "time_s", "low_s", "high_s", "probability"}


def test_a_fit_is_saved_and_loaded_and_named_as_a_model(adapted, dff, tmp_path):
    path = tmp_path / "fit.safetensors"
    adapted.save(path)
    expected = adapted.predict(dff, n_samples=2, progress=False)
    loaded = ad.SpikeVAE.load(path)
    again = loaded.predict(dff, n_samples=2, progress=False)
    for name in expected.data_vars:
        np.testing.assert_array_equal(again[name], expected[name], err_msg=name)
    agree(ad.SpikeVAE(path, seed=4).predict(dff, n_samples=2, progress=False), expected)
    xr.testing.assert_allclose(loaded.generative_parameters_, adapted.generative_parameters_)
    ad.SpikeVAE(path, seed=4).save(tmp_path / "copy.safetensors")
    copied = ad.SpikeVAE.load(tmp_path / "copy.safetensors")
    xr.testing.assert_equal(copied.predict(dff, n_samples=2, progress=False), again)
    assert copied.get_params() == {**adapted.get_params(), "model": str(tmp_path / "copy.safetensors")}
    assert loaded.notes_ == adapted.notes_
    assert loaded.get_params() == {**adapted.get_params(), "model": str(path)}
    assert not hasattr(clone(loaded), "inference_")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelFileError):
        ad.SpikeVAE.load(path)


def test_a_seed_of_numpy_is_kept_in_checkpoints(unchecked_types, adapted, dff, tmp_path):
    model = ad.SpikeVAE("simulations", config=SHORT, seed=np.int64(4)).fit(dff, checkpoint=tmp_path, progress=False)
    xr.testing.assert_identical(model.generative_parameters_, adapted.generative_parameters_)


def test_settings_come_back_from_a_file_and_older_files_have_the_defaults(adapted, tmp_path):
    told = {"generative": "scdf", "drift_s": 7.0, "amplitude_factors": (1.0, 0.5), "config": SHORT}
    path = tmp_path / "fit.safetensors"
    copy.copy(adapted).set_params(**told).save(path)
    found = ad.SpikeVAE.load(path)
    assert {name: value for name, value in found.get_params().items() if name in told} == told
    assert clone(found).get_params() == found.get_params()
    copy.copy(adapted).set_params(config=AdaptationConfig(gain=np.inf)).save(path)
    assert ad.SpikeVAE.load(path).config.gain == np.inf
    arrays, header = load_model(path)
    settings = {name: header.config["settings"][name] for name in ("posterior", "seed", "fitted_from")}
    rest = {name: getattr(header, name) for name in ("class_name", "seed", "extra")}
    for damaged in ({**settings, "seed": "four"}, {"posterior": "shared"}):
        save_model(path, arrays, config={**header.config, "settings": damaged}, **rest)
        with pytest.raises(ModelFileError, match="damaged"):
            ad.SpikeVAE.load(path)
    save_model(path, arrays, config={**header.config, "settings": settings}, **rest)
    assert ad.SpikeVAE.load(path).get_params() == ad.SpikeVAE(str(path), seed=4).get_params()
    copy.copy(adapted).set_params(generative=lambda start: start).save(path)
    assert ad.SpikeVAE.load(path).generative is None


@pytest.mark.slow
def test_the_noise_of_fitted_cells_is_per_frame_where_frames_are_averaged(unchecked_types):
    fast = ad.spikes.simulate(n_neurons=3, duration_s=10, frame_rate_hz=100.0, seed=5)["dff"]
    network = load_network("simulations")[0]
    adapted = SimpleNamespace(infer=lambda traces, rate: infer_counts(network, traces, rate))
    ((cells, _),) = learning._describe(adapted, open_recording(fast, None))
    np.testing.assert_allclose(cells.noise_sd, noise_sd(fast.values.T), rtol=0.1)
    labels, traces = fast["neuron"].values.astype(str), fast.values.T.astype(np.float32)
    fitted, as_shipped = SharedInference(network, tuple(labels), cells), SharedInference(network)
    expected = as_shipped.bound(traces, labels, 100.0, 0)
    np.testing.assert_allclose(fitted.bound(traces, labels, 100.0, 0), expected, rtol=1e-5)


@pytest.mark.slow
def test_without_gain_the_start_stays(dff):
    strict = AdaptationConfig(steps=2, batch=2, simulated_cells=8, gain=1.0, pooling=0.0)
    model = ad.SpikeVAE("simulations", config=strict).fit(dff, progress=False)
    assert model.report_["mixture"] == 0
    assert "kept the network that it started from" in model.notes_[0]
    agree(model.predict(dff, progress=False), ad.SpikeVAE("simulations").predict(dff, progress=False))


@pytest.mark.slow
def test_several_sessions_and_chunks(dff, others):
    sessions = {"one": dff.chunk(neuron=2), "two": others.isel(time=slice(0, 600))}
    model = ad.SpikeVAE("simulations", config=SHORT).fit(sessions, progress=False)
    names = model.generative_parameters_["neuron"].values
    assert sorted(names[[1, 4, 5]]) == ["one/neuron-001", "two/neuron-001", "two/unseen"]
    # cells of one name in two sessions are not taken for one another
    explained = [model.reconstruct(session.compute()) for session in sessions.values()]
    for one, session in zip(explained, sessions.values(), strict=True):
        here = one.sel(neuron="neuron-001") - session.sel(neuron="neuron-001").compute()
        assert float((here**2).mean()) < float(session.sel(neuron="neuron-001").var())
    with pytest.raises(InputError, match="no session"):
        model.fit(sessions, known_spikes={"three": {}}, progress=False)


@pytest.fixture(scope="module")
def unseen():
    simulated = ad.spikes.simulate(n_neurons=5, duration_s=40, frame_rate_hz=RATE_HZ, seed=8)["dff"]
    return simulated.assign_coords(neuron=list("abcde"))


def starts_of(model, recording):
    return model.inference_._start(recording.values.T.astype(np.float32), recording["neuron"].values, RATE_HZ)


def test_an_unseen_cell_is_described_the_same_whichever_others_are_read_with_it(own, unseen, tmp_path):
    """From what the fitted cells told of the shape of a response; older files do not hold it."""
    path = tmp_path / "own.safetensors"
    own.save(path)
    loaded = ad.SpikeVAE.load(path)
    arrays, header = load_model(path)
    del arrays["population"]
    save_model(path, arrays, config=header.config, class_name=header.class_name, seed=header.seed, extra=header.extra)
    older = ad.SpikeVAE.load(path)
    found = starts_of(own, unseen)
    np.testing.assert_array_equal(starts_of(loaded, unseen), found)
    for model in (own, older):
        alone = [starts_of(model, unseen[:, [i]]) for i in range(5)]
        np.testing.assert_allclose(np.concatenate(alone, axis=1), starts_of(model, unseen), rtol=1e-3, atol=1e-5)
    assert (starts_of(older, unseen).decay_s != found.decay_s).any()
    together = start_cells(own.inference_.network, unseen.values.T.astype(np.float32), RATE_HZ).cells
    assert (together.decay_s != found.decay_s).any()


def test_an_unseen_cell_starts_from_the_amplitude_that_the_fit_found_right(own, unseen, dff, tmp_path):
    """Where amplitudes of the fitted cells were scaled, the network knows scaled ones only."""
    doubled = copy.copy(own)
    doubled.inference_ = dataclasses.replace(own.inference_, amplitude_factor=2.0)
    doubled.save(tmp_path / "own.safetensors")
    for model in (doubled, ad.SpikeVAE.load(tmp_path / "own.safetensors")):
        ratio = starts_of(model, unseen).amplitude / starts_of(own, unseen).amplitude
        np.testing.assert_allclose(ratio, 2.0, rtol=1e-6)
        np.testing.assert_array_equal(starts_of(model, dff[:, :1]), starts_of(own, dff[:, :1]))


@pytest.mark.slow
def test_an_unseen_cell_has_the_same_spikes_whichever_others_are_read_with_it(own, unseen, monkeypatch):
    whole = own.predict(unseen, n_samples=2, progress=False)
    alone = [own.predict(unseen[:, [i]], n_samples=2, progress=False) for i in range(5)]
    agree(xr.concat(alone, "neuron").transpose(*whole["samples"].dims), whole)
    monkeypatch.setattr(lazy, "CHUNK_FRAMES", 2 * unseen.sizes["time"])
    agree(own.predict(unseen.chunk(neuron=1), n_samples=2, progress=False).compute(), whole)
    scores = [own.score(unseen[:, [i]]) for i in range(5)]
    assert own.score(unseen) == pytest.approx(np.mean(scores), rel=1e-3)


@pytest.mark.slow
def test_a_network_of_its_own(own, dff, others, tmp_path):
    assert list(own.generative_parameters_["neuron"].values) == ["neuron-000", "neuron-001", "neuron-003"]
    result = own.predict(dff, n_samples=3, progress=False)
    assert result["samples"].shape == (3, 800, 4)
    assert np.isnan(result["expected_spikes"].values[:, 2]).all()
    assert np.isfinite(result["expected_spikes"].values[:, [0, 1, 3]]).all()
    assert (result["spike_probability"].fillna(0) <= 1).all()
    own.save(tmp_path / "own.safetensors")
    loaded = ad.SpikeVAE.load(tmp_path / "own.safetensors")
    assert loaded.get_params() == {**own.get_params(), "model": str(tmp_path / "own.safetensors")}
    agree(loaded.predict(dff, n_samples=3, progress=False), result)
    agree(own.predict(dff.chunk(neuron=2), n_samples=3, progress=False).compute(), result)
    assert np.isfinite(own.predict(others, progress=False)["expected_spikes"]).all()
    assert own.score(others[:, ::-1]) == pytest.approx(own.score(others), rel=1e-3)
    assert own.reconstruct(others).shape == others.shape
    with pytest.raises(InputError, match="knows no other rate"):
        own.predict(dff.values, 40.0, progress=False)


def test_fitted_cells_are_scored_with_their_fitted_rates(own, dff):
    fitted = own.inference_.fitted
    told = fitted._replace(rate_hz=3 * fitted.rate_hz)
    log_rate = fitted.problem.log_rate + np.log(3).astype(np.float32)
    problem = eqx.tree_at(lambda p: p.log_rate, fitted.problem, log_rate)
    engine = dataclasses.replace(own.inference_, fitted=told)
    labels = np.array(engine.labels)
    traces = dff.sel(neuron=labels).values.T.astype(np.float32)
    windows = cut_windows(traces, fitted.config)
    values = bounds_of_windows(fitted.learned, windows, problem, fitted.config, 4, labels.tolist())
    expected = np.bincount(windows.cell, values) / np.bincount(windows.cell)
    np.testing.assert_allclose(engine.bound(traces, labels, RATE_HZ, 4), expected, rtol=1e-4)


@pytest.mark.slow
def test_a_fit_of_another_generative_model_is_not_continued(dff, tmp_path):
    config = dataclasses.replace(OWN, sleep_steps=1, wake_steps=0)
    arguments = {"posterior": "factorised", "config": config, "amplitude_factors": (1.0,)}

    def learn(model, generative):
        fitted = ad.SpikeVAE(model, generative=generative, **arguments)
        return fitted.fit(dff, checkpoint=tmp_path, progress=False)

    learn("simulations", "linear")
    learn("simulations", "linear")
    for model, generative in (("simulations", "ar1"), (None, "linear")):
        with pytest.raises(ResumeError):
            learn(model, generative)


class Square(AbstractGenerativeModel):
    amplitude: object = parameter("positive")
    decay_s: object = parameter("positive")
    baseline: object = parameter()
    exponent: object = parameter("positive", shared=True)

    def fluorescence(self, spikes, step_s):
        calcium = decay_filter(spikes, np.exp(-step_s) ** (1 / self.decay_s))
        return self.amplitude * (calcium + 1e-6) ** self.exponent + self.baseline


@pytest.mark.slow
def test_a_model_of_the_users_own(dff, tmp_path):
    def build(start):
        return Square(start.amplitude, start.decay_s, start.baseline, np.ones(1))

    model = ad.SpikeVAE(None, posterior="autoregressive", generative=build, config=OWN).fit(dff, progress=False)
    assert model.generative_parameters_["exponent"].dims == ("exponent_0",)
    model.save(tmp_path / "mine.safetensors")
    with pytest.raises(InputError, match="generative"):
        ad.SpikeVAE.load(tmp_path / "mine.safetensors")
    loaded = ad.SpikeVAE.load(tmp_path / "mine.safetensors", generative=build)
    agree(loaded.predict(dff, progress=False), model.predict(dff, progress=False))


def test_starts_where_network_and_traces_disagree_are_two():
    """Amplitudes known to the cumulants: a network that halves them gives a second start, a sound one does not."""
    cells = ad.spikes.simulate(n_neurons=3, duration_s=200, frame_rate_hz=30, seed=2)
    traces = cells["dff"].values.T.astype(np.float32)
    described = start_cells(None, traces, 30.0).cells
    assert amplitude_starts(described, traces, 30.0) == (1.0,)
    halved = described._replace(amplitude=described.amplitude / 2)
    assert amplitude_starts(halved, traces, 30.0) == (1.0, 2.0)
    tenth = described._replace(amplitude=described.amplitude / 10)
    assert amplitude_starts(tenth, traces, 30.0) == (1.0, 4.0)


def test_settings_that_do_not_go_together_are_refused(unchecked_types, dff):
    for changes, message in (
        ({"posterior": "gaussian"}, "posterior = 'gaussian', expected one of 'shared'"),
        ({"superresolution": 4}, "superresolution is 4"),
        ({"generative": "lineer"}, "Did you mean 'linear'"),
        ({"model": None}, "model is None"),
        ({"config": OWN}, "expects an AdaptationConfig"),
        ({"posterior": "factorised", "config": SHORT}, "expects a FitConfig"),
        ({"superresolution": 1.5}, "superresolution = 1.5, expected a whole number"),
        ({"amplitude_factors": ()}, "amplitude_factors"),
        ({"amplitude_factors": (1.0, float("nan"))}, "amplitude_factors"),
        ({"drift_s": float("inf")}, "drift_s is inf"),
        ({"posterior": "factorised", "generative": lambda start: start}, "AbstractGenerativeModel"),
    ):
        with pytest.raises(InputError, match=message):
            ad.SpikeVAE(**{"model": "simulations", **changes}).fit(dff, progress=False)
    with pytest.raises(InputError, match="nothing to infer with"):
        ad.SpikeVAE(None).predict(dff)
    with pytest.raises(InputError, match="nothing to learn from"):
        ad.SpikeVAE().fit(dff * 0, progress=False)
    with pytest.raises(InputError, match="None of 4 neurons has 10 observed frames that vary"):
        ad.SpikeVAE().fit(dff.isel(time=slice(9)), progress=False)


def test_cells_behind_dask_are_described_with_each_block_computed_once(dff, adapted, monkeypatch, unchecked_types):
    computed = []

    def noted(block):
        computed.append(block.shape[1])
        return block

    monkeypatch.setattr(learning, "BLOCK", 2)
    on_disk = dff.copy(data=dff.chunk({"neuron": 4}).data.map_blocks(noted, dtype=dff.dtype, meta=np.empty((0, 0))))
    opened = open_recording(on_disk, None)
    computed.clear()
    infer = adapted.inference_
    adaptation = SimpleNamespace(infer=lambda traces, rate: infer_counts(infer.network, traces, rate, infer.prior))
    found = [cells.decay_s for cells, _ in learning._describe(adaptation, opened)]
    assert computed == [4]
    in_memory = [cells.decay_s for cells, _ in learning._describe(adaptation, open_recording(dff, None))]
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate(in_memory))
