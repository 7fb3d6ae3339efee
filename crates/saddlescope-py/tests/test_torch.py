"""Models of PyTorch against torch.autograd, torch.func and SciPy, in double precision."""

import re
import sys

import numpy as np
import pytest

import saddlescope as ss

torch = pytest.importorskip("torch", reason="PyTorch is not installed: its tests are skipped")
nn, F = torch.nn, torch.nn.functional


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def flat_loss(model, names, loss):
    """The loss as a function of one vector of the named parameters."""
    parameters = dict(model.named_parameters())

    def of(vector):
        state, start = {}, 0
        for name in names:
            p = parameters[name]
            state[name] = vector[start : start + p.numel()].reshape(p.shape)
            start += p.numel()
        return loss(lambda *x: torch.func.functional_call(model, state, x))

    return of


def close(a, b, tolerance=1e-10):
    b = b.detach().numpy() if isinstance(b, torch.Tensor) else np.asarray(b)
    return np.abs(a - b).max() <= tolerance * max(np.abs(b).max(), 1e-3)


def classifier():
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(), nn.Linear(27, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 4)
    ).double()
    with torch.no_grad():
        model(torch.randn(16, 2, 5, 5).double())
    return model.eval(), torch.randn(23, 2, 5, 5).double(), torch.randint(0, 4, (23,))


@pytest.mark.parametrize("order", ["reverse", "forward"])
def test_every_product_equals_the_dense_matrix(order):
    model, x, y = classifier()
    risk = ss.torch.Risk(model, F.cross_entropy, (x, y), batch_size=7, order=order)
    names = [name for name, _, _ in risk.layout]
    theta = torch.from_numpy(risk.theta.copy())
    loss = flat_loss(model, names, lambda f: F.cross_entropy(f(x), y))
    outputs = flat_loss(model, names, lambda f: f(x))
    each = flat_loss(model, names, lambda f: F.cross_entropy(f(x), y, reduction="none"))
    # Not torch.func.hessian: it is wrong for the weights of LayerNorm (PyTorch 2.15), as central differences show.
    dense = torch.autograd.functional
    hessian = dense.hessian(loss, theta)
    jacobian, p = dense.jacobian(outputs, theta), torch.softmax(model(x), 1)
    gauss_newton = torch.einsum("bcn,bcd,bdm->nm", jacobian, torch.diag_embed(p) - p[:, :, None] * p[:, None, :], jacobian) / 23
    slopes = dense.jacobian(each, theta)
    v = np.random.default_rng(1).normal(size=(risk.dim, 3))
    assert risk.curvatures == ("hessian", "gauss_newton", "residual", "fisher")
    assert risk.loss() == pytest.approx(float(loss(theta)), rel=1e-13)
    assert risk.evaluate().correct == (int((model(x).argmax(1) == y).sum()), 23)
    assert close(risk.gradient(), torch.func.grad(loss)(theta))
    for name, matrix in [
        ("hessian", hessian), ("gauss_newton", gauss_newton), ("residual", hessian - gauss_newton), ("fisher", slopes.T @ slopes / 23)
    ]:
        assert close(risk.operator(name).matmat(v), matrix.detach().numpy() @ v), name
    # Quotients of chunks, weighted, are the quotient of the whole.
    block = np.ascontiguousarray(v.T)
    images, quotients, weights = risk._product(risk.theta, "hessian", block)
    assert weights == [7, 7, 7, 2]
    assert np.allclose(quotients @ weights / 23, np.einsum("kn,kn->k", images, block), rtol=1e-10)


def test_eigenvalues_equal_those_of_scipy():
    linalg = pytest.importorskip("scipy.sparse.linalg", reason="SciPy is not installed: not compared with its eigsh")
    model, x, y = classifier()
    risk = ss.torch.Risk(model, F.cross_entropy, (x, y))
    found = ss.eigsh(risk.hessian(), tol=1e-8)
    operator = linalg.LinearOperator(risk.hessian().shape, matvec=risk.hessian().matvec, dtype=np.float64)
    for pair, which in zip(found.pairs, ("LA", "SA")):
        exact = linalg.eigsh(operator, k=1, which=which, tol=1e-10)[0][0]
        assert abs(pair.value - exact) <= pair.residual + 1e-9 * abs(exact)


def test_kinds_and_selection_of_parameters():
    model, x, y = classifier()
    risk = ss.torch.Risk(model, F.cross_entropy, (x, y))
    kinds = {name: kind for name, _, kind in risk.layout}
    assert kinds["0.weight"] == "conv_filter" and kinds["0.bias"] == "bias" and kinds["4.weight"] == "linear_weight"
    assert kinds["1.weight"] == kinds["1.bias"] == kinds["5.weight"] == "normalization"
    assert ss.torch.Risk(model, F.cross_entropy, (x, y), params="7.*").dim == 28
    assert ss.torch.Risk(model, F.cross_entropy, (x, y), params=["4.weight", "4.bias"]).dim == 168
    assert ss.torch.Risk(model, F.cross_entropy, (x, y), params=lambda name, p: p.ndim == 1).dim == 31
    model[0].requires_grad_(False)
    assert ss.torch.Risk(model, F.cross_entropy, (x, y)).dim == risk.dim - 57
    assert ss.torch.Risk(model, F.cross_entropy, (x, y), params="0.weight").dim == 54
    with pytest.raises(ValueError, match="'nothing'"):
        ss.torch.Risk(model, F.cross_entropy, (x, y), params="nothing")
    with pytest.raises(ValueError, match="requires a gradient"):
        ss.torch.Risk(model.requires_grad_(False), F.cross_entropy, (x, y))


def test_a_parameter_that_is_one_number():
    class Scaled(nn.Linear):
        def __init__(self):
            super().__init__(3, 2)
            self.logit_scale = nn.Parameter(torch.tensor(0.6))

        def forward(self, x):
            return super().forward(x) * self.logit_scale.exp()

    model, x, y = Scaled().double(), torch.randn(9, 3).double(), torch.randint(0, 2, (9,))
    loss = lambda scale: F.cross_entropy(F.linear(x, model.weight, model.bias) * scale[0].exp(), y)
    hessian = torch.func.hessian(loss)(model.logit_scale.detach().reshape(1))
    for order in ("forward", "reverse"):
        risk = ss.torch.Risk(model, F.cross_entropy, (x, y), params="logit_scale", order=order)
        assert close(risk.hessian().matmat(np.eye(1)), hessian)
        whole = ss.torch.Risk(model, F.cross_entropy, (x, y), order=order)
        place = np.concatenate([np.full(int(np.prod(shape)), name == "logit_scale") for name, shape, _ in whole.layout])
        assert place.sum() == 1 and close(whole.hessian().matmat(np.eye(9))[np.ix_(place, place)], hessian)
        assert whole.state_dict()["logit_scale"].shape == ()


def test_tied_and_unused_parameters():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head, self.spare = nn.Embedding(7, 5), nn.Linear(5, 7, bias=False), nn.Parameter(torch.ones(2))
            self.head.weight = self.embed.weight

        def forward(self, ids):
            return self.head(torch.tanh(self.embed(ids)))

    model, ids, y = Tied().double(), torch.randint(0, 7, (11,)), torch.randint(0, 7, (11,))
    risk = ss.torch.Risk(model, F.cross_entropy, (ids, y))
    assert risk.dim == 37 and any("spare" in note for note in risk.notes)
    weight = model.embed.weight.detach().clone()

    def loss(w):
        return F.cross_entropy(torch.tanh(F.embedding(ids, w)) @ w.T, y)

    hessian = torch.func.hessian(loss)(weight).reshape(35, 35)
    spare = [name for name, _, _ in risk.layout].index("spare")
    place = np.arange(37)[2:] if spare == 0 else np.arange(35)
    assert close(risk.hessian().matmat(np.eye(37))[np.ix_(place, place)], hessian)
    state = risk.state_dict(risk.theta + 1)
    assert torch.equal(state["embed.weight"], state["head.weight"]) and torch.equal(state["spare"], torch.full((2,), 2.0).double())


def test_models_that_are_no_function_are_refused():
    x, y = torch.randn(12, 3), torch.randint(0, 2, (12,))
    dropout = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    with pytest.raises(ValueError, match=r"'1' \(Dropout\).*model\.eval"):
        ss.torch.Risk(dropout, F.cross_entropy, (x, y))
    ss.torch.Risk(dropout.eval(), F.cross_entropy, (x, y))
    with pytest.raises(ValueError, match="random numbers"):
        ss.torch.Risk(nn.Linear(3, 2), lambda z, t: F.cross_entropy(F.dropout(z), t), (x, y))
    with pytest.raises(ValueError, match="must be the mean"):
        ss.torch.Risk(nn.Linear(3, 2), lambda z, t: F.cross_entropy(z, t, reduction="sum"), (x, y))
    with pytest.raises(ValueError, match="one number"):
        ss.torch.Risk(nn.Linear(3, 2), lambda z, t: F.cross_entropy(z, t, reduction="none"), (x, y))
    with pytest.raises(ValueError, match="first batch differs"):

        class Noise:
            def __iter__(self):
                return iter([(torch.randn(4, 3), torch.zeros(4, dtype=torch.long))])

        ss.torch.Risk(nn.Linear(3, 2), F.cross_entropy, Noise())
    with pytest.raises(ValueError, match="no batch"):
        ss.torch.Risk(nn.Linear(3, 2), F.cross_entropy, [])


def test_a_shuffling_loader_is_read_in_order():
    x, y = torch.randn(10, 3).double(), torch.randint(0, 2, (10,))
    data = torch.utils.data.TensorDataset(x, y)
    model = nn.Linear(3, 2).double()
    loader = torch.utils.data.DataLoader(data, batch_size=4, shuffle=True, drop_last=True)
    risk = ss.torch.Risk(model, F.cross_entropy, loader)
    assert risk.samples == 10 and any("shuffles" in note for note in risk.notes)
    assert risk.evaluate().chunk_samples == [4, 4, 2]
    assert risk.loss() == pytest.approx(float(F.cross_entropy(model(x), y).detach()), rel=1e-13)


def test_what_is_no_batch_is_explained():
    x, y = torch.randn(10, 3), torch.randint(0, 2, (10,))
    model = nn.Linear(3, 2)
    with pytest.raises(ValueError, match="ndarray and holds no tensor"):
        ss.torch.Risk(model, F.cross_entropy, (x.numpy(), y.numpy()))
    # The user's exception, with a word on how the loss was called.
    for data, words in ([x, y], "one tensor.*tuple"), ({"x": x, "y": y}, r"a dict.*loss\(model, batch\)"), ((x, x, y), r"tuple of 3.*batch\[:-1\]"):
        with pytest.raises((TypeError, AttributeError)) as caught:
            ss.torch.Risk(model, F.cross_entropy, data)
        if sys.version_info >= (3, 11):
            assert re.search(words, " ".join(caught.value.__notes__)), caught.value.__notes__


def test_a_loader_with_workers():
    x, y = torch.randn(10, 3).double(), torch.randint(0, 2, (10,))
    model = nn.Linear(3, 2).double()
    for keep in (False, True):
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=4, num_workers=1, persistent_workers=keep, shuffle=True)
        risk = ss.torch.Risk(model, F.cross_entropy, loader)
        assert risk.loss() == pytest.approx(float(F.cross_entropy(model(x), y).detach()), rel=1e-13)
        assert keep != any("workers" in note for note in risk.notes)


def test_batch_norm_in_training_mode_leaves_the_model_as_it_is():
    model, x, y = classifier()
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    risk = ss.torch.Risk(model, F.cross_entropy, [(x[:12], y[:12]), (x[12:], y[12:])], batch_size=4)
    assert risk.coupled
    expected = (12 * F.cross_entropy(model(x[:12]), y[:12]) + 11 * F.cross_entropy(model(x[12:]), y[12:])) / 23
    model.load_state_dict(before)
    assert risk.loss() == pytest.approx(float(expected.detach()), rel=1e-12)
    ss.eigsh(risk.hessian(), max_products=20)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_dictionaries_with_padded_tokens():
    class Language(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.out = nn.Embedding(9, 4), nn.Linear(4, 9)

        def forward(self, input_ids, labels):
            z = self.out(torch.tanh(self.embed(input_ids)))
            return F.cross_entropy(z[:, :-1].reshape(-1, 9), labels[:, 1:].reshape(-1), ignore_index=-100)

    model, ids = Language().double(), torch.randint(0, 9, (7, 6))
    labels = ids.clone()
    for row, length in enumerate([6, 5, 4, 3, 6, 2, 6]):
        labels[row, length:] = -100
    data = {"input_ids": ids, "labels": labels}
    loss = lambda model, batch: model(**batch)
    with pytest.raises(ValueError, match="token_weight"):
        ss.torch.Risk(model, loss, data)
    risk = ss.torch.Risk(model, loss, data, batch_size=2, weight=ss.torch.token_weight)
    assert risk.samples == int((labels[:, 1:] != -100).sum())
    assert risk.loss() == pytest.approx(float(model(ids, labels).detach()), rel=1e-13)
    names = [name for name, _, _ in risk.layout]
    whole = flat_loss(model, names, lambda f: f(ids, labels))
    v = np.random.default_rng(0).normal(size=risk.dim)
    exact = torch.func.jvp(torch.func.grad(whole), (torch.from_numpy(risk.theta.copy()),), (torch.from_numpy(v),))[1]
    assert close(risk.hessian().matvec(v), exact)


@pytest.mark.parametrize("kind", ["attention", "lstm", "transposed", "instance norm"])
def test_layers_with_traps(kind):
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)

        def forward(self, x):
            return self.inner(x).mean(1)

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.LSTM(4, 5, batch_first=True)

        def forward(self, x):
            return self.inner(x)[0][:, -1]

    image = kind in ("transposed", "instance norm")
    model = {
        "attention": Attention, "lstm": Recurrent,
        "transposed": lambda: nn.Sequential(nn.ConvTranspose2d(2, 3, 2), nn.Tanh(), nn.Flatten()),
        "instance norm": lambda: nn.Sequential(nn.InstanceNorm2d(2, affine=True), nn.Tanh(), nn.Flatten()),
    }[kind]().double().eval()
    x = torch.randn(5, 2, 3, 3).double() if image else torch.randn(5, 3, 4).double()
    y = torch.randn_like(model(x)).detach()
    risk = ss.torch.Risk(model, F.mse_loss, (x, y), batch_size=2)
    v = np.random.default_rng(0).normal(size=risk.dim)
    # Central differences of gradients, step 1e-5: error about 1e-10 of third derivatives and 1e-11 of rounding.
    step = 1e-5
    difference = (risk.gradient(risk.theta + step * v) - risk.gradient(risk.theta - step * v)) / (2 * step)
    assert np.linalg.norm(risk.hessian().matvec(v) - difference) < 1e-6 * np.linalg.norm(difference), risk.notes


@pytest.mark.parametrize("kind", ["weight norm", "old weight norm", "padding_idx", "bag", "hardswish", "hardsigmoid"])
def test_operations_whose_second_derivative_torch_lacks(kind):
    """Formulas stand in for them: the products are symmetric and agree with differences of gradients."""
    wn, old = nn.utils.parametrizations.weight_norm, nn.utils.weight_norm
    x, y = torch.randn(9, 4).double(), torch.randint(0, 3, (9,))
    model = {
        "weight norm": lambda: nn.Sequential(wn(nn.Linear(4, 5)), nn.Tanh(), wn(nn.Linear(5, 3))),
        "old weight norm": lambda: nn.Sequential(old(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, 3)),
        "padding_idx": lambda: nn.Sequential(nn.Embedding(4, 5, padding_idx=0), nn.Tanh(), nn.Flatten(), nn.Linear(20, 3)),
        "bag": lambda: nn.Sequential(nn.EmbeddingBag(4, 5), nn.Tanh(), nn.Linear(5, 3)),
        "hardswish": lambda: nn.Sequential(nn.Linear(4, 5), nn.Hardswish(), nn.Linear(5, 3)),
        "hardsigmoid": lambda: nn.Sequential(nn.Linear(4, 5), nn.Hardsigmoid(), nn.Linear(5, 3)),
    }[kind]().double()
    if kind in ("padding_idx", "bag"):
        x = torch.randint(0, 4, (9, 4))
        nn.init.normal_(model[0].weight)  # The row of padding, too.
    for order in ("reverse", "forward"):
        risk = ss.torch.Risk(model, F.cross_entropy, (x, y), batch_size=4, order=order)
        assert risk.loss() == pytest.approx(float(F.cross_entropy(model(x), y).detach()), rel=1e-13)
        v = np.random.default_rng(0).normal(size=risk.dim)
        step = 1e-5
        # The gradient by differences of the loss, the product by differences of the gradient: errors of step² and of rounding.
        slope = (risk.loss(risk.theta + step * v) - risk.loss(risk.theta - step * v)) / (2 * step)
        assert risk.gradient() @ v == pytest.approx(slope, rel=1e-6, abs=1e-9)
        difference = (risk.gradient(risk.theta + step * v) - risk.gradient(risk.theta - step * v)) / (2 * step)
        assert np.linalg.norm(risk.hessian().matvec(v) - difference) < 1e-6 * np.linalg.norm(difference), (order, risk.notes)
        matrix = risk.hessian().matmat(np.eye(risk.dim))
        assert np.abs(matrix - matrix.T).max() < 1e-13 * np.abs(matrix).max()


def test_a_graph_belongs_together():
    """Messages along edges: a part of the nodes alone cannot be evaluated."""

    class Graph(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(3, 2)

        def forward(self, x, edges):
            return self.lin(x + torch.zeros_like(x).index_add(0, edges[:, 1], x[edges[:, 0]]))

    x, edges, y = torch.randn(40, 3).double(), torch.randint(0, 40, (40, 2)), torch.randint(0, 2, (40,))
    edges[0, 0] = 39
    model = Graph().double()
    with pytest.raises(ValueError, match="coupled=True"):
        ss.torch.Risk(model, F.cross_entropy, (x, edges, y))
    with pytest.raises(ValueError, match="coupled=True"):
        ss.torch.Risk(model, F.cross_entropy, (x, edges[:30], y))
    risk = ss.torch.Risk(model, F.cross_entropy, (x, edges[:30], y), coupled=True)
    assert risk.samples == 40 and risk.loss() == pytest.approx(float(F.cross_entropy(model(x, edges[:30]), y).detach()), rel=1e-13)


def test_tensors_whose_samples_depend_on_each_other_are_one_batch():
    x, y = torch.randn(300, 3).double(), torch.randint(0, 2, (300,))
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double().train()
    expected = float(F.cross_entropy(model(x), y).detach())
    risk = ss.torch.Risk(model, F.cross_entropy, (x, y))
    assert risk.coupled and risk.loss() == pytest.approx(expected, rel=1e-12)
    assert risk.evaluate().chunk_samples == [300]


def test_compiled_and_parallel_modules_are_unwrapped():
    model, x, y = classifier()
    loss = float(F.cross_entropy(model(x), y).detach())
    for wrapped in (torch.compile(model), nn.DataParallel(model), torch.compile(nn.DataParallel(model))):
        risk = ss.torch.Risk(wrapped, F.cross_entropy, (x, y))
        assert risk.name == "Sequential" and risk.loss() == pytest.approx(loss, rel=1e-13)
        assert [name for name, _, _ in risk.layout][0] == "0.weight" and risk.hessian().shape == (risk.dim, risk.dim)
        model.load_state_dict(risk.state_dict())
    assert any("compiled" in note for note in ss.torch.Risk(torch.compile(model), F.cross_entropy, (x, y)).notes)


def test_a_loader_with_a_collation_of_its_own():
    x, y = torch.randn(11, 3).double(), torch.randint(0, 2, (11,))
    collate = lambda rows: (torch.stack([r[0] for r in rows]) * 2, torch.stack([r[1] for r in rows]))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=4, collate_fn=collate, shuffle=True)
    model = nn.Linear(3, 2).double()
    risk = ss.torch.Risk(model, F.cross_entropy, loader)
    assert risk.loss() == pytest.approx(float(F.cross_entropy(model(2 * x), y).detach()), rel=1e-13)


def test_a_model_that_changes_afterwards_is_noticed():
    model, x, y = classifier()
    risk = ss.torch.Risk(model, F.cross_entropy, (x, y))
    loss = risk.loss()
    with torch.no_grad():
        model[0].weight.add_(1)  # θ is the risk's own.
    assert risk.loss() == loss
    model.load_state_dict(risk.state_dict())  # The same buffers, written anew.
    assert risk.loss() == loss
    model[1].running_mean.add_(1)
    with pytest.raises(ValueError, match="changed since the risk was made"):
        risk.loss()
    model[1].running_mean.sub_(1)
    risk = ss.torch.Risk(model, F.cross_entropy, (x, y))
    model.train()
    with pytest.raises(ValueError, match="changed between training and evaluation"):
        risk.gradient()


class WrongSquare(torch.autograd.Function):
    """x² whose gradient forgets that it depends on x: its second derivative is 0."""

    @staticmethod
    def forward(x):
        return x**2

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0].detach())

    @staticmethod
    def backward(ctx, g):
        return 2 * ctx.saved_tensors[0].detach() * g


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_that_are_wrong_are_not_offered(dtype):
    class Net(nn.Linear):
        def forward(self, x):
            return WrongSquare.apply(super().forward(x))

    x, y = torch.randn(9, 4, dtype=dtype), torch.randn(9, 3, dtype=dtype)
    risk = ss.torch.Risk(Net(4, 3).to(dtype), F.mse_loss, (x, y))
    assert "hessian" not in risk.curvatures
    with pytest.raises(ValueError, match="differ from differences of gradients"):
        risk.hessian()


def test_rounding_and_kinks_are_no_wrong_derivatives():
    """Differences in single precision meet kinks and rounding: double precision decides."""
    model = nn.Sequential(nn.Linear(20, 300), nn.ReLU(), nn.Linear(300, 300), nn.ReLU(), nn.Linear(300, 2))
    x, y = torch.randn(40, 20), torch.randint(0, 2, (40,))
    risk = ss.torch.Risk(model, F.cross_entropy, (x, y))
    assert "hessian" in risk.curvatures and not any("not used" in note for note in risk.notes), risk.notes


def test_a_nan_is_named_and_exceptions_of_the_model_arrive():
    x, y = torch.randn(10, 3), torch.randint(0, 2, (10,))
    x[7, 1] = float("nan")
    risk = ss.torch.Risk(nn.Linear(3, 2), F.cross_entropy, (x, y), batch_size=4)
    assert np.isnan(risk.loss())
    with pytest.raises(FloatingPointError, match="batch 1, sample 3"):
        ss.eigsh(risk.hessian())

    model = nn.Linear(3, 2)
    model.bias.data[1] = float("inf")
    with pytest.raises(FloatingPointError, match="θ is not finite: parameter 'bias' holds inf"):
        ss.eigsh(ss.torch.Risk(model, F.cross_entropy, (x[:5], y[:5])).hessian())

    class Mine(Exception):
        pass

    class Broken(nn.Linear):
        count = 0

        def forward(self, x):
            Broken.count += 1
            if Broken.count > 100:
                raise Mine("in forward")
            return super().forward(x)

    risk = ss.torch.Risk(Broken(3, 2), F.cross_entropy, (x[:5], y[:5]))
    with pytest.raises(Mine, match="in forward") as caught:
        ss.analyze(risk)
    assert any(entry.name == "forward" for entry in caught.traceback)


def test_memory_that_runs_out_halves_the_parts():
    class Hungry(nn.Linear):
        def forward(self, x):
            if len(x) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(x)

    x, y = torch.randn(10, 3).double(), torch.randint(0, 2, (10,))
    model = Hungry(3, 2).double()
    risk = ss.torch.Risk(model, F.cross_entropy, [(x, y)], batch_size=3)
    risk._micro = 8
    assert risk.loss() == pytest.approx(float(F.cross_entropy(F.linear(x, model.weight, model.bias), y).detach()), rel=1e-13)
    assert risk._micro == 2 and any("Memory ran out" in note for note in risk.notes)


def test_one_sample_half_precision_and_another_type():
    x, y = torch.randn(1, 3), torch.tensor([1])
    risk = ss.torch.Risk(nn.Linear(3, 2).to(torch.bfloat16), F.cross_entropy, (x, y))
    assert risk.precision == "f32" and risk.samples == 1
    double = ss.torch.Risk(nn.Linear(3, 2), F.cross_entropy, (x, y), dtype=torch.float64)
    assert double.precision == "f64"
    one = ss.torch.Risk(nn.Linear(1, 1, bias=False).double(), F.mse_loss, (torch.ones(2, 1).double(), torch.zeros(2, 1).double()))
    assert ss.eigsh(one.hessian()).pairs[0].value == pytest.approx(2, rel=1e-14)


def test_an_analysis_with_its_report_and_the_escape(tmp_path):
    model, x, y = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double(), torch.randn(23, 5).double(), torch.randint(0, 3, (23,))
    risk = ss.torch.Risk(model, F.cross_entropy, (x, y), batch_size=8)
    test = ss.torch.Risk(model, F.cross_entropy, (x[:9], y[:9]), split="test")
    found = ss.analyze(risk, test=test, out=tmp_path, grid=3, largest=1, smallest=1)
    page = found.report.read_text()
    assert "over 23 samples, in 3 batches" in page and "cross_entropy" in page and f"Computed by PyTorch {torch.__version__} on cpu in float64" in page
    assert found.results["other_loss"] == pytest.approx(test.loss(), rel=1e-12)
    assert found.results["self_check"]["finite_difference_error"] < 1e-4
    assert found.results["split"] is not None and found.std_errors[0] > 0
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = ss.escape(risk, found)
    assert set(state) == set(before) and all(torch.equal(model.state_dict()[n], before[n]) for n in before)
    model.load_state_dict(state)
    assert float(F.cross_entropy(model(x), y).detach()) == pytest.approx(found.results["escape"]["loss"][1], rel=1e-6)


def test_inference_mode_is_refused():
    x, y = torch.eye(2).double(), torch.zeros(2, 1).double()
    model = nn.Linear(2, 1, bias=False).double()
    make = lambda: ss.torch.Risk(model, F.mse_loss, (x, y))
    risk = make()
    with torch.inference_mode():
        for call in (make, risk.gradient, lambda: ss.eigsh(risk.hessian())):
            with pytest.raises(RuntimeError, match=r"inference_mode\(\) is on"):
                call()
    with torch.no_grad():
        assert make().gradient().tobytes() == risk.gradient().tobytes()


def test_a_batch_size_is_a_number_of_samples():
    x, y, model = torch.randn(10, 3), torch.randint(0, 2, (10,)), nn.Linear(3, 2)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=4)
    for data in ((x, y), loader, [(x, y)]):
        for size in (-1, 0, 2.5, True):
            with pytest.raises(ValueError, match=f"batch_size {size}; expected a whole number"):
                ss.torch.Risk(model, F.cross_entropy, data, batch_size=size)
        assert ss.torch.Risk(model, F.cross_entropy, data, batch_size=np.int64(3)).samples == 10


def test_convolutions_on_several_threads_need_not_repeat():
    class Functional(nn.Linear):
        def forward(self, x):
            return super().forward(F.conv1d(x[:, None], x.new_ones(1, 1, 2))[:, 0])

    x, y, threads = torch.randn(5, 4), torch.randint(0, 2, (5,)), torch.get_num_threads()
    of = lambda model: ss.torch.Risk(model, F.cross_entropy, (x, y))
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            assert of(nn.Linear(4, 2)).repeatable and of(Functional(3, 2)).repeatable == (count == 1)
        few = of(Functional(3, 2)).samples_in(0, 3)
        assert not few.repeatable and np.isfinite(ss.analyze(of(Functional(3, 2)), stages=["cuts"]).results["loss"])
    finally:
        torch.set_num_threads(threads)


def test_losses_that_are_no_mean_are_noticed_wherever_in_the_data():
    torch.manual_seed(0)
    x, y, model = torch.randn(80, 3).double(), torch.arange(80) // 20 % 3, nn.Linear(3, 3).double()
    batches = lambda y: [(x[i : i + 20], y[i : i + 20]) for i in range(0, 80, 20)]
    weighted = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5, 10]).double())
    for data in (batches(y), (x, y)):
        for size in (None, 7):
            with pytest.raises(ValueError, match="class weights"):
                ss.torch.Risk(model, weighted, data, batch_size=size)
    # Sorted data are fine where the weights of the samples are said.
    total = torch.tensor([1, 5, 10])
    risk = ss.torch.Risk(model, weighted, batches(y), weight=lambda batch: int(total[batch[1]].sum()))
    assert risk.loss() == pytest.approx(float(weighted(model(x), y).detach()), rel=1e-12)
    for place in (30, 65):
        padded = y.clone()
        padded[place] = -100
        with pytest.raises(ValueError, match="ignored"):
            ss.torch.Risk(model, F.cross_entropy, batches(padded))
        dicts = [{"x": a, "labels": b} for a, b in batches(padded)]
        with pytest.raises(ValueError, match=f"labels of batch {place // 20} hold -100"):
            ss.torch.Risk(model, lambda model, batch: F.cross_entropy(model(batch["x"]), batch["labels"]), dicts)
        counted = ss.torch.Risk(model, F.cross_entropy, batches(padded), weight=lambda batch: int((batch[1] != -100).sum()))
        assert counted.loss() == pytest.approx(float(F.cross_entropy(model(x), padded).detach()), rel=1e-12)
        assert counted.evaluate().correct[1] == 79
    # Batches of other shapes do not fit together and are left alone.
    assert ss.torch.Risk(Pooled(), F.cross_entropy, [(x[:4, None, :2], y[:4]), (x[:3, None], y[:3])]).samples == 7


class Pooled(nn.Linear):
    """Takes inputs of any length."""

    def __init__(self):
        super().__init__(2, 3, dtype=torch.float64)

    def forward(self, x):
        return super().forward(F.adaptive_avg_pool1d(x, 2)[:, 0])


def test_buffers_that_forward_writes_to_stay_as_they_are():
    class Averaged(nn.Linear):
        def __init__(self, in_place):
            super().__init__(3, 2)
            self.register_buffer("average", torch.zeros(2))
            self.in_place = in_place

        def forward(self, x):
            z = super().forward(x)
            if self.in_place:
                self.average.mul_(0.9).add_(0.1 * self.weight.detach().mean(1))
            else:
                self.average = 0.9 * self.average + 0.1 * self.weight.detach().mean(1)
            return z - self.average

    x, y = torch.randn(9, 3).double(), torch.randint(0, 2, (9,))
    spectral = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4)), nn.Tanh(), nn.Linear(4, 2))
    for model in (Averaged(True), Averaged(False), spectral.train()):
        model = model.double()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        risk = ss.torch.Risk(model, F.cross_entropy, (x, y), batch_size=4)
        loss = risk.loss()
        assert risk.loss() == loss and np.isfinite(risk.gradient()).all()
        if risk.curvatures:
            risk.operator(risk.curvatures[0]).matvec(np.ones(risk.dim))
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert loss == pytest.approx(float(F.cross_entropy(model(x), y).detach()), rel=1e-12)
        in_place = not isinstance(model, Averaged) or model.in_place
        assert in_place == any("writes to the buffers" in note for note in risk.notes)


@pytest.mark.parametrize("order", ["reverse", "forward"])
def test_autocast_is_off_also_where_the_model_enters_it(order):
    class Mixed(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                assert torch.is_autocast_enabled("cpu")
                return self.inner(x).float()

    model, x, y = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), torch.randn(9, 3), torch.randint(0, 2, (9,))
    plain, mixed = (ss.torch.Risk(m, F.cross_entropy, (x, y), order=order) for m in (model, Mixed(model)))
    assert mixed.loss() == plain.loss() and np.array_equal(mixed.gradient(), plain.gradient())
    for curvature in plain.curvatures:
        assert np.array_equal(*(r.operator(curvature).matvec(np.ones(r.dim)) for r in (plain, mixed)))
    assert any("autocast" in note for note in mixed.notes) and not any("autocast" in note for note in plain.notes)
