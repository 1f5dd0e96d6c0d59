"""Write the files of this version that later versions have to open: ``python tests/formats/write.py [NAME]``.

They are written once a version into ``tests/formats/VERSION`` (or NAME, where a version changes what it writes) and
then kept for ever; `test_formats.py` opens them all.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

import antidrome as ad
from antidrome.recordings import write


def main() -> None:
    """One small file of every kind, and what it has to say when it is opened."""
    folder = Path(__file__).parent / (sys.argv[1] if len(sys.argv) > 1 else ad.__version__)
    folder.mkdir()
    expected = {name: make(folder) for name, make in KINDS.items()}
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def two_nn(folder: Path) -> dict[str, float]:
    """A fitted `TwoNN`."""
    points = np.random.default_rng(0).standard_normal((200, 3)) @ np.ones((3, 4))
    points += 1e-3 * np.random.default_rng(1).standard_normal(points.shape)
    model = ad.TwoNN().fit(points, progress=False)
    model.save(folder / "two_nn.safetensors")
    return say_two_nn(folder)


def say_two_nn(folder: Path) -> dict[str, float]:
    """What it says."""
    model = ad.TwoNN.load(folder / "two_nn.safetensors")
    return {"dimension": float(model.dimension_), "standard_error": float(model.standard_error_)}


def stitched_lds(folder: Path) -> dict[str, float]:
    """A fitted `StitchedLDS` of two sessions."""
    truth = ad.dynamics.simulate(n_neurons=12, n_components=2, n_frames=300, seed=3)
    sessions = {"a": (truth.activity[:150, :9], range(9)), "b": (truth.activity[150:, 3:], range(3, 12))}
    ad.StitchedLDS(2, n_starts=1).fit(sessions, progress=False).save(folder / "stitched_lds.safetensors")
    return say_stitched_lds(folder)


def say_stitched_lds(folder: Path) -> dict[str, float]:
    """What it says."""
    model = ad.StitchedLDS.load(folder / "stitched_lds.safetensors")
    pair = model.predict_covariance("0", "11")
    return {"covariance": float(pair.values[0, 0]), "n_components": int(model.n_components_)}


def _simulator(theta, rng):
    return theta + 0.2 * rng.standard_normal(theta.shape)


def snpe(folder: Path) -> dict[str, float]:
    """A fitted `SNPE`."""
    from antidrome.mechanism import Uniform
    from antidrome.mechanism.densities.network import MixtureSettings

    density = MixtureSettings(components=1, hidden=(8,))
    model = ad.SNPE("npe", n_simulations=150, density=density, diagnose=False, n_predictive=0)
    prior = {"a": Uniform(-1, 1), "b": Uniform(-1, 1)}
    model.fit(_simulator, prior, [0.3, -0.2], progress=False).save(folder / "snpe.safetensors")
    return say_snpe(folder)


def say_snpe(folder: Path) -> dict[str, float]:
    """What it says."""
    model = ad.SNPE.load(folder / "snpe.safetensors")
    return {"log_prob": float(model.log_prob(np.array([[0.3, -0.2]]))[0])}


def spikes(folder: Path) -> dict[str, float]:
    """The result of `SpikeVAE.predict` in each format."""
    recording = ad.spikes.simulate(2, 4, 30, 1)["dff"]
    result = ad.SpikeVAE().predict(recording, progress=False)
    for name in ("spikes.nc", "spikes.nwb"):
        write(result, folder / name)
    return say_spikes(folder)


def say_spikes(folder: Path) -> dict[str, float]:
    """What they say."""
    read = {name: ad.recordings.read_spikes(folder / name) for name in ("spikes.nc", "spikes.nwb")}
    xr.testing.assert_allclose(read["spikes.nc"]["expected_spikes"], read["spikes.nwb"]["expected_spikes"])
    return {"total": float(read["spikes.nc"]["expected_spikes"].sum())}


def spike_folders(folder: Path) -> dict[str, float]:
    """The same in the formats that are folders."""
    recording = ad.spikes.simulate(2, 4, 30, 1)["dff"]
    result = ad.SpikeVAE().predict(recording, progress=False)
    write(result, folder / "spikes.zarr")
    write(result, folder / "spikes", format="suite2p")
    return say_spike_folders(folder)


def say_spike_folders(folder: Path) -> dict[str, float]:
    """What they say."""
    zarr, suite2p = (ad.recordings.read_spikes(folder / name) for name in ("spikes.zarr", "spikes"))
    np.testing.assert_allclose(suite2p["rate_hz"], zarr["rate_hz"], rtol=1e-5)
    return {"total": float(zarr["expected_spikes"].sum()), "noise": float(zarr["noise_level"].sum())}


def recordings(folder: Path) -> dict[str, float]:
    """A recording in each format that keeps one."""
    recording = ad.spikes.simulate(2, 4, 30, 1)["dff"]
    for name in RECORDINGS:
        write(recording, folder / name)
    return say_recordings(folder)


RECORDINGS = ("recording.nc", "recording.nwb", "recording.zarr")


def say_recordings(folder: Path) -> dict[str, float]:
    """What they say."""
    read = [ad.read(folder / name) for name in RECORDINGS]
    for one in read[1:]:
        np.testing.assert_allclose(one, read[0])
        xr.testing.assert_allclose(one["time"].drop_attrs(), read[0]["time"].drop_attrs())
        assert one["neuron"].values.tolist() == read[0]["neuron"].values.tolist()
        assert one.attrs["frame_rate_hz"] == read[0].attrs["frame_rate_hz"]
        assert one.attrs["quantity"] == "dff"
    return {"total": float(read[0].sum()), "last_time_s": float(read[0]["time"][-1])}


def spike_vae(folder: Path) -> dict[str, float]:
    """`SpikeVAE` fitted from the traces alone, and one that adapted the shipped network."""
    from antidrome.spikes.adaptation import AdaptationConfig
    from antidrome.spikes.variational import FitConfig, PosteriorConfig

    recording = ad.spikes.simulate(3, 20, 20, 3)["dff"]
    posterior = PosteriorConfig(filters=(6,), widths=(9,), last_width=5, features=4, units=6, max_count=2)
    windows = {"batch": 6, "window_frames": 80, "buffer_before": 20, "buffer_after": 10}
    own = FitConfig(sleep_steps=6, wake_steps=3, samples=3, evaluate_every=3, posterior=posterior, **windows)
    fitted = ad.SpikeVAE(None, posterior="factorised", amplitude_factors=(1.0,), config=own)
    fitted.fit(recording, progress=False).save(folder / "spike_vae.safetensors")
    shared = ad.SpikeVAE("simulations", config=AdaptationConfig(steps=1, batch=4, simulated_cells=8, gain=-1.0))
    shared.fit(recording, progress=False).save(folder / "spike_vae_shared.safetensors")
    return say_spike_vae(folder)


def say_spike_vae(folder: Path) -> dict[str, float]:
    """What they say."""
    own, shared = (ad.SpikeVAE.load(folder / f"{name}.safetensors") for name in ("spike_vae", "spike_vae_shared"))
    found, recording = own.generative_parameters_, ad.spikes.simulate(3, 20, 20, 3)["dff"]
    means = {str(name): float(values.mean()) for name, values in found.items()}
    said = {f"shared_{name}": float(values.mean()) for name, values in shared.generative_parameters_.items()}
    return {**means, **said, "score": own.score(recording), "frame_rate_hz": float(own.frame_rate_hz_)}


def mechanism(folder: Path) -> dict[str, float]:
    """A store of simulations, and the folder of a fit to them: its checkpoint, what it is judged by, the posterior."""
    from antidrome.mechanism.simulate import PythonSimulator, run_simulations

    theta = _prior().sample(300, seed=0)
    simulator = PythonSimulator(_simulator, parameter_names=("a", "b"))
    run_simulations(simulator, theta, seed=0, store=folder / "simulations", identity={"of": "tests"}, progress=False)
    fit = _fit_recorded(folder, folder / "mechanism", diagnose=True)
    fit.save(folder / "mechanism" / "posterior.safetensors")
    return say_mechanism(folder)


def _prior():
    from antidrome.mechanism import Prior, Uniform

    return Prior({"a": Uniform(-1, 1), "b": Uniform(-1, 1)})


def _fit_recorded(folder: Path, checkpoint: Path, *, diagnose: bool) -> ad.SNPE:
    from antidrome.mechanism.densities.network import MixtureSettings
    from antidrome.mechanism.simulate import read_simulations

    density = MixtureSettings(components=1, hidden=(8,))
    model = ad.SNPE("npe", density=density, diagnose=diagnose, n_predictive=0)
    kept = read_simulations(folder / "simulations")
    return model.fit(kept, _prior(), [0.3, -0.2], checkpoint=checkpoint, progress=False)


def say_mechanism(folder: Path) -> dict[str, float]:
    """What they say; the fit goes on from its checkpoint."""
    from antidrome.mechanism.judgement import diagnose_folder
    from antidrome.mechanism.simulate import read_simulations

    simulations = read_simulations(folder / "simulations")
    diagnosis = diagnose_folder(folder / "mechanism", n_pairs=50, n_samples=50)
    with tempfile.TemporaryDirectory() as scratch:
        again = Path(shutil.copytree(folder / "mechanism", Path(scratch) / "again"))
        model = _fit_recorded(folder, again, diagnose=False)
    return {
        "sum_of_features": float(simulations.features.sum()),
        "log_prob": float(model.log_prob(np.array([[0.3, -0.2]]))[0]),
        "pairs": len(diagnosis.weights),
    }


def dynamics_checkpoint(folder: Path) -> dict[str, float]:
    """What an interrupted fit of `StitchedLDS` goes on from, and the activity (processors round it differently)."""
    activity = ad.dynamics.simulate(n_neurons=12, n_components=2, n_frames=300, seed=3).activity
    np.save(folder / "dynamics_activity.npy", activity)
    _fit_dynamics(folder, folder / "dynamics")
    return say_dynamics_checkpoint(folder)


def _fit_dynamics(folder: Path, checkpoint: Path) -> ad.StitchedLDS:
    activity = np.load(folder / "dynamics_activity.npy")
    sessions = {"a": (activity[:150, :9], range(9)), "b": (activity[150:, 3:], range(3, 12))}
    return ad.StitchedLDS(2, n_starts=1).fit(sessions, checkpoint=checkpoint, progress=False)


def say_dynamics_checkpoint(folder: Path) -> dict[str, float]:
    """What the fit finds that goes on from it."""
    with tempfile.TemporaryDirectory() as scratch:
        again = Path(shutil.copytree(folder / "dynamics", Path(scratch) / "again"))
        model = _fit_dynamics(folder, again)
    return {"covariance": float(model.predict_covariance("0", "11").values[0, 0])}


def layers(folder: Path) -> dict[str, float]:
    """The layers of a network on disk."""
    import equinox as eqx
    import jax

    network = eqx.nn.MLP(5, 3, 7, depth=2, key=jax.random.key(0))
    points = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)
    ad.dimension.record(network, points, store=folder / "layers", progress=False)
    return say_layers(folder)


def say_layers(folder: Path) -> dict[str, float]:
    """What they say."""
    stored = ad.dimension.Activations(folder / "layers")
    return {name: float(np.abs(values).sum()) for name, values in stored.items()}


def run_folder(folder: Path) -> dict[str, float]:
    """What the main job leaves of two sessions, without its page and the blocks that it would go on from."""
    from antidrome.pipeline import RunConfig, run

    both = ad.spikes.simulate(18, 80, 10, 7, n_factors=2)["dff"]
    with tempfile.TemporaryDirectory() as scratch:
        parts = {"a": both[:400, :14], "b": both[400:, 4:]}
        paths = [write(part.assign_attrs(session_id=k), Path(scratch) / f"{k}.nc") for k, part in parts.items()]
        run(paths, folder / "run", RunConfig(format="netcdf", n_components=2), progress=False)
    (folder / "run" / "report.html").unlink()
    for blocks in (folder / "run" / ".antidrome").glob("blocks-*"):
        shutil.rmtree(blocks)
    return say_run_folder(folder)


def say_run_folder(folder: Path) -> dict[str, float]:
    """What its files and the page say that is made of them."""
    from antidrome.pipeline import rebuild_report

    with tempfile.TemporaryDirectory() as scratch:
        again = Path(shutil.copytree(folder / "run", Path(scratch) / "run"))
        page = rebuild_report(again).read_text("utf-8")
        summary = json.loads((again / "summary.json").read_text("utf-8"))
        model = ad.StitchedLDS.load(again / "dynamics.safetensors")
        names = [session["result"]["file"] for session in summary["sessions"]]
        totals = [float(ad.recordings.read_spikes(again / name)["expected_spikes"].sum()) for name in names]
        dimension = xr.load_dataset(again / "dimension-a.nc", engine="h5netcdf")
    values = {str(k): float(v.sum()) for k, v in dimension.data_vars.items() if v.dtype.kind == "f"}
    assert summary["config"]["format"] == "netcdf"
    assert "dynamics" in page
    return {**values, "spikes": sum(totals), "n_components": int(model.n_components_)}


MAKE_AND_SAY = {
    "two_nn": (two_nn, say_two_nn),
    "stitched_lds": (stitched_lds, say_stitched_lds),
    "snpe": (snpe, say_snpe),
    "spikes": (spikes, say_spikes),
    "spike_folders": (spike_folders, say_spike_folders),
    "recordings": (recordings, say_recordings),
    "spike_vae": (spike_vae, say_spike_vae),
    "mechanism": (mechanism, say_mechanism),
    "dynamics_checkpoint": (dynamics_checkpoint, say_dynamics_checkpoint),
    "layers": (layers, say_layers),
    "run_folder": (run_folder, say_run_folder),
}
KINDS = {name: make for name, (make, _) in MAKE_AND_SAY.items()}
SAY = {name: say for name, (_, say) in MAKE_AND_SAY.items()}

if __name__ == "__main__":
    main()
