"""A process that is killed leaves a folder that goes on, to the same bits."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import saddlescope as ss

torch = pytest.importorskip("torch", reason="PyTorch is not installed: its tests are skipped")

SCRIPT = """
import sys, numpy as np, torch, saddlescope as ss
torch.manual_seed(0); torch.set_num_threads(1)
model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)).double()
x, y = torch.randn(40, 6).double(), torch.randint(0, 3, (40,))
risk = ss.torch.Risk(model, torch.nn.functional.cross_entropy, (x, y), batch_size=8, order="reverse")

class Told:
    def begin(self, stage, steps): print("begin", stage, flush=True)
    def advance(self, done, note): print("advance", done, flush=True)
    def end(self, note): pass
    def note(self, text): pass
    def plan(self, seconds, products, bytes): pass

found = ss.analyze(risk, out=sys.argv[1], grid=7, progress=Told())
np.savez(sys.argv[2], values=[p.value for p in found.eigenpairs], residuals=[p.residual for p in found.eigenpairs],
         vectors=np.stack([p.vector for p in found.eigenpairs]), surfaces=np.stack([s.loss for s in found.surfaces if s.loss.shape == (7, 7)]))
"""


def start(folder, out, environment):
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), str(out)], env=environment, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_process_goes_on(tmp_path):
    package = str(Path(ss.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])}
    whole = start(tmp_path / "whole", tmp_path / "whole.npz", environment)
    said, error = whole.communicate(timeout=300)
    assert whole.returncode == 0, error
    steps = said.splitlines()
    # Killed in the middle of the eigenpairs, then in the middle of the surfaces, then to the end.
    killed = 0
    for stage in ("eigen", "surface"):
        process = start(tmp_path / "part", tmp_path / "part.npz", environment)
        seen = False
        for line in process.stdout:
            seen |= line.startswith("begin") and stage in line
            if seen and line.startswith("advance"):
                process.send_signal(signal.SIGKILL)
                break
        process.wait(timeout=60)
        killed += process.returncode == -signal.SIGKILL
        process.stdout.close()
        process.stderr.close()
    assert killed == 2, steps
    last = start(tmp_path / "part", tmp_path / "part.npz", environment)
    said, error = last.communicate(timeout=300)
    assert last.returncode == 0, error
    assert len(said.splitlines()) < len(steps)
    a, b = np.load(tmp_path / "whole.npz"), np.load(tmp_path / "part.npz")
    for name in a:
        assert a[name].tobytes() == b[name].tobytes(), name
