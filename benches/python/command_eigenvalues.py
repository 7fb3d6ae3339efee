#!/usr/bin/env python3
"""λ_max and λ_min from start to end: the command `saddlescope eigs` against SciPy's eigsh on PyTorch's kept graph.

  python command_eigenvalues.py --networks NETWORKS.py --exports DIR [--saddlescope saddlescope] [--threads 2] [--tol 1e-3] NAME ...

NETWORKS.py is as for scripts/check_networks.py; DIR holds NAME.onnx and NAME.npz. Both sides compute in f32, one after the other, and reach
‖Hv − λv‖ ≤ tol·|λ| at each end. SciPy's time starts before the graph is built, with PyTorch and the model in memory; the command's time is that of the
whole process with its self-check. SciPy computes both ends at once ("BE") and one after the other ("LA", "SA"); the faster of the two counts.
"""
import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time


def scipy_side(options, name):
    import numpy as np
    import torch
    from scipy.sparse.linalg import LinearOperator, eigsh

    sys.path.insert(0, os.path.dirname(os.path.abspath(options.networks)))
    from torch_reference import args_of, double_net, trained

    torch.set_num_threads(options.threads)
    torch.backends.mha.set_fastpath_enabled(False)
    case = trained(name)
    net = double_net(case, torch.float32)
    args = args_of(case, torch.float32)
    parameters = [p for p in net.parameters() if p.requires_grad]
    sizes = [p.numel() for p in parameters]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    out = {}
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        for mode, ends in [("both at once", [("BE", 2)]), ("one after the other", [("LA", 1), ("SA", 1)])]:
            start = time.perf_counter()
            gradients = torch.autograd.grad(case.loss(net(*args), case.targets), parameters, create_graph=True)
            products = 0

            def product(x):
                nonlocal products
                products += 1
                v = torch.from_numpy(np.asarray(x, dtype=np.float32).reshape(-1)).split(sizes)
                v = [a.view_as(p) for a, p in zip(v, parameters)]
                h = torch.autograd.grad(gradients, parameters, grad_outputs=v, retain_graph=True)
                return torch.cat([g.reshape(-1) for g in h]).numpy()

            n = sum(sizes)
            operator = LinearOperator((n, n), matvec=product, dtype=np.float32)
            values = []
            for which, k in ends:
                values += eigsh(operator, k=k, which=which, tol=options.tol, return_eigenvectors=True)[0].tolist()
            out[mode] = {"seconds": time.perf_counter() - start, "products": products, "values": sorted(values)}
            del gradients
    out["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    out["before_mib"] = before / 1024
    print("RESULT " + json.dumps(out))


def command_side(options, name):
    with tempfile.TemporaryDirectory() as folder:
        command = [options.saddlescope, "eigs", "--model", f"{options.exports}/{name}.onnx", "--data", f"npz:{options.exports}/{name}.npz"]
        command += ["--largest", "1", "--smallest", "1", "--tol", str(options.tol), "--threads", str(options.threads), "--out", folder]
        start = time.perf_counter()
        ran = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        text = ran.stdout.read()
        _, status, used = os.wait4(ran.pid, 0)
        seconds = time.perf_counter() - start
        if status != 0:
            raise SystemExit(f"{' '.join(command)} failed:\n{text}")
        results = json.load(open(f"{folder}/results.json"))
    pairs = results["eigenpairs"]
    products = results["eigen"]["products"] if results.get("eigen") else None
    return {"seconds": seconds, "peak_mib": used.ru_maxrss / 1024, "products": products,
            "values": sorted(p["value"] for p in pairs), "converged": all(p["converged"] for p in pairs)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--networks", required=True)
    parser.add_argument("--exports", required=True)
    parser.add_argument("--saddlescope", default="saddlescope")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tol", type=float, default=1e-3)
    parser.add_argument("--only", choices=["scipy"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    for name in options.names:
        if options.only:
            scipy_side(options, name)
            continue
        ours = command_side(options, name)
        environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads))
        text = subprocess.run([sys.executable, __file__, "--only", "scipy", "--networks", options.networks, "--exports", options.exports,
                               "--threads", str(options.threads), "--tol", str(options.tol), name], check=True, text=True,
                              capture_output=True, env=environment).stdout
        theirs = json.loads(text.split("RESULT ")[1])
        best = min(theirs["both at once"]["seconds"], theirs["one after the other"]["seconds"])
        print(json.dumps({"network": name, "saddlescope": ours, "scipy": theirs, "times_as_fast": best / ours["seconds"]}), flush=True)


if __name__ == "__main__":
    main()
