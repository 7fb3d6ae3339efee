"""What has to hold while torch computes: exact kernels, kernels with second derivatives, no autocast."""

from contextlib import ExitStack, contextmanager

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from ._formulas import Formulas

#: Modules that draw random numbers in training mode.
_RANDOM = (nn.modules.dropout._DropoutNd, nn.RReLU)


def unwrap(model, notes):
    """The module behind `torch.compile` and data parallelism."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is not None:
            notes.append("The model is compiled; the module behind it is used, because compiled code has no second derivatives. "
                         "State dicts are those of that module.")
        elif isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = model.module
        else:
            return model
        model = inner


def check_mode(model):
    """Whether the samples of a batch depend on each other. Refuses models that draw random numbers.

    Returns
    -------
    bool
        True for batch norm in training mode.
    """
    coupled = False
    for name, module in model.named_modules():
        if isinstance(module, _RANDOM) and module.training and getattr(module, "p", 1) > 0:
            raise ValueError(
                f"module {name!r} ({type(module).__name__}) draws random numbers in training mode, so that the loss is not a function "
                "of θ: call model.eval() first, or module.eval() on this module"
            )
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            coupled |= module.training or module.running_mean is None
    return coupled


def has_recurrence(model):
    """Whether cuDNN's recurrent layers, which have no second derivatives, would be used."""
    return any(isinstance(module, nn.RNNBase) for module in model.modules())


class Seen(TorchFunctionMode):
    """Which functions of PyTorch are called, and whether under autocast."""

    def __init__(self, device):
        super().__init__()
        self.names, self.autocast, self._device = set(), False, device.type

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.autocast |= torch.is_autocast_enabled(self._device)
        self.names.add(getattr(function, "__name__", ""))
        return function(*args, **(kwargs or {}))


def repeats(device, names):
    """Whether PyTorch gives the same bits each time: not on a GPU, nor does its convolution of one sample on several threads."""
    return device.type == "cpu" and (torch.get_num_threads() == 1 or not any(name.startswith("conv") for name in names))


@contextmanager
def exact(device, recurrent):
    """Full precision, kernels that can be differentiated twice, no autocast, no cuDNN for recurrent layers."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    if torch.is_inference_mode_enabled():
        raise RuntimeError("torch.inference_mode() is on, where nothing can be differentiated: leave it before a risk is made or used "
                           "(torch.no_grad() does no harm)")
    with ExitStack() as stack:
        stack.enter_context(torch.enable_grad())
        stack.enter_context(Formulas(device))
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(torch.autocast(device.type, enabled=False))
        if device.type == "cuda":
            flags = torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled and not recurrent, allow_tf32=False)
            stack.enter_context(flags)
            before = torch.backends.cuda.matmul.allow_tf32
            torch.backends.cuda.matmul.allow_tf32 = False
            stack.callback(setattr, torch.backends.cuda.matmul, "allow_tf32", before)
        yield
