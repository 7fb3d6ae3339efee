"""Buffers of a model (running statistics of batch normalisation) as one vector, and computed anew at any θ."""

import copy
import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from ._data import size


def names_of(model):
    """The floating-point buffers that belong to the state dict, in its order."""
    kept = model.state_dict()
    return [name for name, b in model.named_buffers() if name in kept and b.is_floating_point()]


def join(tensors):
    """All values as one float64 vector."""
    parts = [t.detach().to("cpu", torch.float64).reshape(-1).numpy() for t in tensors]
    return np.concatenate(parts) if parts else np.empty(0)


def split(values, model, names):
    """Tensors of the buffers' shapes, types and devices from one vector."""
    buffers, found, start = dict(model.named_buffers()), {}, 0
    for name in names:
        b = buffers[name]
        found[name] = torch.from_numpy(np.array(values[start : start + b.numel()])).reshape(b.shape).to(b.device, b.dtype)
        start += b.numel()
    if start != len(values):
        raise ValueError(f"{len(values)} values for buffers; expected {start}")
    return found


def rest_hash(state, without):
    """SHA-256 of what a state dict holds besides the named tensors."""
    h = hashlib.sha256()
    for name, value in state.items():
        if name not in without:
            h.update(name.encode())
            h.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return h.hexdigest()


def of_state_dict(model, names, state, buffers):
    """θ and buffers of a state dict.

    Parameters
    ----------
    model : torch.nn.Module
        The model that is analysed.
    names, buffers : list of str
        The parameters of θ, and the buffers.
    state : mapping from names to tensors

    Raises
    ------
    ValueError
        Tensors that are missing, of another shape, or frozen and other than the model's.
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"weights of type {type(state).__name__}; expected a state dict or a vector of the parameters")
    own_names = set(model.state_dict())
    state = {name if name in own_names else _bare(name): value for name, value in state.items()}
    analysed, tied = set(names), _tied(model)
    for name, own in model.state_dict().items():
        if not own.is_floating_point():
            continue  # Counters of batches.
        if name not in state:
            if tied.get(name, name) in state:
                continue
            raise ValueError(f"the weights hold no {name!r}")
        if state[name].shape != own.shape:
            raise ValueError(f"{name!r} has shape {tuple(state[name].shape)}; expected {tuple(own.shape)}")
        frozen = name not in analysed and name not in buffers and tied.get(name, name) not in analysed
        if frozen and not torch.equal(state[name].to(own.device, own.dtype), own):
            raise ValueError(f"{name!r} is frozen in this risk and has other values in the weights: all weights must share it")
    return join(state[name] for name in names), join(state[name] for name in buffers)


def _bare(name):
    """A name without what data parallelism and compiled models put before it."""
    while name.startswith(("module.", "_orig_mod.")):
        name = name.partition(".")[2]
    return name


def _tied(model):
    """The first name of every parameter, by each of its names."""
    first = {id(p): name for name, p in model.named_parameters()}
    return {name: first[id(p)] for name, p in model.named_parameters(remove_duplicate=False)}


def anew(model, state, batches, forward):
    """The buffers after a pass in training mode: running statistics averaged over all samples of the batches.

    Each batch is normalised by its own statistics, as ``torch.optim.swa_utils.update_bn`` does it; batches count by their number of
    samples. Nothing but batch norm is in training mode.

    Parameters
    ----------
    state : mapping
        Parameters and buffers to begin from, by name.
    batches : iterable of batches
    forward : callable
        ``forward(model, batch)`` runs the model.

    Returns
    -------
    dict or None
        None where the model has no running statistics that it uses.
    """
    if not any(_is_normed(m) for m in model.modules()):
        return None
    twin, seen = copy.deepcopy(model), 0
    norms = [m for m in twin.modules() if _is_normed(m)]
    for m in norms:
        m.train()
    with torch.no_grad():
        for name, tensor in [*twin.named_parameters(), *twin.named_buffers()]:
            if name in state:
                tensor.copy_(state[name])
        for batch in batches:
            seen += size(batch)
            for m in norms:
                m.momentum = size(batch) / seen
            forward(twin, batch)
    return dict(twin.named_buffers())


def _is_normed(module):
    return isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None and not module.training
