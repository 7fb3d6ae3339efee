"""Exports networks with both of PyTorch's exporters and compares what the importer makes of them with PyTorch's f64:

    cargo build --release -p saddlescope-onnx --example probe
    python scripts/check_networks.py NETWORKS.py [NAME ...] [--out RESULTS.md] [--exporters dynamo,torchscript]

NETWORKS.py has a dict CASES of functions, each of which returns an object with `net`, `inputs` (a tensor or a dict), `targets`
(None where the network returns its own loss) and `loss`, a function of output and targets. Parameters are moved a little, so that
no two are equal. Loss, gradient norm and one Hessian product are compared to 1e-5; the table says what happened to each.

With `--eigenvalues target/release/saddlescope` the largest and smallest eigenvalue of networks of at most `--parameters` (20,000) are
compared too: `saddlescope eigs` in f64 against SciPy's `eigsh` of PyTorch's products on the same samples.
"""
import argparse, importlib.util, json, logging, os, subprocess, sys, tempfile, warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import torch
from gates import use_formulas
from torch_to_onnx import REFERENCE_SAMPLES, differentiated, export, loss_name

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


def moved(make):
    """A case with its parameters moved a little, and its loss as `export` takes it."""
    torch.manual_seed(0)
    case = make()
    net = case.net.eval()
    torch.manual_seed(3)
    with torch.no_grad():
        for p in net.parameters():
            if p.is_floating_point():
                p += 0.02 * torch.randn(p.shape, dtype=torch.float32).to(p.dtype)
    use_formulas(net)
    return case, net, NAMED[case.loss.__name__] if case.loss.__name__ in NAMED else case.loss


def extremes(net, inputs, targets, loss, one_sample):
    """Largest and smallest eigenvalue of the Hessian on the first samples, by SciPy from PyTorch's products."""
    from scipy.sparse.linalg import LinearOperator, eigsh
    kind = loss if isinstance(loss, str) else loss_name(loss, targets)
    inputs = inputs if isinstance(inputs, dict) else {"x": inputs}
    _, gradient, product, _, _ = differentiated(net, inputs.values(), targets, kind, one_sample)
    shapes = [g.shape for g in gradient.values()]
    ends = torch.tensor([s.numel() for s in shapes]).cumsum(0)

    def apply(v):
        v = torch.from_numpy(v.reshape(-1)).tensor_split(ends[:-1])
        hv = product([part.reshape(shape) for part, shape in zip(v, shapes)])
        return torch.cat([h.detach().reshape(-1) for h in hv]).numpy()

    n = int(ends[-1])
    hessian = LinearOperator((n, n), apply, dtype="float64")
    return [float(eigsh(hessian, 1, which=end, tol=1e-9, return_eigenvectors=False)[0]) for end in ("LA", "SA")]


def check_eigenvalues(name, make, folder, one_sample, a):
    """Ours beside SciPy's."""
    case, net, loss = moved(make)
    n = sum(p.numel() for p in net.parameters())
    if n > a.parameters or loss is not None and not isinstance(loss, str):
        return None
    place = os.path.join(folder, name)
    quiet(lambda: export(net, case.inputs, case.targets, place, "dynamo", loss=loss, one_sample=one_sample))
    theirs = extremes(net, case.inputs, case.targets, loss, one_sample)
    first = next(iter(case.inputs.values())) if isinstance(case.inputs, dict) else case.inputs
    more = ["--one-sample"] if one_sample else ["--samples", f"0..{min(len(first), REFERENCE_SAMPLES)}"]
    run = subprocess.run([a.eigenvalues, "eigs", "--model", place + ".onnx", "--data", f"npz:{place}.npz", "--dtype", "f64", "--largest", "1",
                          "--smallest", "1", "--tol", "1e-7", "--max-products", "2000", "--out", place + "-eigs", *more],
                         capture_output=True, text=True)
    if run.returncode:
        return [f"{n:,}", "refused: " + short(run.stderr), "", "", ""]
    with open(os.path.join(place + "-eigs", "results.json")) as f:
        pairs = json.load(f)["eigenpairs"]
    ours = [next(p["value"] for p in pairs if p["end"] == end) for end in ("largest", "smallest")]
    # Both to the size of the spectrum: an eigenvalue near 0 has no relative error worth speaking of.
    size = max(abs(x) for x in theirs)
    return [f"{n:,}", *[f"{x:.8g}" for x in (ours[0], theirs[0], ours[1], theirs[1])], f"{max(abs(o - t) for o, t in zip(ours, theirs)) / size:.0e}"]


def check(name, make, exporter, folder, probe, one_sample):
    case, net, loss = moved(make)
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
    parser.add_argument("--eigenvalues", help="the command; compares eigenvalues instead")
    parser.add_argument("--parameters", type=int, default=20_000)
    a = parser.parse_intermixed_args()
    torch.set_num_threads(2)
    spec = importlib.util.spec_from_file_location("networks", a.module)
    module = importlib.util.module_from_spec(spec)
    sys.modules["networks"] = module
    spec.loader.exec_module(module)
    probe = next((p for p in PROBES if os.path.exists(p)), None)
    exporters = a.exporters.split(",")
    rows, head = [], ["network", *exporters]
    one_sample = a.one_sample.split(",")
    with tempfile.TemporaryDirectory() as folder:
        for name in a.names or module.CASES:
            if a.eigenvalues:
                head = ["network", "parameters", "λ_max", "by SciPy", "λ_min", "by SciPy", "difference"]
                try:
                    found = check_eigenvalues(name, module.CASES[name], folder, name in one_sample, a)
                except Exception as e:
                    found = ["", "not compared: " + short(f"{type(e).__name__} {e}"), "", "", "", ""]
                if found:
                    rows.append([name, *found])
                    print(*rows[-1], flush=True)
                continue
            results = []
            for exporter in exporters:
                try:
                    results.append(check(name, module.CASES[name], exporter, folder, probe, name in one_sample))
                except Exception as e:
                    results.append("not built: " + short(f"{type(e).__name__} {e}"))
                print(f"{name:18} {exporter:12} {results[-1]}", flush=True)
            rows.append([name, *results])
    if a.out:
        with open(a.out, "w") as f:
            for row in [head, ["---"] * len(head), *rows]:
                f.write("| " + " | ".join(row) + " |\n")


main()
