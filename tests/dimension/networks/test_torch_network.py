"""PyTorch networks: what hooks see, and that nothing is left behind."""

import math
from collections import OrderedDict

import numpy as np
import pytest

from antidrome.dimension.networks.checkpoints import choose, last_hidden, relative_depth
from antidrome.dimension.networks.extraction import record
from antidrome.dimension.networks.profile import layers
from antidrome.dimension.networks.torch_network import TorchNetwork
from antidrome.errors import InputError


def by_hand(torch, network, images):
    """Activations of the plain network, layer by layer, without hooks."""
    x = torch.from_numpy(images)
    with torch.no_grad():
        conv = network[0][0](x)
        pool = network[0][2](torch.relu(conv))
        first = network[1][1](pool.flatten(1))
        last = network[1][4](torch.relu(first))
    return {"0.0": conv, "0.2": pool, "1.1": first, "1.4:input": torch.relu(first), "1.4": last}


def test_values_are_those_of_the_layers_although_relu_works_in_place(torch, convolutional, images, collected) -> None:
    expected = by_hand(torch, convolutional, images)
    TorchNetwork(convolutional).run(images, list(expected), collected.sink)
    assert set(collected.values) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(collected.values[name], values.numpy(), atol=1e-6, err_msg=name)
    assert (collected.values["0.0"] < 0).any(), "before the ReLU that overwrites it"


def test_the_paper_s_checkpoints_of_a_plain_network(convolutional, images) -> None:
    steps = TorchNetwork(convolutional).steps(images[:2])
    chosen = choose(steps, "auto")
    assert [step.name for step in chosen] == ["input", "0.2", "1.1", "1.4:input", "1.4"]
    assert last_hidden(chosen) == "1.4:input"
    assert relative_depth(chosen) == [0, 1 / 4, 2 / 4, 3 / 4, 1]


def test_the_paper_s_checkpoints_of_a_residual_network(residual, images) -> None:
    chosen = choose(TorchNetwork(residual).steps(images[:2]), "auto")
    assert [step.name for step in chosen] == ["input", "layer1", "layer2", "fc:input", "fc"]
    assert [math.prod(step.shape) for step in chosen] == [192, 256, 256, 4, 10]


def test_layers_inside_blocks_are_no_checkpoints(torch) -> None:
    block = lambda: torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)  # noqa: E731
    network = torch.nn.Sequential(torch.nn.Sequential(block(), block()), torch.nn.Linear(8, 3))
    steps = TorchNetwork(network).steps(np.zeros((2, 5, 8), np.float32))
    assert [step.name for step in choose(steps, "auto")] == ["input", "0.0", "0.1", "1"]


def test_a_layer_used_twice_has_two_names(torch, collected) -> None:
    network = torch.nn.Sequential(layer := torch.nn.Linear(3, 3), torch.nn.Tanh(), layer)
    x = np.ones((2, 3), np.float32)
    steps = TorchNetwork(network).steps(x)
    assert {"0", "0#2", "0:input", "0#2:input"} <= {step.name for step in steps}
    TorchNetwork(network).run(x, ["0", "0#2"], collected.sink)
    assert not np.array_equal(collected.values["0"], collected.values["0#2"])
    np.testing.assert_allclose(collected.values["0#2"], network(torch.ones(2, 3)).detach().numpy())


def test_modes_hooks_and_gradients_are_left_as_they_were(convolutional, images, collected) -> None:
    convolutional.train()
    convolutional[1][3].eval()
    TorchNetwork(convolutional).run(images, ["1.4"], collected.sink)
    assert convolutional.training
    assert not convolutional[1][3].training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in convolutional.modules())
    again = dict(collected.values)
    TorchNetwork(convolutional).run(images, ["1.4"], collected.sink)
    np.testing.assert_array_equal(again["1.4"], collected.values["1.4"])


def test_modules_that_give_tuples_and_dictionaries(torch, collected) -> None:
    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent = torch.nn.LSTM(3, 4, batch_first=True)

        def forward(self, x, mask):
            values, _ = self.recurrent(x)
            return {"values": values * mask[..., None], "other": None}

    batch = {"x": np.ones((2, 5, 3), np.float32), "mask": np.ones((2, 5), np.int64)}
    network = TorchNetwork(Network())
    assert [step.name for step in network.steps(batch)] == ["recurrent", "output"]
    network.run(batch, ["recurrent", "output"], collected.sink)
    np.testing.assert_array_equal(collected.values["recurrent"], collected.values["output"])


def test_half_precision_runs_in_its_own_type(torch, collected) -> None:
    network = torch.nn.Linear(3, 2).to(torch.bfloat16)
    TorchNetwork(network).run(np.ones((4, 3), np.float32), ["output"], collected.sink)
    assert collected.values["output"].dtype == np.float32


def test_data_of_another_shape_is_a_sentence(convolutional) -> None:
    with pytest.raises(InputError, match=r"could not be run on a batch of shape \(2, 5\).*shape \(rows"):
        TorchNetwork(convolutional).steps(np.zeros((2, 5), np.float32))


def test_patterns(residual, images) -> None:
    steps = TorchNetwork(residual).steps(images[:2])
    assert [s.name for s in choose(steps, "layer?")] == ["layer1", "layer2"]
    assert [s.name for s in choose(steps, ["fc", "*.conv", "input"])] == [
        "input",
        "layer1.0.conv",
        "layer1.1.conv",
        "layer2.0.conv",
        "fc",
    ]
    assert "fc:input" in [s.name for s in choose(steps, "fc*:input")]
    with pytest.raises(InputError, match=r"No layer matches 'layer3'.*Did you mean.*This network has: input, stem"):
        choose(steps, "layer3")
    with pytest.raises(InputError, match="at is empty"):
        choose(steps, [])


def test_the_fingerprint_tells_weights_and_structure_apart(torch, convolutional) -> None:
    before = TorchNetwork(convolutional).fingerprint()
    assert TorchNetwork(convolutional).fingerprint() == before
    with torch.no_grad():
        convolutional[1][4].bias[0] += 1e-3
    assert TorchNetwork(convolutional).fingerprint() != before


def two_parts(torch, first: str, second: str):
    """Two linear layers of equal width with a tanh between them and one behind, under some names."""

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            with torch.random.fork_rng():
                torch.manual_seed(0)
                setattr(self, first, torch.nn.Linear(3, 3))
                setattr(self, second, torch.nn.Linear(3, 3))

        def forward(self, x):
            return torch.tanh(getattr(self, second)(torch.tanh(getattr(self, first)(x))))

    return Network()


def test_parts_called_as_the_ends_are_layers_of_their_own(torch, rng, tmp_path) -> None:
    x = rng.normal(size=(150, 3)).astype(np.float32)
    options = {"batch_size": 32, "progress": False}
    plain = record(two_parts(torch, "stem", "head"), x, "*", store=tmp_path / "plain", **options)
    named = record(two_parts(torch, "input", "output"), x, "*", store=tmp_path / "named", **options)
    assert list(plain) == ["input", "stem", "head", "output"]
    assert list(named) == ["input", ".input", ".output", "output"]
    for ours, theirs in zip(named.values(), plain.values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(named["output"], named[".output"])
    found = [
        layers(two_parts(torch, *names), x, batch_size=32, progress=False)["dimension"].values
        for names in (("stem", "head"), ("input", "output"))
    ]
    np.testing.assert_array_equal(*found)


def test_what_enters_and_later_calls_of_such_parts(torch, collected) -> None:
    network = torch.nn.Sequential(OrderedDict(output=(layer := torch.nn.Linear(3, 3)), act=torch.nn.Tanh()))
    network.add_module("again", torch.nn.Sequential(OrderedDict(output=layer)))
    x = np.ones((2, 3), np.float32)
    names = [".output:input", ".output", ".output#2:input", ".output#2", "output"]
    assert set(names) <= {step.name for step in TorchNetwork(network).steps(x)}
    TorchNetwork(network).run(x, names, collected.sink)
    assert set(collected.values) == set(names)
    np.testing.assert_array_equal(collected.values[".output:input"], x)
    np.testing.assert_array_equal(collected.values[".output#2"], collected.values["output"])


def test_batch_normalisation_by_the_batch_itself_is_refused(torch, rng, tmp_path) -> None:
    x = rng.normal(size=(8, 3)).astype(np.float32)
    own = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4, track_running_stats=False))
    with pytest.raises(InputError, match=r"Module '1' \(BatchNorm1d\) keeps no running statistics.*batch_size"):
        record(own, x, store=tmp_path / "own", batch_size=4, progress=False)
    tracked = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    record(tracked, x, store=tmp_path / "tracked", batch_size=4, progress=False)


def test_instance_normalisation_and_unused_parts_are_no_reason_to_refuse(torch, images) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.InstanceNorm2d(4))
    network[0].unused = torch.nn.BatchNorm2d(4, track_running_stats=False)
    assert [step.name for step in TorchNetwork(network).steps(images[:2])] == ["input", "0", "1", "output"]
