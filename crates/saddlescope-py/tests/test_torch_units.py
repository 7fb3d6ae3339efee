"""Hidden units of PyTorch modules: permuting a group of them leaves the function as it is; aligned paths."""

import copy

import numpy as np
import pytest

import saddlescope as ss

torch = pytest.importorskip("torch", reason="PyTorch is not installed: its tests are skipped")
nn, F = torch.nn, torch.nn.functional


class Residual(nn.Module):
    """A stem, a block with a shortcut and with channel attention, a depthwise convolution, a classifier of flattened channels."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.one, self.two = nn.Conv2d(6, 5, 3, padding=1), nn.Conv2d(5, 6, 3, padding=1)
        self.squeeze, self.excite = nn.Conv2d(6, 3, 1), nn.Conv2d(3, 6, 1)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.head = nn.Linear(6 * 4, 3)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        y = self.two(torch.tanh(self.one(x)))
        y = y * torch.sigmoid(self.excite(F.relu(self.squeeze(y.mean([2, 3], keepdim=True)))))
        x = F.max_pool2d(self.depthwise(x + y), 2)
        return self.head(x.view(x.size(0), -1))


class Odd(nn.Module):
    """Nothing may move: the first layer's units are cut in halves, the second one is used twice, the third one's are added to a table."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 6), nn.Linear(3, 3), nn.Linear(3, 3)
        self.table, self.head = nn.Parameter(torch.randn(3)), nn.Linear(3, 3)

    def forward(self, x):
        a, b = self.first(x).chunk(2, dim=1)
        return self.head(torch.tanh(self.third(self.second(self.second(a * b))) + self.table))


def model_of(kind):
    torch.manual_seed(0)
    if kind == "mlp":
        model = nn.Sequential(nn.Linear(4, 7), nn.BatchNorm1d(7), nn.GELU(), nn.Linear(7, 5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 3))
        return model, torch.randn(9, 4).double(), {"0": 7, "3": 5}
    if kind == "flattened":
        model = nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 3))
        return model, torch.randn(9, 2, 6).double(), {"0": 4, "4": 6}
    if kind == "residual":
        return Residual(), torch.randn(9, 2, 4, 4).double(), {"stem": 6, "one": 5, "squeeze": 3}
    if kind == "odd":
        return Odd(), torch.randn(9, 4).double(), {}
    resnet18 = pytest.importorskip("torchvision.models", reason="torchvision is not installed: its ResNet-18 is not permuted").resnet18
    return resnet18(num_classes=3), torch.randn(4, 3, 32, 32).double(), None


def permuted(groups, theta, buffers, seed=0):
    """θ and buffers with the units of every group in a random order."""
    r, values = np.random.default_rng(seed), {False: theta.copy(), True: buffers.copy()}
    for _, units, axes in groups:
        order = r.permutation(units)
        for buffer, start, outer, inner in axes:
            part = values[buffer][start : start + outer * units * inner].reshape(outer, units, inner)
            part[:] = part[:, order].copy()
    return values[False], values[True]


@pytest.mark.parametrize("kind", ["mlp", "flattened", "residual", "odd", "torchvision"])
def test_permuted_units_give_the_same_function(kind):
    model, x, expected = model_of(kind)
    model = model.double()
    with torch.no_grad():
        model(x)  # Running statistics that are not all alike.
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    y = torch.randint(0, 3, (len(x),))
    risk = ss.torch.Risk(model.eval(), F.cross_entropy, (x, y), order="reverse")
    groups = risk._unit_groups()
    if expected is not None:
        assert {name: units for name, units, _ in groups} == expected
    else:
        # Eight blocks with hidden units of their own, and one group for every stage.
        assert len(groups) == 8 + 4 and sorted(units for _, units, _ in groups) == sorted(2 * [64, 128, 256, 512] + [64, 128, 256, 512])
    theta, values = permuted(groups, risk.theta, risk._buffer_values())
    if groups:
        assert not np.array_equal(theta, risk.theta)
    moved = risk._with_buffers(values)
    # Sums in another order: a few roundings.
    assert moved.loss(theta) == pytest.approx(risk.loss(), rel=1e-11)
    assert np.linalg.norm(moved.gradient(theta)) == pytest.approx(np.linalg.norm(risk.gradient()), rel=1e-10)


def test_models_whose_units_are_not_known():
    x, y = torch.randn(6, 4).double(), torch.randint(0, 3, (6,))

    class Branch(nn.Linear):
        def forward(self, x):
            return super().forward(x) if x.sum() > 0 else -super().forward(x)

    assert ss.torch.Risk(Branch(4, 3).double(), F.cross_entropy, (x, y), coupled=True)._unit_groups() is None
    frozen = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    # Units whose incoming weights are not analysed stay.
    assert ss.torch.Risk(frozen, F.cross_entropy, (x, y), params="2.*")._unit_groups() == []
    hooked = copy.deepcopy(frozen)
    hooked[1].register_forward_hook(lambda module, given, out: out * torch.arange(5.0).double())
    assert ss.torch.Risk(hooked, F.cross_entropy, (x, y))._unit_groups() == []


def test_a_permuted_copy_is_aligned_exactly(tmp_path):
    model, x, _ = model_of("residual")
    model = model.double()
    with torch.no_grad():
        model(x)
    y = torch.randint(0, 3, (len(x),))
    risk = ss.torch.Risk(model.eval(), F.cross_entropy, (x, y), batch_size=4)
    theta, values = permuted(risk._unit_groups(), risk.theta, risk._buffer_values())
    twin = copy.deepcopy(model)
    twin.load_state_dict(risk.state_dict(theta))
    with torch.no_grad():
        for name, tensor in ss.torch._buffers.split(values, model, risk._buffer_names).items():
            dict(twin.named_buffers())[name].copy_(tensor)
    found = ss.path(risk, {"here": model.state_dict(), "permuted": twin.state_dict()}, points=3, eigenvalues=False, curve=None, out=tmp_path)
    assert found.results["alignment"]["units"] == 6 + 5 + 3 and found.results["alignment"]["moved"] > 0
    (aligned,) = [w for w in found.results["ways"] if w["name"] == "aligned-line"]
    losses = [v["value"] for v in aligned["sides"][0]["loss"]]
    # The copy is found to be the same network: nothing changes on the way, at whose points running statistics are computed anew.
    assert found.results["alignment"]["distance"] < 1e-12 and losses == pytest.approx([losses[0]] * 3, rel=1e-10)
    straight = [v["value"] for v in found.results["ways"][0]["sides"][0]["loss"]]
    assert abs(straight[1] - straight[0]) > 1e-3
    assert not any("alignment" in sentence for sentence in found.results["left_out"])
