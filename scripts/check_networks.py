"""Exports networks with both of PyTorch's exporters and compares what the importer makes of them with PyTorch's f64:

    cargo build --release -p saddlescope-onnx --example probe
    python scripts/check_networks.py NETWORKS.py [NAME ...] [--out RESULTS.md] [--exporters dynamo,torchscript]

NETWORKS.py has a dict CASES of functions, each of which returns an object with `net`, `inputs` (a tensor or a dict), `targets`
(None where the network returns its own loss) and `loss`, a function of output and targets. Parameters are moved a little, so that
no two are equal. Loss, gradient norm and one Hessian product are compared to 1e-5; the table says what happened to each.
"""
import argparse, importlib.util, logging, os, subprocess, sys, tempfile, warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import torch
from gates import use_formulas
from torch_to_onnx import export

PROBES = ["target/release/examples/probe", "target/debug/examples/probe"]
NAMED = {"ce": "cross-entropy", "token_ce": "cross-entropy", "mse": "mse-mean", "own": None}


def short(text, width=150):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[0] if lines else "")[:width].replace("|", "/").split("; supported are")[0]


def quiet(f):
    """Without what the exporters print."""
    sys.stdout.flush()
    saved, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        return f()
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)
        os.close(null)


def check(name, make, exporter, folder, probe, one_sample):
    torch.manual_seed(0)
    case = make()
    net = case.net.eval()
    torch.manual_seed(3)
    with torch.no_grad():
        for p in net.parameters():
            if p.is_floating_point():
                p += 0.02 * torch.randn(p.shape, dtype=torch.float32).to(p.dtype)
    use_formulas(net)
    loss = NAMED[case.loss.__name__] if case.loss.__name__ in NAMED else case.loss
    place = os.path.join(folder, name)
    try:
        quiet(lambda: export(net, case.inputs, case.targets, place, exporter, loss=loss, one_sample=one_sample))
    except BaseException as e:
        return "PyTorch cannot export it: " + short(str(e).split("It said: ")[-1])
    more = ["--one-sample"] if one_sample else []
    run = subprocess.run([probe, place + ".onnx", place + ".npz", *more], capture_output=True, text=True)
    for suffix in (".onnx", ".npz"):
        os.remove(place + suffix)
    if run.returncode == 0:
        line = [l for l in run.stdout.splitlines() if "parameters" in l and not l.startswith("note")][-1]
        if "off PyTorch" not in line:
            return "imported; " + line
        numbers = [float(n.split(" (")[0]) for n in line.split(" by ")[1].split(", ")]
        return f"agrees to {max(numbers):.0e}"
    if run.returncode == 3:
        return "DIFFERS: " + short([l for l in run.stdout.splitlines() if l.startswith("DIFFERS")][0][9:])
    return "refused: " + short(run.stderr)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--out")
    parser.add_argument("--exporters", default="dynamo,torchscript")
    parser.add_argument("--one-sample", default="", help="networks whose data are one sample, such as a graph of nodes: NAME,NAME")
    a = parser.parse_args()
    torch.set_num_threads(2)
    spec = importlib.util.spec_from_file_location("networks", a.module)
    module = importlib.util.module_from_spec(spec)
    sys.modules["networks"] = module
    spec.loader.exec_module(module)
    probe = next(p for p in PROBES if os.path.exists(p))
    exporters = a.exporters.split(",")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in a.names or module.CASES:
            results = []
            for exporter in exporters:
                try:
                    results.append(check(name, module.CASES[name], exporter, folder, probe, name in a.one_sample.split(",")))
                except Exception as e:
                    results.append("not built: " + short(f"{type(e).__name__} {e}"))
                print(f"{name:18} {exporter:12} {results[-1]}", flush=True)
            rows.append([name, *results])
    if a.out:
        head = ["network", *exporters]
        with open(a.out, "w") as f:
            for row in [head, ["---"] * len(head), *rows]:
                f.write("| " + " | ".join(row) + " |\n")


main()
