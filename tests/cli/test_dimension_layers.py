"""``antidrome dimension layers``: files of networks and data, as typed."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import xarray as xr

import antidrome.core.executor as executor
import antidrome.dimension.engines as engines
from antidrome.cli.app import main

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")


@pytest.fixture
def folder(tmp_path, rng, monkeypatch):
    """A folder with a network's weights, the module that makes it, and data."""
    (tmp_path / "small_networks_for_tests.py").write_text(
        "import torch\n\ndef make():\n    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(),"
        " torch.nn.Linear(8, 3))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "small_networks_for_tests", raising=False)
    network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    safetensors_torch.save_file(network.state_dict(), tmp_path / "net.safetensors")
    torch.save(network, tmp_path / "net.pt")
    np.save(tmp_path / "data.npy", rng.normal(size=(150, 4)).astype(np.float32))
    np.save(tmp_path / "labels.npy", np.arange(150) % 2)
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "pickled.zarr").mkdir()
    codec = {"filters": [{"id": "pickle", "protocol": 4}], "compressor": None, "fill_value": 0, "order": "C"}
    shape = {"zarr_format": 2, "shape": [150, 4], "chunks": [150, 4], "dtype": "|O"}
    (tmp_path / "pickled.zarr" / ".zarray").write_text(json.dumps(shape | codec))
    return tmp_path


MAKE = ["--architecture", "small_networks_for_tests:make"]


def test_a_table_and_a_file(folder, capsys) -> None:
    command = ["dimension", "layers", "--network", "net.safetensors", *MAKE, "--data", "data.npy"]
    assert main([*command, "--classes", "labels.npy", "-o", "out.nc", "--store", "work"]) == 0
    shown = capsys.readouterr().out
    for words in ("2:input", "verdict", "lower bounds", "out.nc"):
        assert words in shown
    with xr.open_dataset("out.nc") as found:
        assert list(found["layer"].values) == ["input", "0", "2:input", "2"]
        assert list(found["class"].values) == ["all", "0", "1"]
        assert list(found["network"].values) == ["net"]
    assert main([*command, "-o", "out.nc"]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_a_cluster_searches(folder, monkeypatch) -> None:
    asked = []

    @contextmanager
    def opened(cluster):
        asked.append(cluster)
        with ThreadPoolExecutor(1) as pool:
            yield pool

    monkeypatch.setattr(executor, "open_executor", opened)
    monkeypatch.setattr(
        engines, "map_tasks", lambda *a, **k: asked.append(k["executor"]) or executor.map_tasks(*a, **k)
    )
    command = ["dimension", "layers", "--network", "net.safetensors", *MAKE, "--data", "data.npy", "--at", "0"]
    assert main([*command, "--cluster", "tcp://node-1:8786"]) == 0
    assert asked[0] == "tcp://node-1:8786"
    assert isinstance(asked[1], ThreadPoolExecutor)


@pytest.mark.parametrize("kind", ["npz", "zarr"])
def test_one_of_several_arrays_is_chosen(folder, capsys, kind) -> None:
    arrays = {"train": np.load("data.npy"), "test": np.load("data.npy")[:100]}
    if kind == "npz":
        np.savez("data.npz", **arrays, names=np.array(["a", None], object))
    else:
        dataset = xr.Dataset({name: ((f"{name}_points", "unit"), values) for name, values in arrays.items()})
        dataset.to_zarr("data.zarr", consolidated=False)
    command = ["dimension", "layers", "--network", "net.safetensors", *MAKE, "--data", f"data.{kind}"]
    assert main(command) == 2
    assert ("--series: " in capsys.readouterr().err) == (kind == "zarr")  # elsewhere the pickle speaks first
    assert main([*command, "--series", "test"]) == 0
    assert " 100 " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--network", "net.pt", "--data", "data.npy"], "are pickles, which run code"),
        (["--network", "net.safetensors", "--data", "data.npy"], "--architecture PACKAGE.MODULE:FUNCTION"),
        (["--network", "net.txt", "--data", "data.npy"], "read from .onnx and .safetensors"),
        (["--network", "net.safetensors", *MAKE, "--data", "gone.npy"], "no such file"),
        (["--network", "net.safetensors", *MAKE, "--data", "objects.npy"], "holds Python objects"),
        (["--network", "net.safetensors", *MAKE, "--data", "pickled.zarr"], "pickle"),
        (["--network", "net.safetensors", *MAKE, "--data", "labels.npy"], "could not be run"),
        (["--network", "net.safetensors", "--architecture", "torch.nn:ReLU", "--data", "data.npy"], "do not fit"),
        (["--network", "net.safetensors", "--architecture", "nowhere:make", "--data", "data.npy"], "cannot be made"),
        (["--network", "net.safetensors", "--architecture", "builtins:dict", "--data", "data.npy"], "gives a dict"),
        (["--network", "net.safetensors", *MAKE, "--data", "data.npy", "--at", "conv*"], "No layer matches"),
    ],
)
def test_what_cannot_be_used_is_a_sentence(folder, capsys, options, message) -> None:
    assert main(["dimension", "layers", *options]) == 2
    error = capsys.readouterr().err
    assert message in " ".join(error.split())
    assert "Traceback" not in error


def test_a_page_with_accuracies(folder, capsys) -> None:
    command = ["dimension", "layers", "--network", "net.safetensors", *MAKE, "--data", "data.npy"]
    (folder / "accuracy.json").write_text('{"net": 0.9}')
    assert main([*command, "--accuracy", "accuracy.json", "--report", "page.html"]) == 0
    assert "Intrinsic dimension across layers" in (folder / "page.html").read_text("utf-8")
    assert "accuracy is drawn for two networks or more; 1 of them is named" in capsys.readouterr().out
    (folder / "accuracy.json").write_text("[0.9]")
    assert main([*command, "--accuracy", "accuracy.json", "--report", "other.html"]) == 2
    assert "JSON object of numbers" in capsys.readouterr().err
