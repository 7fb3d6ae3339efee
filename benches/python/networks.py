#!/usr/bin/env python3
"""ss.torch.Risk in double precision against PyTorch's own derivatives, network by network.

  python networks.py FILE [NAME ...] [--steps 10]

FILE is a Python file with a dictionary CASES: from a name to a function that returns an object with `net`, `inputs` (a tensor or a dict of
tensors), `targets` (or None, where the network returns its own mean loss), `loss(outputs, targets)`, `train` (None or (steps, rate) of Adam)
and `params` (None or a predicate of the name). Each network is trained for a few steps, set to evaluation mode and converted to float64.

Prints a table in Markdown: relative errors of loss, ‖∇L‖, vᵀHv, Hv and vᵀGv for one random v. The reference is one graph over all
samples (`torch.autograd.grad`, twice for Hv; Jv by differentiating Jᵀu with respect to u); the risk cuts the samples into uneven batches, and
makes G v by `torch.func`. Embeddings of the reference have no padding_idx. The last column is a third value for Hv: central differences of the gradient, whose own error is about 1e-8. "none" where
PyTorch itself has no second derivative, "–" where the risk has no outputs to take a Gauss–Newton matrix of (the network returns its loss).
"""
import argparse
import copy
import importlib.util
import logging
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch

import saddlescope as ss

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def tensors(case, dtype):
    inputs = list(case.inputs.values()) if isinstance(case.inputs, dict) else [case.inputs]
    cast = lambda t: t.to(dtype) if t.is_floating_point() else t
    return [cast(t) for t in inputs], None if case.targets is None else cast(case.targets)


def trained(make, steps):
    torch.manual_seed(0)
    case = make()
    dtype = next(case.net.parameters()).dtype
    inputs, targets = tensors(case, dtype) if dtype == torch.float64 else (
        list(case.inputs.values()) if isinstance(case.inputs, dict) else [case.inputs], case.targets)
    if case.train:
        torch.manual_seed(1)
        case.net.train()
        adam = torch.optim.Adam([p for p in case.net.parameters() if p.requires_grad], lr=case.train[1])
        for _ in range(min(steps, case.train[0])):
            adam.zero_grad()
            case.loss(case.net(*inputs), targets).backward()
            adam.step()
    case.net = copy.deepcopy(case.net).eval().double()
    return case


class Reference:
    """PyTorch's own derivatives, all samples in one graph."""

    def __init__(self, case, names):
        self.case, self.inputs, self.targets = case, *tensors(case, torch.float64)
        self.net = copy.deepcopy(case.net).requires_grad_(True)
        for module in self.net.modules():
            # With padding_idx PyTorch's gradient leaves out a row that the loss depends on; the risk's does not.
            if isinstance(module, torch.nn.Embedding):
                module.padding_idx = None
        parameters = dict(self.net.named_parameters())
        self.params = [parameters[name] for name in names]
        self.start = torch.cat([p.detach().reshape(-1) for p in self.params]).clone()

    def flat(self, parts):
        return torch.cat([(torch.zeros_like(p) if g is None else g).reshape(-1) for g, p in zip(parts, self.params)])

    def split(self, v):
        return [part.view_as(p) for part, p in zip(v.split([p.numel() for p in self.params]), self.params)]

    def outputs(self):
        # A forward that asks for derivatives itself marks its inputs: it gets copies.
        return self.net(*[t.clone() for t in self.inputs])

    def loss(self):
        return self.case.loss(self.outputs(), self.targets)

    def gradient(self, at=None, graph=False):
        if at is not None:
            with torch.no_grad():
                for p, value in zip(self.params, self.split(at)):
                    p.copy_(value)
        return torch.autograd.grad(self.loss(), self.params, create_graph=graph, allow_unused=True)

    def hessian(self, v):
        first = [(g, part) for g, part in zip(self.gradient(graph=True), self.split(v)) if g is not None and g.requires_grad]
        slopes, parts = zip(*first)
        return self.flat(torch.autograd.grad(slopes, self.params, parts, allow_unused=True))

    def differences(self, v, step):
        ahead = self.flat(self.gradient(self.start + step * v)).detach()
        behind = self.flat(self.gradient(self.start - step * v)).detach()
        self.gradient(self.start)
        return (ahead - behind) / (2 * step)

    def gauss_newton(self, v):
        """vᵀGv = (Jv)ᵀ H_ℓ (Jv)."""
        z = self.outputs()
        u = torch.zeros_like(z, requires_grad=True)
        pulled = torch.autograd.grad(z, self.params, u, create_graph=True, allow_unused=True)
        pairs = [(g, part) for g, part in zip(pulled, self.split(v)) if g is not None and g.requires_grad]
        (tangent,) = torch.autograd.grad([g for g, _ in pairs], u, [part for _, part in pairs])
        leaf = z.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.case.loss(leaf, self.targets), leaf, create_graph=True)
        if not slope.requires_grad:
            return torch.zeros(())
        (curved,) = torch.autograd.grad(slope, leaf, tangent)
        return (tangent * curved).sum()


def risk_of(case):
    """The risk, with batches that do not come out even; samples that depend on each other stay together."""
    inputs, targets = tensors(case, torch.float64)
    if targets is None:
        data = {str(i): t for i, t in enumerate(inputs)}
        loss = lambda model, batch: model(*batch.values())
    else:
        data, loss = (*inputs, targets), case.loss
    count = len(inputs[0])
    params = None if case.params is None else (lambda name, _: case.params(name))
    options = dict(params=params, name=type(case.net).__name__)
    try:
        return ss.torch.Risk(case.net, loss, data, batch_size=max(1, count * 2 // 5), **options)
    except Exception as error:
        if "coupled=True" not in str(error) + "".join(getattr(error, "__notes__", [])):
            raise
    return ss.torch.Risk(case.net, loss, [data], coupled=True, **options)


def row(name, make, steps):
    case = trained(make, steps)
    try:
        risk = risk_of(case)
    except Exception as error:
        return f"| {name} | refused: {type(error).__name__}: {str(error).splitlines()[0][:160]} |"
    names = [n for n, _, _ in risk.layout]
    reference = Reference(case, names)
    v = torch.from_numpy(np.random.default_rng(0).standard_normal(risk.dim))
    v /= v.norm()
    relative = lambda a, b: f"{abs(a - b) / max(abs(b), 1e-30):.0e}"
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        loss = float(reference.loss().detach())
        gradient = reference.flat(reference.gradient()).detach().numpy()
        try:
            image = reference.hessian(v).numpy()
        except (RuntimeError, NotImplementedError):
            image = None  # PyTorch has no second derivative of some operation.
        ours = risk.hessian().matvec(v.numpy())
        cells = [
            relative(risk.loss(), loss),
            relative(np.linalg.norm(risk.gradient()), np.linalg.norm(gradient)),
            "none" if image is None else relative(v.numpy() @ ours, v.numpy() @ image),
            "none" if image is None else f"{np.linalg.norm(ours - image) / np.linalg.norm(image):.0e}",
        ]
        if "gauss_newton" in risk.curvatures:
            ours_gn = v.numpy() @ risk.operator("gauss_newton").matvec(v.numpy())
            try:
                cells.append(relative(ours_gn, float(reference.gauss_newton(v).detach())))
            except (RuntimeError, NotImplementedError):
                cells.append("none")
        else:
            cells.append("–")
        # The best of several steps: large ones meet the kinks of ReLU and of maxima, small ones rounding.
        differences = [reference.differences(v, step).numpy() for step in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)]
        cells.append(f"{min(np.linalg.norm(ours - d) / np.linalg.norm(d) for d in differences):.0e}")
    batches = "together" if risk.coupled else f"{len(risk.evaluate().chunk_samples)}"
    return "| " + " | ".join([name, f"{risk.dim:,}", batches, risk._order, *cells]) + " |", risk.notes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--notes", action="store_true", help="also print what each risk says of itself, to standard error")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.backends.mha.set_fastpath_enabled(False)
    spec = importlib.util.spec_from_file_location("cases", options.file)
    cases = importlib.util.module_from_spec(spec)
    sys.modules["cases"] = cases
    spec.loader.exec_module(cases)
    print("| network | parameters | batches | order | loss | ‖∇L‖ | vᵀHv | Hv | vᵀGv | Hv, differences |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in options.names or cases.CASES:
        start = time.time()
        try:
            found = row(name, cases.CASES[name], options.steps)
        except Exception as error:
            found = f"| {name} | failed: {type(error).__name__}: {str(error).strip().splitlines()[:1]} |"
        line, notes = found if isinstance(found, tuple) else (found, [])
        print(line, flush=True)
        print(f"{name}: {time.time() - start:.0f} s", *(notes if options.notes else []), sep="\n    ", file=sys.stderr)


if __name__ == "__main__":
    main()
