"""Products with curvature matrices for one batch: V of shape (k, N) to A V of the same shape.

`f` is the loss as a function of the parameters (a tuple of tensors); a model as `z` gives the outputs, and `ell` their loss.
"""

import torch
from torch.func import grad, jvp, vjp


def reverse_over_reverse(f, params, vectors, vector):
    """H V by differentiating ⟨∇L, v⟩; the graph of the gradient serves all vectors."""
    params = [p.detach().requires_grad_() for p in params]
    first = torch.autograd.grad(f(params), params, create_graph=True, allow_unused=True, materialize_grads=True)
    # What does not depend on the parameters any more (a linear part) has no graph.
    live = [i for i, g in enumerate(first) if g.requires_grad]
    images = []
    for i, v in enumerate(vectors):
        if not live:
            images.append(torch.zeros_like(v))
            continue
        parts = vector.split(v)
        second = torch.autograd.grad([first[j] for j in live], params, [parts[j] for j in live], retain_graph=i + 1 < len(vectors),
                                     allow_unused=True, materialize_grads=True)
        images.append(vector.join(second))
    return torch.stack(images)


def forward_over_reverse(f, params, vectors, vector):
    """H V as the directional derivative of the gradient."""
    params = tuple(p.detach() for p in params)
    gradient = grad(lambda *p: f(p), argnums=tuple(range(len(params))))
    return torch.stack([vector.join(jvp(gradient, params, tuple(vector.split(v)))[1]) for v in vectors])


def gauss_newton(z, ell, params, vectors, vector):
    """G V = Jᵀ H_ℓ J V: along v through the model, through the loss' Hessian, and back."""
    params = tuple(p.detach() for p in params)
    forward = lambda *p: z(p)
    outputs, back = vjp(forward, *params)
    outputs = outputs.detach()
    images = []
    for v in vectors:
        tangent = _push(forward, params, tuple(vector.split(v)))
        leaf = outputs.clone().requires_grad_()
        (slope,) = torch.autograd.grad(ell(leaf), leaf, create_graph=True)
        curved = torch.zeros_like(leaf)
        if slope.requires_grad:
            (curved,) = torch.autograd.grad(slope, leaf, tangent.detach(), allow_unused=True, materialize_grads=True)
        images.append(vector.join(back(curved.detach())))
    return torch.stack(images).detach()


def fisher(losses, params, vectors, vector):
    """(1/B) Σ ∇ℓₛ (∇ℓₛᵀ V); `losses` gives the loss of every sample, shape (B,). No gradient of a sample is kept."""
    params = tuple(p.detach() for p in params)
    forward = lambda *p: losses(p)
    each, back = vjp(forward, *params)
    images = [vector.join(back(_push(forward, params, tuple(vector.split(v))).detach() / each.numel())) for v in vectors]
    return torch.stack(images).detach()


def _push(forward, params, tangents):
    """J v in forward mode, or where an operation has none, by differentiating Jᵀ u twice."""
    try:
        return jvp(forward, params, tangents)[1]
    except (NotImplementedError, RuntimeError) as error:
        if "forward AD" not in str(error) and "forward-mode" not in str(error) and "jvp" not in str(error):
            raise
    leaves = [p.detach().requires_grad_() for p in params]
    outputs = forward(*leaves)
    dummy = torch.zeros_like(outputs, requires_grad=True)
    pulled = torch.autograd.grad(outputs, leaves, dummy, create_graph=True, allow_unused=True, materialize_grads=True)
    live = [i for i, g in enumerate(pulled) if g.requires_grad]
    return torch.autograd.grad([pulled[i] for i in live], dummy, [tangents[i] for i in live])[0]
