"""Operations of PyTorch whose second derivative is missing or wrong, as formulas of operations whose derivatives are right."""

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode


def _weight_norm(v, g, dim=0):
    # The second derivative of the fused kernel is wrong (PyTorch 2.15: by a fifth for a small network).
    return v * (g / torch.norm_except_dim(v, 2, dim))


def _hardsigmoid(input, inplace=False):
    return F.relu6(input + 3) / 6


def _hardswish(input, inplace=False):
    return input * (F.relu6(input + 3) / 6)


def _embedding(input, weight, padding_idx=None, *rest, **options):
    # With padding_idx the gradient leaves out the row that the loss does depend on: H would not be symmetric.
    return F.embedding(input, weight, None, *rest, **options)


_FORMULAS = {torch._weight_norm: _weight_norm, F.hardsigmoid: _hardsigmoid, F.hardswish: _hardswish}


class Formulas(TorchFunctionMode):
    """Puts the formulas in place of the operations while it is entered."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is F.embedding and (kwargs.get("padding_idx") is not None or len(args) > 2 and args[2] is not None):
            return _embedding(*args, **kwargs)
        return _FORMULAS.get(function, function)(*args, **kwargs)
