"""The store of simulations: what was written is read, whatever happened to the writer."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas
import pytest
import xarray

from antidrome.errors import FileFormatError, InputError, ResumeError
from antidrome.mechanism.simulate import (
    Failure,
    SimulationStore,
    external_simulations,
    read_external,
    read_simulations,
    write_parameters,
)
from antidrome.mechanism.simulate.records import read_records

NAMES = {"parameter_names": ("a", "b"), "feature_names": ("x",), "feature_units": ("mV",)}


def fill(folder: Path, start: int, n: int, *, shard: str = "all", round_: int = 0) -> None:
    index = np.arange(start, start + n)
    theta = np.stack([index, -index], axis=1) + 0.5
    valid = index % 3 != 0
    failures = [Failure(int(i), "exception", f"number {index[i]}", "trace") for i in np.flatnonzero(~valid)]
    with SimulationStore(folder, **NAMES, shard=shard) as store:
        features = np.where(valid, index * 2.0, np.nan)[:, None]
        store.append(index, theta, features, valid, index + 7, round_=round_, log_density=-index / 2, failures=failures)


def test_what_was_written_is_read_in_order(tmp_path: Path) -> None:
    fill(tmp_path, 5, 5, shard="b")
    fill(tmp_path, 0, 5, shard="a")
    fill(tmp_path, 0, 2, round_=1)
    read = read_simulations(tmp_path)
    assert read.round.tolist() == [0] * 10 + [1] * 2
    assert read.index.tolist() == [*range(10), 0, 1]
    assert read.theta[:10, 0].tolist() == [i + 0.5 for i in range(10)]
    assert np.array_equal(read.valid[:10], np.arange(10) % 3 != 0)
    assert read.seed[:10].tolist() == list(range(7, 17))
    assert read.log_density[3] == -1.5
    assert [(f.index, f.message) for f in read.failures][:2] == [(0, "number 0"), (3, "number 3")]
    assert (read.parameter_names, read.feature_names, read.feature_units) == (("a", "b"), ("x",), ("mV",))
    assert len(read.of_round(1)) == 2
    assert read.of_round(1).failures[0].index == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_record_without_room_leaves_the_others_and_the_next_one_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # it would be cut off as well, and stay
    few, many = (np.arange(n) for n in (3, 500))
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    with SimulationStore(tmp_path, **NAMES) as store:
        path = tmp_path / "all.simulations"
        store.append(few, np.ones((3, 2)), np.ones((3, 1)), np.ones(3, bool), few)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 1000, unlimited[1]))
        try:
            with pytest.raises(OSError, match=r"all\.simulations"):
                store.append(many, np.ones((500, 2)), np.ones((500, 1)), np.ones(500, bool), many)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        assert len(read_simulations(tmp_path)) == 3
        store.append(few + 3, np.ones((3, 2)), np.ones((3, 1)), np.ones(3, bool), few)
    assert read_simulations(tmp_path).index.tolist() == list(range(6))


def test_every_cut_of_a_file_keeps_the_whole_records(tmp_path: Path, happened: Callable) -> None:
    """A writer may be killed at any byte."""
    for start in (0, 3, 6):
        fill(tmp_path, start, 3)
    path = tmp_path / "all.simulations"
    content = path.read_bytes()
    lengths = []
    for n in range(content.index(b"\n") + 1, len(content), 7):
        path.write_bytes(content[:n])
        lengths.append(len(read_simulations(tmp_path)))
        fill(tmp_path, 20, 1)
        assert read_simulations(tmp_path).index[-1] == 20, "writing goes on after the last whole record"
    assert lengths == sorted(lengths)
    assert set(lengths) == {0, 3, 6}
    kept = ", ".join(map(str, sorted(set(lengths))))
    happened(
        f"of 9 simulations, written by threes, {kept} are kept, what lies whole before the cut; writing goes on there"
    )


def test_damage_in_the_middle_is_named(tmp_path: Path) -> None:
    fill(tmp_path, 0, 3)
    fill(tmp_path, 3, 3)
    path = tmp_path / "all.simulations"
    content = bytearray(path.read_bytes())
    offset = content.index(b"AdSr") + 40
    content[offset] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"damaged at byte \d+: a record does not match its checksum"):
        read_simulations(tmp_path)


@pytest.mark.parametrize("content", [b"\x00" * 100 + b"\n", b"[1]\n", json.dumps({"format": "other"}).encode() + b"\n"])
def test_foreign_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "all.simulations").write_bytes(content)
    with pytest.raises(FileFormatError, match="not a file of simulations"):
        read_simulations(tmp_path)


def test_other_simulations_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, 0, 3)
    with pytest.raises(ResumeError, match=r'features: \["x"\] there, \["y"\] here'):
        SimulationStore(tmp_path, parameter_names=("a", "b"), feature_names=("y",), feature_units=("mV",))
    with SimulationStore(tmp_path, **NAMES, shard="other") as store:
        store.append(np.array([1]), np.zeros((1, 2)), np.zeros((1, 1)), np.ones(1, bool), np.zeros(1))
    with pytest.raises(ResumeError, match="two simulations number 1 of round 0 with different parameters"):
        read_simulations(tmp_path)


def test_one_writer_at_a_time(tmp_path: Path, happened: Callable) -> None:
    with SimulationStore(tmp_path, **NAMES):
        with pytest.raises(ResumeError, match="being written by another process") as error:
            SimulationStore(tmp_path, **NAMES)
        SimulationStore(tmp_path, **NAMES, shard="mine").close()
    happened(f"the second one: refused: {error.value}")


def test_wrong_shapes_and_names_are_refused(tmp_path: Path) -> None:
    with (
        SimulationStore(tmp_path, **NAMES) as store,
        pytest.raises(InputError, match=r"expected \(2, 2\) and \(2, 1\)"),
    ):
        store.append(np.arange(2), np.zeros((2, 3)), np.zeros((2, 1)), np.ones(2, bool), np.zeros(2))
    with pytest.raises(InputError, match="letters, digits"):
        SimulationStore(tmp_path, **NAMES, shard="../x")
    with pytest.raises(InputError, match="no simulations are stored"):
        read_simulations(tmp_path / "nothing")


def test_simulations_from_elsewhere(tmp_path: Path) -> None:
    theta = np.random.default_rng(0).random((4, 2))
    write_parameters(tmp_path / "theta.csv", theta, ("a", "b"))
    rows = (tmp_path / "theta.csv").read_text().split()
    assert rows[0] == "a,b"
    table = ["a,rate,b,isi"]
    for i, row in enumerate(rows[1:]):
        a, b = row.split(",")
        table.append(f"{a},{i},{b},{'' if i == 2 else i / 2}")
    (tmp_path / "out.csv").write_text("\n".join(table))
    read = read_external(tmp_path / "out.csv", parameter_names=("a", "b"))
    assert np.array_equal(read.theta, theta), "parameters survive the table bit for bit"
    assert read.feature_names == ("rate", "isi")
    assert np.isnan(read.features[2, 1])
    assert read.valid.all()
    np.savez(tmp_path / "out.npz", theta=theta, x=np.full((4, 3), np.inf))
    assert read_external(tmp_path / "out.npz").valid.sum() == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n1,x\n", "line 3, column 'b': 'x' is not a number"),
        ("a,a\n1,2\n", "a header that names each of its columns once"),
        ("1,2\n3,4\n", "a header that names each of its columns once"),
        ("a,b\n", "a header but no rows"),
        ("a\n1\n", "no column of features"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(FileFormatError, match=message):
        read_external(tmp_path / "t.csv", parameter_names=("a",))
    with pytest.raises(InputError, match="do not belong to parameters"):
        external_simulations(np.zeros((3, 1)), np.zeros((2, 1)))


@pytest.mark.parametrize(
    ("limit", "n_records"), [(8 + 53 * 3 - 1, 4), (8 + 53 * 3, 3), (8 + 53 * 3 + 1, 3), (8 + 53, 7)]
)
def test_a_record_never_grows_beyond_what_is_read(tmp_path: Path, monkeypatch, limit: int, n_records: int) -> None:
    """A row takes 53 bytes; a long batch of wide features must not be written as one record that nobody reads."""
    monkeypatch.setattr("antidrome.mechanism.simulate.records.MAX_RECORD_BYTES", limit)
    theta, features = np.random.default_rng(0).random((7, 2)), np.arange(7.0)[:, None]
    with SimulationStore(tmp_path, **NAMES) as store:
        store.append(np.arange(7), theta, features, np.ones(7, bool), np.arange(7) + 2**60)
    read = read_simulations(tmp_path)
    assert np.array_equal(read.theta, theta)
    assert np.array_equal(read.features, features)
    assert read.seed[6] == 6 + 2**60
    assert len(list(read_records(tmp_path / "all.simulations"))) == n_records


def test_failures_of_a_record_in_parts_keep_their_rows(tmp_path: Path, monkeypatch) -> None:
    fill(tmp_path / "whole", 0, 10)
    monkeypatch.setattr("antidrome.mechanism.simulate.store.FAILURE_BYTES", 2**29)
    fill(tmp_path / "parts", 0, 10)
    assert len(list(read_records(tmp_path / "parts" / "all.simulations"))) == 10
    assert read_simulations(tmp_path / "parts").failures == read_simulations(tmp_path / "whole").failures


def test_names_too_long_for_a_file_are_refused_before_anything_is_simulated(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("antidrome.mechanism.simulate.records.MAX_HEADER_BYTES", 200)
    with pytest.raises(InputError, match="shorter names"):
        SimulationStore(tmp_path, parameter_names=("a",), feature_names=["µ" * 100])


def test_tables_are_written_in_utf_8_whatever_the_system_prefers(tmp_path: Path) -> None:
    code = (
        "import sys; from antidrome.mechanism.simulate import write_parameters as w; w(sys.argv[1], [[1e-12]], ['µ'])"
    )
    options = ["-X", "warn_default_encoding", "-W", "error::EncodingWarning:antidrome.mechanism.simulate.external"]
    subprocess.run([sys.executable, *options, "-c", code, str(tmp_path / "t.csv")], check=True)
    assert (tmp_path / "t.csv").read_text("utf-8").splitlines() == ["µ", "1e-12"]


def test_names_may_come_as_an_array(tmp_path: Path, unchecked_types) -> None:
    """As the columns of a table do."""
    names = np.array(["a", "b"])
    assert external_simulations(np.ones((3, 2)), np.ones(3), parameter_names=names).parameter_names == ("a", "b")
    (tmp_path / "t.csv").write_text("a,b,x\n1,2,3\n")
    assert read_external(tmp_path / "t.csv", parameter_names=names).parameter_names == ("a", "b")


def test_tables_of_pandas_belong_together_by_their_index(tmp_path: Path) -> None:
    theta = pandas.DataFrame({"a": [1.0, 2.0, 3.0]}, index=[5, 6, 7])
    features = pandas.DataFrame({"x": [30.0, 10.0, 20.0]}, index=[7, 5, 6])
    assert external_simulations(theta, features).features[:, 0].tolist() == [10.0, 20.0, 30.0]
    with pytest.raises(InputError, match=r"different labels \(5, 6, 7 … and 0, 1, 2 …\)"):
        external_simulations(theta, features.reset_index(drop=True))
    labelled = xarray.DataArray([[1.0, 2.0]], dims=("sample", "parameter"), coords={"parameter": ["b", "a"]})
    assert external_simulations(labelled, [[3.0]]).parameter_names == ("b", "a")
    theta.assign(x=[10.0, 20.0, 30.0]).to_csv(tmp_path / "indexed.csv")
    assert read_external(tmp_path / "indexed.csv", parameter_names=["a"]).feature_names == ("x",)
    pandas.read_csv(tmp_path / "indexed.csv").to_csv(tmp_path / "again.csv", index=False)
    assert (tmp_path / "again.csv").read_text().startswith("Unnamed: 0,")
    assert read_external(tmp_path / "again.csv", parameter_names=["a"]).feature_names == ("x",)


def test_rows_of_xarray_and_log_densities_belong_together_by_their_labels_too() -> None:
    table = pandas.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]}, index=[5, 6, 7])
    theta = xarray.DataArray(table, dims=("sample", "parameter"))
    rows = {"sample": [7, 5, 6]}
    features = xarray.DataArray([[30.0, 3], [10, 1], [20, 2]], rows | {"feature": ["x", "y"]}, ("sample", "feature"))
    density = pandas.Series([-3.0, -1.0, -2.0], index=[7, 5, 6])
    for given in (theta, theta.T, table):
        read = external_simulations(given, features, log_density=density)
        assert read.features.tolist() == [[10, 1], [20, 2], [30, 3]]
        assert read.log_density.tolist() == [-1, -2, -3]
    assert external_simulations(theta, features.to_pandas(), log_density=density.to_xarray()).features[0, 0] == 10
    assert external_simulations(table.values, features).features[0, 0] == 30
    with pytest.raises(InputError, match=r"different labels \(5, 6, 7 … and 0, 1, 2 …\)"):
        external_simulations(theta, features, log_density=density.reset_index(drop=True))


def test_names_order_the_features_of_xarray_as_those_of_pandas() -> None:
    features = xarray.DataArray([[1.0, 2.0]], {"feature": ["x", "y"]}, ("sample", "feature"))
    for given in (features, features.to_pandas()):
        read = external_simulations([[0.0]], given, feature_names=("y", "x"))
        assert (read.feature_names, read.features.tolist()) == (("y", "x"), [[2.0, 1.0]])
    assert external_simulations([[0.0]], features, feature_names=("p", "q")).features.tolist() == [[1.0, 2.0]]


def test_what_identifies_a_simulator_is_compared_as_it_is_read(tmp_path: Path) -> None:
    """A tuple is a list in the file: the same store was refused, with two equal sides."""
    for _ in range(2):
        SimulationStore(tmp_path, **NAMES, simulator={"bounds": (0, 1)}).close()
    with pytest.raises(ResumeError, match=r"\[0, 1\].* there, .*\[0, 2\]"):
        SimulationStore(tmp_path, **NAMES, simulator={"bounds": (0, 2)})
    with pytest.raises(InputError, match=r"identifies the simulator cannot be written as JSON: .*ndarray"):
        SimulationStore(tmp_path, **NAMES, simulator={"bounds": np.arange(2)})


def test_a_meaning_of_nan_that_there_is_not_is_refused(unchecked_types) -> None:
    with pytest.raises(InputError, match="missing is 'failures'; expected one of 'feature', 'failure'"):
        external_simulations(np.ones((2, 1)), np.ones((2, 1)), missing="failures")
