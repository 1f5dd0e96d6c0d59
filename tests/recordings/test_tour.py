"""The tour: neurons in the user's own format through the command, and the spikes that it wrote read back equal."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import antidrome as ad
from antidrome.cli import main
from antidrome.recordings import read_spikes, read_with_neuropil

RATE_HZ = 30.0
FORMATS = ("nwb", "suite2p", "caiman")
NWB_AND_SLOW = ["nwb", *(pytest.param(kind, marks=pytest.mark.slow) for kind in FORMATS[1:])]


@pytest.fixture
def write_recording(
    make_nwb: Callable[..., Path], make_suite2p: Callable[..., Path], make_caiman: Callable[..., Path]
) -> Callable[[str, np.ndarray, float], Path]:
    """ΔF/F (time, neuron) → a file of the format; suite2p gets raw fluorescence, which is what its folders hold."""

    def write_one(kind: str, dff: np.ndarray, rate_hz: float) -> Path:
        n_neurons = dff.shape[1]
        if kind == "nwb":
            time = (np.arange(len(dff)) + 0.5) / rate_hz
            return make_nwb({"DfOverF/dff": dff}, n_rois=n_neurons, timestamps=time)
        if kind == "suite2p":
            neuropil = np.full(dff.shape[::-1], 100.0, np.float32)
            raw = 500 * (1 + dff.T) + 0.7 * neuropil
            return make_suite2p(raw.astype(np.float32), neuropil, np.ones((n_neurons, 2)), {"fs": rate_hz})
        return make_caiman({"F_dff": dff.T, "idx_components": np.arange(n_neurons)}, rate_hz=rate_hz)

    return write_one


def through_the_command(path: Path, output: Path) -> xr.Dataset:
    """Run `antidrome run` on one file; the spikes that it wrote."""
    assert main(["run", str(path), "--output", str(output)]) == 0
    assert (output / "report.html").stat().st_size > 100_000
    assert json.loads((output / "summary.json").read_text())["sessions"]
    return read_spikes(next(output.glob("spikes*.nwb")))


def expected(path: Path) -> xr.Dataset:
    """What the same steps give in Python."""
    recording, neuropil = read_with_neuropil(path)
    if recording.attrs["quantity"] == "fluorescence":
        recording = ad.delta_f_over_f(recording, neuropil=neuropil)
    return ad.SpikeVAE().predict(recording.compute(), progress=False)


def assert_equal(written: xr.Dataset, direct: xr.Dataset) -> None:
    assert written["neuron"].values.astype(str).tolist() == direct["neuron"].values.astype(str).tolist()
    np.testing.assert_allclose(written["time"], direct["time"])
    for name in ("expected_spikes", "rate_hz", "spike_probability", "expected_spikes_sd"):
        np.testing.assert_allclose(written[name], direct[name], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("kind", NWB_AND_SLOW)
def test_simulated_neurons(kind: str, write_recording: Callable[..., Path], tmp_path: Path) -> None:
    simulated = ad.spikes.simulate(5, 60, RATE_HZ, 8, indicator="slow")
    path = write_recording(kind, simulated["dff"].values, RATE_HZ)
    written = through_the_command(path, tmp_path / "out")
    assert_equal(written, expected(path))
    found, truth = written["expected_spikes"].values, simulated["spike_count"].values
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(_binned(found), _binned(truth), strict=True) if b.std() > 0]
    assert np.median(r) > 0.5


@pytest.mark.data
@pytest.mark.parametrize("kind", NWB_AND_SLOW)
def test_ground_truth_neurons(
    kind: str, write_recording: Callable[..., Path], tmp_path: Path, data_folder: Path
) -> None:
    dff, rate_hz = _ground_truth(data_folder)
    path = write_recording(kind, dff, rate_hz)
    assert_equal(through_the_command(path, tmp_path / "out"), expected(path))


def _ground_truth(folder: Path) -> tuple[np.ndarray, float]:
    """Four GCaMP6f neurons of mouse V1, 40 s at 60 Hz."""
    with np.load(folder / "spikes" / "cascade" / "DS09-GCaMP6f-m-V1.npz") as z:
        first = [int(np.flatnonzero(z["neuron"] == i)[0]) for i in range(4)]
        n_frames = int(40 * z["fs"][0])
        starts = [int(z["frame_offsets"][i]) for i in first]
        traces = [
            z["dff_q"][s : s + n_frames] * z["scale"][i] + z["offset"][i] for i, s in zip(first, starts, strict=True)
        ]
        return np.array(traces, np.float32).T, float(z["fs"][0])


def _binned(x: np.ndarray, width: int = 6) -> np.ndarray:
    """(time, neuron) → (neuron, bin) sums over `width` frames."""
    n = len(x) // width
    return x[: n * width].reshape(n, width, -1).sum(axis=1).T
