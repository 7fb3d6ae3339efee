"""Hidden units of a model that can change places without changing its function: which axes of which tensors move together.

The model is traced by ``torch.fx``. Units of layers that are added (residual connections) belong to one group. Where an operation is not
one of those known here to treat all units alike, the units at its inputs stay where they are: fewer permutations are found, never a
wrong one. (The loss at the permuted weights is compared with the loss before.)
"""

import copy
import math
import operator
from dataclasses import dataclass, field
from typing import List, NamedTuple, Optional

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

F = torch.nn.functional

#: Modules that do the same to every element.
_ELEMENTWISE = (
    nn.ReLU, nn.ReLU6, nn.Tanh, nn.Sigmoid, nn.GELU, nn.ELU, nn.SELU, nn.CELU, nn.SiLU, nn.Mish, nn.Softplus, nn.LeakyReLU, nn.Hardswish,
    nn.Hardsigmoid, nn.Hardtanh, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d,
)
#: Modules that do the same to every channel, the axis behind the samples.
_CHANNELWISE = (
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d,
    nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_ELEMENTWISE_FUNCTIONS = {
    F.relu, torch.relu, F.relu6, torch.tanh, F.tanh, torch.sigmoid, F.sigmoid, F.gelu, F.elu, F.selu, F.celu, F.silu, F.mish, F.softplus,
    F.leaky_relu, F.hardswish, F.hardsigmoid, F.hardtanh, F.dropout, operator.neg,
}
_CHANNELWISE_FUNCTIONS = {
    F.max_pool1d, F.max_pool2d, F.max_pool3d, F.avg_pool1d, F.avg_pool2d, F.avg_pool3d, F.adaptive_avg_pool1d, F.adaptive_avg_pool2d,
    F.adaptive_avg_pool3d,
}
_BINARY = {operator.add, operator.iadd, operator.sub, operator.mul, operator.imul, torch.add, torch.mul, torch.sub}
_ELEMENTWISE_METHODS = {"relu", "relu_", "tanh", "sigmoid", "contiguous", "clone", "neg"}
_BINARY_METHODS = {"add", "add_", "mul", "mul_", "sub"}
#: What is asked of a tensor and does not depend on the order of its units.
_SHAPES = {"size", "dim"}


class Axis(NamedTuple):
    """Unit u owns the elements start + (o · units + u) · inner + i for o < outer, i < inner, of θ or of the buffers."""

    buffer: bool
    start: int
    outer: int
    inner: int


@dataclass
class _Group:
    name: str
    units: int
    axes: List[Axis] = field(default_factory=list)
    fixed: bool = False
    joined: Optional[int] = None


class _Place(NamedTuple):
    """Where the units of a group lie in a value: along one axis, each with ``inner`` entries."""

    group: int
    axis: int
    inner: int


def unit_groups(model, names, buffer_names, inputs):
    """The groups of hidden units of a model.

    Parameters
    ----------
    model : torch.nn.Module
    names, buffer_names : list of str
        The parameters of θ and the buffers, in order.
    inputs : tuple
        Arguments of one call, on the model's device.

    Returns
    -------
    list of (name, units, axes), or None
        None where the model cannot be traced.
    """
    twin = copy.deepcopy(model)
    try:
        graph = fx.symbolic_trace(twin)
        with torch.no_grad():
            ShapeProp(graph).propagate(*inputs)
    except Exception:  # Whatever the model's code raises when it is traced: its units are not known then.
        return None
    reader = _Reader(twin, graph, names, buffer_names)
    for node in graph.graph.nodes:
        reader.read(node)
    return [(g.name, g.units, [tuple(a) for a in g.axes]) for g in reader.groups if g.joined is None and not g.fixed and g.units > 1]


class _Reader:
    def __init__(self, model, graph, names, buffer_names):
        self.modules, self.groups, self.places = dict(model.named_modules()), [], {}
        parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
        self.starts = {}
        for buffer, all_of_them, chosen in ((False, parameters, names), (True, buffers, buffer_names)):
            start = 0
            for name in chosen:
                self.starts[id(all_of_them[name])] = buffer, start
                start += all_of_them[name].numel()
        self.uses = {}
        for node in graph.graph.nodes:
            used = []
            if node.op == "call_module":
                module = self.modules[node.target]
                used = [*module.parameters(), *module.buffers()]
            elif node.op == "get_attr":
                owner, _, leaf = node.target.rpartition(".")
                used = [getattr(self.modules.get(owner), leaf, None)]
            for tensor in used:
                self.uses[id(tensor)] = self.uses.get(id(tensor), 0) + 1

    # Groups.

    def root(self, group):
        while self.groups[group].joined is not None:
            group = self.groups[group].joined
        return group

    def place(self, node):
        found = self.places.get(node)
        return None if found is None else found._replace(group=self.root(found.group))

    def fix(self, node):
        place = self.place(node)
        if place is not None:
            self.groups[place.group].fixed = True

    def join(self, a, b):
        if a == b:
            return
        first, second = self.groups[a], self.groups[b]
        first.axes += second.axes
        first.fixed |= second.fixed or first.units != second.units
        second.joined = a

    def add(self, group, tensor, axis, inner=1):
        """Adds an axis of a tensor to a group; a tensor that is not analysed or used elsewhere, too, holds the group in place."""
        if tensor is None:
            return
        found, g = self.starts.get(id(tensor)), self.groups[group]
        if found is None or self.uses.get(id(tensor)) != 1 or tensor.shape[axis] != g.units * inner:
            g.fixed = True
            return
        buffer, start = found
        g.axes.append(Axis(buffer, start, math.prod(tensor.shape[:axis]), inner * math.prod(tensor.shape[axis + 1 :])))

    def new(self, name, module):
        """A group of the units that a layer makes."""
        self.groups.append(_Group(name, module.weight.shape[0]))
        self.add(len(self.groups) - 1, module.weight, 0)
        self.add(len(self.groups) - 1, module.bias, 0)
        return len(self.groups) - 1

    # Nodes.

    def read(self, node):
        if node.op == "call_module":
            known = self.module(node, self.modules[node.target])
        elif node.op == "call_function":
            known = self.function(node)
        elif node.op == "call_method":
            known = self.method(node)
        else:
            known = node.op in ("placeholder", "get_attr")
        if not known:
            for given in node.all_input_nodes:
                self.fix(given)

    def alike(self, node, channels=False):
        """All units are treated alike; with `channels`, only if they are those of the axis behind the samples."""
        (x, *others) = node.all_input_nodes
        place = self.place(x)
        if others or channels and place is not None and (place.axis != 1 or len(_shape(x)) < 3 or place.inner != 1):
            return False
        if place is not None:
            self.places[node] = place
        return True

    def module(self, node, module):
        hooks = module._forward_hooks or module._forward_pre_hooks
        if hooks or len(node.args) != 1 or node.kwargs or not isinstance(node.args[0], fx.Node):
            return False
        x, kind = node.args[0], type(module)
        place, shape = self.place(x), _shape(x)
        if kind in _ELEMENTWISE:
            return self.alike(node)
        if kind in _CHANNELWISE:
            return not getattr(module, "return_indices", False) and self.alike(node, channels=True)
        if kind is nn.Flatten:
            return self.flatten(node, x, module.start_dim, module.end_dim)
        if kind is nn.Linear and isinstance(module.weight, nn.Parameter):
            if place is not None and place.axis != len(shape) - 1:
                return False
            if place is not None:
                self.add(place.group, module.weight, 1, place.inner)
            self.places[node] = _Place(self.new(node.target, module), len(shape) - 1, 1)
            return True
        if kind in _CONVOLUTIONS and isinstance(module.weight, nn.Parameter) and len(shape) == module.weight.ndim:
            if place is not None and (place.axis != 1 or place.inner != 1):
                return False
            if module.groups == 1:
                if place is not None:
                    self.add(place.group, module.weight, 1)
                self.places[node] = _Place(self.new(node.target, module), 1, 1)
                return True
            if place is not None and module.groups == module.in_channels == module.out_channels:
                # One filter a channel: the units stay the same.
                self.add(place.group, module.weight, 0)
                self.add(place.group, module.bias, 0)
                self.places[node] = place
                return True
            return False
        if kind in _BATCH_NORMS and place is not None and place.axis == 1:
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                self.add(place.group, tensor, 0, place.inner)
            self.places[node] = place
            return True
        if kind is nn.LayerNorm and place is not None and place.axis == len(shape) - 1 and len(module.normalized_shape) == 1:
            for tensor in (module.weight, module.bias):
                self.add(place.group, tensor, 0, place.inner)
            self.places[node] = place
            return True
        return False

    def function(self, node):
        if node.target in _ELEMENTWISE_FUNCTIONS:
            return self.alike(node)
        if node.target in _CHANNELWISE_FUNCTIONS:
            return self.alike(node, channels=True)
        if node.target in _BINARY:
            return self.binary(node)
        if node.target is torch.flatten and node.args:
            dims = dict(zip(("start_dim", "end_dim"), node.args[1:]), **node.kwargs)
            return self.flatten(node, node.args[0], dims.get("start_dim", 0), dims.get("end_dim", -1))
        if node.target is torch.mean and node.args:
            return self.mean(node, node.args[0], *_dims(node))
        if node.target is getattr:
            return node.args[1:] == ("shape",)
        return node.target is operator.getitem and self.place(node.args[0]) is None

    def method(self, node):
        if node.target in _SHAPES:
            return True
        if node.target in _ELEMENTWISE_METHODS:
            return self.alike(node)
        if node.target in _BINARY_METHODS:
            return self.binary(node)
        x = node.args[0]
        if node.target == "flatten":
            dims = dict(zip(("start_dim", "end_dim"), node.args[1:]), **node.kwargs)
            return self.flatten(node, x, dims.get("start_dim", 0), dims.get("end_dim", -1))
        if node.target in ("view", "reshape"):
            before, after = _shape(x), _shape(node)
            if before and after and after == (before[0], math.prod(before[1:])):
                return self.flatten(node, x, 1, -1)
            return False
        if node.target == "mean":
            return self.mean(node, x, *_dims(node))
        return False

    def binary(self, node):
        """A sum or product entry by entry: the units of both values are the same ones."""
        tensors = [a for a in node.args if isinstance(a, fx.Node) and _shape(a) is not None]
        if set(node.all_input_nodes) != set(tensors) or node.kwargs:
            return False
        places = [self.place(t) for t in tensors]
        if len(tensors) < 2:
            return self.alike(node)
        a, b = places
        if a is None or b is None or a[1:] != b[1:]:
            return a is None and b is None
        shapes = [_shape(t) for t in tensors]
        if len(shapes[0]) != len(shapes[1]) or shapes[0][a.axis] != shapes[1][a.axis]:
            return False
        self.join(a.group, b.group)
        self.places[node] = self.place(tensors[0])
        return True

    def flatten(self, node, x, first, last):
        """The units keep their order if only axes behind theirs are put to it."""
        place, shape = self.place(x), _shape(x)
        if place is None:
            return True
        first, last = first % len(shape), last % len(shape)
        if place.axis != first:
            return False
        behind = math.prod(shape[first + 1 : last + 1])
        self.places[node] = place._replace(inner=place.inner * behind)
        return True

    def mean(self, node, x, dims, keep):
        place, shape = self.place(x), _shape(x)
        if place is None:
            return True
        if dims is None or not all(isinstance(d, int) for d in dims):
            return False
        dims = {d % len(shape) for d in dims}
        if place.axis in dims:
            return False
        moved = 0 if keep else sum(d < place.axis for d in dims)
        self.places[node] = place._replace(axis=place.axis - moved)
        return True


def _dims(node):
    given = dict(zip(("dim", "keepdim"), node.args[1:]), **node.kwargs)
    dims = given.get("dim")
    return ([dims] if isinstance(dims, int) else dims), bool(given.get("keepdim", False))


def _shape(node):
    """The shape of a value that is one tensor, or None."""
    meta = node.meta.get("tensor_meta")
    return tuple(meta.shape) if hasattr(meta, "shape") else None
