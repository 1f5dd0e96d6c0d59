"""No command of dynamics and dimension destroys what it reads, or writes one result over the other."""

import pathlib

import numpy as np
import pytest
import xarray as xr

from antidrome.cli import main
from antidrome.dynamics import simulate
from antidrome.recordings import from_array

FIT = ["--components", "2", "--solver", "sketch", "--max-iterations", "3", "--no-report"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A recording and a set of points."""
    monkeypatch.chdir(tmp_path)
    recording = from_array(simulate(12, 2, 100, seed=3).activity, 10.0, attrs={"session_id": "day"})
    recording.attrs = {key: value for key, value in recording.attrs.items() if key != "notes"}
    recording.to_netcdf("day.nc", engine="h5netcdf")
    np.save("points.npy", np.random.default_rng(0).standard_normal((60, 3)))
    return tmp_path


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["dynamics", "fit", "day.nc", "-o", "day.nc"], "day.nc would replace the recording day.nc"),
        (["dimension", "day.nc", "-o", "./day.nc"], "day.nc would replace the input day.nc"),
        (["dimension", "points.npy", "-o", "same.json", "--report", "./same.json"], "ends in .html"),
        (["dimension", "points.npy", "-o", "p.nc", "--report", "linked.html"], "named by -o and by --report"),
        (["dimension", "points.npy", "--report", "page.txt"], "ends in .html"),
        (["dimension", "points.zarr", "-o", "points.zarr/x.json"], "x.json would lie inside the input points.zarr"),
    ],
)
def test_what_is_read_is_left_as_it_is(folder: pathlib.Path, capsys, command: list[str], message: str) -> None:
    xr.Dataset({"points": (("point", "axis"), np.load("points.npy"))}).to_zarr("points.zarr", consolidated=False)
    (folder / "linked.html").symlink_to("p.nc")
    before = (folder / "day.nc").read_bytes()
    assert main([*command, "--overwrite"]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert (folder / "day.nc").read_bytes() == before
    assert not (folder / "same.json").exists()


def test_latent_states_do_not_replace_their_recording(folder: pathlib.Path, capsys) -> None:
    assert main(["dynamics", "fit", "day.nc", "-o", "fit.safetensors", *FIT]) == 0
    before = (folder / "day.nc").read_bytes()
    assert main(["dynamics", "transform", "day.nc", "--model", "fit.safetensors", "-o", ".", "--overwrite"]) == 2
    assert "would replace the recording day.nc" in capsys.readouterr().err
    assert (folder / "day.nc").read_bytes() == before
    assert main(["dynamics", "predict", "fit.safetensors", "-o", "fit.safetensors", "--overwrite"]) == 2
    assert "would replace the fit fit.safetensors" in capsys.readouterr().err


def test_a_recording_given_twice_is_refused(folder: pathlib.Path, capsys) -> None:
    (folder / "deeper").mkdir()
    assert main(["dynamics", "fit", "day.nc", "deeper/../day.nc", "-o", "fit.safetensors", *FIT]) == 2
    assert "day.nc is given twice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "points.npy"], "would replace the input points.npy"),
        (["-o", "net.onnx"], "would replace the input net.onnx"),
        (["--classes", "labels.html", "--report", "labels.html"], "another place with --report"),
        (["-o", "layers.nc", "--report", "layers.nc"], "ends in .html"),
        (["--accuracy", "accuracy.json"], "--accuracy: drawn on the page; add --report"),
        (["--accuracy", "accuracy.json", "--report", "page.html"], "'resnet'. The networks are: net"),
    ],
)
def test_what_the_layers_are_made_from_is_left_as_it_is(folder, capsys, options: list[str], message: str) -> None:
    for name in ("net.onnx", "labels.html"):
        (folder / name).write_text("kept")
    (folder / "accuracy.json").write_text('{"resnet": 0.9, "net": 0.8}')
    before = (folder / "points.npy").read_bytes()
    assert main(["dimension", "layers", "-n", "net.onnx", "-d", "points.npy", *options, "--overwrite"]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert (folder / "points.npy").read_bytes() == before
    assert (folder / "net.onnx").read_text() == (folder / "labels.html").read_text() == "kept"


def test_a_fit_does_not_replace_its_observation(folder: pathlib.Path, capsys) -> None:
    (folder / "summary.json").write_text('{"x": 0.3}')
    assert main(["mechanism", "fit", "model.py", "--observation", "summary.json", "-o", ".", "--overwrite"]) == 2
    assert "would replace the observation summary.json" in capsys.readouterr().err
