"""``antidrome dimension FILE…``."""

import json
import sys

import numpy as np
import pytest
import xarray as xr

from antidrome.cli import main


@pytest.fixture
def sheet(rng, tmp_path):
    path = tmp_path / "sheet.npy"
    np.save(path, rng.random((300, 2)) @ rng.standard_normal((2, 8)))
    return path


def test_table_json_and_files(sheet, tmp_path, capsys) -> None:
    assert main(["dimension", str(sheet), "-o", str(tmp_path / "result.nc"), "--neighbours", "16"]) == 0
    shown = capsys.readouterr().out
    assert "TwoNN (fit)" in shown
    assert "estimated from 300 points" in shown
    assert "against N" in shown
    with xr.open_dataset(tmp_path / "result.nc", engine="h5netcdf") as result:
        assert result["dimension"].sel(estimator="two_nn").item() == pytest.approx(2, rel=0.2)
    assert main(["dimension", str(sheet), "--json", "--neighbours", "16", "--blocks", "none"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document[0]["dimension"][0] == pytest.approx(result["dimension"].values[0])
    assert "verdict" in document[0]


def test_a_file_that_fails_does_not_hide_the_others(sheet, tmp_path, capsys) -> None:
    np.save(tmp_path / "equal.npy", np.ones((50, 3)))
    command = ["dimension", str(tmp_path / "equal.npy"), str(sheet), "--json", "--neighbours", "8"]
    assert main(command) == 2
    document = json.loads(capsys.readouterr().out)
    assert "All 50 points are equal" in document[0]["error"]
    assert document[1]["n_points"] == 300


def test_outputs_are_not_overwritten_unasked(sheet, tmp_path, capsys) -> None:
    (tmp_path / "result.json").write_text("mine")
    assert main(["dimension", str(sheet), "-o", str(tmp_path / "result.json")]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "result.json").read_text() == "mine"
    assert main(["dimension", str(sheet), "-o", str(tmp_path / "result.txt")]) == 2
    assert "written as .json or .nc" in capsys.readouterr().err
    assert main(["dimension"]) == 2


def test_a_page_is_written_beside(sheet, tmp_path, capsys) -> None:
    page = tmp_path / "page.html"
    command = ["dimension", str(sheet), "--neighbours", "8", "--blocks", "none", "--report", str(page)]
    assert main(command) == 0
    assert "Dependence on distance" in page.read_text("utf-8")
    assert str(page) in capsys.readouterr().out.replace("\n", "")
    assert main(command) == 2
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize("header", ["time_s,a,b,c,d,e,f", ""])
def test_the_times_of_a_table_are_no_neuron_of_the_population(rng, tmp_path, capsys, header) -> None:
    traces = np.column_stack([np.arange(120) / 8, rng.standard_normal((120, 6))])
    np.savetxt(tmp_path / "traces.csv", traces, delimiter=",", header=header, comments="")
    assert main(["dimension", "--population", str(tmp_path / "traces.csv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["n_neurons"] == 6


def test_the_json_of_a_population_has_both_its_axes(rng, tmp_path, capsys) -> None:
    np.save(tmp_path / "traces.npy", rng.standard_normal((120, 24)))
    assert main(["dimension", "--population", str(tmp_path / "traces.npy"), "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert document["n_neurons"] == document["n_neurons_drawn"][-1] == 24
    assert len(document["n_neurons_drawn"]) == len(document["dimension_by_neurons"]) > 1
    assert len(document["n_points_drawn"]) == len(document["dimension_by_points"])


def test_a_population_with_its_controls(rng, tmp_path, capsys) -> None:
    latents = np.cumsum(rng.standard_normal((200, 2)), axis=0)
    np.save(tmp_path / "traces.npy", latents @ rng.standard_normal((2, 8)) + rng.standard_normal((200, 8)))
    page = tmp_path / "page.html"
    command = ["dimension", str(tmp_path / "traces.npy"), "--population", "--report", str(page)]
    assert main([*command, "-o", str(tmp_path / "result.nc")]) == 0
    shown = capsys.readouterr().out
    assert "200 points and 8 neurons" in " ".join(shown.split())
    assert "against neurons" in shown
    assert "Dependence on the number of neurons" in page.read_text("utf-8")
    with xr.open_dataset(tmp_path / "result.nc", engine="h5netcdf") as result:
        assert "dimension_by_neurons" in result


def test_bins_for_sparse_spikes_and_options_that_do_not_belong(rng, tmp_path, capsys) -> None:
    latents = np.cumsum(rng.standard_normal((400, 2)), axis=0)
    np.save(tmp_path / "traces.npy", latents @ rng.standard_normal((2, 8)) + rng.standard_normal((400, 8)))
    command = ["dimension", str(tmp_path / "traces.npy")]
    assert main([*command, "--population", "--bin-frames", "2"]) == 0
    assert "200 points and 8 neurons" in " ".join(capsys.readouterr().out.split())
    assert main([*command, "--population", "--metric", "cosine", "--drop-missing"]) == 2
    assert "--metric, --drop-missing: no option for --population" in " ".join(capsys.readouterr().err.split())
    assert main([*command, "--bin-frames", "2"]) == 2
    assert "--bin-frames: no option for points" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--neighbours", "-3"], "n_neighbours = -3"),
        (["--seed", "99999999999999999999"], "at most 9223372036854775807"),
    ],
)
def test_impossible_numbers_are_refused(sheet, capsys, options, said) -> None:
    assert main(["dimension", str(sheet), *options]) == 2
    assert said in " ".join(capsys.readouterr().out.split())


def test_onnx_without_its_extra_says_what_to_install(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    np.save(tmp_path / "points.npy", np.zeros((30, 4)))
    command = ["dimension", "layers", "-d", str(tmp_path / "points.npy"), "-n"]
    (tmp_path / "net.onnx").write_bytes(b"anything")
    assert main([*command, str(tmp_path / "net.onnx")]) == 2
    assert "pip install 'antidrome[onnx]'" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "missing.onnx")]) == 2
    assert "there is no such ONNX file" in capsys.readouterr().err
