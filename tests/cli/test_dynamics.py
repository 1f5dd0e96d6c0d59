"""`antidrome dynamics`: files in, a fit out, latents and pairs from it."""

import numpy as np
import pytest
import xarray as xr
from scipy.signal import lfilter

from antidrome.cli import main
from antidrome.dynamics import simulate
from antidrome.recordings import from_array
from antidrome.recordings.xarray_writing import read_xarray_result


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
    assert main(["dynamics", "fit", *files, "-o", fit, "--components", "2", "--solver", "sketch"]) == 0
    assert "2 sessions, 20 neurons" in capsys.readouterr().out
    assert "data-chart=" in (tmp_path / "fit.html").read_text("utf-8")
    assert main(["dynamics", "fit", *files, "-o", fit, "--components", "2"]) == 2
    assert "exists" in capsys.readouterr().err
    (tmp_path / "fit.html").rename(tmp_path / "moved.html")
    (tmp_path / "fit.safetensors").rename(tmp_path / "moved.safetensors")
    assert main(["dynamics", "fit", *files, "-o", fit, "--components", "2", "--solver", "sketch", "--no-report"]) == 0
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


def test_a_folder_in_the_place_of_the_fit_is_refused_before_the_fit(files, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("antidrome.dynamics.StitchedLDS.fit", None)
    for output in (tmp_path, tmp_path / "a.nc" / "fit.safetensors"):
        assert main(["dynamics", "fit", *files, "-o", str(output), "--overwrite"]) == 2
        assert "folder. Name the file" in capsys.readouterr().err


def test_nothing_to_fit_is_said(tmp_path, capsys):
    assert main(["dynamics", "fit", "-o", str(tmp_path / "x.safetensors")]) == 2
    assert "No recording was given" in capsys.readouterr().err


def test_sessions_whose_names_make_one_file_name_get_one_each(files, tmp_path, capsys):
    for path, name in zip(files, ("day/1", "day:1"), strict=True):
        with xr.load_dataarray(path, engine="h5netcdf") as recording:
            recording.assign_attrs(session_id=name).to_netcdf(path, engine="h5netcdf")
    fit, folder = str(tmp_path / "fit.safetensors"), tmp_path / "latents"
    command = ["dynamics", "fit", *files, "-o", fit, "--components", "2", "--max-iterations", "3", "--no-report"]
    assert main(command) == 0
    assert main(["dynamics", "transform", *files, "--model", fit, "-o", str(folder)]) == 0
    assert [path.name for path in sorted(folder.iterdir())] == ["day_1-2.nc", "day_1.nc"]
    assert read_xarray_result(folder / "day_1-2.nc").attrs["session_id"] == "day:1-2"
    capsys.readouterr()
    assert main(["dynamics", "transform", *files, "--model", fit, "-o", str(folder)]) == 2
    assert "exists" in capsys.readouterr().err


def test_a_table_of_too_many_pairs_is_refused(files, tmp_path, capsys, monkeypatch):
    fit = str(tmp_path / "fit.safetensors")
    command = ["dynamics", "fit", *files, "-o", fit, "--components", "2", "--max-iterations", "3", "--no-report"]
    assert main(command) == 0
    monkeypatch.setattr("antidrome.cli.dynamics.MOST_NEURONS", 19)
    capsys.readouterr()
    assert main(["dynamics", "predict", fit]) == 2
    assert "holds 20 neurons" in capsys.readouterr().err
    assert main(["dynamics", "predict", fit, "--neurons", "0", "19"]) == 0


def test_time_constants_that_are_limits_are_not_told_as_measured(tmp_path, capsys, rng):
    """Slow private noise, taken for white as was asked for."""
    private = lfilter([1], [1, -0.97], rng.standard_normal((600, 5)), axis=0)
    values = simulate(5, 1, 600, seed=3).activity + 2 * private
    path, fit = tmp_path / "a.npz", tmp_path / "fit.safetensors"
    np.savez(path, dff=values, frame_rate_hz=10.0)
    command = ["dynamics", "fit", str(path), "-o", str(fit), "--components", "1", "--private-noise", "white"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "1 dimension; no time constant was measured" in shown
    assert "Try private_noise='autocorrelated'" in shown
    assert '<td class="n">–</td>' in fit.with_suffix(".html").read_text("utf-8")
