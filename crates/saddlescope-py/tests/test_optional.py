"""What users bring along: LoRA by peft and by hand, curvlinops operators, tqdm. Each says when it is skipped."""

import numpy as np
import pytest

import saddlescope as ss

torch = pytest.importorskip("torch", reason="PyTorch is not installed: its tests are skipped")
nn, F = torch.nn, torch.nn.functional


def gpt2():
    transformers = pytest.importorskip("transformers", reason="transformers is not installed: its tests are skipped")
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=20, n_positions=8, n_embd=8, n_layer=2, n_head=2)
    model = transformers.GPT2LMHeadModel(config).double().eval()
    ids = torch.randint(0, 20, (5, 8))
    mask = torch.arange(8)[None, :] < torch.tensor([8, 5, 3, 6, 8])[:, None]
    batch = {"input_ids": ids, "attention_mask": mask.long(), "labels": ids.masked_fill(~mask, -100)}
    return model, batch


def test_lora_of_peft():
    peft = pytest.importorskip("peft", reason="peft is not installed: its LoRA is not tested")
    model, batch = gpt2()
    lora = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["c_attn"], fan_in_fan_out=True)).double()
    with torch.no_grad():
        for name, p in lora.named_parameters():
            if "lora_B" in name:
                p.normal_(std=0.1)  # Zero at the start, where half of H would be zero.
    risk = ss.torch.Risk(lora.eval(), lambda model, batch: model(**batch).loss, batch, weight=ss.torch.token_weight, batch_size=2)
    # Only the adapters require gradients: r (in + out) a layer.
    assert risk.dim == 2 * 2 * (8 + 24) and all("lora_" in name for name, _, _ in risk.layout)
    assert {kind for _, _, kind in risk.layout} == {"linear_weight"}
    v = np.random.default_rng(0).normal(size=risk.dim)
    params = [dict(lora.named_parameters())[name] for name, _, _ in risk.layout]
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        slopes = torch.autograd.grad(lora(**batch).loss, params, create_graph=True)
        parts = [t.view_as(p) for t, p in zip(torch.from_numpy(v).split([p.numel() for p in params]), params)]
        exact = torch.cat([h.reshape(-1) for h in torch.autograd.grad(slopes, params, parts)]).numpy()
    # The loss of transformers is computed in single precision.
    assert np.linalg.norm(risk.hessian().matvec(v) - exact) < 1e-5 * np.linalg.norm(exact)
    found = ss.analyze(risk, stages=["eigenpairs", "cuts"], largest=1, smallest=1)
    state = risk.state_dict(risk.theta + 0.1 * found.eigenpairs[0].vector)
    lora.load_state_dict(state)


class Lora(nn.Module):
    def __init__(self, inner, rank):
        super().__init__()
        self.inner = inner.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(rank, inner.in_features).double())
        self.up = nn.Parameter(torch.randn(inner.out_features, rank).double())

    def forward(self, x):
        return self.inner(x) + x @ self.down.T @ self.up.T


def test_lora_by_hand_against_the_dense_hessian():
    torch.manual_seed(0)
    model = nn.Sequential(Lora(nn.Linear(4, 6).double(), 1), nn.Tanh(), Lora(nn.Linear(6, 3).double(), 2))
    x, y = torch.randn(11, 4).double(), torch.randint(0, 3, (11,))
    risk = ss.torch.Risk(model, F.cross_entropy, (x, y), batch_size=4)
    assert [name for name, _, _ in risk.layout] == ["0.down", "0.up", "2.down", "2.up"]
    shapes = [shape for _, shape, _ in risk.layout]

    def loss(theta):
        parts = [t.view(s) for t, s in zip(theta.split([int(np.prod(s)) for s in shapes]), shapes)]
        z = torch.tanh(model[0].inner(x) + x @ parts[0].T @ parts[1].T)
        return F.cross_entropy(model[2].inner(z) + z @ parts[2].T @ parts[3].T, y)

    hessian = torch.autograd.functional.hessian(loss, torch.from_numpy(risk.theta.copy())).numpy()
    found = risk.hessian().matmat(np.eye(risk.dim))
    assert np.abs(found - hessian).max() < 1e-12 * np.abs(hessian).max()
    values = np.linalg.eigvalsh(hessian)
    solved = ss.eigsh(risk.hessian(), tol=1e-9)
    assert np.abs(solved.values - values[[-1, 0]]).max() < 1e-9 * np.abs(values).max()
    assert ss.torch.Risk(model, F.cross_entropy, (x, y), params=["2.down", "2.up"]).dim == 2 * (6 + 3)


@pytest.mark.parametrize("form", ["operator", "to_scipy"])
def test_operators_of_curvlinops(form):
    curvlinops = pytest.importorskip("curvlinops", reason="curvlinops is not installed: its operators are not tested")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    x, y = torch.randn(11, 4).double(), torch.randint(0, 3, (11,))
    batches = [(x[:6], y[:6]), (x[6:], y[6:])]
    theirs = curvlinops.HessianLinearOperator(model, nn.CrossEntropyLoss(), list(model.parameters()), batches)
    operator = theirs if form == "operator" else theirs.to_scipy(np.float64)
    risk = ss.torch.Risk(model, F.cross_entropy, batches)
    ours = ss.eigsh(risk.hessian(), largest=2, smallest=2, tol=1e-9)
    found = ss.eigsh(operator, largest=2, smallest=2, tol=1e-9)
    assert np.abs(found.values - ours.values).max() < 1e-9 and found.converged
    blocks = ss.trace(operator, max_products=16, block_size=4)
    alone = ss.trace(operator, max_products=16, block_size=1)
    assert blocks.trace.value == pytest.approx(alone.trace.value, rel=1e-9)
    assert ss.trace(risk.hessian(), max_products=16).trace.value == pytest.approx(blocks.trace.value, rel=1e-9)
    ss.check_operator(operator)


def test_bars_of_tqdm(capsys):
    pytest.importorskip("tqdm", reason="tqdm is not installed: progress bars are not tested")
    a = np.diag(np.arange(50.0))
    ss.eigsh(a, progress=True)
    ss.trace(a, progress=True)
    risk = ss.Function(lambda t: float(t @ t), [1.0, 2.0], gradient=lambda t: 2 * t, hessian=lambda t, v: 2 * v)
    ss.analyze(risk, stages=["eigenpairs", "surfaces"], grid=3, progress=True)
    ss.surface(risk, ([1, 0], [0, 1]), ((-1, 1, 3), (-1, 1, 3)), progress=True)
    said = capsys.readouterr()
    assert "residual" in said.err and "±" in said.err and "3/3" in said.err
    assert "products" in said.out + said.err


def test_progress_without_tqdm_says_what_is_missing(monkeypatch):
    import builtins

    inner = builtins.__import__

    def without(name, *rest, **more):
        if name.split(".")[0] == "tqdm":
            raise ImportError(name)
        return inner(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="pip install tqdm"):
        ss.eigsh(np.eye(3), progress=True)
