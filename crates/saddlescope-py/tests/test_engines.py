"""The same network by several engines; the smallest sizes."""

import numpy as np
import pytest

import saddlescope as ss


def networks():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: engines are not compared with it")
    torch.manual_seed(0)
    nn = torch.nn
    small = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(45, 7), nn.GELU(), nn.Linear(7, 4))
    return torch, small, torch.randn(22, 2, 6, 6), torch.randint(0, 4, (22,))


def relative(a, b):
    return np.linalg.norm(np.asarray(a) - b) / np.linalg.norm(b)


def test_export_and_our_engine_agree_with_torch(tmp_path):
    torch, model, x, y = networks()
    pytest.importorskip("onnx", reason="onnx is not installed: nothing is exported")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: nothing is exported")
    with torch.no_grad():
        model(x)
    model.eval()
    torch.onnx.export(model, (x[:2],), tmp_path / "net.onnx", input_names=["x"], optimize=False, dynamic_shapes=({0: torch.export.Dim("n")},), verbose=False)
    theirs = ss.torch.Risk(model, torch.nn.functional.cross_entropy, (x, y), batch_size=8)
    # Without optimisation, batch norm stays an operation of its own. Parameters go by name.
    ours = ss.onnx.Risk(tmp_path / "net.onnx", {"x": x.numpy(), "y": y.numpy()}, split="train")
    names = [name for name, _, _ in ours.layout]
    assert set(names) == {name for name, _, _ in theirs.layout}, names
    shapes, values, start = {}, {}, 0
    for name, shape, _ in theirs.layout:
        size = int(np.prod(shape))
        shapes[name], values[name] = (start, size), theirs.theta[start : start + size]
        start += size
    order = np.concatenate([np.arange(*(shapes[n][0], shapes[n][0] + shapes[n][1])) for n in names])
    assert np.abs(ours.theta - theirs.theta[order]).max() < 1e-7
    v = np.random.default_rng(0).normal(size=theirs.dim)
    # Both in single precision.
    assert ours.loss() == pytest.approx(theirs.loss(), rel=1e-5) and ours.evaluate().correct == theirs.evaluate().correct
    assert relative(ours.gradient(), theirs.gradient()[order]) < 1e-4
    for matrix in ("hessian", "gauss_newton", "residual", "fisher"):
        found, expected = ours.operator(matrix).matvec(v[order]), theirs.operator(matrix).matvec(v)[order]
        assert relative(found, expected) < 1e-4, matrix
    a, b = (ss.eigsh(risk.hessian(), tol=1e-5).values for risk in (ours, theirs))
    assert a == pytest.approx(b, rel=1e-4)


def test_jax_agrees_with_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: JAX is not compared with it")
    jax = pytest.importorskip("jax", reason="JAX is not installed: it is not compared with PyTorch")
    jax.config.update("jax_enable_x64", True)
    jnp, r = jax.numpy, np.random.default_rng(0)
    params = {"a": r.normal(size=(5, 4)), "b": r.normal(size=5), "c": r.normal(size=(3, 5))}
    x, y = r.normal(size=(23, 4)), r.integers(0, 3, 23)

    def loss(p, batch):
        z = jnp.tanh(batch["x"] @ p["a"].T + p["b"]) @ p["c"].T
        return jnp.mean(jax.nn.logsumexp(z, axis=1) - z[jnp.arange(len(batch["y"])), batch["y"]])

    nn = torch.nn
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3, bias=False)).double()
    with torch.no_grad():
        for tensor, value in zip(model.parameters(), params.values()):
            tensor.copy_(torch.from_numpy(value))
    ours = ss.jax.Risk(loss, params, [{"x": x[i : i + 9], "y": y[i : i + 9]} for i in range(0, 23, 9)])
    theirs = ss.torch.Risk(model, nn.functional.cross_entropy, (torch.from_numpy(x), torch.from_numpy(y)), batch_size=9)
    v = r.normal(size=(ours.dim, 3))
    assert np.array_equal(ours.theta, theirs.theta)
    assert ours.loss() == pytest.approx(theirs.loss(), rel=1e-13)
    assert relative(ours.gradient(), theirs.gradient()) < 1e-13
    assert relative(ours.hessian().matmat(v), theirs.hessian().matmat(v)) < 1e-12
    assert ours.evaluate().chunk_samples == theirs.evaluate().chunk_samples == [9, 9, 5]


def smallest(engine):
    """One parameter, one sample: ½·2(w·1 − 0)² with w = 3, H = 2."""
    if engine == "function":
        return ss.Function(lambda t: t[0] ** 2, [3.0], gradient=lambda t: 2 * t, hessian=lambda t, v: 2 * v)
    if engine == "jax":
        jax = pytest.importorskip("jax", reason="JAX is not installed: its tests are skipped")
        jax.config.update("jax_enable_x64", True)
        return ss.jax.Risk(lambda p, batch: jax.numpy.mean((p * batch) ** 2), np.float64(3.0), [np.ones(1)])
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its tests are skipped")
    model = torch.nn.Linear(1, 1, bias=False).double()
    torch.nn.init.constant_(model.weight, 3.0)
    return ss.torch.Risk(model, torch.nn.functional.mse_loss, (torch.ones(1, 1).double(), torch.zeros(1, 1).double()))


@pytest.mark.parametrize("engine", ["function", "jax", "torch"])
def test_one_parameter_and_one_sample(engine):
    risk = smallest(engine)
    assert risk.dim == 1 and risk.samples == 1 and risk.loss() == pytest.approx(9) and risk.gradient() == pytest.approx([6])
    found = ss.analyze(risk, grid=3)
    assert [p.value for p in found.eigenpairs] == pytest.approx([2]) and found.report.exists()
    assert found.std_errors == [None]
    settled = ss.settle(risk)
    assert settled.converged and settled.kind == "minimum" and abs(settled.theta[0]) < 1e-9


def test_no_parameters_are_refused():
    with pytest.raises(ValueError, match="empty|no parameter|at least one"):
        ss.Function(lambda t: 0.0, [])
    jax = pytest.importorskip("jax", reason="JAX is not installed: its tests are skipped")
    for empty in ({}, {"w": np.zeros(0)}):
        with pytest.raises(ValueError, match="no leaf|no parameter"):
            ss.jax.Risk(lambda p, batch: jax.numpy.sum(batch), empty, [np.ones(1)])


def test_no_parameters_of_a_module_are_refused():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its tests are skipped")
    with pytest.raises(ValueError, match="requires a gradient"):
        ss.torch.Risk(torch.nn.Flatten(), torch.nn.functional.mse_loss, (torch.ones(2, 1), torch.ones(2, 1)))
    with pytest.raises(ValueError, match="no parameter|empty"):
        ss.torch.Risk(torch.nn.Linear(0, 0), torch.nn.functional.mse_loss, (torch.ones(2, 0), torch.ones(2, 0)))
