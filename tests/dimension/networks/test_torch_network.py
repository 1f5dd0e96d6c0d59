"""PyTorch networks: what hooks see, and that nothing is left behind."""

import math

import numpy as np
import pytest

from antidrome.dimension.networks.checkpoints import choose, last_hidden, relative_depth
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
