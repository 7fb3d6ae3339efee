"""The command that the package installs: the same as the binary, in a process of its own."""

import json
import pathlib
import subprocess
import sys
import sysconfig

import saddlescope as ss


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "saddlescope", *arguments], capture_output=True, text=True)


def test_the_script_is_installed_and_is_the_command():
    script = pathlib.Path(sysconfig.get_path("scripts")) / "saddlescope"
    assert script.exists(), f"{script} is missing"
    answer = subprocess.run([str(script), "--version"], capture_output=True, text=True)
    assert (answer.returncode, answer.stdout.split()) == (0, ["saddlescope", ss.__version__])


def test_exit_codes_and_words_of_the_binary():
    wrong = run("eigs", "--model", "no-such-network", "--out", "x")
    assert wrong.returncode == 2 and "no-such-network" in wrong.stderr
    usage = run("eigs", "--no-such-option")
    assert usage.returncode == 2 and "--no-such-option" in usage.stderr
    help_ = run("eigs", "--help")
    assert help_.returncode == 0 and "--largest" in help_.stdout


def test_a_folder_of_the_command_goes_on_from_python(tmp_path):
    out = tmp_path / "run"
    done = run("eigs", "--model", "digits-mlp", "--samples", "0..64", "--tol", "1e-2", "--out", str(out))
    assert done.returncode == 0, done.stderr
    found = json.loads((out / "results.json").read_text())
    pairs = [(p["value"], p["residual"]) for p in found["eigenpairs"]]
    # The same engine, model and samples: Python goes on in the folder of the command and solves nothing again.
    risk = ss.onnx.Risk("digits-mlp", samples=64)
    again = ss.analyze(risk, stages=["eigenpairs"], largest=3, smallest=3, tol=1e-2, out=out)
    assert [(p.value, p.residual) for p in again.eigenpairs] == pairs
