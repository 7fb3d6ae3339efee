"""Which parameters are analysed, and what they are."""

from fnmatch import fnmatchcase

import torch
from torch import nn

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)


def select(model, params):
    """The parameters by name, each once (a tied one under its first name).

    Parameters
    ----------
    model : torch.nn.Module
    params : None, str, iterable of str, or callable
        None for all that require gradients; names and patterns with ``*``; or a predicate of (name, parameter). Parameters that
        are named take part even if they are frozen.
    """
    all_of_them = dict(model.named_parameters())
    if params is None:
        chosen = {name: p for name, p in all_of_them.items() if p.requires_grad}
        if not chosen:
            raise ValueError("no parameter of the model requires a gradient: name some with params")
        return _checked(chosen)
    if callable(params):
        chosen = {name: p for name, p in all_of_them.items() if params(name, p)}
        what = "the predicate selects none"
    else:
        patterns = [params] if isinstance(params, str) else list(params)
        chosen = {}
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in all_of_them):
                raise ValueError(f"params: no parameter is called {pattern!r}; there are {_some(all_of_them)}")
        for name, p in all_of_them.items():
            if any(fnmatchcase(name, pattern) for pattern in patterns):
                chosen[name] = p
        what = "no pattern selects any"
    if not chosen:
        raise ValueError(f"params: {what} of the parameters {_some(all_of_them)}")
    return _checked(chosen)


def _checked(chosen):
    for name, p in chosen.items():
        if not p.is_floating_point():
            raise ValueError(f"parameter {name!r} is of type {p.dtype}; expected real floating point")
    if not any(p.numel() for p in chosen.values()):
        raise ValueError(f"no parameter to analyse: {_some(chosen)} are empty")
    return chosen


def _some(names):
    names = list(names)
    return ", ".join(names[:8]) + (f", … ({len(names)})" if len(names) > 8 else "")


def layout(model, names):
    """(name, shape, kind) of each parameter, from the type of the module that holds it."""
    modules = dict(model.named_modules())
    blocks = []
    for name, p in names.items():
        owner, _, leaf = name.rpartition(".")
        blocks.append((name, list(p.shape), _kind(modules.get(owner, model), leaf, p)))
    return blocks


def _kind(module, leaf, p):
    name = type(module).__name__
    if isinstance(module, _NORMS) or name.endswith("Norm") or name.endswith("Norm2d"):
        return "normalization"
    if leaf.startswith("bias") or leaf.endswith("bias"):
        return "bias"
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        return "other"  # Its filters are not along the first axis.
    if isinstance(module, nn.modules.conv._ConvNd):
        return "conv_filter"
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        return "embedding"
    if name == "Conv1D" and p.ndim == 2:
        return "linear_weight_transposed"  # HuggingFace's GPT-2.
    if p.ndim == 2 and (isinstance(module, (nn.Linear, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)) or "Linear" in name):
        return "linear_weight"
    return "other"


class Vector:
    """Parameters as one vector, and back."""

    def __init__(self, parameters):
        self.names = list(parameters)
        self.shapes = [p.shape for p in parameters.values()]
        self.sizes = [p.numel() for p in parameters.values()]

    def split(self, flat):
        """Views of a vector (N,), or of k vectors (k, N), in the shapes of the parameters."""
        lead = flat.shape[:-1]
        return [part.reshape((*lead, *shape)) for part, shape in zip(flat.split(self.sizes, dim=-1), self.shapes)]

    def join(self, tensors):
        """One vector; a parameter without a gradient counts as zero."""
        return torch.cat([t.reshape(-1) for t in tensors])
