"""Losses of JAX against closed forms."""

import numpy as np
import pytest

import saddlescope as ss

jax = pytest.importorskip("jax", reason="JAX is not installed: its tests are skipped")


@pytest.fixture(autouse=True)
def double_precision():
    jax.config.update("jax_enable_x64", True)


def logistic(n=30, d=4, seed=0):
    r = np.random.default_rng(seed)
    x, y, w = r.normal(size=(n, d)), r.integers(0, 2, n).astype(float), r.normal(size=d)
    jnp = jax.numpy

    def loss(params, batch):
        z = batch["x"] @ params["w"]
        return jnp.mean(jnp.logaddexp(0.0, z) - batch["y"] * z)

    batches = [{"x": x[i : i + 8], "y": y[i : i + 8]} for i in range(0, n, 8)]
    return x, y, w, loss, batches


def test_a_logistic_loss_with_an_uneven_last_batch():
    x, y, w, loss, batches = logistic()
    risk = ss.jax.Risk(loss, {"w": w}, batches)
    p = 1 / (1 + np.exp(-x @ w))
    hessian = x.T @ (x * (p * (1 - p))[:, None]) / len(x)
    assert risk.samples == 30 and risk.precision == "f64"
    assert risk.loss() == pytest.approx(np.mean(np.logaddexp(0, x @ w) - y * (x @ w)), rel=1e-13)
    assert np.abs(risk.gradient() - x.T @ (p - y) / len(x)).max() < 1e-13
    assert np.abs(risk.hessian().matmat(np.eye(4)) - hessian).max() < 1e-13
    found = ss.eigsh(risk.hessian(), tol=1e-10)
    assert np.abs(found.values - np.linalg.eigvalsh(hessian)[[-1, 0]]).max() < 1e-10


def test_an_analysis_and_the_pytree_of_a_vector(tmp_path):
    x, y, w, loss, batches = logistic()
    risk = ss.jax.Risk(loss, {"w": w, "steps": np.arange(3)}, batches)
    assert risk.layout == [("w", [4], "other")]
    found = ss.analyze(risk, out=tmp_path, stages=["eigenpairs", "cuts"], largest=1, smallest=1)
    assert len(found.eigenpairs) == 2 and found.cuts and found.std_errors[0] > 0
    tree = risk.params(np.zeros(4))
    assert tree["w"].tolist() == [0, 0, 0, 0] and tree["steps"].tolist() == [0, 1, 2]


def test_what_is_wrong_is_said():
    _, _, w, loss, batches = logistic()
    with pytest.raises(ValueError, match="iterator"):
        ss.jax.Risk(loss, {"w": w}, iter(batches))
    with pytest.raises(ValueError, match="no leaf"):
        ss.jax.Risk(loss, {"w": np.arange(4)}, batches)
    with pytest.raises(ValueError, match="shape"):
        ss.jax.Risk(lambda p, b: b["x"] @ p["w"], {"w": w}, batches)

    class Noise:
        def __iter__(self):
            return iter([{"x": np.random.normal(size=(3, 4)), "y": np.zeros(3)}])

    with pytest.raises(ValueError, match="differs between two passes"):
        ss.jax.Risk(loss, {"w": w}, Noise())


def test_pytrees_between_points():
    x, y, w, loss, batches = logistic()
    risk = ss.jax.Risk(loss, {"w": w}, batches)
    found = ss.path(risk, {"here": {"w": w}, "zero": {"w": np.zeros(4)}}, points=3, curve=None, tol=1e-6)
    values = [v["value"] for v in found.results["ways"][0]["sides"][0]["loss"]]
    exact = [np.mean(np.logaddexp(0, x @ v) - y * (x @ v)) for v in (w, w / 2, 0 * w)]
    assert values == pytest.approx(exact, rel=1e-12)
    # A convex loss has no barrier; its errors come from the batches.
    assert found.barrier()[0] == 0
    assert found.results["points"][0]["sides"][0]["lambda_min"]["value"] > 0
    # Cross-entropy without decay on separable data would run off; with it there is a minimum.
    decayed = lambda params, batch: loss(params, batch) + 0.05 * jax.numpy.sum(params["w"] ** 2)
    settled = ss.settle(ss.jax.Risk(decayed, {"w": w}, batches))
    assert settled.converged and settled.kind == "minimum" and len(settled.spectrum["eigenvalues"]) == 4


def test_random_keys_in_batches_are_no_samples():
    x = np.random.default_rng(0).normal(size=(9, 5)) * np.arange(1, 10)[:, None]

    def loss(params, batch):
        return jax.numpy.mean((batch["x"] @ params["w"]) ** 2) + 0.1 * jax.random.normal(batch["key"], ())

    of = lambda key, **more: ss.jax.Risk(loss, {"w": np.ones(5)}, [{"key": key(i), "x": x[i : i + 4]} for i in range(0, 9, 4)], **more)
    exact = 2 * x.T @ x / 9
    with pytest.raises(ValueError, match=r"key \(2,\), x \(4, 5\).*weight="):
        of(jax.random.PRNGKey)
    for risk in of(jax.random.key), of(jax.random.PRNGKey, weight=lambda batch: len(batch["x"])):
        assert risk.samples == 9 and np.abs(risk.hessian().matmat(np.eye(5)) - exact).max() < 1e-12 * exact.max()
    assert of(jax.random.key).coupled
    assert of(jax.random.key).identity()["data.sha256"] != of(lambda i: jax.random.key(i + 1)).identity()["data.sha256"]
    with pytest.raises(ValueError, match="some of its samples"):
        of(jax.random.key).samples_in(0, 4)


def test_a_sum_is_no_mean():
    _, _, w, loss, batches = logistic()
    total = lambda params, batch: loss(params, batch) * len(batch["y"])
    with pytest.raises(ValueError, match="must be the mean"):
        ss.jax.Risk(total, {"w": w}, batches)
    risk = ss.jax.Risk(total, {"w": w}, batches, coupled=True)
    assert risk.loss() == pytest.approx(sum(len(b["y"]) * float(total({"w": w}, b)) for b in batches) / 30, rel=1e-12)


def test_what_is_not_finite_is_named():
    x, y, w, loss, batches = logistic()
    broken = [{"x": b["x"].copy(), "y": b["y"]} for b in batches]
    broken[2]["x"][5, 1] = np.nan
    risk = ss.jax.Risk(loss, {"w": w}, broken)
    assert np.isnan(risk.loss())
    with pytest.raises(FloatingPointError, match="batch 2, sample 5 has loss nan"):
        ss.eigsh(risk.hessian())
    w[3] = np.inf
    with pytest.raises(FloatingPointError, match="θ is not finite: parameter 'w' holds inf"):
        ss.eigsh(ss.jax.Risk(loss, {"w": w}, batches).hessian())
