"""Real networks for a trial of the way from PyTorch: NAME.onnx and NAME.npz each, by both exporters.

    python scripts/export_networks.py OUT [--shared ../shared] [--only NAME …]

resnet20 is trained (weights and images of CIFAR-10 from the shared folder); the torchvision networks and transformers have random
weights. PROBE: for every file OUT/NAME.json holds PyTorch's loss, gradient norm, vᵀHv and ‖Hv‖ in f32 and f64 for the vector
OUT/NAME.probe.safetensors. torch, torchvision, onnx, onnxscript and safetensors are needed.
"""
import argparse
import copy
import json
import os
import warnings

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from gates import use_formulas
from torch_to_onnx import export

warnings.filterwarnings("ignore")


class BasicBlock(nn.Module):
    """CIFAR residual block; where the shape changes, the shortcut takes every other pixel and pads channels with zeros."""
    def __init__(self, inward, outward, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inward, outward, 3, stride, 1, bias=False), nn.BatchNorm2d(outward)
        self.conv2, self.bn2 = nn.Conv2d(outward, outward, 3, 1, 1, bias=False), nn.BatchNorm2d(outward)
        self.pad = outward // 4 if stride != 1 or inward != outward else 0

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad)) if self.pad else x))


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, width = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), 16
        for k, outward in enumerate((16, 32, 64), 1):
            blocks = [BasicBlock(width if i == 0 else outward, outward, 2 if i == 0 and k > 1 else 1) for i in range(3)]
            setattr(self, f"layer{k}", nn.Sequential(*blocks))
            width = outward
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for layer in (self.layer1, self.layer2, self.layer3):
            x = layer(x)
        return self.linear(x.mean((2, 3)))


class Gpt(nn.Module):
    """Causal transformer of PyTorch's own layers; returns the logits of the next token at every position."""
    def __init__(self, words=64, d=32, length=24):
        super().__init__()
        self.tok, self.pos = nn.Embedding(words, d), nn.Embedding(length, d)
        layer = nn.TransformerEncoderLayer(d, 4, 4 * d, 0.1, F.gelu, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, words, bias=False)

    def forward(self, ids):
        t = ids.shape[1]
        x = self.tok(ids) + self.pos(torch.arange(t, device=ids.device))
        mask = torch.triu(torch.full((t, t), float("-inf")), 1)
        # is_causal is given: PyTorch otherwise looks at the mask's values, which export cannot.
        return self.head(self.norm(self.blocks(x, mask=mask, is_causal=True)))


class Bert(nn.Module):
    """Encoder with a padding mask; classifies from the first position."""
    def __init__(self, words=64, d=32, length=24):
        super().__init__()
        self.tok, self.pos, self.norm = nn.Embedding(words, d), nn.Embedding(length, d), nn.LayerNorm(d)
        layer = nn.TransformerEncoderLayer(d, 4, 4 * d, 0.1, F.gelu, batch_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.pool, self.head = nn.Linear(d, d), nn.Linear(d, 4)

    def forward(self, ids, mask):
        x = self.norm(self.tok(ids) + self.pos(torch.arange(ids.shape[1], device=ids.device)))
        x = self.blocks(x, src_key_padding_mask=mask == 0)
        return self.head(torch.tanh(self.pool(x[:, 0])))


def cifar(shared, count):
    raw = np.fromfile(os.path.join(shared, "data/cifar-10-batches-bin/test_batch.bin"), np.uint8, count * 3073)
    raw = raw.reshape(count, 3073)
    x = torch.from_numpy(raw[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (x - mean[:, None, None]) / std[:, None, None], torch.from_numpy(raw[:, 0].astype(np.int64))


def resnet20(shared):
    net = ResNet20()
    net.load_state_dict(load_file(os.path.join(shared, "weights/resnet20-option-a.safetensors")))
    return net, *cifar(shared, 128)


def torchvision_network(name, size, **options):
    def make(shared):
        import torchvision
        net = getattr(torchvision.models, name)(num_classes=10, **options)
        with torch.no_grad():  # statistics of the data, as after training
            net.train()
            for _ in range(30):
                net(torch.randn(16, 3, size, size))
        for p in net.parameters():
            # Freshly initialised layers hold equal tensors, which the exporter writes once.
            p.data += 0.02 * torch.randn_like(p)
        return net, torch.randn(8, 3, size, size), torch.randint(0, 10, (8,))
    return make


def gpt(shared):
    ids = torch.randint(0, 64, (16, 17))
    return Gpt(), {"ids": ids[:, :-1].contiguous()}, ids[:, 1:].contiguous()


def bert(shared):
    lengths = torch.randint(4, 17, (16,))
    return (Bert(), {"ids": torch.randint(0, 64, (16, 16)), "mask": (torch.arange(16)[None] < lengths[:, None]).long()},
            torch.randint(0, 4, (16,)))


NETWORKS = {
    "resnet20": resnet20,
    "resnet18": torchvision_network("resnet18", 64),
    "vgg11_bn": torchvision_network("vgg11_bn", 32),
    "densenet121": torchvision_network("densenet121", 32),
    "mobilenet_v2": torchvision_network("mobilenet_v2", 64),
    "mobilenet_v3_small": torchvision_network("mobilenet_v3_small", 64),
    "efficientnet_b0": torchvision_network("efficientnet_b0", 64),
    "convnext_tiny": torchvision_network("convnext_tiny", 64),
    "vit": lambda shared: vit(),
    "gpt": gpt,
    "bert": bert,
}


def vit():
    from torchvision.models import VisionTransformer
    net = VisionTransformer(32, 8, 2, 4, 32, 64, num_classes=10)
    for p in net.parameters():
        p.data += 0.05 * torch.randn_like(p)
    return net, torch.randn(8, 3, 32, 32), torch.randint(0, 10, (8,))


def reference(net, inputs, targets, probe, dtype):
    """Loss, gradient norm, vᵀHv and ‖Hv‖ of the mean cross-entropy by double backward."""
    net = copy.deepcopy(net).eval().to(dtype)
    use_formulas(net)
    for module in net.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    inputs = inputs if isinstance(inputs, dict) else {"x": inputs}
    args = [t.to(dtype) if t.is_floating_point() else t for t in inputs.values()]
    named = list(net.named_parameters())
    v = [probe[n].to(dtype) for n, _ in named]
    torch.backends.mha.set_fastpath_enabled(False)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        out = net(*args)
        loss = F.cross_entropy(out.reshape(-1, out.shape[-1]), targets.reshape(-1))
        g = torch.autograd.grad(loss, [p for _, p in named], create_graph=True)
        hv = torch.autograd.grad(sum((a * b).sum() for a, b in zip(g, v)), [p for _, p in named])
    norm = lambda ts: sum(t.double().pow(2).sum() for t in ts).sqrt().item()
    return dict(loss=loss.item(), gradient_norm=norm(g), hv_norm=norm(hv),
                vhv=sum((a.double() * b.double()).sum() for a, b in zip(hv, v)).item())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--shared", default="../shared")
    parser.add_argument("--only", nargs="*")
    a = parser.parse_args()
    os.makedirs(a.out, exist_ok=True)
    for name in a.only or NETWORKS:
        torch.manual_seed(0)
        net, inputs, targets = NETWORKS[name](a.shared)
        net.eval()
        place = os.path.join(a.out, name)
        for exporter, suffix in (("dynamo", ""), ("torchscript", "_legacy")):
            try:
                export(net, inputs, targets, place + suffix, exporter)
            except Exception as error:  # an exporter that cannot do a network is a finding, not the end of the trial
                print(f"{name} by {exporter}: {type(error).__name__}: {str(error).splitlines()[-1][:300]}")
        probe = {n: torch.randn(p.shape) for n, p in net.named_parameters()}
        norm = sum(t.double().pow(2).sum() for t in probe.values()).sqrt()
        probe = {n: (t / norm).float() for n, t in probe.items()}
        save_file(probe, place + ".probe.safetensors")
        found = {str(d).split(".")[-1]: reference(net, inputs, targets, probe, d) for d in (torch.float32, torch.float64)}
        json.dump(found, open(place + ".json", "w"), indent=1)
        print(name, sum(p.numel() for p in net.parameters()), "parameters", json.dumps(found["float64"]), flush=True)


if __name__ == "__main__":
    main()
