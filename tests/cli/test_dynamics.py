"""`antidrome dynamics`: files in, a fit out, latents and pairs from it."""

import numpy as np
import pytest
import xarray as xr

from antidrome.cli import main
from antidrome.dynamics import simulate
from antidrome.recordings import from_array


@pytest.fixture
def files(tmp_path):
    truth = simulate(20, 2, 200, seed=3)
    paths = []
    for name, frames, neurons in (("a", slice(0, 100), range(13)), ("b", slice(100, 200), range(7, 20))):
        recording = from_array(
            truth.activity[frames, list(neurons)], 10.0, neuron=list(neurons), attrs={"session_id": name}
        )
        path = tmp_path / f"{name}.nc"
        recording.attrs = {key: value for key, value in recording.attrs.items() if key != "notes"}
        recording.to_netcdf(path, engine="h5netcdf")
        paths.append(str(path))
    return paths


def test_fit_transform_predict(files, tmp_path, capsys):
    fit = str(tmp_path / "fit.safetensors")
    assert main(["dynamics", "fit", *files, "-o", fit, "--n-components", "2", "--solver", "sketch"]) == 0
    assert "2 sessions, 20 neurons" in capsys.readouterr().out
    assert "data-chart=" in (tmp_path / "fit.html").read_text("utf-8")
    assert main(["dynamics", "fit", *files, "-o", fit, "--n-components", "2"]) == 2
    assert "exists" in capsys.readouterr().err
    (tmp_path / "fit.html").rename(tmp_path / "moved.html")
    (tmp_path / "fit.safetensors").rename(tmp_path / "moved.safetensors")
    assert main(["dynamics", "fit", *files, "-o", fit, "--n-components", "2", "--solver", "sketch", "--no-page"]) == 0
    assert not (tmp_path / "fit.html").exists()
    folder = tmp_path / "latents"
    assert main(["dynamics", "transform", *files, "--model", fit, "-o", str(folder)]) == 0
    latents = xr.load_dataset(folder / "a.nc", engine="h5netcdf")
    assert latents["latent"].shape == (100, 2)
    capsys.readouterr()
    assert main(["dynamics", "predict", fit, "--neurons", "0", "19", "--lag", "1"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0].split(",")[1:] == ["0", "19"]
    assert np.isfinite(float(lines[1].split(",")[2]))
    assert main(["dynamics", "predict", fit, "--neurons", "q"]) == 2
    assert "No neuron is called 'q'" in capsys.readouterr().err


def test_nothing_to_fit_is_said(tmp_path, capsys):
    assert main(["dynamics", "fit", "-o", str(tmp_path / "x.safetensors")]) == 2
    assert "No recording was given" in capsys.readouterr().err
