"""Data spread over the processes of a torch.distributed group."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import saddlescope as ss

torch = pytest.importorskip("torch", reason="PyTorch is not installed: its tests are skipped")


def with_package():
    """The environment of a process that uses this very package."""
    package = str(Path(ss.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])}


#: How every script begins: it joins the group and knows its rank and the folder for what it finds.
JOIN = """
import sys, numpy as np, torch, torch.distributed as dist, saddlescope as ss
rank, size, store, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
"""


def in_two_processes(script, tmp_path):
    """Runs a script in two processes of a group; both must end well."""
    ranks = [
        subprocess.Popen([sys.executable, "-c", JOIN + script, str(r), "2", str(tmp_path / "store"), str(tmp_path)], env=with_package(), stderr=subprocess.PIPE)
        for r in range(2)
    ]
    try:
        errors = [process.communicate(timeout=240)[1].decode() for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    assert all(process.returncode == 0 for process in ranks), "\n".join(errors)


RANKS = """
torch.manual_seed(0); torch.set_num_threads(1)
model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double()
x, y = torch.randn(15, 3).double(), torch.randint(0, 2, (15,))
mine = slice(0, 8) if rank == 0 else slice(8, 15)
risk = ss.torch.Risk(model, torch.nn.functional.cross_entropy, (x[mine], y[mine]), group=dist.group.WORLD)
found = ss.eigsh(risk.hessian(), largest=2, smallest=1, tol=1e-9)
class Mine(Exception): pass
whole = ss.torch.Risk(model, torch.nn.functional.cross_entropy, (x, y))
analysis = ss.analyze(risk, out=out + "/folder", stages=["eigenpairs", "cuts"], largest=1, smallest=1, tol=1e-3)
moved = {"here": risk.theta, "moved": risk.theta + 0.1}
both = ss.compare(risk, moved, grid=0, largest=1, smallest=1, tol=1e-3, out=out + "/both")
alone = ss.compare(whole, moved, grid=0, largest=1, smallest=1)
top = lambda found: [p["sides"][0]["lambda_max"]["value"] for p in found.results["points"]]
np.savez(f"{out}/{rank}.npz", compared=top(both), exact_compared=top(alone), values=found.values, vectors=found.vectors, gradient=risk.gradient(), loss=risk.loss(),
         analysis=[p.value for p in analysis.eigenpairs], samples=risk.samples, exact=ss.eigsh(whole.hessian(), largest=2, smallest=1, tol=1e-9).values,
         exact_gradient=whole.gradient(), exact_loss=whole.loss())
dist.barrier()
dist.destroy_process_group()
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch has no torch.distributed")
def test_two_processes_give_the_result_of_one(tmp_path):
    in_two_processes(RANKS, tmp_path)
    a, b = (np.load(tmp_path / f"{r}.npz") for r in range(2))
    for name in {name for name in a if not name.startswith("exact")}:
        assert a[name].tobytes() == b[name].tobytes(), name
    assert int(a["samples"]) == 15
    assert np.abs(a["values"] - a["exact"]).max() < 1e-10
    assert np.abs(a["gradient"] - a["exact_gradient"]).max() < 1e-14 and abs(a["loss"] - a["exact_loss"]) < 1e-14
    assert np.abs(a["analysis"] - a["exact"][[0, 2]]).max() < 1e-3
    assert np.abs(a["compared"] - a["exact_compared"]).max() < 1e-3


BUFFERS = """
import copy
torch.manual_seed(0); torch.set_num_threads(1)
model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double()
x, y = torch.randn(15, 3).double(), torch.randint(0, 2, (15,))
model(x)
model.eval()
batches = [(x[:5], y[:5]), (x[5:8], y[5:8]), (x[8:], y[8:])]
mine = batches[:2] if rank == 0 else batches[2:]
loss = torch.nn.functional.cross_entropy
risk, whole = ss.torch.Risk(model, loss, mine, group=dist.group.WORLD, weight_decay=0.1), ss.torch.Risk(model, loss, batches, weight_decay=0.1)
other = copy.deepcopy(model)
with torch.no_grad():
    for tensor in [*other.parameters(), other[1].running_mean]:
        tensor.add_(0.3 * torch.randn_like(tensor))
ends = {"here": model.state_dict(), "other": other.state_dict()}
options = dict(points=3, curve=None, eigenvalues=False)
losses = lambda found: np.array([[v["value"] for v in way["sides"][0]["loss"]] for way in found.results["ways"]])
together = losses(ss.path(risk, ends, out=out + "/path", **options))
alone = losses(ss.path(whole, ends, **options))
assert together.shape == alone.shape and together.shape[0] >= 2
np.savez(f"{out}/{rank}.npz", together=together, alone=alone)
same = ss.torch.Risk(model, loss, batches, group=dist.group.WORLD)
assert same.samples == 30 and any("same data" in note for note in same.notes)
for change, words in ((model[1].running_mean, "other buffers"), (model[0].weight, "other parameters")):
    with torch.no_grad():
        change.add_(rank)
    try:
        ss.torch.Risk(model, loss, mine, group=dist.group.WORLD)
    except ValueError as error:
        assert "process 1 of the group has " + words in str(error), error
    else:
        raise AssertionError(words)
    with torch.no_grad():
        change.sub_(rank)
dist.barrier()
dist.destroy_process_group()
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch has no torch.distributed")
def test_processes_share_buffers_and_notice_other_ones(tmp_path):
    in_two_processes(BUFFERS, tmp_path)
    a, b = (np.load(tmp_path / f"{r}.npz") for r in range(2))
    assert a["together"].tobytes() == b["together"].tobytes()
    # The sums of another order: rounding.
    assert np.abs(a["together"] - a["alone"]).max() < 1e-13


FAILURES = """
import threading
torch.manual_seed(0); torch.set_num_threads(1)
class TwoArguments(Exception):
    def __init__(self, what, where):
        super().__init__(what)
        self.where = where
class Holds(Exception):
    pass
def locked():
    error = Holds("locked")
    error.lock = threading.Lock()
    return error
class Model(torch.nn.Linear):
    error = None
    def forward(self, x):
        if self.error is not None:
            raise self.error
        return super().forward(x)
model = Model(3, 2).double()
x, y = torch.randn(15, 3).double(), torch.randint(0, 2, (15,))
mine = slice(0, 8) if rank == 0 else slice(8, 15)
risk = ss.torch.Risk(model, torch.nn.functional.cross_entropy, (x[mine], y[mine]), group=dist.group.WORLD)
expected = risk.loss()
def check(error, at, elsewhere, words):
    # `at` raises its own exception, the other process a copy, or one that says what it was.
    model.error = error if rank == at else None
    try:
        ss.eigsh(risk.hessian())
    except BaseException as caught:
        if rank == at:
            assert caught is error, caught
        else:
            assert type(caught) is elsewhere and words in str(caught), repr(caught)
    else:
        raise AssertionError(words)
    model.error = None
    assert risk.loss() == expected
for at in (1, 0):
    check(TwoArguments("mine", "here"), at, RuntimeError, f"process {at} of the group raised __main__.TwoArguments: mine")
    check(locked(), at, RuntimeError, f"process {at} of the group raised __main__.Holds: locked")
    check(ValueError("plain"), at, ValueError, "plain")
    check(KeyboardInterrupt("stop"), at, KeyboardInterrupt, "stop")
try:
    risk._lead(threading.Lock)
except TypeError as error:
    assert "the result, lock, cannot be sent to the other processes" in str(error), error
else:
    raise AssertionError("a lock")
assert risk.loss() == expected
dist.barrier()
dist.destroy_process_group()
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch has no torch.distributed")
def test_exceptions_and_results_that_cannot_be_pickled_leave_the_processes_in_step(tmp_path):
    in_two_processes(FAILURES, tmp_path)


NATIVE = """
torch.manual_seed(0); torch.set_num_threads(1)
model = torch.nn.Linear(3, 2).double()
x, y = torch.randn(15, 3).double(), torch.randint(0, 2, (15,))
mine = slice(0, 8) if rank == 0 else slice(8, 15)
risk = ss.torch.Risk(model, torch.nn.functional.cross_entropy, (x[mine], y[mine]), group=dist.group.WORLD)
found = ss.density(risk.hessian(), probes=3, steps=5)
curve, errors = found.density(np.linspace(-1, 1, 9), 0.1)
np.savez(f"{out}/{rank}.npz", curve=curve, errors=errors, index=found.index(), trace=found.trace(), support=found.support, products=found.products,
         loss=risk.loss())
dist.barrier()
dist.destroy_process_group()
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch has no torch.distributed")
def test_a_density_reaches_every_process(tmp_path):
    in_two_processes(NATIVE, tmp_path)
    a, b = (np.load(tmp_path / f"{r}.npz") for r in range(2))
    for name in a:
        assert a[name].tobytes() == b[name].tobytes(), name
