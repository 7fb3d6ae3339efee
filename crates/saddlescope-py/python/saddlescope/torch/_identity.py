"""What tells a model and its loss from others."""

import numpy as np
import torch
from torch import nn

from .. import _identity as identity
from . import _buffers as buffers


def loss_words(loss):
    """A loss by its name, with a hash of what it is."""
    if not isinstance(loss, nn.Module):
        return identity.words(loss)
    return f"{type(loss).__qualname__}:{identity.digest(modules(loss), buffers.rest_hash(loss.state_dict(), ()))}"


def modules(model):
    """A hash of the modules of a model: their names, classes and code, and the options of those of PyTorch."""
    return identity.digest(*(f"{name} {_module(module)}" for name, module in model.named_modules()))


def _module(module):
    kind = type(module)
    said = [f"{kind.__module__}.{kind.__qualname__}", identity.code_of(kind.forward), f"training={module.training}"]
    if kind.__module__.startswith("torch."):
        # A module of the user's may count its calls.
        said += [f"{name}={value!r}" for name, value in sorted(vars(module).items()) if not name.startswith("_") and _is_option(value)]
    return " ".join(said)


def _is_option(value):
    if isinstance(value, (tuple, list)):
        return all(map(_is_option, value))
    return isinstance(value, (bool, int, float, str, type(None)))


def computed(risk, batch):
    """Loss and gradient of a batch at a point that does not depend on the model's own weights, in digits that can be compared.

    Where they are not finite there, or cannot be computed, those at the risk's own θ.
    """
    along = identity.direction(risk.dim)

    def at(theta):
        leaves = [p.detach().requires_grad_() for p in risk._params(theta)]
        loss = risk._loss(leaves, batch)
        slopes = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
        return [float(loss.detach()), *identity.summary(risk._vector_of.join(slopes).to("cpu", torch.float64).numpy(), along)]

    found = [np.nan]
    try:
        found = at(identity.probe_point(risk.layout))
    except Exception:  # Outside of what the model can compute.
        pass
    return identity.numbers(found if np.isfinite(found).all() else at(risk.theta), risk.precision)
