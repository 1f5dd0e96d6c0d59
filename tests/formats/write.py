"""Write the files of this version that later versions have to open: ``python tests/formats/write.py``.

They are written once a version into ``tests/formats/VERSION`` and then kept for ever; `test_formats.py` opens them all.
"""

import json
from pathlib import Path

import numpy as np
import xarray as xr

import antidrome as ad
from antidrome.recordings import write


def main() -> None:
    """One small file of every kind, and what it has to say when it is opened."""
    folder = Path(__file__).parent / ad.__version__
    folder.mkdir(exist_ok=True)
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


KINDS = {"two_nn": two_nn, "stitched_lds": stitched_lds, "snpe": snpe, "spikes": spikes}
SAY = {"two_nn": say_two_nn, "stitched_lds": say_stitched_lds, "snpe": say_snpe, "spikes": say_spikes}

if __name__ == "__main__":
    main()
