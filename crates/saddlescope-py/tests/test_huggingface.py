"""A small GPT-2 of HuggingFace with padded batches."""

import numpy as np
import pytest

import saddlescope as ss

torch = pytest.importorskip("torch", reason="PyTorch is not installed: its tests are skipped")
transformers = pytest.importorskip("transformers", reason="transformers is not installed: its test is skipped")


def test_a_language_model_with_padded_batches():
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=20, n_positions=8, n_embd=8, n_layer=1, n_head=2)
    model = transformers.GPT2LMHeadModel(config).double().eval()
    batches, lengths = [], [[8, 5, 3], [6, 8]]
    for rows in lengths:
        ids = torch.randint(0, 20, (len(rows), 8))
        mask = torch.arange(8)[None, :] < torch.tensor(rows)[:, None]
        batches.append({"input_ids": ids, "attention_mask": mask.long(), "labels": ids.masked_fill(~mask, -100)})
    risk = ss.torch.Risk(model, lambda model, batch: model(**batch).loss, batches, weight=ss.torch.token_weight)
    assert risk.samples == sum(sum(rows) - len(rows) for rows in lengths)
    kinds = {name.rpartition("h.0.")[2]: kind for name, _, kind in risk.layout}
    assert kinds["attn.c_attn.weight"] == "linear_weight_transposed" and kinds["ln_1.weight"] == "normalization"

    def total():
        weights = [ss.torch.token_weight(batch) for batch in batches]
        return sum(w * model(**batch).loss for w, batch in zip(weights, batches)) / sum(weights)

    params = [dict(model.named_parameters())[name] for name, _, _ in risk.layout]
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        loss = total()
        slopes = torch.autograd.grad(loss, params, create_graph=True)
        v = np.random.default_rng(0).normal(size=risk.dim)
        parts, start = [], 0
        for p in params:
            parts.append(torch.from_numpy(v[start : start + p.numel()].reshape(p.shape)))
            start += p.numel()
        exact = torch.cat([h.reshape(-1) for h in torch.autograd.grad(slopes, params, parts)]).numpy()
    # The loss of transformers is computed in single precision even here: 1e-6 is a few of its rounding errors.
    assert risk.loss() == pytest.approx(float(loss.detach()), rel=1e-6)
    assert np.linalg.norm(risk.hessian().matvec(v) - exact) < 1e-5 * np.linalg.norm(exact)
    assert ss.eigsh(risk.hessian(), tol=1e-4).converged
