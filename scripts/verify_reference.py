"""Reference values that `saddlescope verify` compares our engine with: losses, gradients and products of small networks,
computed by PyTorch in f64. Everything is made of exactly representable numbers by the same formulas on both sides.

    python scripts/verify_reference.py > crates/saddlescope/assets/pytorch_reference.json
"""

import json
import sys

import torch
from torch import nn
from torch.func import functional_call, grad, jvp, vjp

SAMPLES = 12
CLASSES = 5


def numbers(count, factor, shift, modulus, divisor):
    """((factor i + shift) mod modulus − modulus div 2) / divisor for i = 0, 1, …"""
    i = torch.arange(count, dtype=torch.int64)
    return ((factor * i + shift) % modulus - modulus // 2).to(torch.float64) / divisor


class Perceptron(nn.Module):
    def __init__(self, widths, activation):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        self.activation = activation

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


class Convolutional(nn.Module):
    """cnn:2x8x8-6-8-5."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(8)
        self.linear = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 2)
        x = torch.relu(self.bn2(self.conv2(x)))
        return self.linear(x.mean((2, 3)))


def reference(name, model, shape):
    model = model.double().eval()
    names = [n for n, _ in model.named_parameters()]
    sizes = [p.numel() for p in model.parameters()]
    theta = numbers(sum(sizes), 53, 7, 97, 128.0)
    start, parameters = 0, {}
    for (n, p), size in zip(model.named_parameters(), sizes):
        value = theta[start:start + size].reshape(p.shape)
        # Scales of batch norm lie around 1.
        if n.startswith("bn") and n.endswith("weight"):
            value = value + 1.0
        parameters[n] = value
        start += size
    v = numbers(sum(sizes), 29, 3, 89, 32.0)
    direction = dict(zip(names, (p.reshape(parameters[n].shape) for n, p in zip(names, v.split(sizes)))))
    x = numbers(SAMPLES * torch.Size(shape).numel(), 37, 11, 101, 64.0).reshape(SAMPLES, *shape)
    labels = (3 * torch.arange(SAMPLES)) % CLASSES
    logits = lambda p: functional_call(model, p, (x,))
    criterion = lambda f: nn.functional.cross_entropy(f, labels)
    loss = lambda p: criterion(logits(p))
    flat = lambda p: torch.cat([p[n].reshape(-1) for n in names])
    g, hv = (flat(p) for p in jvp(grad(loss), (parameters,), (direction,)))
    f, jv = jvp(logits, (parameters,), (direction,))
    _, hjv = jvp(grad(criterion), (f,), (jv,))
    gv = flat(vjp(logits, parameters)[1](hjv)[0])
    first = lambda t: t[:6].tolist()
    return {
        "model": name,
        "loss": loss(parameters).item(),
        "gradient_norm": g.norm().item(),
        "gradient_first": first(g),
        "product_norm": hv.norm().item(),
        "product_first": first(hv),
        "curvature": (v @ hv).item(),
        "gauss_newton_norm": gv.norm().item(),
        "gauss_newton_first": first(gv),
    }


json.dump(
    {
        "made_by": f"scripts/verify_reference.py, PyTorch {torch.__version__}, f64",
        "networks": [
            reference("mlp:20-16-12-5:tanh", Perceptron([20, 16, 12, 5], torch.tanh), (20,)),
            reference("mlp:20-16-12-5", Perceptron([20, 16, 12, 5], torch.relu), (20,)),
            reference("cnn:2x8x8-6-8-5", Convolutional(), (2, 8, 8)),
        ],
    },
    sys.stdout,
    indent=1,
)
print()
