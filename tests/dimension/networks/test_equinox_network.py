"""Equinox modules: taps record what layers give."""

import equinox as eqx
import jax
import numpy as np
import pytest

from antidrome.dimension.networks.checkpoints import choose
from antidrome.dimension.networks.equinox_network import EquinoxNetwork
from antidrome.dimension.networks.extraction import record
from antidrome.dimension.networks.profile import layers
from antidrome.dimension.untrained import untrained
from antidrome.errors import InputError, ResumeError


@pytest.fixture
def convolutional():
    keys = jax.random.split(jax.random.key(0), 3)
    return eqx.nn.Sequential(
        [
            eqx.nn.Conv2d(3, 4, 3, key=keys[0]),
            eqx.nn.Lambda(jax.nn.relu),
            eqx.nn.MaxPool2d(2, 2),
            eqx.nn.Lambda(lambda x: x.reshape(-1)),
            eqx.nn.Linear(36, 7, key=keys[1]),
            eqx.nn.Dropout(0.5),
            eqx.nn.Linear(7, 5, key=keys[2]),
        ]
    )


def test_values_are_those_of_the_layers(convolutional, images, collected) -> None:
    network = EquinoxNetwork(convolutional)
    names = [step.name for step in choose(network.steps(images[:2]), "auto")]
    assert names == ["input", "layers.2", "layers.4", "layers.6"]
    network.run(images, names, collected.sink)
    conv, relu, pool, flat, linear, _, last = convolutional.layers
    pooled = jax.vmap(lambda x: pool(relu(conv(x))))(images)
    hidden = jax.vmap(lambda x: linear(flat(x)))(pooled)
    np.testing.assert_allclose(collected.values["layers.2"], pooled, atol=1e-6)
    np.testing.assert_allclose(collected.values["layers.4"], hidden, atol=1e-5)
    np.testing.assert_allclose(collected.values["layers.6"], jax.vmap(last)(hidden), atol=1e-5)


def test_steps_are_in_the_order_of_the_calls(images) -> None:
    steps = EquinoxNetwork(eqx.nn.MLP(5, 3, 7, depth=2, key=jax.random.key(0))).steps(np.ones((2, 5), np.float32))
    assert [step.name for step in steps] == [
        "input",
        "layers.0:input",
        "layers.0",
        "layers.1:input",
        "layers.1",
        "layers.2:input",
        "layers.2",
        "output",
    ]
    assert [step.n_weighted for step in steps] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_module_that_vectorises_inside_is_a_sentence() -> None:
    class Tokens(eqx.Module):
        linear: eqx.nn.Linear

        def __call__(self, x):
            return jax.vmap(self.linear)(x)

    network = EquinoxNetwork(Tokens(eqx.nn.Linear(3, 2, key=jax.random.key(0))))
    with pytest.raises(InputError, match="transformation of its own"):
        network.steps(np.ones((2, 4, 3), np.float32))


def test_data_of_another_shape_is_a_sentence(convolutional) -> None:
    with pytest.raises(InputError, match=r"rows of shape \(5,\)"):
        EquinoxNetwork(convolutional).steps(np.ones((2, 5), np.float32))


def test_the_fingerprint_changes_with_the_weights(convolutional) -> None:
    other = eqx.tree_at(lambda m: m.layers[0].bias, convolutional, convolutional.layers[0].bias + 1)
    assert EquinoxNetwork(convolutional).fingerprint() == EquinoxNetwork(convolutional).fingerprint()
    assert EquinoxNetwork(convolutional).fingerprint() != EquinoxNetwork(other).fingerprint()


class Plain(eqx.Module):
    """Two linear layers with a tanh between them and one behind."""

    stem: eqx.nn.Linear
    head: eqx.nn.Linear

    def __call__(self, x):
        return jax.numpy.tanh(self.head(jax.numpy.tanh(self.stem(x))))


class Named(eqx.Module):
    """The same with parts that are called as the ends."""

    input: eqx.nn.Linear
    output: eqx.nn.Linear

    def __call__(self, x):
        return jax.numpy.tanh(self.output(jax.numpy.tanh(self.input(x))))


def test_parts_called_as_the_ends_are_layers_of_their_own(rng, tmp_path) -> None:
    parts = [eqx.nn.Linear(3, 3, key=key) for key in jax.random.split(jax.random.key(0))]
    x = rng.normal(size=(150, 3)).astype(np.float32)
    options = {"batch_size": 32, "progress": False}
    plain = record(Plain(*parts), x, ["*", "*:input"], store=tmp_path / "plain", **options)
    named = record(Named(*parts), x, ["*", "*:input"], store=tmp_path / "named", **options)
    assert list(plain) == ["input", "stem:input", "stem", "head:input", "head", "output"]
    assert list(named) == ["input", ".input:input", ".input", ".output:input", ".output", "output"]
    assert [layer.kind for layer in named.layers.values()] == [layer.kind for layer in plain.layers.values()]
    for ours, theirs in zip(named.values(), plain.values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(named["output"], named[".output"])
    found = [layers(net(*parts), x, batch_size=32, progress=False)["dimension"].values for net in (Plain, Named)]
    np.testing.assert_array_equal(*found)


def test_one_linear_layer_is_a_network() -> None:
    steps = EquinoxNetwork(eqx.nn.Linear(3, 2, key=jax.random.key(0))).steps(np.ones((2, 3), np.float32))
    assert [step.name for step in steps] == ["input", "output:input", "output"]


@pytest.mark.parametrize("activation", [jax.numpy.tanh, jax.nn.leaky_relu])
def test_another_function_with_the_same_weights_is_another_network(rng, tmp_path, activation) -> None:
    x = rng.normal(size=(10, 8)).astype(np.float32)
    one, other = (eqx.nn.MLP(8, 5, 32, 2, activation=f, key=jax.random.key(0)) for f in (jax.nn.relu, activation))
    record(one, x, "output", store=tmp_path, progress=False)
    with pytest.raises(ResumeError, match="layer 'output' gives other values"):
        record(other, x, "output", store=tmp_path, progress=False)


class Keyed(eqx.Module):
    """A network that holds a key."""

    linear: eqx.nn.Linear
    key: jax.Array

    def __call__(self, x):
        return self.linear(x)


def test_keys_of_random_numbers_are_leaves_like_others(rng, tmp_path) -> None:
    linear = eqx.nn.Linear(3, 2, key=jax.random.key(0))
    one, other = (Keyed(linear, jax.random.key(seed)) for seed in (0, 1))
    assert EquinoxNetwork(one).fingerprint() != EquinoxNetwork(other).fingerprint()
    data = rng.normal(size=(4, 3)).astype(np.float32)
    assert "output" in record(one, data, "output", store=tmp_path, progress=False)
    assert (untrained(one).key == one.key).all()
