"""`antidrome spikes fit` and `antidrome spikes predict`: a recording in, a model out, spikes and times from it."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr

import antidrome as ad
from antidrome.cli import main
from antidrome.cli.spikes_fit import read_known
from antidrome.errors import InputError


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "traces.npz"
    dff = ad.spikes.simulate(n_neurons=2, duration_s=30, frame_rate_hz=20, seed=3)["dff"]
    np.savez(path, dff=dff.values, frame_rate_hz=20.0)
    return str(path)


@pytest.mark.slow
def test_fit_then_predict(recording, tmp_path, capsys):
    fit, spikes, times = (str(tmp_path / name) for name in ("fit.safetensors", "spikes.nc", "times.csv"))
    assert main(["spikes", "fit", recording, "-o", fit, "--model", "simulations", "--steps", "2"]) == 0
    assert "fit.safetensors" in capsys.readouterr().out
    assert main(["spikes", "fit", recording, "-o", fit]) == 2
    assert "exists" in capsys.readouterr().err
    assert main(["spikes", "predict", recording, "--model", fit, "-o", spikes, "--times", times]) == 0
    assert xr.load_dataset(spikes, engine="h5netcdf")["expected_spikes"].shape == (600, 2)
    assert (tmp_path / "times.csv").read_text("utf-8").startswith("neuron,time_s,low_s,high_s,probability")
    again = str(tmp_path / "again.nc")
    assert main(["spikes", recording, "--model", fit, "-o", again]) == 0
    assert main(["spikes", "predict", recording, "--model", fit, "-o", again, "--times", times]) == 2


@pytest.mark.slow
def test_a_cluster_predicts(recording, tmp_path, monkeypatch):
    asked = []

    @contextlib.contextmanager
    def opened(cluster):
        asked.append(cluster)
        with ThreadPoolExecutor(2) as executor:
            yield executor

    monkeypatch.setattr("antidrome.core.executor.open_executor", opened)
    monkeypatch.setattr("antidrome.pipeline.infer.BLOCK_VALUES", 600)
    there, here = (str(tmp_path / name) for name in ("there.nc", "here.nc"))
    command = ["spikes", "predict", recording, "--model", "simulations", "-o"]
    assert main([*command, there, "--cluster", "tcp://node-1:8786"]) == 0
    assert asked == ["tcp://node-1:8786"]
    monkeypatch.undo()
    assert main([*command, here]) == 0
    a, b = (xr.load_dataset(path, engine="h5netcdf")["expected_spikes"] for path in (there, here))
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_a_model_is_needed_to_predict(recording, tmp_path, capsys):
    assert main(["spikes", "predict", recording, "-o", str(tmp_path / "x.nc")]) == 2
    assert "--model" in capsys.readouterr().err
    assert main(["spikes", "predict", recording, "--model", "nowhere.safetensors", "-o", str(tmp_path / "x.nc")]) == 2
    assert "nowhere.safetensors" in capsys.readouterr().err


def test_known_spikes_are_read_or_refused(tmp_path):
    path = tmp_path / "known.csv"
    path.write_text("neuron,time_s\na,1.5\nb,2\na,3\n", "utf-8")
    assert read_known(path) == {"a": [1.5, 3.0], "b": [2.0]}
    for text, encoding, said in (
        ("neuron,time_s\na,soon\n", "utf-8", "row 2"),
        ("cell,time\na,1\n", "utf-8", "columns"),
        ("neuron,time_s\n", "utf-8", "holds no spikes"),
        ("neuron,time_s\na,1\n", "utf-16", "expected CSV in UTF-8"),
    ):
        path.write_text(text, encoding)
        with pytest.raises(InputError, match=said):
            read_known(path)


def test_a_folder_in_the_place_of_the_file_is_refused_before_the_work(recording, tmp_path, capsys):
    folder = tmp_path / "out.nc"
    folder.mkdir()
    fit, predict = ["spikes", "fit", recording], ["spikes", "predict", recording, "--model", "simulations"]
    for command, option in ((fit, "-o"), (predict, "-o"), ([*predict, "-o", str(tmp_path / "new.nc")], "--times")):
        assert main([*command, option, str(folder), "--overwrite"]) == 2
        assert f"out.nc is a folder. Name the file that is to be written with {option}." in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == [folder, tmp_path / "traces.npz"]
