"""Activations on disk: streamed equals in memory, an interrupted run goes on, nothing wrong is silent."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from antidrome.dimension.networks import extraction
from antidrome.dimension.networks.extraction import as_network, record, reduced
from antidrome.dimension.networks.steps import Step
from antidrome.dimension.networks.store import Activations, Writer
from antidrome.dimension.networks.torch_network import TorchNetwork
from antidrome.errors import FileFormatError, InputError, ResumeError


def contents(folder) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


class Failing:
    """A network that is interrupted in its n-th pass."""

    framework = "torch"

    def __init__(self, module, n_passes: int) -> None:
        self.inner, self.left = TorchNetwork(module), n_passes
        self.steps, self.fingerprint = self.inner.steps, self.inner.fingerprint

    def run(self, batch, names, sink) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        self.inner.run(batch, names, sink)


def test_streamed_equals_in_memory(convolutional, images, collected, tmp_path) -> None:
    stored = record(convolutional, images, store=tmp_path / "s", batch_size=4, progress=False)
    TorchNetwork(convolutional).run(images, list(stored), collected.sink)
    assert list(stored) == ["input", "0.2", "1.1", "1.4:input", "1.4"]
    for name, values in stored.items():
        np.testing.assert_allclose(values, collected.values[name].reshape(11, -1), atol=1e-6)
        assert isinstance(values, np.memmap)
        assert not values.flags.writeable
    assert stored.last_hidden == "1.4:input"
    assert stored.layers["0.2"].shape == (4, 3, 3)


def test_an_interrupted_run_goes_on_to_the_same_bytes(convolutional, images, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(extraction, "SECONDS_BETWEEN_COMMITS", 0.0)
    options = {"batch_size": 3, "progress": False}
    record(convolutional, images, store=tmp_path / "whole", **options)
    for stop in range(4):
        folder = tmp_path / f"stopped-{stop}"
        with pytest.raises(KeyboardInterrupt):
            record(Failing(convolutional, stop), images, store=folder, **options)
        with pytest.raises(FileFormatError, match=f"only {3 * stop} of 11 rows"):
            Activations(folder)
        for path in folder.glob("*.partial"):  # what a killed writer had not committed
            with open(path, "ab") as stream:
                stream.write(b"half a row")
        going_on = Failing(convolutional, 4 - stop)
        record(going_on, images, store=folder, **options)
        assert going_on.left == 0, "finished rows are not run again"
        assert contents(folder) == contents(tmp_path / "whole")


@pytest.mark.slow
def test_a_killed_process_loses_only_what_was_not_committed(torch, tmp_path) -> None:
    script = textwrap.dedent(
        """
        import os, signal, sys
        import numpy as np, torch
        from antidrome.dimension.networks import extraction
        extraction.SECONDS_BETWEEN_COMMITS = 0.0
        torch.manual_seed(0)
        torch.set_num_threads(1)
        network = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2))
        data = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
        passes = 0
        def count(*_):
            global passes
            passes += 1
            if passes == int(sys.argv[2]):
                os.kill(os.getpid(), signal.SIGKILL)
        network.register_forward_hook(count)
        extraction.record(network, data, store=sys.argv[1], batch_size=4, progress=False)
        """
    )

    def run(folder: str, kill_at: int) -> int:
        return subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / folder), str(kill_at)],
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        ).returncode

    assert run("whole", -1) == 0
    assert run("killed", 5) == -signal.SIGKILL
    assert run("killed", -1) == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_a_finished_folder_is_used_as_it_is(convolutional, images, tmp_path) -> None:
    record(convolutional, images, store=tmp_path, progress=False)
    record(Failing(convolutional, 0), images, store=tmp_path, progress=False)


def test_files_keep_the_names_that_an_early_version_gave_them(convolutional, images, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(extraction, "SECONDS_BETWEEN_COMMITS", 0.0)
    whole = record(convolutional, images, store=tmp_path / "whole", batch_size=3, progress=False)
    with pytest.raises(KeyboardInterrupt):
        record(Failing(convolutional, 2), images, store=tmp_path / "early", batch_size=3, progress=False)
    index = tmp_path / "early" / "index.json"
    index.write_text(index.read_text().replace("003-1.4_input", "003-early"))
    (tmp_path / "early" / "003-1.4_input.npy.partial").rename(tmp_path / "early" / "003-early.npy.partial")
    found = record(Failing(convolutional, 2), images, store=tmp_path / "early", batch_size=3, progress=False)
    assert (tmp_path / "early" / "003-early.npy").is_file()
    assert all(np.array_equal(found[name], whole[name]) for name in whole)


def test_another_run_s_folder_is_refused(torch, convolutional, images, tmp_path) -> None:
    record(convolutional, images, store=tmp_path, progress=False)
    with pytest.raises(ResumeError, match="rows from 0 on differ"):
        record(convolutional, images + 1, store=tmp_path, progress=False)
    with pytest.raises(ResumeError, match="batch_size differ"):
        record(convolutional, images, store=tmp_path, batch_size=3, progress=False)
    with pytest.raises(ResumeError, match="layers differ"):
        record(convolutional, images, "0.0", store=tmp_path, progress=False)
    with torch.no_grad():
        convolutional[1][1].weight[0, 0] += 1
    with pytest.raises(ResumeError, match="network differ"):
        record(convolutional, images, store=tmp_path, progress=False)


def attending(torch, **options):
    """A network with the same weights and the same printed structure, whatever the options."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.TransformerEncoderLayer(8, batch_first=True, dim_feedforward=16, **options)


@pytest.mark.parametrize("change", [{"nhead": 4}, {"norm_first": True}, {"activation": "gelu"}])
def test_a_network_that_does_something_else_with_its_weights_is_refused(torch, rng, tmp_path, change) -> None:
    data = rng.normal(size=(12, 6, 8)).astype(np.float32)
    one, other = (attending(torch, **{"nhead": 2, **options}) for options in ({}, change))
    assert TorchNetwork(one).fingerprint() == TorchNetwork(other).fingerprint()
    record(one, data, "output", store=tmp_path, progress=False)
    with pytest.raises(ResumeError, match="layer 'output' gives other values for the first rows"):
        record(other, data, "output", store=tmp_path, progress=False)
    index = json.loads((tmp_path / "index.json").read_text())
    sketch = index["probe"]["sketches"]["output"]
    index["probe"]["sketches"]["output"] = [value * (1 + 1e-4) for value in sketch]  # as another machine rounds
    (tmp_path / "index.json").write_text(json.dumps(index))
    record(one, data, "output", store=tmp_path, progress=False)


def test_a_folder_of_an_early_version_has_no_sketches_and_is_used(convolutional, images, tmp_path) -> None:
    record(convolutional, images, store=tmp_path, progress=False)
    index = json.loads((tmp_path / "index.json").read_text())
    del index["probe"]
    (tmp_path / "index.json").write_text(json.dumps(index))
    record(Failing(convolutional, 0), images, store=tmp_path, progress=False)


@pytest.mark.parametrize("damage", ["index.json", "progress.json"])
def test_damaged_folders_are_a_sentence(convolutional, images, tmp_path, damage) -> None:
    record(convolutional, images, store=tmp_path, progress=False)
    (tmp_path / damage).write_text("[1, 2")
    with pytest.raises(FileFormatError, match="damaged"):
        Activations(tmp_path)
    (tmp_path / damage).unlink()
    with pytest.raises(FileFormatError, match="no folder of activations"):
        Activations(tmp_path)


def test_an_index_that_names_files_elsewhere_is_refused(convolutional, images, tmp_path) -> None:
    stored = record(convolutional, images, store=tmp_path / "s", progress=False)
    index = (tmp_path / "s" / "index.json").read_text()
    (tmp_path / "s" / "index.json").write_text(index.replace(stored.layers["1.4"].file, "../../x.npy"))
    with pytest.raises(FileFormatError, match="refused"):
        Activations(tmp_path / "s")["1.4"]


def test_datasets_loaders_and_arrays_give_the_same(torch, convolutional, images, tmp_path) -> None:
    labels = np.arange(11) % 2
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))
    loader = torch.utils.data.DataLoader(dataset, batch_size=5)
    every = [
        record(convolutional, data, "1.4", store=tmp_path / str(i), progress=False)["1.4"]
        for i, data in enumerate([images, torch.from_numpy(images), dataset, loader])
    ]
    for other in every[1:]:
        np.testing.assert_array_equal(every[0], other)
    shuffled = torch.utils.data.DataLoader(dataset, batch_size=5, shuffle=True)
    with pytest.raises(InputError, match="shuffle=False"):
        record(convolutional, shuffled, store=tmp_path / "x", progress=False)


def test_fewer_points_are_drawn_once_and_said(convolutional, images, tmp_path) -> None:
    first = record(convolutional, images, "input", store=tmp_path / "a", max_points=5, seed=3, progress=False)
    again = record(convolutional, images, "input", store=tmp_path / "b", max_points=5, seed=3, progress=False)
    other = record(convolutional, images, "input", store=tmp_path / "c", max_points=5, seed=4, progress=False)
    np.testing.assert_array_equal(first["input"], again["input"])
    assert first["input"].shape == (5, 192)
    assert not np.array_equal(first["input"], other["input"])


def test_non_finite_activations_name_layer_and_row(convolutional, images, tmp_path) -> None:
    images[7, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match=r"'input' has NaN or infinite values for 1 rows, the first being row 7"):
        record(convolutional, images, store=tmp_path, batch_size=4, progress=False)


def test_float16_that_overflows_says_so(torch, tmp_path) -> None:
    with pytest.raises(InputError, match="use float32"):
        record(torch.nn.Identity(), np.full((4, 2), 1e6), store=tmp_path, dtype="float16", progress=False)


def test_float16_that_loses_digits_says_so(torch, rng, tmp_path) -> None:
    small = rng.normal(size=(8, 2)) * 1e-5
    with pytest.raises(InputError, match=r'float16 loses digits .* use dtype="float32"'):
        record(torch.nn.Identity(), small, store=tmp_path / "small", dtype="float16", progress=False)
    options = {"dtype": "float16", "batch_size": 4, "progress": False}
    for first, second in ((0.0, 1.0), (1.0, 1e-5), (1e-5, 1.0)):
        mixed = np.concatenate([np.full((4, 2), first), np.full((4, 2), second)])
        assert len(record(torch.nn.Identity(), mixed, store=tmp_path / f"{first}", **options)["input"]) == 8


@pytest.mark.parametrize("early", [False, True])
def test_digits_of_float16_are_judged_on_all_rows_of_runs_that_were_interrupted(
    torch, tmp_path, monkeypatch, early
) -> None:
    monkeypatch.setattr(extraction, "SECONDS_BETWEEN_COMMITS", -1.0)
    options = {"store": tmp_path, "dtype": "float16", "batch_size": 4, "progress": False}

    class Stopped:
        def __init__(self, values):
            self.values, self.shape, self.dtype = values, values.shape, values.dtype

        def __getitem__(self, rows):
            if rows.stop > 4:
                raise KeyboardInterrupt
            return self.values[rows]

    values = np.concatenate([np.full((4, 2), 1.0), np.full((4, 2), 1e-5)])
    with pytest.raises(KeyboardInterrupt):
        record(torch.nn.Identity(), Stopped(values), **options)
    kept = json.loads((tmp_path / "progress.json").read_text())
    assert (kept["rows_done"], kept["largest"]) == (4, {"input": 1.0})
    if early:
        (tmp_path / "progress.json").write_text(json.dumps({"rows_done": 4, "digests": kept["digests"]}))
    assert len(record(torch.nn.Identity(), values, **options)["input"]) == 8


def test_tensors_of_bfloat16_are_data(torch, tmp_path) -> None:
    data = torch.arange(12.0, dtype=torch.bfloat16).reshape(6, 2)
    stored = record(torch.nn.Linear(2, 2), data, store=tmp_path, progress=False)
    np.testing.assert_array_equal(stored["input"], np.arange(12).reshape(6, 2))


def test_reductions() -> None:
    maps = np.arange(2 * 3 * 4 * 5, dtype=float).reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(reduced(maps, "flatten"), maps.reshape(2, -1))
    np.testing.assert_array_equal(reduced(maps, "mean"), maps.mean(axis=(2, 3)))
    sequence = maps[:, :, :, 0]
    np.testing.assert_array_equal(reduced(sequence, "mean"), sequence.mean(axis=1))
    np.testing.assert_array_equal(reduced(sequence, "first"), sequence[:, 0])
    with pytest.raises(InputError, match="for sequences"):
        reduced(maps, "first")


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": None}, "No data were given"),
        ({"data": np.zeros((0, 3, 8, 8), np.float32)}, "at least one row"),
        ({"data": iter([1])}, "cannot be read row by row"),
        ({"data": np.array(["a", "b"])}, "a network takes numbers"),
        ({"data": {"a": np.zeros((2, 1)), "b": np.zeros((3, 1))}}, "same number of rows"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"max_points": 0}, "max_points is 0"),
        ({"reduce": "median"}, "reduce = 'median'"),
        ({"dtype": "float8"}, "dtype = 'float8'"),
        ({"network": 3}, "type int is not known"),
        ({"network": "model.pt"}, "needs to be .onnx"),
    ],
)
def test_hostile_arguments_are_sentences(convolutional, images, tmp_path, change, message) -> None:
    arguments = {"network": convolutional, "data": images, "store": tmp_path, "progress": False, **change}
    with pytest.raises(InputError, match=message):
        record(**arguments)


def test_a_layer_without_rows_is_refused(torch, tmp_path) -> None:
    class Summed(torch.nn.Module):
        def forward(self, x):
            return self.inner(x)

        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Linear(3, 2)
            self.inner.register_forward_hook(lambda *_: torch.ones(7, 2))

    with pytest.raises(InputError, match="gave 7 rows for 4 points"):
        record(Summed(), np.zeros((4, 3), np.float32), "inner", store=tmp_path, progress=False)


def test_frameworks_are_recognised(torch, convolutional) -> None:
    import equinox as eqx
    import jax

    assert as_network(convolutional).framework == "torch"
    assert as_network(torch.nn.DataParallel(convolutional)).module is convolutional
    assert as_network(eqx.nn.Linear(2, 2, key=jax.random.key(0))).framework == "equinox"


def test_too_small_a_disk_is_said_before_the_start(convolutional, images, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(InputError, match=r"GiB free\. Choose fewer layers"):
        record(convolutional, images, store=tmp_path, progress=False)


class Written:
    """A network that gives the places it is told to, under the names it is told to."""

    framework = "none"

    def __init__(self, offered: list[str], given: list[str]) -> None:
        self.offered, self.given = offered, given

    def steps(self, batch) -> list[Step]:
        return [
            Step(name=name, kind="other", shape=(2,), n_weighted=0, digest=str(i))
            for i, name in enumerate(self.offered)
        ]

    def run(self, batch, names, sink) -> None:
        for number, name in enumerate(self.given):
            sink(name, batch + number)

    def fingerprint(self) -> str:
        return "written"


@pytest.mark.parametrize(
    ("offered", "given", "message"),
    [
        (["a", "b"], ["a", "b", "a"], r"layer 'a' twice for one batch.*Rename one of its modules"),
        (["a", "a"], ["a"], r"Two layers of the network are called 'a'; rename"),
    ],
)
def test_two_tensors_never_go_into_one_file(tmp_path, offered, given, message) -> None:
    with pytest.raises(InputError, match=message):
        record(Written(offered, given), np.ones((6, 2)), "*", store=tmp_path, batch_size=3, progress=False)


@pytest.mark.parametrize(("times", "rows"), [(2, 6), (0, 0)])
def test_a_layer_with_other_rows_than_points_is_not_committed(tmp_path, times, rows) -> None:
    steps = Written(["a"], []).steps(None)
    writer = Writer(tmp_path, {}, steps, {"a": (2,)}, [0.0], n_rows=6, dtype="float32", last_hidden=None)
    writer.start()
    for _ in range(times):
        writer.add("a", np.ones((3, 2)))
    with pytest.raises(InputError, match=f"Layer 'a' got {rows} rows for 3 data points"):
        writer.commit(3, ["digest"])
    writer.close()
    with pytest.raises(FileFormatError, match="only 0 of 6 rows"):
        Activations(tmp_path)


def test_a_finished_file_with_more_rows_than_it_says_is_refused(tmp_path) -> None:
    stored = record(Written(["a"], ["a"]), np.ones((6, 2)), "a", store=tmp_path, progress=False)
    path = tmp_path / stored.layers["a"].file
    path.write_bytes(path.read_bytes() + bytes(48))
    with pytest.raises(FileFormatError, match="more values than its header says"):
        Activations(tmp_path)["a"]
