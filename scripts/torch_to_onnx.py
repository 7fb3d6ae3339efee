"""From a PyTorch network and its data to the two files that Saddlescope reads.

    from torch_to_onnx import export
    export(net, inputs, targets, "net", loss=torch.nn.CrossEntropyLoss())        # writes net.onnx and net.npz

`inputs` is a tensor or a dict of tensors by the names of `forward`'s arguments; the first axis counts samples. `targets` are
class numbers (int64), values to predict (float), or None where the network returns its own loss. `loss` is a name that `--loss`
takes, one of PyTorch's losses, or any function of (output, targets), which then becomes part of the file. torch, onnx and
onnxscript are needed. See docs/from-pytorch.md.

The file's metadata get the list of parameters with their ties, and loss, norm of the gradient and one Hessian product as PyTorch
computes them in f64, so that a file that computes something else than the network is found out.
"""
import copy
import inspect
import json

import numpy as np
import onnx
import torch
import torch.nn as nn
import torch.nn.functional as F

REFERENCE_SAMPLES = 32


class WithLoss(nn.Module):
    """The network followed by a loss that has no name; its targets are the last argument."""
    def __init__(self, net, loss):
        super().__init__()
        self.net, self.loss = net, loss

    def forward(self, *inputs):
        return self.loss(self.net(*inputs[:-1]), inputs[-1])


class PlainBag(nn.EmbeddingBag):
    """An `nn.EmbeddingBag` whose bags all have one length (`[samples, words]`), in words that export without a loop over the batch and
    that PyTorch differentiates twice. Others are left as they are."""
    def forward(self, input, offsets=None, per_sample_weights=None):
        if input.dim() != 2 or self.max_norm is not None:
            return super().forward(input, offsets, per_sample_weights)
        rows = F.embedding(input, self.weight)
        counted = torch.ones_like(input) if self.padding_idx is None else input.ne(self.padding_idx)
        if self.mode == "max":
            if self.padding_idx is None:
                return rows.max(1).values
            greatest = rows.masked_fill(~counted[..., None], -torch.inf).max(1).values
            return torch.where(counted.any(1, keepdim=True), greatest, 0.0)
        weight = counted.to(rows.dtype)
        if per_sample_weights is not None:
            weight = weight * per_sample_weights
        total = (rows * weight[..., None]).sum(1)
        return total / counted.sum(1, keepdim=True).clamp(min=1) if self.mode == "mean" else total


def plain_bags(net):
    """`PlainBag` in place of every `nn.EmbeddingBag`; parameters keep their names."""
    for module in net.modules():
        if type(module) is nn.EmbeddingBag:
            module.__class__ = PlainBag


def in_order(net, inputs):
    """The inputs in the order of `forward`'s arguments, if they are named by them."""
    takes = inspect.signature(net.forward).parameters
    return {n: inputs[n] for n in takes if n in inputs} if set(inputs) <= set(takes) else inputs


def tensor_output(net, inputs):
    """The network with a tensor as its output, and the inputs as its first arguments: HuggingFace's models return records, of which the
    logits count (the loss where there are none). Parameters keep their names."""
    takes = inspect.signature(net.forward).parameters
    more = {"use_cache": False} if "use_cache" in takes and "use_cache" not in inputs else {}
    named = set(inputs) <= set(takes)
    call = lambda f, tensors: f(**dict(zip(inputs, tensors)), **more) if named else f(*tensors, **more)
    with torch.no_grad():
        output = call(net, [t[:2] for t in inputs.values()])
    first = list(takes)[:len(inputs)] == list(inputs)
    if isinstance(output, torch.Tensor) and (first or not named):
        return net, any(p.kind is p.VAR_POSITIONAL for p in takes.values())
    pick = (lambda output: output) if isinstance(output, torch.Tensor) else record_field(output)
    whole = type(net)

    class Plain(whole):
        def forward(self, *tensors):
            return pick(call(super().forward, tensors))

    net.__class__ = Plain
    return net, True


def record_field(output):
    """A function that takes the tensor that counts out of a record."""
    field = next((f for f in ("logits", "loss", "last_hidden_state") if getattr(output, f, None) is not None), None)
    if field is None:
        raise ValueError(f"the network returns a {type(output).__name__}; it must return one tensor")
    print(f"the network returns a {type(output).__name__}, of which `{field}` is exported")
    return lambda output: getattr(output, field)


def loss_name(loss, targets):
    """The name of a loss that Saddlescope computes itself; None if it must be part of the file."""
    if isinstance(loss, str):
        return loss
    if loss is None:
        if targets is None:
            return "own"
        return None if targets.is_floating_point() else "cross-entropy"
    soft = targets is not None and targets.is_floating_point()
    plain = getattr(loss, "reduction", "mean") == "mean" and getattr(loss, "weight", None) is None
    kind = type(loss)  # a subclass may compute anything
    if kind is nn.CrossEntropyLoss and plain and loss.label_smoothing == 0 and (soft or loss.ignore_index == -100):
        return "soft-cross-entropy" if soft else "cross-entropy"
    if kind is nn.BCEWithLogitsLoss and plain and loss.pos_weight is None:
        return "bce"
    if kind is nn.MSELoss and plain:
        return "mse-mean"
    if kind is nn.NLLLoss and plain and loss.ignore_index == -100:
        return "nll"
    functions = {F.mse_loss: "mse-mean", F.cross_entropy: "soft-cross-entropy" if soft else "cross-entropy",
                 F.binary_cross_entropy_with_logits: "bce", F.nll_loss: "nll"}
    return functions.get(loss)


def named_loss(name, output, targets, second_axis=False):
    """The loss of that name, in PyTorch's words; classes as Saddlescope finds them (axis 1 of images, else the last), or on PyTorch's own
    second axis."""
    if name == "own":
        return output.mean()
    if name in ("cross-entropy", "soft-cross-entropy", "nll"):
        image = output.dim() == 4 and targets.shape != output.shape[:-1]
        if not second_axis and not image and output.dim() > 2:
            output = output.flatten(0, -2)
            targets = targets.flatten() if name != "soft-cross-entropy" else targets.flatten(0, -2)
        return (F.nll_loss if name == "nll" else F.cross_entropy)(output, targets)
    targets = targets.reshape(output.shape)
    if name == "bce":
        return F.binary_cross_entropy_with_logits(output, targets)
    if name == "mse-mean":
        return F.mse_loss(output, targets)
    if name == "mse":
        return 0.5 * (output - targets).flatten(1).pow(2).sum(1).mean()
    raise ValueError(f"no loss is called {name!r}")


def tied_parameters(net):
    """Each parameter once, with its other names."""
    names = {}
    for name, p in net.named_parameters(remove_duplicate=False):
        names.setdefault(id(p), []).append(name)
    return list(names.values())


def trainable(net):
    """The parameters that require gradients, by name; all of them if none does."""
    parameters = dict(net.named_parameters())
    return {n: p for n, p in parameters.items() if p.requires_grad} or parameters


def differentiated(net, inputs, targets, name, one_sample=False, second_axis=False):
    """Loss, gradient and the product v ↦ Hv on the first samples, in f64, and how many samples; all lists go by the parameters' names."""
    double = lambda t: t.double() if t is not None and t.is_floating_point() else t
    net = copy.deepcopy(net).double()
    for module in net.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
        if isinstance(module, nn.Embedding):
            module.padding_idx = None  # PyTorch leaves these rows out of the gradient, though the loss depends on them
    parameters = trainable(net)
    for p in parameters.values():
        p.requires_grad_(True)
    first = lambda t: double(t if one_sample else t[:REFERENCE_SAMPLES])
    few = [first(t) for t in inputs]
    targets = None if targets is None else first(targets)
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # what `forward` makes anew (torch.zeros) fits the rest
    try:
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            output = net(*few)
            if one_sample and not second_axis:
                output, targets = output[None], None if targets is None else targets[None]
            loss = named_loss(name, output, targets, second_axis)
            ps = list(parameters.values())
            gradient = torch.autograd.grad(loss, ps, create_graph=True, allow_unused=True)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch.set_default_dtype(default)
    used = {n for n, g in zip(parameters, gradient) if g is not None}
    zero = lambda list_: [torch.zeros_like(p) if g is None else g for g, p in zip(list_, ps)]
    gradient = zero(gradient)

    def product(v):
        along = sum((g * d).sum() for g, d in zip(gradient, v))
        return zero(torch.autograd.grad(along, ps, retain_graph=True, allow_unused=True) if along.requires_grad else [None] * len(ps))

    return loss.detach(), dict(zip(parameters, gradient)), product, used, 1 if one_sample else len(few[0])


def reference(net, inputs, targets, name, one_sample=False, second_axis=False):
    """Loss, norm of the gradient, vᵀHv and ‖Hv‖ in f64, v being cos k for entry k of every parameter; and which parameters count.
    Without the last two where PyTorch has no second derivative."""
    loss, gradient, product, used, samples = differentiated(net, inputs, targets, name, one_sample, second_axis)
    v = [torch.cos(torch.arange(g.numel(), dtype=torch.float64)).reshape(g.shape) for g in gradient.values()]
    norm = lambda list_: float(sum(t.detach().pow(2).sum() for t in list_)) ** 0.5
    numbers = dict(samples=samples, loss_kind=name, loss=float(loss), gradient_norm=norm(gradient.values()))
    try:
        hv = product(v)
    except (RuntimeError, NotImplementedError) as e:
        print(f"PyTorch cannot compute a Hessian product of this network; the file is compared with its loss and gradient: {first_line(e)}")
        return numbers, used
    return dict(numbers, quadratic=float(sum((h.detach() * d).sum() for h, d in zip(hv, v))), product_norm=norm(hv)), used


def first_line(error):
    return (str(error).splitlines() or [type(error).__name__])[0]


def translations():
    """Operations that the newer exporter has no words for, made of ONNX operators."""
    from onnxscript import opset18 as op

    def hypot(self, other):
        return op.Sqrt(op.Add(op.Mul(self, self), op.Mul(other, other)))

    def median(self, dim, keepdim=False):
        middle = op.Constant(value_ints=[(self.shape[dim] + 1) // 2])
        values, indices = op.TopK(self, middle, axis=dim, largest=0, sorted=1)
        last, axis = op.Constant(value_ints=[-1]), op.Constant(value_ints=[dim])
        values, indices = op.Gather(values, last, axis=dim), op.Gather(indices, last, axis=dim)
        return (values, indices) if keepdim else (op.Squeeze(values, axis), op.Squeeze(indices, axis))

    def cumprod(self, dim, dtype=-1):
        parts = [op.Gather(self, op.Constant(value_ints=[i]), axis=dim) for i in range(self.shape[dim])]
        for i in range(1, len(parts)):
            parts[i] = op.Mul(parts[i - 1], parts[i])
        return op.Concat(*parts, axis=dim)

    aten = torch.ops.aten
    return {aten.hypot.default: hypot, aten.median.dim: median, aten.cumprod.default: cumprod}


def export(net, inputs, targets, name, exporter="dynamo", samples_in_trace=2, loss=None, check=True, one_sample=False):
    """Writes NAME.onnx (the network as it was trained: nothing folded, any batch size) and NAME.npz (its data).

    `one_sample`: all inputs together are one sample (a graph whose nodes are the first axis); give `--one-sample` to the command too.
    """
    net = copy.deepcopy(net).eval()
    plain_bags(net)
    if isinstance(inputs, (tuple, list)):
        raise TypeError("several inputs: give a dict of tensors by the names of `forward`'s arguments")
    inputs = in_order(net, inputs) if isinstance(inputs, dict) else {"x": inputs}
    inputs = {n: torch.as_tensor(t) for n, t in inputs.items()}
    targets = None if targets is None else torch.as_tensor(targets)
    if targets is not None and "y" in inputs:
        raise ValueError("an input is called `y`, as the targets are in the data file: rename the argument of `forward`")
    half = (torch.bfloat16, torch.float16)
    if any(t.dtype in half for t in [*net.parameters(), *net.buffers(), *inputs.values()]):
        print("16-bit numbers become 32-bit ones, which hold them exactly; the rounding of 16-bit arithmetic is not part of the loss")
        net = net.float()
        inputs = {n: t.float() if t.dtype in half else t for n, t in inputs.items()}
    net, positional = (net, False) if one_sample else tensor_output(net, inputs)
    kind = loss_name(loss, targets)
    if kind is None and loss is not None:
        net, kind = WithLoss(net, loss), "own"
        inputs, targets = {**inputs, "y": targets}, None
    names = list(inputs)
    if kind == "mse-mean" and not isinstance(loss, str):
        with torch.no_grad():
            output = net(*[t[:2] for t in inputs.values()]).shape
        if not one_sample and output[1:] != targets.shape[1:]:
            raise ValueError(f"an output of shape {tuple(output)} and targets of shape {tuple(targets.shape)}: PyTorch's loss compares every "
                             "output with every target; reshape the targets")
    # PyTorch's own losses have their classes on the second axis.
    second_axis = loss is not None and not isinstance(loss, str)
    counted = trainable(net)
    frozen = len(dict(net.named_parameters())) - len(counted)
    if frozen:
        print(f"{frozen} tensors of frozen parameters (requires_grad=False) are constants")
    numbers, used = None, None
    if check and kind is not None:
        try:
            numbers, used = reference(net, inputs.values(), targets, kind, one_sample, second_axis)
        except Exception as e:  # whatever a network does that double backward or fewer samples do not allow
            print(f"PyTorch cannot compute this loss or its derivatives on the first samples, so that the file is not compared with it: {first_line(e)}")
    # Two samples to trace with: a single one would be taken for a dimension of length 1 for ever.
    few = tuple(t if one_sample else t[:samples_in_trace] for t in inputs.values())
    options = dict(input_names=names, output_names=["output"])
    # Attention written out: the fused forms need shapes that are known.
    written_out = torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)
    try:
        if exporter == "dynamo":
            batch = torch.export.Dim("batch")
            axes = tuple({} if one_sample else {0: batch} for _ in names)
            with written_out:
                torch.onnx.export(net, few, name + ".onnx", dynamo=True, external_data=False, verbose=False,
                                  dynamic_shapes=(axes,) if positional or isinstance(net, WithLoss) else axes,
                                  custom_translation_table=translations(),
                                  optimize=False,  # the optimiser folds batch normalisation into the convolutions
                                  **options)
        else:
            torch.onnx.export(net, few, name + ".onnx", dynamo=False, opset_version=17,
                              dynamic_axes={} if one_sample else {n: {0: "batch"} for n in names},
                              training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False, **options)
    except Exception as e:
        other = "torchscript" if exporter == "dynamo" else "dynamo"
        raise RuntimeError(f"PyTorch's exporter `{exporter}` failed; exporter={other!r} may do. It said: {e}") from e
    parameters = [dict(name=n[0], ties=n[1:], used=used is None or n[0] in used) for n in tied_parameters(net) if n[0] in counted]
    metadata = {"saddlescope.parameters": json.dumps(parameters)}
    if numbers is not None:
        metadata["saddlescope.reference"] = json.dumps(numbers)
    model = onnx.load(name + ".onnx")
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, name + ".onnx")
    arrays = {n: t.detach().numpy() for n, t in inputs.items()}
    if targets is not None:
        arrays["y"] = (targets.float() if targets.dtype in half else targets).detach().numpy()
    np.savez(name + ".npz", **arrays)
