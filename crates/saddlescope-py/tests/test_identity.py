"""A folder goes on with the same risk, and with no other."""

import functools
import os
import subprocess
import sys

import numpy as np
import pytest

import saddlescope as ss

OPTIONS = dict(stages=["eigenpairs"], largest=1, smallest=1)


def refused(folder, first, others):
    """Whether a folder of the first risk refuses the others, and goes on with one like the first."""
    value = ss.analyze(first(), out=folder, **OPTIONS).eigenpairs[0].value
    for name, other in others.items():
        with pytest.raises(ValueError, match="something else"):
            ss.analyze(other, out=folder, **OPTIONS)
            pytest.fail(name)
    assert ss.analyze(first(), out=folder, **OPTIONS).eigenpairs[0].value == value


def quadratic(matrix, product=None):
    product = matrix if product is None else product
    return ss.Function(lambda t: t @ matrix @ t / 2, np.zeros(3), gradient=lambda t: matrix @ t, hessian=lambda t, v: product @ v)


class Subclass(ss.Risk):
    """A risk that says nothing of itself."""

    has_gradient, curvatures, layout = True, ("hessian",), [("theta", [3], "other")]

    def __init__(self, scale):
        self.theta, self.scale = np.ones(3), scale

    def _evaluate(self, theta):
        return self.scale * float(theta @ theta), None, [], []

    def _gradient(self, theta):
        return 2 * self.scale * theta, self._evaluate(theta)

    def _product(self, theta, curvature, block):
        return 2 * self.scale * block, None, []


def test_functions_and_subclasses(tmp_path):
    a, b = np.diag([1.0, 2, -1]), np.diag([10.0, 2, -1])
    refused(tmp_path / "function", lambda: quadratic(a), {"matrix": quadratic(b), "product": quadratic(a, b)})
    refused(tmp_path / "subclass", lambda: Subclass(1.0), {"scale": Subclass(2.0)})


def test_losses_and_models_of_torch(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its losses are not compared")
    nn, F = torch.nn, torch.nn.functional
    torch.manual_seed(0)
    x, y, model = torch.randn(20, 3), torch.randint(0, 2, (20,)), nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    of = lambda loss, model=model, **more: ss.torch.Risk(model, loss, (x, y), **more)
    smooth = lambda by: lambda z, t: F.cross_entropy(z, t, label_smoothing=by)
    scale = lambda z, t: F.cross_entropy(z, t) * 1.00001
    refused(tmp_path / "constant", lambda: of(lambda z, t: F.cross_entropy(z, t) * 1.0), {"factor": of(scale)})
    partial = lambda by: functools.partial(F.cross_entropy, label_smoothing=by)
    refused(tmp_path / "partial", lambda: of(partial(0.0)), {"smoothing": of(partial(0.3)), "a little": of(partial(1e-5))})
    refused(tmp_path / "closure", lambda: of(smooth(0.0)), {"smoothing": of(smooth(0.3))})
    refused(tmp_path / "module", lambda: of(nn.CrossEntropyLoss()), {"smoothing": of(nn.CrossEntropyLoss(label_smoothing=0.3))})
    norm = lambda eps: nn.Sequential(nn.LayerNorm(3, elementwise_affine=False, eps=eps), *model)
    relu = nn.Sequential(model[0], nn.ReLU(), model[2])
    refused(tmp_path / "activation", lambda: of(F.cross_entropy), {"relu": of(F.cross_entropy, relu)})
    refused(tmp_path / "eps", lambda: of(F.cross_entropy, norm(1e-5)), {"eps": of(F.cross_entropy, norm(1e-4))})


def test_losses_of_jax(tmp_path):
    jax = pytest.importorskip("jax", reason="JAX is not installed: its losses are not compared")
    x = np.random.default_rng(0).normal(size=(8, 3))
    scaled = lambda by: lambda params, batch: by * jax.numpy.mean((batch @ params["w"]) ** 2)
    of = lambda by: ss.jax.Risk(scaled(by), {"w": np.ones(3)}, [x])
    refused(tmp_path / "loss", lambda: of(1.0), {"factor": of(5.0)})
    fixed = lambda n: ss.jax.Risk(scaled(1.0), {"w": np.ones(3), "fixed": np.array([n])}, [x])
    refused(tmp_path / "fixed", lambda: fixed(1), {"fixed leaf": fixed(2)})


SCRIPT = """
import sys, numpy as np, torch, saddlescope as ss
torch.manual_seed(0)
torch.set_num_threads(int(sys.argv[2]))
x, y = torch.randn(40, 3), torch.randint(0, 2, (40,))
model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
count = 0
def loss(z, t):
    global count
    count += 1
    return torch.nn.functional.cross_entropy(z, t) if "mean" in {"mean", "none", "sum"} else None
risk = ss.torch.Risk(model, loss, (x, y), batch_size=8)
before = count
print([p.value for p in ss.analyze(risk, out=sys.argv[1], stages=["eigenpairs"], largest=1, smallest=1).eigenpairs], count - before)
"""


def test_the_same_script_goes_on_in_another_process(tmp_path):
    pytest.importorskip("torch", reason="PyTorch is not installed: no script of it is run")
    package = os.path.dirname(os.path.dirname(ss.__file__))
    found = []
    for seed, threads in ("1", 1), ("2", 2):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")]), "PYTHONHASHSEED": seed}
        run = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path), str(threads)], env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        found.append(run.stdout.rpartition("]"))
    assert found[0][0] == found[1][0]
    assert int(found[1][2]) < int(found[0][2]) / 2, "products were made again"
