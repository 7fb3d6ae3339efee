#!/usr/bin/env python3
"""λ_max and λ_min of ResNet-56 by Saddlescope and by other tools for PyTorch, in one process, one after the other.

  python eigenvalues.py            [--images 128] [--threads 2] [--target 1e-3] [--weights FILE --data DIR] [TOOL ...]
  python eigenvalues.py --engine   the same solvers, all products by Saddlescope's engine: the same numbers of products in less time
  python eigenvalues.py --seconds  the tools' own products alone, in turns: seconds of each

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


def now():
    """Wall time and processor time of this process: the second one says more on a machine that is busy with something else."""
    return np.array([time.perf_counter(), time.process_time()])


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
        if options.engine:
            self.risk = ss.onnx.Risk("resnet56-b", f"cifar10:{options.data}", weights=options.weights, split="test", samples=options.images)
        else:
            self.risk = ss.torch.Risk(self.model, F.cross_entropy, self.batches, order="reverse")
        self.hessian = self.risk.hessian()
        self.n = self.risk.dim
        self.start = np.random.default_rng(0).standard_normal(self.n)

    def residual(self, value, vector):
        vector = np.asarray(vector, dtype=np.float64).reshape(-1)
        vector = vector / np.linalg.norm(vector)
        return float(np.linalg.norm(self.hessian.matvec(vector) - value * vector))

    def report(self, tool, products, seconds, ends, note=""):
        row = {"tool": tool, "products": products, "seconds": round(seconds[0], 1), "processor_seconds": round(seconds[1], 1),
               "processor_seconds_a_product": round(seconds[1] / max(products, 1), 3)}
        for name, pair in ends.items():
            row[name] = None if pair is None else {"value": float(pair[0]), "residual": self.residual(*pair)}
        print(json.dumps({**row, "note": note} if note else row), flush=True)

    def counted(self, multiply):
        """The product, or that of the engine, with its number of calls."""
        count = [0]
        multiply = self.hessian.matvec if self.options.engine else multiply

        def product(v):
            count[0] += 1
            return multiply(v)

        return product, count

    def products(self):
        """The tools' own products of a flat vector, as far as they are installed."""
        found = {"saddlescope, scipy": self.hessian.matvec}
        parameters, sizes = list(self.model.parameters()), [p.numel() for p in self.model.parameters()]
        if installed("curvlinops"):
            found["curvlinops"] = self.curvlinops_operator().to_scipy(np.float32).matvec
        if installed("eigenthings"):
            theirs = self.eigenthings_operator()
            found["eigenthings"] = lambda v: theirs.matvec(torch.from_numpy(v).float())
        if installed("pyhessian"):
            import pyhessian

            computed = pyhessian.hessian(self.model, F.cross_entropy, dataloader=self.batches, cuda=False)

            def product(v):
                parts = [part.view_as(p) for part, p in zip(torch.from_numpy(v).float().split(sizes), parameters)]
                return computed.dataloader_hv_product(parts)

            found["pyhessian"] = product
        return found

    def seconds(self, turns=3):
        """Each tool's product, in turns; the first turn warms up."""
        products = self.products()
        took = {name: [] for name in products}
        for turn in range(turns + 1):
            for name, product in products.items():
                begin = time.perf_counter()
                product(self.start)
                if turn:
                    took[name].append(round(time.perf_counter() - begin, 3))
        print(json.dumps({"seconds of a product": took}), flush=True)

    def curvlinops_operator(self):
        from curvlinops import HessianLinearOperator

        parameters = list(self.model.parameters())
        return HessianLinearOperator(self.model, torch.nn.CrossEntropyLoss(), parameters, self.batches, check_deterministic=False)

    def eigenthings_operator(self):
        from hessian_eigenthings import HessianOperator, supervised_loss

        return HessianOperator(self.model, self.batches, supervised_loss(F.cross_entropy))

    def saddlescope(self):
        begin = now()
        found = ss.eigsh(self.hessian, tol=self.options.target)
        ends = {"max": (found.pairs[0].value, found.pairs[0].vector), "min": (found.pairs[1].value, found.pairs[1].vector)}
        self.report("saddlescope", found.products, now() - begin, ends)

    def scipy(self):
        from scipy.sparse.linalg import LinearOperator, eigsh

        product, count = self.counted(lambda u: self.hessian.matvec(np.asarray(u).reshape(-1)))
        begin = now()
        first, u = eigsh(LinearOperator((self.n, self.n), matvec=product, dtype=np.float64), k=1, which="LM", tol=4e-5, v0=self.start)
        moved = LinearOperator((self.n, self.n), matvec=lambda x: product(x) - first[0] * np.asarray(x).reshape(-1), dtype=np.float64)
        second, v = eigsh(moved, k=1, which="LM", tol=4e-5, v0=self.start)
        seconds = now() - begin
        self.report("scipy, the paper's two solves", count[0], seconds, {"max": (first[0], u), "min": (second[0] + first[0], v)})

    def curvlinops(self):
        from scipy.sparse.linalg import LinearOperator, eigsh

        operator = self.curvlinops_operator()
        product, count = self.counted(operator.to_scipy(np.float32).matvec)
        wrapped = LinearOperator(operator.shape, matvec=lambda v: np.asarray(product(v), dtype=np.float32), dtype=np.float32)
        begin, start = now(), self.start.astype(np.float32)
        first, u = eigsh(wrapped, k=1, which="LA", tol=self.options.target, v0=start)
        second, v = eigsh(wrapped, k=1, which="SA", tol=self.options.target, v0=start)
        self.report("curvlinops + scipy", count[0], now() - begin, {"max": (first[0], u), "min": (second[0], v)})

    def eigenthings(self):
        from hessian_eigenthings import lanczos

        operator = self.eigenthings_operator()
        if self.options.engine:
            operator.matvec = lambda v: torch.from_numpy(self.hessian.matvec(v.numpy())).float()
        products, seconds, ends = 0, np.zeros(2), {}
        for name, which in (("max", "LA"), ("min", "SA")):
            steps = 10
            while True:
                begin = now()
                found = lanczos(operator, k=1, max_iter=steps, which=which, seed=0)
                spent = now() - begin
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
            inner, count = computed.dataloader_hv_product, [0]

            def product(v):
                count[0] += 1
                if not self.options.engine:
                    return inner(v)
                flat = self.hessian.matvec(torch.cat([part.reshape(-1) for part in v]).numpy())
                image = [part.view_as(p) for part, p in zip(torch.from_numpy(flat).float().split([p.numel() for p in v]), v)]
                return float(sum((a * b).sum() for a, b in zip(image, v))), image

            computed.dataloader_hv_product = product
            begin = now()
            values, vectors = computed.eigenvalues(maxIter=100, tol=tol, top_n=1)
            seconds = now() - begin
            vector = torch.cat([part.detach().reshape(-1) for part in vectors[0]]).numpy()
            self.report(f"PyHessian, tol={tol:g}", count[0], seconds, {"max": (values[0], vector), "min": None},
                        "power iteration: the largest magnitudes only")
            self.model.zero_grad()
            if self.residual(values[0], vector) <= self.options.target * abs(values[0]) or count[0] >= 100:
                break


def installed(tool):
    try:
        return TOOLS[tool] is None or bool(importlib.import_module(TOOLS[tool]))
    except ImportError as error:
        print(json.dumps({"tool": tool, "note": f"left out: {error}"}), flush=True)
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tools", nargs="*", metavar="TOOL")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--micro", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--target", type=float, default=1e-3)
    parser.add_argument("--weights")
    parser.add_argument("--data")
    parser.add_argument("--engine", action="store_true")
    parser.add_argument("--seconds", action="store_true")
    options = parser.parse_args()
    unknown = set(options.tools) - set(TOOLS)
    if unknown:
        parser.error(f"unknown tool {', '.join(sorted(unknown))}; expected some of {', '.join(TOOLS)}")
    torch.set_num_threads(options.threads)
    bench = Bench(options)
    print(json.dumps({"images": options.images, "parameters": bench.n, "threads": options.threads, "torch": torch.__version__}), flush=True)
    if options.seconds:
        bench.seconds()
        return
    for tool in options.tools or TOOLS:
        if installed(tool):
            getattr(bench, tool)()


if __name__ == "__main__":
    main()
