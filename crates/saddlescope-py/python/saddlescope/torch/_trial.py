"""What is found out about a model on one batch before it is analysed: whether its loss is a mean, which products work, and which
way to make them is right and fast."""

import time
from collections.abc import Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from . import _buffers as buffers
from . import _products as products
from ._data import convert, part, size
from ._identity import computed
from ._setting import Seen, exact, repeats

#: How products with the Hessian are made.
ORDERS = {"reverse": products.reverse_over_reverse, "forward": products.forward_over_reverse}

#: A product that is right comes this near to differences of gradients, whose own error is allowed for besides.
_AGREES = 0.05


def try_batch(risk, batch, mixed):
    """Sets what a risk offers: `has_accuracy`, `repeatable`, the order of its products, `curvatures`, and notes on what does not work; the buffers
    that are written to; and `_computed`, what tells it from others.

    Raises
    ------
    ValueError
        For a loss that is no function of θ or no mean.
    """
    small = batch if risk.coupled else part(batch, 0, min(size(batch), risk._micro or 16))
    params, placed = risk._params(risk.theta), risk._place(small)
    with exact(risk.device, risk._recurrent):
        with torch.no_grad():
            with Seen(risk.device) as seen, _buffers_watched(risk):
                first = _first_loss(risk, params, placed, batch)
            risk.repeatable = repeats(risk.device, seen.names)
            if seen.autocast:
                risk.notes.append("The model enters autocast, which is kept off: everything is computed in the number type of the risk.")
            _check_repeats(risk, params, placed, first)
            _check_mean(risk, params, placed, small, first)
            _check_mixed(risk, params, mixed.samples(risk._micro or max(2, size(small))))
            risk.has_accuracy = _has_accuracy(risk, params, placed)
        few = placed if risk.coupled else part(placed, 0, 2)
        _choose_order(risk, params, placed, few)
        _choose_curvatures(risk, params, few)
        _note_unused(risk, params, placed)
        risk._computed = computed(risk, placed)


def out_of_memory(error):
    """Whether this is how PyTorch says that memory ran out."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _slack(risk):
    # HuggingFace's losses are computed in single precision even in models of double precision.
    return 1e-3 if risk.dtype == torch.float32 else 1e-5


def _first_line(error):
    words = str(error).strip()
    return words.splitlines()[0][:200] if words else type(error).__name__


@contextmanager
def _buffers_watched(risk):
    """Finds out which buffers are written to, on copies of them."""
    before = risk._other
    copies = {name: before.get(name, b).clone() for name, b in risk.model.named_buffers()}
    risk._other = {**before, **copies}
    try:
        yield
    finally:
        risk._other = before
    # Kernels of batch norm write without a word: values tell.
    norms = [name for name, module in risk.model.named_modules() if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training]
    own, of_norm = dict(risk.model.named_buffers()), lambda name: name.rpartition(".")[0] in norms
    changed = [name for name, t in copies.items() if t._version > 0 or not _same(t, before.get(name, own[name]))]
    risk._written = tuple(name for name in copies if name in changed or of_norm(name))
    others = [name for name in changed if not of_norm(name)]
    if others:
        risk.notes.append(f"Every evaluation writes to the buffers {', '.join(others[:5])}{', …' if len(others) > 5 else ''} and begins with their values in the "
                          "model, which stay as they are.")


def _same(a, b):
    return buffers.rest_hash({"": a}, ()) == buffers.rest_hash({"": b}, ())


def _first_loss(risk, params, placed, batch):
    """The loss of the first samples; where only the whole batch can be evaluated, that is said."""
    try:
        return float(risk._loss(params, placed))
    except Exception as error:
        if hasattr(error, "add_note"):
            error.add_note(_how_called(risk, batch))
        if risk.coupled or size(placed) == size(batch):
            raise
        try:
            risk._loss(params, risk._place(batch))
        except Exception:
            raise error from None
        raise ValueError(
            f"the loss of the first batch can be evaluated, that of its first {size(placed)} samples alone cannot ({_first_line(error)}): "
            "give coupled=True if the tensors of a batch belong together (graphs, sets)"
        ) from error


def _how_called(risk, batch):
    """What was called, for whoever reads the exception of that call."""
    if risk._whole:
        what = "a dict" if isinstance(batch, Mapping) else "one tensor" if isinstance(batch, torch.Tensor) else f"a {type(batch).__name__}"
        return (f"A batch is {what}, so the loss is called as loss(model, batch). For inputs with targets, batches are tuples (x, y), and tensors are given as "
                "a tuple, too, since a list is a list of batches.")
    cut = " The data were cut into batches; give coupled=True if their tensors belong together (graphs, sets)." if risk._batches.cut else ""
    return f"A batch is a tuple of {len(batch)}, so the loss is called as loss(model(*batch[:-1]), batch[-1]).{cut}"


def _check_repeats(risk, params, batch, first):
    again = float(risk._loss(params, batch))
    if np.isfinite(first) and abs(again - first) > _slack(risk) * max(abs(first), 1e-6):
        raise ValueError(
            f"two evaluations of the same batch gave {first} and {again}: the loss draws random numbers (dropout as a function, "
            "sampling), so that it is not a function of θ"
        )


def _check_mixed(risk, params, samples):
    """The same for samples of different batches: data may be sorted by class, or padded later on."""
    if samples is not None and not risk.coupled:
        placed = risk._place(samples)
        _check_mean(risk, params, placed, samples, float(risk._loss(params, placed)))


def _check_mean(risk, params, placed, small, first):
    count = size(small)
    if risk.coupled or count < 2 or not np.isfinite(first):
        return
    cut = max(1, count // 3)
    weights, losses = [], []
    for start, stop in ((0, cut), (cut, count)):
        weights.append(risk._weigh(part(small, start, stop)))
        losses.append(float(risk._loss(params, part(placed, start, stop))) if weights[-1] else 0.0)
    if sum(weights) == 0:
        return
    mean = sum(w * l for w, l in zip(weights, losses)) / sum(weights)
    if not abs(mean - first) <= _slack(risk) * max(abs(first), 1e-6):
        raise ValueError(
            f"the loss of a batch is {first:.9g}, the weighted mean of its two parts {mean:.9g}: the loss must be the mean over what "
            "weight counts (reduction='mean'; give weight= where samples count differently, as with class weights or labels that are "
            "ignored, or coupled=True where the samples of a batch depend on each other)"
        )


def _has_accuracy(risk, params, batch):
    if risk._whole:
        return False
    outputs, target = risk._outputs(params, batch), batch[-1]
    if not isinstance(outputs, torch.Tensor) or not isinstance(target, torch.Tensor):
        return False
    return outputs.ndim == 2 and outputs.shape[1] > 1 and target.ndim == 1 and target.dtype == torch.int64


def _note_unused(risk, params, batch):
    leaves = [p.detach().requires_grad_() for p in params]
    slopes = torch.autograd.grad(risk._loss(leaves, batch), leaves, allow_unused=True)
    unused = [name for name, g in zip(risk._vector_of.names, slopes) if g is None]
    if unused:
        risk.notes.append(f"The loss does not depend on {', '.join(unused[:5])}{', …' if len(unused) > 5 else ''}.")


def _choose_order(risk, params, batch, few):
    """The order that works, agrees with differences of gradients, and is faster; none if no order does."""
    wanted = ORDERS if risk._order == "auto" else {risk._order: ORDERS[risk._order]}
    checked, seconds = {}, {}
    for word, way in wanted.items():
        try:
            checked[word] = _deviation(risk, params, few, way)
            seconds[word] = _time(risk, params, batch, way) if len(wanted) > 1 else 0.0
        except (NotImplementedError, RuntimeError) as error:
            if out_of_memory(error):
                raise
            checked.pop(word, None)
            risk.notes.append(f"{word.capitalize()} mode does not work here: {_first_line(error)}")
    right = {word: found for word, found in checked.items() if not found[0] > found[1]}
    for word in checked.keys() - right.keys():
        deviation, allowed = checked[word]
        risk.notes.append(
            f"{word.capitalize()} mode is not used: its products differ from differences of gradients by {deviation:.1e} (allowed: "
            f"{allowed:.1e}), so that PyTorch's second derivatives are wrong for this model."
        )
    if not right:
        risk._order = None
        return
    if len(right) == 2:
        # Forward mode has to be clearly faster, so that the choice does not depend on chance.
        risk._order = "forward" if seconds["forward"] < 0.8 * seconds["reverse"] else "reverse"
        risk.notes.append(
            f"Products: {risk._order} over reverse ({seconds['reverse']:.3g} s reverse, {seconds['forward']:.3g} s forward "
            f"for {size(batch)} samples)."
        )
    else:
        (risk._order,) = right


def _probe(risk, dtype):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, risk.dim, generator=generator, dtype=dtype).to(risk.device)


def _time(risk, params, batch, way):
    loss, probe, best = (lambda p: risk._loss(p, batch)), _probe(risk, risk.dtype), float("inf")
    for _ in range(2):
        _wait(risk.device)
        start = time.perf_counter()
        way(loss, params, probe, risk._vector_of)
        _wait(risk.device)
        best = min(best, time.perf_counter() - start)
    return best


def _deviation(risk, params, batch, way):
    """How far a product is from differences of gradients, relative to them, and how far it may be.

    In the risk's own number type first, and where that does not agree in double precision, which tells rounding and the kinks of
    piecewise linear networks from wrong derivatives.
    """
    found = _differ(risk, params, batch, way, risk.dtype)
    if found[0] > found[1] and risk.dtype == torch.float32 and risk.device.type != "mps":
        wide = lambda t: t.double() if t.is_floating_point() else t
        try:
            with risk._in_double():
                return _differ(risk, [wide(p) for p in params], convert(batch, wide), way, torch.float64)
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            # A model that computes in single precision whatever it is given.
    return found


def _differ(risk, params, batch, way, dtype):
    vector, probe = risk._vector_of, _probe(risk, dtype)
    loss = lambda p: risk._loss(p, batch)
    image = way(loss, params, probe, vector)[0].detach()

    def gradient(shift):
        leaves = [(p + shift * v).detach().requires_grad_() for p, v in zip(params, vector.split(probe[0]))]
        return vector.join(torch.autograd.grad(loss(leaves), leaves, allow_unused=True, materialize_grads=True))

    step = (3e-3 if dtype == torch.float32 else 1e-5) / float(probe.norm())
    near, far = ((gradient(h) - gradient(-h)) / (2 * h) for h in (step, 2 * step))
    scale = float(near.norm())
    if not np.isfinite(scale) or scale == 0 or not bool(torch.isfinite(image).all()):
        # Nothing to compare: NaN is reported by products, with its sample; a linear loss has no curvature.
        return 0.0, 0.0
    return float((image - near).norm()) / scale, _AGREES + 4 * float((far - near).norm()) / scale


def _choose_curvatures(risk, params, batch):
    works = []
    for curvature in ("hessian", "gauss_newton", "residual", "fisher"):
        if curvature == "hessian":
            if risk._order is None:
                continue
        elif curvature == "residual":
            if not {"hessian", "gauss_newton"} <= set(works):
                continue
        elif curvature == "gauss_newton" and risk._whole or curvature == "fisher" and (risk.coupled or risk._weight is not None):
            continue
        try:
            risk._batch_product(curvature, params, batch, _probe(risk, risk.dtype))
            works.append(curvature)
        except (NotImplementedError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            if out_of_memory(error):
                raise
            risk.notes.append(f"Not offered, {curvature}: {_first_line(error)}")
    risk.curvatures = tuple(works)


def _wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)
