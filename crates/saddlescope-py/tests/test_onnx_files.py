"""What an ONNX import can be told; small files against closed forms."""

import numpy as np
import pytest

import saddlescope as ss

onnx = pytest.importorskip("onnx", reason="onnx is not installed: no files are made")
numpy_helper, helper, FLOAT = onnx.numpy_helper, onnx.helper, onnx.TensorProto.FLOAT


def save(path, nodes, inputs, tensors, out_shape):
    given = [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()]
    out = [helper.make_tensor_value_info("out", FLOAT, out_shape)]
    stored = [numpy_helper.from_array(values.astype(np.float32), name) for name, values in tensors.items()]
    graph = helper.make_graph(nodes, "net", given, out, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


@pytest.fixture
def scaled(tmp_path):
    """out = s · xᵀ w, with one number s for all samples."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Mul", ["z", "s"], ["out"])]
    w = np.random.default_rng(0).normal(size=(3, 1))
    return save(tmp_path / "scaled.onnx", nodes, {"x": ["n", 3], "s": [1]}, {"w": w}, ["n", 1])


def test_an_input_that_is_the_same_for_all_samples(scaled):
    r = np.random.default_rng(1)
    x, y = r.normal(size=(6, 3)), r.normal(size=(6, 1))
    risk = ss.onnx.Risk(scaled, {"x": x, "y": y}, loss="mse", fix_input={"s": 2.0}, dtype="f64")
    assert risk.dim == 3 and risk.samples == 6
    # ½ Σ (s xᵀw − y)², the mean over samples; arrays and weights are stored in single precision.
    expected = 4 * x.T @ x / 6
    assert np.abs(risk.hessian().matmat(np.eye(3)) - expected).max() < 1e-5
    with pytest.raises(ValueError, match="s"):
        ss.onnx.Risk(scaled, {"x": x, "y": y}, loss="mse")


def test_sequences_with_the_time_first(tmp_path):
    nodes = [helper.make_node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=0), helper.make_node("MatMul", ["m", "w"], ["out"])]
    path = save(tmp_path / "time.onnx", nodes, {"x": [5, "n", 3]}, {"w": np.ones((3, 2))}, ["n", 2])
    r = np.random.default_rng(2)
    x, y = r.normal(size=(7, 5, 3)), r.normal(size=(7, 2))
    for axis in (1, {"x": 1}):
        risk = ss.onnx.Risk(path, {"x": x, "y": y}, loss="mse", batch_axis=axis, dtype="f64")
        mean = x.mean(1)
        expected = np.kron(mean.T @ mean / 7, np.eye(2))
        assert risk.samples == 7 and np.abs(risk.hessian().matmat(np.eye(6)) - expected).max() < 1e-5


def test_one_sample_whose_first_axis_are_nodes(tmp_path):
    nodes = [helper.make_node("MatMul", ["a", "x"], ["h"]), helper.make_node("MatMul", ["h", "w"], ["out"])]
    w = np.random.default_rng(3).normal(size=(3, 2))
    path = save(tmp_path / "nodes.onnx", nodes, {"a": [4, 4], "x": [4, 3]}, {"w": w}, [4, 2])
    r = np.random.default_rng(4)
    a, x, y = r.normal(size=(4, 4)), r.normal(size=(4, 3)), np.array([0, 1, 1, 0])
    risk = ss.onnx.Risk(path, {"a": a, "x": x, "y": y}, one_sample=True, dtype="f64")
    z = (a @ x) @ w
    loss = np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(4), y])
    assert risk.samples == 1 and risk.loss() == pytest.approx(loss, rel=1e-5)


def test_names_of_parameters_from_a_file(tmp_path, scaled):
    safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed: no names are written")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("MatMul", ["z", "fixed"], ["out"])]
    path = save(tmp_path / "two.onnx", nodes, {"x": ["n", 3]}, {"w": np.eye(3), "fixed": np.ones((3, 2))}, ["n", 2])
    names = tmp_path / "names.safetensors"
    safetensors.save_file({"w": np.eye(3, dtype=np.float32)}, names)
    data = {"x": np.ones((4, 3)), "y": np.zeros((4, 2))}
    assert ss.onnx.Risk(path, data, loss="mse").dim == 15
    assert [n for n, _, _ in ss.onnx.Risk(path, data, loss="mse", parameters_from=names).layout] == ["w"]


def test_what_is_for_onnx_files_only():
    with pytest.raises(ValueError, match="for ONNX files"):
        ss.onnx.Risk("digits-mlp", samples=8, fix_input={"s": 1})
