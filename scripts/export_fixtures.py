"""Write the small ONNX models of crates/saddlescope-onnx/tests/fixtures/onnx with PyTorch's reference values.

    python scripts/export_fixtures.py OUT

Every network has random weights and a few thousand parameters; NAME.onnx is what torch.onnx.export makes of it, NAME.json
holds the data and, in f64: loss, gradient norm, vᵀHv and ‖Hv‖ for the probe vᵢ = sin(1 + i/10)/‖·‖ over the parameters
in the order of the names listed in the file. PyTorch, torchvision, transformers, onnx and onnxscript are needed.
"""
import json, math, os, sys, warnings
import numpy as np
import onnx
import torch
import torch.nn as nn
import torch.nn.functional as F

from gates import use_formulas

warnings.filterwarnings("ignore")
OUT = sys.argv[1]
os.makedirs(OUT, exist_ok=True)


class ConvBlock(nn.Module):
    """Inverted residual with depthwise convolution, squeeze-excite and an activation."""
    def __init__(self, c, act, se_gate):
        super().__init__()
        self.expand, self.bn1 = nn.Conv2d(c, 2 * c, 1, bias=False), nn.BatchNorm2d(2 * c)
        self.depth, self.bn2 = nn.Conv2d(2 * c, 2 * c, 3, padding=1, groups=2 * c, bias=False), nn.BatchNorm2d(2 * c)
        self.down, self.up = nn.Conv2d(2 * c, 2, 1), nn.Conv2d(2, 2 * c, 1)
        self.project, self.bn3 = nn.Conv2d(2 * c, c, 1, bias=False), nn.BatchNorm2d(c)
        self.act, self.gate = act, se_gate

    def forward(self, x):
        y = self.act(self.bn1(self.expand(x)))
        y = self.act(self.bn2(self.depth(y)))
        y = y * self.gate(self.up(F.relu(self.down(F.adaptive_avg_pool2d(y, 1)))))
        return x + self.bn3(self.project(y))


def block_net(act, gate):
    return nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(6), act,
                         ConvBlock(6, act, gate), ConvBlock(6, act, gate), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(6, 5))


class ConvNeXtBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dwconv, self.norm = nn.Conv2d(c, c, 7, padding=3, groups=c), nn.LayerNorm(c, eps=1e-6)
        self.pw1, self.pw2 = nn.Linear(c, 3 * c), nn.Linear(3 * c, c)
        self.gamma = nn.Parameter(0.5 + 0.1 * torch.randn(c))

    def forward(self, x):
        y = self.dwconv(x).permute(0, 2, 3, 1)
        y = self.gamma * self.pw2(F.gelu(self.pw1(self.norm(y))))
        return x + y.permute(0, 3, 1, 2)


class Block(nn.Module):
    """Pre-norm transformer block; attention by torch's own scaled_dot_product_attention."""
    def __init__(self, d, heads, causal, act):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.fc1, self.fc2 = nn.Linear(d, 2 * d), nn.Linear(2 * d, d)
        self.heads, self.causal, self.act = heads, causal, act

    def forward(self, x, mask=None):
        b, t, d = x.shape
        q, k, v = self.qkv(self.ln1(x)).reshape(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, d))
        return x + self.fc2(self.act(self.fc1(self.ln2(x))))


class Gpt(nn.Module):
    """Returns its own loss: next-token cross-entropy over all positions but the last."""
    def __init__(self):
        super().__init__()
        self.tok, self.pos = nn.Embedding(11, 8), nn.Embedding(6, 8)
        self.blocks = nn.ModuleList([Block(8, 2, True, lambda x: F.gelu(x, approximate="tanh")) for _ in range(2)])
        self.ln, self.head = nn.LayerNorm(8), nn.Linear(8, 11, bias=False)

    def logits(self, ids):
        x = self.tok(ids) + self.pos(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln(x))

    def forward(self, ids):
        z = self.logits(ids)[:, :-1]
        return F.cross_entropy(z.reshape(-1, 11), ids[:, 1:].reshape(-1))


class GptLogits(Gpt):
    def forward(self, ids):
        return self.logits(ids)


class Bert(nn.Module):
    """Embeddings, two blocks with a padding mask from the data, classification from the first position."""
    def __init__(self):
        super().__init__()
        self.tok, self.pos, self.norm = nn.Embedding(13, 8), nn.Embedding(7, 8), nn.LayerNorm(8)
        self.blocks = nn.ModuleList([Block(8, 2, False, F.gelu) for _ in range(2)])
        self.pool, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, input_ids, attention_mask):
        x = self.norm(self.tok(input_ids) + self.pos(torch.arange(input_ids.shape[1])))
        m = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * -1e4
        for block in self.blocks:
            x = block(x, m)
        return self.head(torch.tanh(self.pool(x[:, 0])))


class Vit(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, stride=4)
        self.cls, self.pos = nn.Parameter(torch.randn(1, 1, 8)), nn.Parameter(0.1 * torch.randn(1, 5, 8))
        self.blocks = nn.ModuleList([Block(8, 2, False, F.gelu) for _ in range(2)])
        self.ln, self.head = nn.LayerNorm(8), nn.Linear(8, 4)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1) + self.pos
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln(x)[:, 0])


def resnet():
    from torchvision.models.resnet import ResNet, BasicBlock
    net = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=4, width_per_group=64)
    return shrink(net)


def shrink(net):
    """torchvision's ResNet with an eighth of its width: the same graph, small weights."""
    for name, m in list(net.named_modules()):
        for child, layer in list(m.named_children()):
            f = lambda n: max(n // 16, 2) if n > 3 else n
            if isinstance(layer, nn.Conv2d):
                new = nn.Conv2d(f(layer.in_channels), f(layer.out_channels), layer.kernel_size, layer.stride, layer.padding,
                                layer.dilation, bias=layer.bias is not None)
                setattr(m, child, new)
            elif isinstance(layer, nn.BatchNorm2d):
                setattr(m, child, nn.BatchNorm2d(f(layer.num_features)))
            elif isinstance(layer, nn.Linear):
                setattr(m, child, nn.Linear(f(layer.in_features), layer.out_features))
    return net


def densenet():
    from torchvision.models.densenet import DenseNet
    return DenseNet(growth_rate=4, block_config=(2, 2), num_init_features=8, bn_size=2, num_classes=4)


def vgg():
    from torchvision.models.vgg import VGG, make_layers
    net = VGG(make_layers([4, "M", 8, "M"]), num_classes=4)
    net.avgpool = nn.AdaptiveAvgPool2d(2)
    net.classifier = nn.Sequential(nn.Linear(32, 16), nn.ReLU(True), nn.Dropout(), nn.Linear(16, 4))
    return net


def hf_bert():
    from transformers import BertConfig, BertForSequenceClassification
    c = BertConfig(vocab_size=17, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
                   max_position_embeddings=12, num_labels=3)
    net = BertForSequenceClassification(c)

    class Wrap(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, input_ids, attention_mask):
            return self.net(input_ids=input_ids, attention_mask=attention_mask).logits
    return Wrap()


def positive(v, t):
    """Token 0 is padding for BERT, whose embedding PyTorch does not differentiate."""
    make = masked(v - 1, t)
    return lambda g: [(n, x + 1 if n == "input_ids" else x) for n, x in make(g)]


def image(c, h):
    return lambda g: [("x", torch.randn(6, c, h, h, generator=g))]


def ids(v, t, name="input_ids"):
    return lambda g: [(name, torch.randint(0, v, (6, t), generator=g))]


def masked(v, t):
    def make(g):
        lengths = torch.randint(2, t + 1, (6,), generator=g)
        return [("input_ids", torch.randint(0, v, (6, t), generator=g)),
                ("attention_mask", (torch.arange(t)[None] < lengths[:, None]).long())]
    return make


CE, MSE, OWN, LM = "cross-entropy", "mse", "own", "lm"
CASES = {
    "mlp_regression": (lambda: nn.Sequential(nn.Linear(5, 9), nn.Softplus(), nn.Linear(9, 7), nn.SiLU(), nn.Linear(7, 2)),
                       lambda g: [("x", torch.randn(6, 5, generator=g))], MSE, 2),
    "pinn_tanh": (lambda: nn.Sequential(nn.Linear(2, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 1)),
                  lambda g: [("x", torch.randn(6, 2, generator=g))], MSE, 1),
    "mlp_softmax": (lambda: nn.Sequential(nn.Linear(5, 9), nn.ELU(), nn.Linear(9, 4), nn.Softmax(-1)),
                    lambda g: [("x", torch.randn(6, 5, generator=g))], "softmax", 4),
    "resnet": (resnet, image(3, 16), CE, 4),
    "vgg": (vgg, image(3, 8), CE, 4),
    "densenet": (densenet, image(3, 16), CE, 4),
    "mobilenet": (lambda: block_net(nn.Hardswish(), nn.Hardsigmoid()), image(3, 8), CE, 5),
    "efficientnet": (lambda: block_net(nn.SiLU(), nn.Sigmoid()), image(3, 8), CE, 5),
    "convnext": (lambda: nn.Sequential(nn.Conv2d(3, 6, 2, stride=2), ConvNeXtBlock(6), ConvNeXtBlock(6),
                                       nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(6), nn.Linear(6, 4)),
                 image(3, 8), CE, 4),
    "vit": (Vit, image(3, 8), CE, 4),
    "bert": (Bert, masked(13, 7), CE, 3),
    "gpt_loss": (Gpt, ids(11, 6), OWN, 0),
    "gpt_logits": (GptLogits, ids(11, 6), LM, 11),
    "hf_bert": (hf_bert, positive(17, 6), CE, 3),
}


def export(net, inputs, path, legacy, batch_free=True):
    names = [n for n, _ in inputs]
    args = tuple(t[:3] for _, t in inputs)
    common = dict(input_names=names, output_names=["output"])
    if legacy:
        axes = {n: {0: "batch"} for n in names} if batch_free else None
        torch.onnx.export(net, args, path, dynamo=False, opset_version=17, dynamic_axes=axes,
                          do_constant_folding=False, training=torch.onnx.TrainingMode.PRESERVE, **common)
    else:
        shapes = tuple({0: torch.export.Dim("batch")} for _ in names) if batch_free else None
        # The optimiser folds batch normalisation into the convolutions and table look-ups of fixed positions into
        # constants: the network that was trained is gone.
        has_norm = any(isinstance(m, (nn.BatchNorm2d, nn.Embedding)) for m in net.modules())
        torch.onnx.export(net, args, path, dynamo=True, external_data=False, dynamic_shapes=shapes, verbose=False,
                          optimize=not has_norm, **common)


def loss_of(net, kind, inputs, target):
    out = net(*[t for _, t in inputs])
    if kind == OWN:
        return out
    if kind == MSE:
        return 0.5 * ((out - target) ** 2).sum() / out.shape[0]
    if kind == "softmax":
        return F.nll_loss(torch.log(out), target)
    if kind == LM:
        return F.cross_entropy(out.reshape(-1, out.shape[-1]), target.reshape(-1))
    return F.cross_entropy(out, target)


def reference(net, kind, inputs, target):
    net = net.double()
    use_formulas(net)
    inputs = [(n, t.double() if t.is_floating_point() else t) for n, t in inputs]
    target = target.double() if target is not None and target.is_floating_point() else target
    named = list(dict(net.named_parameters()).items())
    ps = [p for _, p in named]
    n = sum(p.numel() for p in ps)
    v = torch.sin(1 + 0.1 * torch.arange(n, dtype=torch.float64))
    v /= v.norm()
    torch.backends.mha.set_fastpath_enabled(False) if hasattr(torch.backends, "mha") else None
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        loss = loss_of(net, kind, inputs, target)
        grads = torch.autograd.grad(loss, ps, create_graph=True, materialize_grads=True)
        g = torch.cat([x.reshape(-1) for x in grads])
        hv = torch.autograd.grad(g @ v, ps, materialize_grads=True)
    hv = torch.cat([x.reshape(-1) for x in hv])
    return dict(parameters=[dict(name=k, shape=list(p.shape)) for k, p in named], count=n, loss=loss.item(),
                gradient_norm=g.norm().item(), vhv=(v @ hv).item(), hv_norm=hv.norm().item())


for name, (make, data, kind, outputs) in CASES.items():
    torch.manual_seed(0)
    net = make().eval()
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.running_mean.normal_(0, 0.2), m.running_var.uniform_(0.5, 1.5)
            m.weight.data.uniform_(0.5, 1.5), m.bias.data.normal_(0, 0.2)
    for p in net.parameters():
        # The exporter writes equal tensors once, and layers that share one have tied parameters: make all different.
        p.data += 0.1 * torch.randn_like(p) if (p == p.flatten()[0]).all() else 0.0
    g = torch.Generator().manual_seed(1)
    inputs = data(g)
    target = {MSE: lambda: torch.randn(6, outputs, generator=g), OWN: lambda: None,
              LM: lambda: torch.randint(0, outputs, (6, inputs[0][1].shape[1]), generator=g)}.get(
                  kind, lambda: torch.randint(0, outputs, (6,), generator=g))()
    for legacy in (False, True):
        tag = name + ("_legacy" if legacy else "")
        path = os.path.join(OUT, tag + ".onnx")
        try:
            export(net, inputs, path, legacy)
            m = onnx.load(path)
            for n in list(m.graph.node):
                del n.metadata_props[:]
                n.doc_string = ""
            del m.metadata_props[:], m.graph.metadata_props[:], m.graph.value_info[:]
            onnx.save(m, path)
        except Exception as e:
            print(f"{tag}: export failed: {str(e).splitlines()[-1][:200]}")
            if os.path.exists(path):
                os.remove(path)
            continue
        print(tag, os.path.getsize(path), "bytes, opset", m.opset_import[0].version)
    import copy
    ref = reference(copy.deepcopy(net), kind, inputs, target)
    ref["loss_kind"] = kind
    ref["inputs"] = [dict(name=n, shape=list(t.shape[1:]), integer=not t.is_floating_point(), values=t.reshape(-1).tolist())
                     for n, t in inputs]
    ref["target"] = None if target is None else target.reshape(-1).tolist()
    json.dump(ref, open(os.path.join(OUT, name + ".json"), "w"))
