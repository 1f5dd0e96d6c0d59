"""`antidrome dynamics` and `dimension --population` on what Antidrome wrote: its spikes, not the trace beside them."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from antidrome.cli import main
from antidrome.cli.dynamics_recordings import read_population
from antidrome.dynamics import simulate
from antidrome.errors import InputError
from antidrome.recordings import from_array, write


@pytest.fixture
def result() -> xr.Dataset:
    """Spikes of one session beside its ΔF/F, of which a stretch was not recorded."""
    spikes = np.abs(simulate(12, 2, 300, seed=3).activity).astype(np.float32)
    trace = from_array(np.cumsum(spikes, axis=0), 10.0, quantity="dff", attrs={"session_id": "monday"})
    trace = trace.where(~((trace["time"] > 5) & (trace["time"] < 6) & (trace["neuron"] == trace["neuron"][0])))
    found = xr.Dataset({"expected_spikes": (("time", "neuron"), spikes, {"units": "spikes per frame"}), "dff": trace})
    found["rate_hz"] = (found["expected_spikes"] * 10).assign_attrs(units="spikes/s")
    return found.assign_attrs({key: value for key, value in trace.attrs.items() if key not in ("units", "quantity")})


@pytest.fixture(params=["a.nc", "a.zarr", "a.nwb", "a"])
def written(request, result, tmp_path) -> Path:
    path = tmp_path / request.param
    write(result, path, format=None if path.suffix else "suite2p")
    return path


def test_the_spikes_of_a_result_are_the_recording(written, result) -> None:
    found, told = read_population(written, {})
    assert told.startswith("expected_spikes was read, frame by frame")
    assert (found.attrs["units"], found.attrs["frame_rate_hz"]) == ("spikes per frame", 10.0)
    known = np.isfinite(found.values)
    np.testing.assert_allclose(found.values[known], result["expected_spikes"].values[known], rtol=1e-6)
    missing = 0 if written.suffix == "" else int(result["dff"].isnull().sum())  # the folder has no trace beside
    assert (~known).sum() == missing
    with pytest.raises(InputError, match="10 frames per second, not 20"):
        read_population(written, {"frame_rate_hz": 20.0})


def test_a_series_that_was_named_is_read(result, tmp_path) -> None:
    for name in ("a.nc", "a.nwb"):
        write(result, tmp_path / name)
        found, told = read_population(tmp_path / name, {"series": "dff"})
        assert found.attrs["quantity"] == "dff"
        assert "dff was read" in told or name == "a.nc"


def test_files_of_others_are_read_as_before(tmp_path) -> None:
    np.savez(tmp_path / "a.npz", dff=np.ones((30, 3)), frame_rate_hz=10.0)
    found, told = read_population(tmp_path / "a.npz", {})
    assert (found.shape, told) == ((30, 3), "")


def test_commands_say_what_they_read(result, tmp_path, capsys) -> None:
    path, fit = str(tmp_path / "a.nc"), str(tmp_path / "fit.safetensors")
    write(result, path)
    command = ["dynamics", "fit", path, "-o", fit, "--components", "2", "--max-iterations", "3", "--no-report"]
    assert main(command) == 0
    assert "a.nc: expected_spikes was read, frame by frame" in capsys.readouterr().out
    assert main(["dimension", "--population", path, "--bin-frames", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["notes"][0] == "expected_spikes was read."
