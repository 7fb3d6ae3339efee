"""State dicts side by side: buffers of batch norm, frozen parameters, statistics computed anew; settling of a network."""

import copy

import numpy as np
import pytest

import saddlescope as ss

torch = pytest.importorskip("torch", reason="PyTorch is not installed: its tests are skipped")
nn, F = torch.nn, torch.nn.functional


def trained(steps, seed):
    torch.manual_seed(0)
    x = torch.randn(60, 4).double()
    y = (x[:, 0] * x[:, 1] > 0).long()
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2)).double()
    adam = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(steps):
        adam.zero_grad()
        F.cross_entropy(model(x), y).backward()
        adam.step()
    return model.eval(), x, y


def loss_of(model, x, y):
    with torch.no_grad():
        return float(F.cross_entropy(model(x), y))


def test_state_dicts_bring_their_running_statistics(tmp_path):
    (a, x, y), (b, _, _) = trained(30, 1), trained(30, 2)
    risk = ss.torch.Risk(a, F.cross_entropy, (x, y), batch_size=16)
    test = ss.torch.Risk(a, F.cross_entropy, (x[:20], y[:20]), split="test")
    found = ss.compare(risk, {"a": a.state_dict(), "b": b.state_dict()}, test=test, grid=3, largest=1, smallest=1, out=tmp_path)
    points = {p["name"]: {s["split"]: s for s in p["sides"]} for p in found.results["points"]}
    for name, model in (("a", a), ("b", b)):
        assert points[name]["train"]["loss"]["value"] == pytest.approx(loss_of(model, x, y), rel=1e-12)
        assert points[name]["test"]["loss"]["value"] == pytest.approx(loss_of(model, x[:20], y[:20]), rel=1e-12)
        own = ss.torch.Risk(model, F.cross_entropy, (x, y), batch_size=16)
        exact = ss.eigsh(own.hessian(), tol=1e-8).values
        assert points[name]["train"]["lambda_max"]["value"] == pytest.approx(exact[0], rel=1e-2)
    # Errors over the data come from the batches.
    assert points["a"]["train"]["loss"]["std_error"] > 0
    assert {n: v.clone() for n, v in a.state_dict().items()}.keys() == b.state_dict().keys()


def test_statistics_on_the_way_are_interpolated_or_computed_anew(tmp_path):
    (a, x, y), (b, _, _) = trained(30, 1), trained(30, 2)
    before = copy.deepcopy(a.state_dict())
    risk = ss.torch.Risk(a, F.cross_entropy, [(x[:40], y[:40]), (x[40:], y[40:])])
    found = ss.path(risk, {"a": a.state_dict(), "b": b.state_dict()}, points=3, eigenvalues=False, curve=None, out=tmp_path)
    ways = {(w["name"], w["statistics"]): [v["value"] for v in w["sides"][0]["loss"]] for w in found.results["ways"]}
    middle = copy.deepcopy(a)
    middle.load_state_dict({name: (v + b.state_dict()[name]) / 2 if v.is_floating_point() else v for name, v in a.state_dict().items()})
    assert ways["line", "interpolated"] == pytest.approx([loss_of(a, x, y), loss_of(middle, x, y), loss_of(b, x, y)], rel=1e-10)
    # Anew: the same as PyTorch's own way for batches of one size; here they count by their size.
    norm = middle[1]
    norm.train()
    with torch.no_grad():
        norm.momentum = 1.0
        middle(x[:40])
        norm.momentum = 20 / 60
        middle(x[40:])
    norm.eval()
    assert ways["line", "anew"][1] == pytest.approx(loss_of(middle, x, y), rel=1e-10)
    assert all(torch.equal(a.state_dict()[name], value) for name, value in before.items())


def test_weights_that_do_not_fit_are_refused():
    model, x, y = trained(3, 1)
    risk = ss.torch.Risk(model, F.cross_entropy, (x, y), params="3.*")
    state = model.state_dict()
    with pytest.raises(ValueError, match="'0.weight' is frozen"):
        ss.compare(risk, {"a": state, "b": {**state, "0.weight": state["0.weight"] + 1}})
    with pytest.raises(ValueError, match="hold no '3.bias'"):
        ss.compare(risk, {"a": state, "b": {n: v for n, v in state.items() if n != "3.bias"}})
    with pytest.raises(ValueError, match=r"shape \(1,\); expected \(2,\)"):
        ss.compare(risk, {"a": state, "b": {**state, "3.bias": torch.zeros(1)}})
    moved = {**state, "3.bias": state["3.bias"] + 0.1}
    # Names of data parallelism and of compiled models are the same parameters.
    wrapped = {f"module._orig_mod.{name}": v for name, v in state.items()}
    vector = risk.theta.copy()
    found = ss.compare(risk, {"wrapped": wrapped, "moved": moved}, grid=0, largest=1, smallest=1)
    assert found.results["pairs"][0]["distance"] == pytest.approx(0.1 * np.sqrt(2))
    with pytest.raises(ValueError, match="same"):
        ss.compare(risk, {"state": state, "vector": vector}, grid=0)


def test_a_training_of_tied_weights():
    torch.manual_seed(0)

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, ids):
            return self.head(torch.tanh(self.embed(ids)))

    model, ids, y = Tied().double(), torch.randint(0, 5, (30,)), torch.randint(0, 5, (30,))
    risk, states, losses = ss.torch.Risk(copy.deepcopy(model), F.cross_entropy, (ids, y), batch_size=8), [], []
    sgd = torch.optim.SGD(model.parameters(), 0.5)
    for _ in range(4):
        states.append(copy.deepcopy(model.state_dict()))
        losses.append(loss_of(model, ids, y))
        sgd.zero_grad()
        F.cross_entropy(model(ids), y).backward()
        sgd.step()
    found = ss.trajectory(risk, states, learning_rate=0.5, grid=3)
    assert [p["sides"][0]["loss"]["value"] for p in found.results["points"]] == pytest.approx(losses, rel=1e-12)
    assert found.results["stability_limit"] == [4] * 4


def test_settling_and_sharpness_of_a_network(tmp_path):
    torch.manual_seed(0)
    # Weight decay as part of the loss: a point with ∇L = 0 is near.
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x, y = torch.randn(40, 3).double(), torch.randint(0, 2, (40,))

    class Decayed(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = model

        def forward(self, x):
            z = self.net(x)
            return torch.cat([z, sum(p.square().sum() for p in self.net.parameters()).expand(len(x), 1)], 1)

    loss = lambda z, t: F.cross_entropy(z[:, :2], t) + 0.01 * z[:, 2].mean()
    adam = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(300):
        adam.zero_grad()
        loss(Decayed()(x), y).backward()
        adam.step()
    risk = ss.torch.Risk(Decayed(), loss, (x, y), batch_size=10)
    found = ss.settle(risk, out=tmp_path)
    assert found.converged and np.linalg.norm(risk.gradient(found.theta)) < 1e-9
    eigenvalues = np.linalg.eigvalsh(risk.hessian(found.theta).matmat(np.eye(risk.dim)))
    assert found.spectrum["eigenvalues"] == pytest.approx(eigenvalues, abs=1e-9)
    measured = ss.sharpness(risk, out=tmp_path, probes=4)
    assert measured.measures["largest_eigenvalue"].value == pytest.approx(
        np.linalg.eigvalsh(risk.hessian().matmat(np.eye(risk.dim)))[-1], rel=1e-3
    )
    assert "fisher_rao" in measured.measures and measured.left_out is not None
