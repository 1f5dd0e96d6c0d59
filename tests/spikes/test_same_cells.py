"""Fitted cells are known again by their names, and by their traces where nobody named them; few frames are no error."""

import dataclasses

import jax
import numpy as np
import pytest

import antidrome as ad
from antidrome.core.model_files import load_model, save_model
from antidrome.recordings import from_array
from antidrome.spikes.fitting import Fitted
from antidrome.spikes.opening import open_recording, over_neurons
from antidrome.spikes.own import OwnInference
from antidrome.spikes.same_cells import FittedTraces, fingerprints
from antidrome.spikes.starts import calibration_of, make_model, start_cells
from antidrome.spikes.variational import Fit, FitConfig, PosteriorConfig
from antidrome.spikes.variational.problem import Learned, Problem, generative, in_frames
from antidrome.spikes.variational.sanity import Sanity

RATE_HZ = 20.0
CONFIG = FitConfig(
    batch=4,
    window_frames=80,
    buffer_before=20,
    buffer_after=10,
    posterior=PosteriorConfig(filters=(4,), widths=(9,), last_width=5),
)


@pytest.fixture(scope="module")
def dff():
    return ad.spikes.simulate(n_neurons=4, duration_s=30, frame_rate_hz=RATE_HZ, seed=3)["dff"].values


@pytest.fixture(scope="module")
def own(dff):
    """An estimator as a fit to neurons 0 and 1, which nobody named, leaves it, without any step of learning."""
    traces = dff[:, :2].T
    cells = start_cells(None, traces, RATE_HZ).cells
    start = in_frames(make_model("linear", cells), cells.noise_sd, CONFIG, 20.0)
    problem = Problem.of(start, calibration_of(cells), RATE_HZ, CONFIG, 4)
    learned = Learned.start(problem, CONFIG, key=jax.random.key(0))
    sanity = Sanity(np.ones(2), np.ones(2), np.zeros(2, bool))
    fitted = Fit(learned, problem, CONFIG, generative(learned, problem, CONFIG), cells.rate_hz, 0.0, sanity, {})
    prints = FittedTraces(True, fingerprints(traces))
    engine = OwnInference(fitted, ("0", "1"), cells, "linear", None, RATE_HZ, prints)
    return ad.SpikeVAE(None, posterior="factorised", config=CONFIG)._keep(Fitted(engine, {}, [], RATE_HZ), None)


def told(result):
    return [note for note in result.attrs.get("notes", []) if "number of a fitted cell" in note]


def named(values, *names):
    return from_array(values, RATE_HZ, quantity="dff", neuron=list(names))


@pytest.mark.slow
def test_a_number_is_no_name(own, dff):
    """Neurons "0" and "1" of another recording are read as unseen cells are, whatever holds the recording."""
    others = from_array(dff[:, 2:], RATE_HZ, quantity="dff")
    unseen = own.predict(named(dff[:, 2:], "x", "y"), progress=False)
    found = own.predict(others, progress=False)
    np.testing.assert_allclose(found["expected_spikes"], unseen["expected_spikes"], rtol=1e-5)
    assert told(found)[0].startswith("Neurons are numbers, and 2 neurons have the number of a fitted cell but another")
    assert told(unseen) == []
    assert found.attrs["other_cells"] == 2
    assert "other_cells" not in unseen.attrs
    lazy = own.predict(others.chunk(neuron=1, time=100), progress=False)
    assert "another trace are taken for other cells" in told(lazy)[0]
    np.testing.assert_allclose(lazy["expected_spikes"], found["expected_spikes"], rtol=1e-4, atol=1e-6)
    for result in (own.spike_times(others), own.reconstruct(others)):
        assert told(result) == told(found)
    assert told(own.spike_times(others, result=found)) == []
    with_names = own.predict(named(dff[:, 2:], "0", "1"), progress=False)
    assert told(with_names) == told(found), "the fitted neurons were numbers"


def test_the_fitted_recording_is_known_again(own, dff):
    same = from_array(dff[:, :2].astype(np.float32), RATE_HZ, quantity="dff")
    place = own.inference_._start(dff[:, :2].T, np.array(["0", "1"]), RATE_HZ)
    np.testing.assert_array_equal(place.amplitude, own.inference_.cells.amplitude)
    assert told(own.predict(same, progress=False)) == []
    mixed = own.predict(np.column_stack([dff[:, 0], dff[:, 2]]), RATE_HZ, progress=False)
    assert "1 neuron has the number" in told(mixed)[0]
    fitted = own.predict(dff[:, :2], RATE_HZ, progress=False)["expected_spikes"]
    np.testing.assert_allclose(mixed["expected_spikes"][:, 0], fitted[:, 0], rtol=1e-4, atol=1e-6)


def test_files_keep_it_and_older_files_have_labels_alone(own, dff, tmp_path):
    path = tmp_path / "own.safetensors"
    own.save(path)
    others = from_array(dff[:, 2:], RATE_HZ, quantity="dff")
    assert told(ad.SpikeVAE.load(path).predict(others, progress=False))
    arrays, header = load_model(path)
    config = {name: value for name, value in header.config.items() if name != "numbered"}
    save_model(path, arrays, config=config, class_name=header.class_name, seed=header.seed, extra=header.extra)
    older = ad.SpikeVAE.load(path)
    assert told(older.predict(others, progress=False)) == []


def test_names_given_to_both_are_enough(own, dff):
    renamed = dataclasses.replace(own.inference_, traces=own.inference_.traces._replace(numbered=False))
    recording = open_recording(named(dff[:, 2:], "0", "1"), None)
    attrs = {}
    list(over_neurons(renamed, "expected", recording, 0, attrs=attrs))
    assert attrs == {}


def test_the_shared_network_describes_other_cells_anew(dff):
    """What the network infers is the same for all cells; their description is not."""
    plain = ad.SpikeVAE("simulations")._engine()[0]
    traces = dff[:, :2].T.astype(np.float32)
    cells = plain.describe(traces, plain.expected(traces, np.array(["0", "1"]), RATE_HZ, 0), np.arange(2), RATE_HZ)
    prints = FittedTraces(True, fingerprints(traces))
    doubled = cells._replace(amplitude=2 * cells.amplitude)
    engine = dataclasses.replace(plain, labels=("0", "1"), cells=doubled, traces=prints)
    for columns, expected in (((0, 1), engine), ((2, 3), plain)):
        opened = open_recording(from_array(dff[:, columns], RATE_HZ, quantity="dff"), None)
        found = np.array(list(over_neurons(engine, "reconstruct", opened, 0)))
        rows = expected.reconstruct(dff[:, columns].T.astype(np.float32), np.array(["0", "1"]), RATE_HZ, 0)
        np.testing.assert_allclose(found, rows, rtol=1e-3, atol=1e-5)


def test_fingerprints_are_of_values_alone():
    traces = np.random.default_rng(0).standard_normal((3, 50))
    traces[1, 4] = np.nan
    expected = fingerprints(traces)
    assert len(set(expected.tolist())) == 3
    np.testing.assert_array_equal(fingerprints(np.asfortranarray(traces.astype(np.float32))), expected)
    np.testing.assert_array_equal(np.concatenate([fingerprints(traces[:1]), fingerprints(traces[1:])]), expected)
    assert (fingerprints(np.pad(traces, ((0, 0), (0, 5)))) != expected).all()
    assert (fingerprints(traces[:, ::-1]) != expected).all()


@pytest.mark.slow
def test_a_neuron_of_hardly_any_frames_has_no_spikes(own, dff):
    hardly = dff[:, :3].copy()
    hardly[5:, 2] = np.nan
    result = own.predict(hardly, RATE_HZ, progress=False)["expected_spikes"]
    assert np.isfinite(result[:, :2]).all()
    assert np.isnan(result[:, 2]).all()
    assert np.isfinite(own.score(hardly, RATE_HZ))
    assert np.isnan(own.reconstruct(hardly, RATE_HZ)[:, 2]).all()
    assert set(own.spike_times(hardly, RATE_HZ)["neuron"].values) <= {"0", "1"}
