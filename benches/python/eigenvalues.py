#!/usr/bin/env python3
"""λ_max and λ_min of ResNet-56 by Saddlescope and by other tools for PyTorch, in one process, one after the other.

  python eigenvalues.py [--images 128] [--threads 2] [--target 1e-3] [--weights FILE] [--data DIR] [TOOL ...]

  saddlescope   ss.eigsh(risk.hessian()): both ends from one space
  scipy         Algorithm 1 of the paper: eigsh of largest magnitude, then of the shifted operator, tolerance 4e-5; products by the same risk
  curvlinops    HessianLinearOperator(...).to_scipy() with SciPy's eigsh, "LA" and "SA"
  eigenthings   pytorch-hessian-eigenthings' lanczos, "LA" and "SA", with the fewest steps (10, 20, 40, …) that reach the residual
  pyhessian     hessian(...).eigenvalues(top_n=1): power iteration, its own tolerance first, then the largest that reaches the residual

The target is a residual ‖Hv − λv‖ ≤ target·|λ| at each end. All residuals are measured afterwards with the same products. Tools that are
not installed are left out, and the output says so. All use the same batches and the same number of threads.
"""
import argparse
import importlib
import json
import time

import numpy as np
import torch
import torch.nn.functional as F

import saddlescope as ss
from resnet56 import ResNet56, data

TOOLS = {"saddlescope": None, "scipy": "scipy", "curvlinops": "curvlinops", "eigenthings": "hessian_eigenthings", "pyhessian": "pyhessian"}


class Bench:
    def __init__(self, options):
        self.options = options
        torch.manual_seed(0)
        self.model = ResNet56().eval()
        if options.weights:
            from safetensors.torch import load_file

            self.model.load_state_dict(load_file(options.weights))
        x, y = data(options)
        step = options.micro
        self.batches = [(x[i : i + step], y[i : i + step]) for i in range(0, len(x), step)]
        self.risk = ss.torch.Risk(self.model, F.cross_entropy, self.batches, order="reverse")
        self.hessian = self.risk.hessian()
        self.n = self.risk.dim
        self.start = np.random.default_rng(0).standard_normal(self.n)

    def residual(self, value, vector):
        vector = np.asarray(vector, dtype=np.float64).reshape(-1)
        vector = vector / np.linalg.norm(vector)
        return float(np.linalg.norm(self.hessian.matvec(vector) - value * vector))

    def report(self, tool, products, seconds, ends, note=""):
        row = {"tool": tool, "products": products, "seconds": round(seconds, 1), "seconds_a_product": round(seconds / max(products, 1), 3)}
        for name, pair in ends.items():
            row[name] = None if pair is None else {"value": float(pair[0]), "residual": self.residual(*pair)}
        print(json.dumps({**row, "note": note} if note else row), flush=True)

    def counted(self, multiply):
        count = [0]

        def product(v):
            count[0] += 1
            return multiply(v)

        return product, count

    def saddlescope(self):
        begin = time.perf_counter()
        found = ss.eigsh(self.hessian, tol=self.options.target)
        ends = {"max": (found.pairs[0].value, found.pairs[0].vector), "min": (found.pairs[1].value, found.pairs[1].vector)}
        self.report("saddlescope", found.products, time.perf_counter() - begin, ends)

    def scipy(self):
        from scipy.sparse.linalg import LinearOperator, eigsh

        product, count = self.counted(lambda u: self.hessian.matvec(np.asarray(u).reshape(-1)))
        begin = time.perf_counter()
        first, u = eigsh(LinearOperator((self.n, self.n), matvec=product, dtype=np.float64), k=1, which="LM", tol=4e-5, v0=self.start)
        moved = LinearOperator((self.n, self.n), matvec=lambda x: product(x) - first[0] * np.asarray(x).reshape(-1), dtype=np.float64)
        second, v = eigsh(moved, k=1, which="LM", tol=4e-5, v0=self.start)
        seconds = time.perf_counter() - begin
        self.report("scipy, the paper's two solves", count[0], seconds, {"max": (first[0], u), "min": (second[0] + first[0], v)})

    def curvlinops(self):
        from curvlinops import HessianLinearOperator
        from scipy.sparse.linalg import LinearOperator, eigsh

        parameters = list(self.model.parameters())
        operator = HessianLinearOperator(self.model, torch.nn.CrossEntropyLoss(), parameters, self.batches)
        inner = operator.to_scipy(np.float32)
        product, count = self.counted(inner.matvec)
        wrapped = LinearOperator(inner.shape, matvec=product, dtype=np.float32)
        begin = time.perf_counter()
        start = self.start.astype(np.float32)
        first, u = eigsh(wrapped, k=1, which="LA", tol=self.options.target, v0=start)
        second, v = eigsh(wrapped, k=1, which="SA", tol=self.options.target, v0=start)
        self.report("curvlinops + scipy", count[0], time.perf_counter() - begin, {"max": (first[0], u), "min": (second[0], v)})
        begin = time.perf_counter()
        found = ss.eigsh(operator, tol=self.options.target)
        ends = {"max": (found.pairs[0].value, found.pairs[0].vector), "min": (found.pairs[1].value, found.pairs[1].vector)}
        self.report("curvlinops + saddlescope", found.products, time.perf_counter() - begin, ends)

    def eigenthings(self):
        from hessian_eigenthings import HessianOperator, lanczos, supervised_loss

        operator = HessianOperator(self.model, self.batches, supervised_loss(F.cross_entropy))
        products, seconds, ends = 0, 0.0, {}
        for name, which in (("max", "LA"), ("min", "SA")):
            steps = 10
            while True:
                begin = time.perf_counter()
                found = lanczos(operator, k=1, max_iter=steps, which=which, seed=0)
                spent = time.perf_counter() - begin
                pair = float(found.eigenvalues[0]), found.eigenvectors[0].numpy()
                if self.residual(*pair) <= self.options.target * abs(pair[0]) or steps >= 160:
                    break
                steps *= 2
            products, seconds, ends[name] = products + steps, seconds + spent, pair
        self.report("pytorch-hessian-eigenthings, lanczos", products, seconds, ends, "runs with fewer steps are not counted")

    def pyhessian(self):
        import pyhessian

        for tol in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7):
            computed = pyhessian.hessian(self.model, F.cross_entropy, dataloader=self.batches, cuda=False)
            computed.dataloader_hv_product, count = self.counted(computed.dataloader_hv_product)
            begin = time.perf_counter()
            values, vectors = computed.eigenvalues(maxIter=100, tol=tol, top_n=1)
            seconds = time.perf_counter() - begin
            vector = torch.cat([part.detach().reshape(-1) for part in vectors[0]]).numpy()
            self.report(f"PyHessian, tol={tol:g}", count[0], seconds, {"max": (values[0], vector), "min": None},
                        "power iteration: the largest magnitudes only")
            self.model.zero_grad()
            if self.residual(values[0], vector) <= self.options.target * abs(values[0]) or count[0] >= 100:
                break


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tools", nargs="*", metavar="TOOL")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--micro", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--target", type=float, default=1e-3)
    parser.add_argument("--weights")
    parser.add_argument("--data")
    options = parser.parse_args()
    unknown = set(options.tools) - set(TOOLS)
    if unknown:
        parser.error(f"unknown tool {', '.join(sorted(unknown))}; expected some of {', '.join(TOOLS)}")
    torch.set_num_threads(options.threads)
    bench = Bench(options)
    print(json.dumps({"images": options.images, "parameters": bench.n, "threads": options.threads, "torch": torch.__version__}), flush=True)
    for tool in options.tools or TOOLS:
        module = TOOLS[tool]
        try:
            if module:
                importlib.import_module(module)
        except ImportError as error:
            print(json.dumps({"tool": tool, "note": f"left out: {error}"}), flush=True)
            continue
        getattr(bench, tool)()


if __name__ == "__main__":
    main()
