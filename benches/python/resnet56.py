#!/usr/bin/env python3
"""ss.torch.Risk on ResNet-56 against bare PyTorch and SciPy, in turns in one process.

  python resnet56.py wrapper     [--images 128] [--threads 2] [--turns 4] [--weights FILE] [--data DIR]
  python resnet56.py eigenvalues [--images 128] [--tol 1e-3] …

wrapper      one product with the Hessian: bare double backward, then through the risk (host to device and back, quotients of chunks)
eigenvalues  λ_max and λ_min: products, seconds and true residuals of ss.eigsh, and of SciPy's eigsh used as in the paper
             (largest magnitude, then that of H − λ₁I)
Weights of the option-B network and CIFAR-10's binary files; random ones if they are not given.
"""
import argparse
import json
import os
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import saddlescope as ss


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        project = [] if same else [nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)]
        self.shortcut = nn.Sequential(*project)

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.shortcut(x))


class ResNet56(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, width = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), 16
        for k, (out, stride) in enumerate([(16, 1), (32, 2), (64, 2)], 1):
            blocks = []
            for i in range(9):
                blocks.append(Block(width, out, stride if i == 0 else 1))
                width = out
            setattr(self, f"layer{k}", nn.Sequential(*blocks))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


def data(options):
    if not options.data:
        return torch.randn(options.images, 3, 32, 32), torch.randint(0, 10, (options.images,))
    rows = np.fromfile(os.path.join(options.data, "test_batch.bin"), np.uint8, count=options.images * 3073).reshape(-1, 3073)
    x = torch.from_numpy(rows[:, 1:].reshape(-1, 3, 32, 32).copy()).float() / 255
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (x - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1), torch.from_numpy(rows[:, 0].astype(np.int64))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["wrapper", "eigenvalues"])
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--micro", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--tol", type=float, default=1e-3)
    parser.add_argument("--weights")
    parser.add_argument("--data")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = ResNet56().eval()
    if options.weights:
        from safetensors.torch import load_file

        model.load_state_dict(load_file(options.weights))
    x, y = data(options)
    params = list(model.parameters())
    sizes = [p.numel() for p in params]
    n = sum(sizes)

    def bare(v):
        total = torch.zeros(n)
        parts = [part.view_as(p) for part, p in zip(torch.from_numpy(v).float().split(sizes), params)]
        for i in range(0, options.images, options.micro):
            loss = F.cross_entropy(model(x[i : i + options.micro]), y[i : i + options.micro], reduction="sum") / options.images
            first = torch.autograd.grad(loss, params, create_graph=True)
            total += torch.cat([h.reshape(-1) for h in torch.autograd.grad(first, params, parts)])
        return total.double().numpy()

    risk = ss.torch.Risk(model, F.cross_entropy, (x, y), batch_size=options.micro, order="reverse")
    operator = risk.hessian()
    v = np.random.default_rng(0).standard_normal(n)
    found = {"images": options.images, "parameters": n, "threads": options.threads, "torch": torch.__version__}
    if options.what == "wrapper":
        difference = np.linalg.norm(bare(v) - operator.matvec(v)) / np.linalg.norm(bare(v))
        inner, seconds = risk._batch_product, {"bare": [], "risk": [], "of it outside torch's product": []}

        def timed(*arguments):
            start = time.perf_counter()
            images = inner(*arguments)
            inside[0] += time.perf_counter() - start
            return images

        risk._batch_product = timed
        for _ in range(options.turns):
            start = time.perf_counter()
            bare(v)
            seconds["bare"].append(time.perf_counter() - start)
            inside, start = [0.0], time.perf_counter()
            ss.trace(operator, max_products=1, block_size=1)
            seconds["risk"].append(time.perf_counter() - start)
            seconds["of it outside torch's product"].append(seconds["risk"][-1] - inside[0])
        found.update(difference=difference, seconds=seconds)
    else:
        import scipy.sparse.linalg as linalg

        # SciPy's tolerance is relative to |λ_min − λ_max| in the second solve; `absolute_tol` asks for residuals like those.
        for name, floor in (("saddlescope, to residuals like SciPy's", options.tol), ("saddlescope, relative to each |λ|", None)):
            start = time.perf_counter()
            ours = ss.eigsh(operator, tol=options.tol, absolute_tol=floor)
            found[name] = {
                "values": ours.values.tolist(), "residuals": ours.residuals.tolist(), "products": ours.products,
                "seconds": time.perf_counter() - start,
            }
            print(json.dumps(found), flush=True)
        count, start = [0], time.perf_counter()

        def multiply(u):
            count[0] += 1
            return operator.matvec(np.asarray(u).reshape(-1))

        first = linalg.eigsh(linalg.LinearOperator((n, n), matvec=multiply, dtype=np.float64), k=1, which="LM", tol=options.tol, v0=v)
        shift = first[0][0]
        moved = linalg.LinearOperator((n, n), matvec=lambda u: multiply(u) - shift * np.asarray(u).reshape(-1), dtype=np.float64)
        second = linalg.eigsh(moved, k=1, which="LM", tol=options.tol, v0=v)
        seconds, products = time.perf_counter() - start, count[0]
        values = [float(shift), float(second[0][0] + shift)]
        residuals = [float(np.linalg.norm(operator.matvec(u[:, 0]) - w * u[:, 0])) for w, u in zip(values, (first[1], second[1]))]
        found["scipy"] = {"values": values, "residuals": residuals, "products": products, "seconds": seconds}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
