"""Weight decay against its closed form λ/2 ‖θ‖², in every engine; settling with it, downhill too; samples of a risk."""

import numpy as np
import pytest

import saddlescope as ss

LAMBDA = 0.25


def pair_of(engine):
    """The same risk without and with weight decay."""
    if engine == "onnx":
        return tuple(ss.onnx.Risk("digits-mlp", samples=40, dtype="f64", weight_decay=decay) for decay in (0.0, LAMBDA))
    r = np.random.default_rng(0)
    x, y, w = r.normal(size=(30, 4)), r.normal(size=30), r.normal(size=4)
    if engine == "jax":
        jax = pytest.importorskip("jax", reason="JAX is not installed: its tests are skipped")
        jax.config.update("jax_enable_x64", True)
        loss = lambda params, batch: jax.numpy.mean((jax.numpy.tanh(batch["x"] @ params["w"]) - batch["y"]) ** 2)
        batches = [{"x": x[i : i + 8], "y": y[i : i + 8]} for i in range(0, 30, 8)]
        return tuple(ss.jax.Risk(loss, {"w": w}, batches, weight_decay=decay) for decay in (0.0, LAMBDA))
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its tests are skipped")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)).double()
    data = torch.from_numpy(x), torch.from_numpy(y)[:, None]
    return tuple(ss.torch.Risk(model, torch.nn.functional.mse_loss, data, batch_size=8, order="reverse", weight_decay=d) for d in (0.0, LAMBDA))


@pytest.mark.parametrize("engine", ["onnx", "torch", "jax"])
def test_loss_gradient_and_products_are_shifted(engine):
    plain, decayed = pair_of(engine)
    theta, penalty = plain.theta, 0.5 * LAMBDA * float(plain.theta @ plain.theta)
    # A few roundings.
    assert decayed.loss() == pytest.approx(plain.loss() + penalty, rel=1e-14)
    assert np.abs(decayed.gradient() - plain.gradient() - LAMBDA * theta).max() < 1e-13
    v = np.random.default_rng(1).normal(size=(plain.dim, 2))
    for matrix in plain.curvatures:
        shift = LAMBDA if matrix in ("hessian", "gauss_newton") else 0.0
        found, expected = decayed.operator(matrix).matmat(v), plain.operator(matrix).matmat(v) + shift * v
        assert np.abs(found - expected).max() <= 1e-13 * max(1, np.abs(expected).max()), matrix
    a, b = ss.eigsh(plain.hessian(), tol=1e-10).values, ss.eigsh(decayed.hessian(), tol=1e-10).values
    assert np.abs(b - a - LAMBDA).max() < 1e-9
    if engine != "onnx":
        plain_parts, parts = plain._evaluate(theta), decayed._evaluate(theta)
        assert np.allclose(parts[2], np.array(plain_parts[2]) + penalty, rtol=1e-14, atol=0) and parts[3] == plain_parts[3] == [8, 8, 8, 6]
        block = np.ascontiguousarray(v.T)
        quotients = decayed._product(theta, "hessian", block)[1] - plain._product(theta, "hessian", block)[1]
        assert np.allclose(quotients, LAMBDA * (block**2).sum(1)[:, None], rtol=1e-12)


@pytest.mark.parametrize("engine", ["onnx", "torch", "jax"])
def test_an_analysis_says_it_and_does_not_mix_it_with_another(engine, tmp_path):
    plain, decayed = pair_of(engine)
    found = ss.analyze(decayed, out=tmp_path, stages=["eigenpairs"], largest=1, smallest=1)
    assert "Weight decay: 0.25/2" in found.report.read_text() and found.results["self_check"]["finite_difference_error"] < 1e-4
    assert found.results["loss"] == pytest.approx(decayed.loss(), rel=1e-12)
    with pytest.raises(ValueError, match="weight_decay"):
        ss.analyze(plain, out=tmp_path, stages=["eigenpairs"], largest=1, smallest=1)


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf")])
def test_what_is_no_weight_decay_is_refused(wrong):
    with pytest.raises(ValueError, match="weight_decay .*; expected a number from 0 on"):
        ss.onnx.Risk("digits-mlp", samples=4, weight_decay=wrong)
    with pytest.raises(ValueError, match="weight_decay .*; expected a number from 0 on"):
        ss._risk.Penalty(wrong)


def test_settling_downhill_ends_at_a_minimum_of_the_decayed_loss(tmp_path):
    """The last two layers of digits-mlp (1,386 parameters), so that all eigenvalues are computed: they certify the minimum."""
    risk = ss.onnx.Risk("digits-mlp", samples=60, dtype="f64", weight_decay=0.05, params=["layers.1.*", "layers.2.*"])
    found = ss.settle(risk, downhill=True, out=tmp_path)
    assert found.converged and found.kind == "minimum" and found.spectrum["negative"] == found.spectrum["zero"] == 0
    assert found.spectrum["whole"] and len(found.spectrum["eigenvalues"]) == found.spectrum["positive"] == risk.dim == 1386
    assert np.linalg.norm(risk.gradient(found.theta)) <= 1e-10 and risk.loss(found.theta) < risk.loss()
    dense = np.linalg.eigvalsh(risk.hessian(found.theta).matmat(np.eye(risk.dim)))
    # Both solvers are exact to rounding, N ε ‖H‖.
    assert np.abs(np.sort(found.spectrum["eigenvalues"]) - dense).max() < 1e-11 * dense[-1]
    # Without the decay it is no critical point: the gradient of the loss alone is −λθ there.
    plain = ss.onnx.Risk("digits-mlp", samples=60, dtype="f64", params=["layers.1.*", "layers.2.*"])
    assert np.abs(plain.gradient(found.theta) + 0.05 * found.theta).max() < 1e-10


def test_downhill_leaves_the_saddle_that_settling_finds():
    # (x² − 1)² + y², a saddle at 0, minima at (±1, 0).
    functions = (lambda t: (t[0] ** 2 - 1) ** 2 + t[1] ** 2, lambda t: [4 * t[0] * (t[0] ** 2 - 1), 2 * t[1]],
                 lambda t, v: [(12 * t[0] ** 2 - 4) * v[0], 2 * v[1]])
    risk = ss.Function(functions[0], [0.1, 0.2], gradient=functions[1], hessian=functions[2])
    assert ss.settle(risk).kind == "saddle"
    found = ss.settle(risk, downhill=True)
    assert found.converged and found.kind == "minimum" and np.abs(found.theta - [1, 0]).max() < 1e-8
    assert found.spectrum["eigenvalues"] == pytest.approx([2, 8])


@pytest.mark.parametrize("engine", ["onnx", "torch", "jax"])
def test_a_risk_on_some_of_its_samples(engine):
    plain, decayed = pair_of(engine)
    for risk in (plain, decayed):
        first, rest = risk.samples_in(0, 11), risk.samples_in(11, risk.samples)
        assert (first.samples, rest.samples) == (11, risk.samples - 11) and first.dim == risk.dim
        whole = (11 * first.loss() + rest.samples * rest.loss()) / risk.samples
        assert whole == pytest.approx(risk.loss(), rel=1e-13)
        v = np.random.default_rng(2).normal(size=risk.dim)
        parts = (11 * first.hessian().matvec(v) + rest.samples * rest.hessian().matvec(v)) / risk.samples
        assert np.abs(parts - risk.hessian().matvec(v)).max() < 1e-12
        inner = rest.samples_in(2, 4)
        assert inner.loss() == pytest.approx(risk.samples_in(13, 15).loss(), rel=1e-13)
    with pytest.raises(ValueError, match="samples 3 to 3"):
        plain.samples_in(3, 3)
    with pytest.raises(ValueError, match="of 30|of 40"):
        plain.samples_in(0, plain.samples + 1)
    with pytest.raises(ValueError, match="some of its samples"):
        ss.Function(lambda t: 0.0, [1.0]).samples_in(0, 1)


@pytest.mark.parametrize("engine", ["onnx", "torch", "jax"])
def test_cuts_and_surfaces_of_fewer_samples(engine, tmp_path):
    plain, _ = pair_of(engine)
    few = ss.analyze(plain, out=tmp_path / "few", stages=["eigenpairs", "cuts"], largest=1, smallest=1, slice_samples=10)
    alone = plain.samples_in(0, 10)
    for line in few.cuts:
        assert line.center_loss == pytest.approx(alone.loss(), rel=1e-12)
    assert few.results["loss"] == pytest.approx(plain.loss(), rel=1e-12)
    assert "first 10 of these samples" in few.report.read_text()
    auto = ss.analyze(plain, out=tmp_path / "auto", stages=["eigenpairs", "cuts"], largest=1, smallest=1, slice_samples="auto")
    assert auto.results["slice_choice"]["samples"] <= plain.samples
    for wrong in (0, 1.5, "all", -3):
        with pytest.raises(ValueError, match="slice_samples"):
            ss.analyze(plain, slice_samples=wrong)
