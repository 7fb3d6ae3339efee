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


_BAG = F.embedding_bag


def _embedding_bag(input, weight, offsets=None, max_norm=None, norm_type=2, scale_grad_by_freq=False, mode="mean", sparse=False,
                   per_sample_weights=None, include_last_offset=False, padding_idx=None):
    if input.ndim != 2 or mode == "max" or padding_idx is not None or max_norm is not None:
        return _BAG(input, weight, offsets, max_norm, norm_type, scale_grad_by_freq, mode, sparse, per_sample_weights,
                    include_last_offset, padding_idx)
    rows = F.embedding(input, weight)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(-1)
    return rows.sum(1) if mode == "sum" else rows.mean(1)


_FORMULAS = {
    torch._weight_norm: _weight_norm, F.hardsigmoid: _hardsigmoid, F.hardswish: _hardswish, F.embedding_bag: _embedding_bag,
}


class Formulas(TorchFunctionMode):
    """Puts the formulas in place of the operations while it is entered, and keeps autocast off that a model enters by itself."""

    def __init__(self, device):
        super().__init__()
        self._device = device.type

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if torch.is_autocast_enabled(self._device):
            with torch.autocast(self._device, enabled=False):
                return self._call(function, args, kwargs or {})
        return self._call(function, args, kwargs or {})

    @staticmethod
    def _call(function, args, kwargs):
        if function is F.embedding and (kwargs.get("padding_idx") is not None or len(args) > 2 and args[2] is not None):
            return _embedding(*args, **kwargs)
        return _FORMULAS.get(function, function)(*args, **kwargs)
