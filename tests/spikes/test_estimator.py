"""`SpikeVAE` with the shipped network: accuracy on simulations, delay zero, labels, missing data, estimator laws."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone

import antidrome as ad
from antidrome.errors import InputError, ModelFileError
from antidrome.recordings import from_array
from antidrome.spikes import opening

PER_FRAME = ("expected_spikes", "rate_hz", "spike_probability", "expected_spikes_sd")
PER_NEURON = ("noise_level", "amplitude", "tau_s", "baseline")


@pytest.fixture(scope="module")
def simulated():
    return ad.spikes.simulate(n_neurons=6, duration_s=60, frame_rate_hz=30, seed=5)


@pytest.fixture(scope="module")
def result(simulated):
    return ad.SpikeVAE(seed=2).predict(simulated["dff"], n_samples=20, progress=False)


def test_every_variable_is_labelled_and_finite(simulated, result):
    for name in PER_FRAME:
        assert result[name].dims == ("time", "neuron")
        assert np.isfinite(result[name].values).all()
    for name in PER_NEURON:
        assert result[name].dims == ("neuron",)
    assert {result[name].attrs["units"] for name in result.data_vars} >= {"spikes per frame", "spikes/s", "s"}
    xr.testing.assert_equal(result["time"], simulated["time"].drop_attrs())
    np.testing.assert_allclose(result["rate_hz"], 30 * result["expected_spikes"], rtol=1e-6)
    assert json.loads(result.attrs["citations"]) == ["speiser2017"]
    assert isinstance(json.loads(result.attrs["findings"]), list)


def test_it_finds_simulated_spikes(simulated, result):
    truth, inferred = (x.coarsen(time=3).sum().values for x in (simulated["spike_count"], result["expected_spikes"]))
    r = [np.corrcoef(truth[:, i], inferred[:, i])[0, 1] for i in range(6) if truth[:, i].sum() >= 5]
    assert np.median(r) > 0.7
    assert 0.5 < inferred.sum() / truth.sum() < 2


def test_samples_follow_the_posterior(result):
    assert result["samples"].dims == ("sample", "time", "neuron")
    assert float(result["samples"].sum()) == pytest.approx(20 * float(result["expected_spikes"].sum()), rel=0.1)


@pytest.mark.parametrize("frame_rate_hz", [15.0, 30.0, 60.0, 120.0])
def test_a_single_spike_peaks_at_its_own_frame(frame_rate_hz):
    rng = np.random.default_rng(0)
    n_frames, spikes_s = int(40 * frame_rate_hz), np.arange(4.0, 38.0, 4.0)
    time = np.arange(n_frames * 16) / (16 * frame_rate_hz)
    since = np.maximum(time[:, None] - spikes_s, 0)
    fine = (np.exp(-since / 0.4) - np.exp(-since / 0.01)).sum(axis=1)
    dff = fine.reshape(n_frames, 16).mean(axis=1) + 0.03 * rng.standard_normal(n_frames)
    found = ad.SpikeVAE().predict(from_array(dff[:, None], frame_rate_hz, quantity="dff"), progress=False)
    expected = found["expected_spikes"].values[:, 0]
    half = round(0.25 * frame_rate_hz)
    at = (spikes_s * frame_rate_hz).astype(int)
    around = np.mean([expected[i - half : i + half + 1] for i in at], axis=0)
    lag = int(around.argmax()) - half
    assert abs(lag) / frame_rate_hz <= 0.017, around.round(2)


def test_equal_seeds_give_equal_results_and_others_do_not(simulated, result):
    again = ad.SpikeVAE(seed=2).predict(simulated["dff"], n_samples=20, progress=False)
    xr.testing.assert_identical(result, again)
    other = ad.SpikeVAE(seed=3).predict(simulated["dff"], n_samples=20, progress=False)
    assert not other["samples"].equals(result["samples"])


def test_permuted_neurons_permute_the_result(simulated, result):
    order = [3, 1, 5, 0, 4, 2]
    permuted = ad.SpikeVAE(seed=2).predict(simulated["dff"].isel(neuron=order), n_samples=20, progress=False)
    for name in result.data_vars:
        np.testing.assert_allclose(permuted[name], result[name].isel(neuron=order), rtol=1e-3, atol=1e-5)


def test_the_score_of_a_neuron_depends_on_its_label_not_on_its_place(simulated):
    model, recording = ad.SpikeVAE(), simulated["dff"].isel(time=slice(0, 300))
    assert model.score(recording[:, ::-1]) == pytest.approx(model.score(recording), rel=1e-4)


def test_coordinates_of_the_recording_stay_and_give_way_to_variables_of_their_name(simulated):
    recording = simulated["dff"].isel(time=slice(0, 100)).astype("float32")
    told = recording.assign_coords(baseline=("neuron", np.arange(recording.sizes["neuron"])), trial=("time", [7] * 100))
    found = ad.SpikeVAE().predict(told, progress=False)
    assert (found["trial"] == 7).all()
    assert "The coordinate 'baseline' of the recording gives way to the result's." in found.attrs["notes"]
    assert found["baseline"].attrs["units"] == "ΔF/F"


def test_numpy_and_dask_agree_with_xarray(simulated, result):
    model = ad.SpikeVAE(seed=2)
    plain = model.predict(simulated["dff"].values, 30.0, progress=False)
    np.testing.assert_allclose(plain["expected_spikes"], result["expected_spikes"], atol=1e-6)
    lazy = model.predict(simulated["dff"].chunk(neuron=2), n_samples=20, progress=False)
    assert lazy["expected_spikes"].chunks is not None
    for name in result.data_vars:
        np.testing.assert_allclose(lazy[name].compute(), result[name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_blocks_are_the_same_wherever_they_are_inferred(simulated, monkeypatch):
    monkeypatch.setattr(opening, "BLOCK_FRAMES", 2 * simulated.sizes["time"])
    model = ad.SpikeVAE(seed=2)
    here = model.predict(simulated["dff"], n_samples=3, progress=False)
    sent = []

    class Elsewhere(ThreadPoolExecutor):
        def submit(self, fn, /, *args):
            sent.append(args)
            return super().submit(pickle.loads(pickle.dumps(fn)), *pickle.loads(pickle.dumps(args)))

    with Elsewhere(2) as executor:
        for recording in (simulated["dff"], simulated["dff"].chunk(neuron=3)):
            xr.testing.assert_identical(model.predict(recording, n_samples=3, executor=executor, progress=False), here)
    assert len(sent) == 6


def test_missing_frames_are_bridged_and_dead_neurons_counted(simulated):
    dff = simulated["dff"].copy(deep=True)
    dff[100:110, 0] = np.nan
    dff[:, 1] = np.nan
    dff[:, 2] = 0.7
    result = ad.SpikeVAE().predict(dff, progress=False)
    assert np.isfinite(result["expected_spikes"].values[:, [0, 3, 4, 5]]).all()
    assert np.isnan(result["expected_spikes"].values[:, [1, 2]]).all()
    assert any("2 neurons are dead or missing" in note for note in result.attrs["notes"])


def test_planes_that_take_turns_are_read_at_their_own_rate(simulated):
    """Every other frame missing gives what the frames that are there give by themselves."""
    dff, rate = simulated["dff"].values, float(simulated["dff"].attrs["frame_rate_hz"])
    sparse = dff.copy()
    sparse[1::2] = np.nan
    sparse[:, 3] = dff[:, 3]
    found = ad.SpikeVAE().predict(sparse, rate, progress=False)["expected_spikes"]
    apart = ad.SpikeVAE().predict(dff[::2], rate / 2, progress=False)["expected_spikes"]
    whole = ad.SpikeVAE().predict(dff, rate, progress=False)["expected_spikes"]
    others = [0, 1, 2, 4, 5]
    np.testing.assert_allclose(found.sum("time")[others], apart.sum("time")[others], rtol=0.05, atol=0.5)
    np.testing.assert_allclose(found[:, 3], whole[:, 3], atol=1e-5)


def test_what_no_neuron_fires_is_said(simulated):
    dff = simulated["dff"].copy(deep=True)
    dff[700, 0] = 5e3
    notes = ad.SpikeVAE().predict(dff, progress=False).attrs["notes"]
    assert any(note.startswith("1 neuron has more spikes than a neuron can fire") for note in notes)
    rectified = simulated["dff"].clip(min=0, keep_attrs=True)
    found = [finding.id for finding in ad.check(rectified)]
    assert "rectified-traces" in found
    assert "rectified-traces" not in [finding.id for finding in ad.check(simulated["dff"])]


def test_dropped_frames_keep_their_place(simulated, result):
    kept = np.setdiff1d(np.arange(1800), np.arange(700, 705))
    partial = ad.SpikeVAE().predict(simulated["dff"].isel(time=kept), progress=False)
    assert partial.sizes["time"] == len(kept)
    assert any("5 frames are missing" in note for note in partial.attrs["notes"])
    far = np.abs(kept - 702) > 60
    np.testing.assert_allclose(
        partial["expected_spikes"].values[far].sum(axis=0),
        result["expected_spikes"].values[kept[far]].sum(axis=0),
        rtol=0.1,
        atol=1.0,
    )


def test_percent_is_converted_and_said(simulated, result):
    percent = (100 * simulated["dff"]).assign_attrs(simulated["dff"].attrs, units="percent")
    converted = ad.SpikeVAE().predict(percent, progress=False)
    np.testing.assert_allclose(converted["amplitude"], result["amplitude"], rtol=1e-3)
    assert any("percent" in note for note in converted.attrs["notes"])


def test_what_cannot_be_used_is_refused(simulated):
    raw = simulated["dff"].assign_attrs(quantity="fluorescence")
    with pytest.raises(InputError, match="delta_f_over_f"):
        ad.SpikeVAE().predict(raw)
    with pytest.raises(InputError, match="frame_rate_hz"):
        ad.SpikeVAE().predict(simulated["dff"].values)
    with pytest.raises(InputError, match="n_samples = -1"):
        ad.SpikeVAE().predict(simulated["dff"], n_samples=-1)
    with pytest.raises(InputError, match="The recording has 1 frame; expected at least 2"):
        ad.SpikeVAE().predict(simulated["dff"][:1])
    with pytest.raises(InputError, match="is the frame rate right"):
        ad.SpikeVAE().predict(simulated["dff"].values, frame_rate_hz=1e5)
    with pytest.raises(ModelFileError):
        ad.SpikeVAE(model="no-such-file.safetensors").predict(simulated["dff"])


@pytest.mark.usefixtures("unchecked_types")
def test_half_a_sample_is_refused(simulated):
    with pytest.raises(InputError, match=r"n_samples = 2\.5, expected a whole number, at least 0"):
        ad.SpikeVAE().predict(simulated["dff"], n_samples=2.5)
    with pytest.raises(InputError, match=r"n_samples = 1\.5"):
        ad.SpikeVAE().sample(simulated["dff"], n_samples=1.5)


def test_saved_and_loaded_predicts_the_same(simulated, result, tmp_path):
    path = tmp_path / "model.safetensors"
    ad.SpikeVAE(seed=2).save(path)
    loaded = ad.SpikeVAE.load(path, seed=2).predict(simulated["dff"], n_samples=20, progress=False)
    xr.testing.assert_equal(loaded, result)


def test_it_is_a_scikit_learn_estimator():
    model = ad.SpikeVAE(model="simulations", seed=7)
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(seed=1).seed == 1


def test_the_check_of_the_frame_rate_knows_the_networks_range():
    from antidrome.recordings.checks.timing import LOWEST_RATE_HZ

    assert ad.SpikeVAE().model_card["frame_rate_hz_range"][0] == LOWEST_RATE_HZ


def test_the_model_card_says_what_it_was_trained_on_and_reached():
    card = ad.SpikeVAE().model_card
    assert len(card["trained_on"]) >= 25
    assert card["reached"]["n_sets"] == 25
    assert ad.SpikeVAE(model="simulations").model_card["trained_on"] == ["simulations only: no ground truth"]


def test_samples_of_an_artefact_are_many_and_not_negative(simulated):
    traces = simulated["dff"].values[:600, :1].astype(np.float32)
    traces[300] = 1e6
    samples = ad.SpikeVAE().sample(traces, 30.0, n_samples=3)
    assert samples.min() == 0
    assert samples.max() == np.iinfo(np.int16).max


def test_a_block_on_disk_is_computed_once_for_all_its_neurons(simulated, monkeypatch):
    computed = []

    def noted(block):
        computed.append(block.shape[1])
        return block

    dff = simulated["dff"]
    on_disk = dff.copy(data=dff.chunk({"neuron": 3}).data.map_blocks(noted, dtype=dff.dtype, meta=np.empty((0, 0))))
    monkeypatch.setattr(opening, "BLOCK_FRAMES", dff.sizes["time"])
    ad.SpikeVAE().spike_times(on_disk)
    assert computed == [3, 3]


def test_many_samples_make_smaller_blocks(simulated, monkeypatch):
    from antidrome.spikes import lazy

    on_disk = simulated["dff"].chunk({"neuron": -1})
    monkeypatch.setattr(lazy, "CHUNK_FRAMES", 6 * on_disk.sizes["time"])
    chunks = [ad.SpikeVAE().predict(on_disk, n_samples=n)["samples"].chunksizes["neuron"] for n in (100, 101, 1000)]
    assert chunks == [(6,), (3, 3), (1,) * 6]


def test_times_samples_and_reconstructions_name_their_works(simulated, result):
    dff, model = simulated["dff"].isel(neuron=[0]), ad.SpikeVAE()
    for one in (model.spike_times(dff), model.sample(dff, n_samples=2), model.reconstruct(dff)):
        assert [work.key for work in ad.cite(one).works] == [work.key for work in ad.cite(result).works]
