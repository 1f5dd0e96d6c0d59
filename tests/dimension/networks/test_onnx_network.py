"""ONNX files: values of inner nodes, fixed batches, and files that are refused."""

import numpy as np
import pytest

from antidrome.dimension.networks.checkpoints import choose
from antidrome.dimension.networks.extraction import record
from antidrome.dimension.networks.onnx_network import OnnxNetwork
from antidrome.errors import FileFormatError, InputError, UnsafeFileError

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def model(rng: np.random.Generator, batch: int | str = "rows"):
    """x (rows, 4, 6) → max-pool → flatten → Gemm → relu → Gemm, with its weights."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = {
        "w1": rng.normal(size=(12, 5)).astype(np.float32),
        "b1": rng.normal(size=5).astype(np.float32),
        "w2": rng.normal(size=(5, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("MaxPool", ["x"], ["pooled"], name="pool", kernel_shape=[2], strides=[2]),
        helper.make_node("Flatten", ["pooled"], ["flat"], name="flatten"),
        helper.make_node("Gemm", ["flat", "w1", "b1"], ["hidden"], name="fc1"),
        helper.make_node("Relu", ["hidden"], ["active"], name="relu"),
        helper.make_node("Gemm", ["active", "w2"], ["y"], name="fc2"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, [batch, 4, 6])],
        [helper.make_tensor_value_info("y", kind, [batch, 3])],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), weights


def by_hand(x, weights):
    pooled = x.reshape(len(x), 4, 3, 2).max(axis=3)
    hidden = pooled.reshape(len(x), -1) @ weights["w1"] + weights["b1"]
    active = np.maximum(hidden, 0)
    return {"input": x, "pool": pooled, "fc1": hidden, "fc2:input": active, "fc2": active @ weights["w2"]}


@pytest.mark.parametrize("batch", ["rows", 4, 1])
def test_values_are_those_of_the_nodes(rng, tmp_path, collected, batch) -> None:
    made, weights = model(rng, batch)
    onnx.save(made, tmp_path / "m.onnx")
    x = rng.normal(size=(7, 4, 6)).astype(np.float32)
    network = OnnxNetwork(tmp_path / "m.onnx")
    names = [step.name for step in choose(network.steps(x[:2]), "auto")]
    assert names == ["input", "pool", "fc1", "fc2:input", "fc2"]
    network.run(x, names, collected.sink)
    for name, expected in by_hand(x, weights).items():
        np.testing.assert_allclose(collected.values[name], expected, atol=1e-5, err_msg=name)


def test_weights_outside_the_folder_are_refused(rng, tmp_path) -> None:
    made, _ = model(rng)
    (tmp_path / "secret.bin").write_bytes(bytes(240))
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret.bin")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(UnsafeFileError, match="outside its folder"):
        OnnxNetwork(tmp_path / "models" / "m.onnx")


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08" + bytes(50)])
def test_damaged_files_are_a_sentence(tmp_path, content) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(FileFormatError, match="not a usable ONNX model"):
        OnnxNetwork(tmp_path / "m.onnx")
    with pytest.raises(FileFormatError, match="no such ONNX file"):
        OnnxNetwork(tmp_path / "missing.onnx")


def test_data_of_another_shape_is_a_sentence(rng, tmp_path) -> None:
    onnx.save(model(rng)[0], tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r"could not be run on x \(2, 3\)"):
        OnnxNetwork(tmp_path / "m.onnx").steps(np.zeros((2, 3), np.float32))


def test_nodes_called_as_the_ends_are_layers_of_their_own(rng, tmp_path) -> None:
    made, weights = model(rng)
    made.graph.node[2].name, made.graph.node[3].name, made.graph.node[4].name = "output", "input", ""
    made.graph.output.append(onnx.helper.make_tensor_value_info("hidden", onnx.TensorProto.FLOAT, ["rows", 5]))
    onnx.save(made, tmp_path / "m.onnx")
    x = rng.normal(size=(7, 4, 6)).astype(np.float32)
    stored = record(tmp_path / "m.onnx", x, "*", store=tmp_path / "s", batch_size=3, progress=False)
    assert list(stored) == ["input", "pool", "flatten", ".output", ".input", "y", "output"]
    expected = by_hand(x, weights)
    for name, plain in {"input": "input", ".output": "fc1", ".input": "fc2:input", "output": "fc2"}.items():
        np.testing.assert_allclose(stored[name], expected[plain].reshape(7, -1), atol=1e-5, err_msg=name)
