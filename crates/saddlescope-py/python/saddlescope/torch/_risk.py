"""A model of PyTorch with its loss and data as a risk."""

import copy
import hashlib
from collections.abc import Mapping
from contextlib import contextmanager
from numbers import Integral

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, vmap

from .. import _identity as identity
from .._risk import Risk as _Risk
from .._risk import Penalty, SampleRange, fingerprint
from . import _buffers as buffers
from . import _products as products
from ._chunks import Chunks
from ._data import Batches, convert, part, size, tensors
from ._group import Group
from ._identity import loss_words, modules
from ._mixed import IGNORED, Mixed, is_padded
from ._parameters import Vector, layout, select
from ._setting import check_mode, exact, has_recurrence, unwrap
from ._trial import ORDERS, out_of_memory, try_batch
from ._units import unit_groups


class _WithLoss(nn.Module):
    """A model whose loss is computed by the caller's function of model and batch."""

    def __init__(self, model, loss):
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch):
        return self.loss(self.model, batch)


class Risk(_Risk):
    """The mean loss of a ``torch.nn.Module`` over data, as a function of its parameters.

    The model is never changed: every evaluation passes its parameters and buffers to ``torch.func.functional_call``, copies of those
    buffers that ``forward`` writes to.

    Parameters
    ----------
    model : torch.nn.Module
        In the mode that is to be analysed, which is mostly ``model.eval()``.
    loss : callable
        For batches that are tuples: ``loss(model(*inputs), target)``, the last entry being the target. For batches that are
        dicts: ``loss(model, batch)``. Either must return the mean over the samples (or over whatever ``weight`` counts).
    data : DataLoader, iterable of batches, or tensors
        Tuples or dicts of tensors are cut into batches. One pass is made for every product; nothing is kept.
    params : None, str, iterable of str, or callable, optional
        Which parameters are analysed: names and patterns with ``*``, or a predicate of (name, parameter). By default all that
        require gradients. The others are held fixed.
    batch_size : int, optional
        At most so many samples at a time on the device. A batch that does not fit is halved until it does.
    device, dtype : optional
        Where and in which number type to compute; the model's own by default (float32 for half-precision models).
    group : torch.distributed process group, optional
        Every process of the group has its shard of the data and makes the same calls; the first one solves, and all return the same.
    weight : callable, optional
        What a batch counts in the mean, from the batch to an int: its number of samples by default. For HuggingFace's losses
        over tokens: :func:`saddlescope.torch.token_weight`.
    order : {"auto", "reverse", "forward"}
        How products with the Hessian are made: reverse over reverse, or forward over reverse; by default the one that was
        faster in a trial (``notes`` says which).
    coupled : bool, optional
        Whether the loss of a batch is no mean over its samples (contrastive losses; batch norm in training mode, which is
        noticed). Batches are then not split, tensors are one batch unless ``batch_size`` cuts them, and the risk is the weighted mean
        of the batches' losses.
    weight_decay : float
        λ of the training: the loss gets the penalty λ/2 ‖θ‖², as in ``torch.optim.SGD(weight_decay=λ)``.
    name, split : str
        For titles; ``split`` says what the samples are, for example "train".

    Raises
    ------
    ValueError
        For models that draw random numbers, data that differ between passes, and losses that are no mean.

    Examples
    --------
    >>> import torch, saddlescope as ss
    >>> model = torch.nn.Linear(2, 1, bias=False).double()
    >>> x, y = torch.eye(2).double(), torch.zeros(2, 1).double()
    >>> risk = ss.torch.Risk(model, torch.nn.functional.mse_loss, (x, y))
    >>> [round(pair.value, 9) for pair in ss.eigsh(risk.hessian()).pairs]                # (2/N) XᵀX
    [1.0, 1.0]
    """

    has_gradient = True
    has_chunks = True

    def __init__(self, model, loss, data, *, params=None, batch_size=None, device=None, dtype=None, group=None, weight=None,
                 order="auto", coupled=None, weight_decay=0.0, name=None, split="train", _like=None):
        if order not in ("auto", *ORDERS):
            raise ValueError(f"order {order!r}; expected auto, reverse or forward")
        if batch_size is not None and (isinstance(batch_size, bool) or not isinstance(batch_size, Integral) or batch_size < 1):
            raise ValueError(f"batch_size {batch_size!r}; expected a whole number from 1 on, or None for no limit")
        self.notes, self.split, self._penalty = [], split, Penalty(weight_decay)
        model = unwrap(model, self.notes)
        self.name = name or type(model).__name__
        coupled_norm = check_mode(model)
        chosen = select(model, params)
        self.theta = self._flat(chosen)
        first = next(iter(chosen.values()))
        self.device = torch.device(device) if device is not None else first.device
        self.dtype = dtype or (first.dtype if first.dtype in (torch.float32, torch.float64) else torch.float32)
        if self.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"dtype {dtype}; expected torch.float32 or torch.float64")
        if any(p.dtype != self.dtype or p.device != self.device for p in model.state_dict().values() if p.is_floating_point()):
            model = copy.deepcopy(model).to(self.device, self.dtype)
            chosen = {name: p for name, p in model.named_parameters() if name in chosen}
        self.precision = "f32" if self.dtype == torch.float32 else "f64"
        self.model, self.loss_function, self._weight, self._order = model, loss, weight, order
        self._vector_of, self.layout = Vector(chosen), layout(model, chosen)
        self._recurrent, self._other = has_recurrence(model), {}
        self._written = ()
        self._sum_dtype = torch.float32 if self.device.type == "mps" else torch.float64
        self.coupled = bool(coupled_norm if coupled is None else coupled)
        self._batches, self._micro = Batches(data, batch_size, self.coupled), batch_size
        self.notes += self._batches.notes
        self._data_hash, batch = self._batches.look()
        self._group = Group(group) if group is not None else None
        if batch is None:
            raise ValueError("the data hold no batch")
        self._whole = isinstance(batch, Mapping) or not isinstance(batch, (tuple, list)) or len(batch) < 2
        self._with_loss = _WithLoss(model, loss) if self._whole else None
        if coupled_norm:
            self.notes.append("Batch norm is in training mode: every batch is normalised by itself and is not split.")
        self._buffer_names = buffers.names_of(model)
        counts, mixed = [], Mixed()
        for index, one in enumerate(self._batches):
            if self._whole and weight is None and is_padded(one):
                raise ValueError(
                    f"the labels of batch {index} hold -100, so batches count different numbers of tokens: give "
                    "weight=saddlescope.torch.token_weight (or another function from a batch to what it counts)"
                )
            counts.append(self._weigh(one))
            mixed.add(one)
        self._local, self._batch_count = sum(counts), len(counts)
        self.samples = self._local
        if self._group:
            self._join_shards()
        if self.samples == 0:
            raise ValueError("the weights of all batches are zero")
        self._watched, self.fingerprint = self._watch(), buffers.rest_hash(model.state_dict(), set(self._vector_of.names))
        if _like is None:
            try_batch(self, batch, mixed)
        else:
            self.has_accuracy, self.curvatures, self._order = _like.has_accuracy, _like.curvatures, _like._order
            self._computed, self.repeatable, self._written = _like._computed, _like.repeatable, _like._written
        if self._group:
            self._join_offers()

    def _join_shards(self):
        """Counts the samples of all processes. Refuses processes whose models differ."""
        state, own = self.model.state_dict(), dict(self.model.named_buffers())
        frozen = {name: v for name, v in state.items() if v.is_floating_point()}
        self._group.check_same(
            parameters=fingerprint(self.theta),
            buffers=fingerprint(buffers.join(own[name] for name in self._buffer_names)),
            frozen_parameters=buffers.rest_hash(frozen, {*self._vector_of.names, *self._buffer_names}),
        )
        shards = self._group.all_gather((self._local, self._data_hash, self._batch_count))
        digests = [digest for _, digest, _ in shards]
        if len(set(digests)) < len(digests):
            self.notes.append("Some processes of the group have the same data, which therefore count several times.")
        self.samples, self._batch_count = sum(count for count, _, _ in shards), sum(count for _, _, count in shards)
        self._data_hash = hashlib.sha256("".join(digests).encode()).hexdigest()

    def _join_offers(self):
        """What all processes offer; products are made in the way that the first one chose."""
        found = self._group.all_gather((self._order, self.curvatures, self.has_accuracy, self.repeatable))
        orders, curvatures, accuracies, repeats = zip(*found)
        self._order = orders[0] if all(orders) else None
        self.curvatures = tuple(c for c in curvatures[0] if all(c in others for others in curvatures))
        self.has_accuracy, self.repeatable = all(accuracies), all(repeats)

    # What a user may ask for besides.

    def state_dict(self, theta=None):
        """A new state dict of the model with the parameters of a vector θ (N,), in their own types and places."""
        moved = dict(zip(self._vector_of.names, self._vector_of.split(torch.from_numpy(np.array(self._vector(theta))))))
        state = {}
        by_storage = {id(p): moved[name] for name, p in self.model.named_parameters() if name in moved}
        for name, value in self.model.state_dict(keep_vars=True).items():
            new = by_storage.get(id(value))
            state[name] = value.detach().clone() if new is None else new.to(value.device, value.dtype).clone()
        return state

    def identity(self):
        return {
            "computed_by": "torch", "device": self.device.type, "dtype": str(self.dtype).rpartition(".")[2],
            "loss": loss_words(self.loss_function), "modules": modules(self.model),
            "data.sha256": self._data_hash, "coupled": self.coupled, **identity.weight(self._weight), **self._penalty.identity(),
        }

    def _about(self):
        said = self.identity()
        batches = "one batch" if self._batch_count == 1 else f"{self._batch_count} batches"
        what = "what weight counts" if self._weight is not None else "samples"
        about = [f"Computed by PyTorch {torch.__version__} on {self.device.type} in {said['dtype']}. The loss is the mean of "
                 f"{said['loss'].partition(':')[0]} over {self.samples} {what}, in {batches}."]
        total = sum(p.numel() for p in self.model.parameters())
        if total > self.dim:
            about.append(f"{self.dim} of {total} parameters are analysed; the others stay as they are.")
        # Without seconds, so that the same analysis writes the same words.
        notes = [note.partition(" (")[0] + "." if note.startswith("Products:") else note for note in self.notes]
        return about + self._penalty.about() + notes

    # One batch.

    def _params(self, theta):
        flat = torch.from_numpy(np.array(theta)).to(self.device, self.dtype)
        return self._vector_of.split(flat)

    def _place(self, batch):
        cast = lambda t: t.to(self.device, self.dtype if t.is_floating_point() else None, non_blocking=True)
        return convert(batch, cast)

    def _state(self, params, prefix=""):
        # With all buffers, so that none is replaced in the model; those that forward writes to are copied for every call.
        state = {**dict(self.model.named_buffers()), **self._other, **dict(zip(self._vector_of.names, params))}
        state.update({name: state[name].clone() for name in self._written})
        return {prefix + name: t for name, t in state.items()}

    @contextmanager
    def _in_double(self):
        """What is not analysed is in double precision, too, for as long as this lasts."""
        before = self._other
        tensors = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers()), **before}
        self._other = {name: t.detach().double() for name, t in tensors.items() if t.is_floating_point()}
        try:
            yield
        finally:
            self._other = before

    def _watch(self):
        """What changes when somebody else uses the model: modes, and versions of tensors that are not analysed."""
        analysed = set(self._vector_of.names)
        modes = [module.training for module in self.model.modules()]
        tensors = [*self.model.named_parameters(), *self.model.named_buffers()]
        return modes, [t._version for name, t in tensors if name not in analysed]

    def _check_unchanged(self):
        """Whether buffers, frozen parameters and modes are still those that the risk was made with."""
        modes, versions = now = self._watch()
        if now == self._watched:
            return
        if modes != self._watched[0]:
            names = [name for (name, _), a, b in zip(self.model.named_modules(), modes, self._watched[0]) if a != b]
            raise ValueError(f"module {names[0]!r} changed between training and evaluation mode since the risk was made: make a new one")
        if buffers.rest_hash(self.model.state_dict(), set(self._vector_of.names)) != self.fingerprint:
            raise ValueError("buffers or frozen parameters of the model changed since the risk was made (it was used in training "
                             "mode, or loaded anew): make a new one, or give the risk copy.deepcopy(model)")
        self._watched = now

    def _outputs(self, params, batch):
        return functional_call(self.model, self._state(params), tuple(batch[:-1]))

    def _loss(self, params, batch):
        if self._whole:
            return self._scalar(functional_call(self._with_loss, self._state(params, "model."), (batch,)))
        return self._scalar(self.loss_function(self._outputs(params, batch), batch[-1]))

    @staticmethod
    def _scalar(value):
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            found = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise ValueError(f"the loss returned {found}; expected a tensor with one number, the mean over the samples")
        return value.reshape(())

    def _sample_losses(self, params, batch):
        def one(sample):
            return self._loss(params, convert(sample, lambda t: t.unsqueeze(0)))

        return vmap(one, in_dims=(convert(batch, lambda t: 0),))(batch)

    def _weigh(self, batch):
        if self._weight is None:
            return size(batch)
        found = self._weight(batch)
        if int(found) != found or found < 0:
            raise ValueError(f"weight returned {found}; expected a whole number of samples or tokens")
        return int(found)

    # All batches.

    def _over(self, work):
        """(batch number, weight, result) for every part of every batch; parts are halved when memory runs out."""
        self._check_unchanged()
        for index, batch in enumerate(self._batches):
            start, count = 0, size(batch)
            while start < count:
                step = count if self.coupled else min(self._micro or count, count - start)
                piece = batch if step == count else part(batch, start, start + step)
                weight = self._weigh(piece)
                if weight == 0:
                    start += step
                    continue
                try:
                    with exact(self.device, self._recurrent):
                        found = work(self._place(piece), index, start)
                except RuntimeError as error:
                    if not out_of_memory(error) or self.coupled or step == 1:
                        raise
                    self._micro = step // 2
                    self.notes.append(f"Memory ran out with {step} samples at a time; {self._micro} are used from now on.")
                    if self.device.type == "cuda":
                        torch.cuda.empty_cache()
                    continue
                yield index, weight, found
                start += step

    def _gathered(self, command, *arguments):
        """The parts of all processes, in the order of their ranks."""
        if self._group is None:
            return [getattr(self, command)(*arguments)]
        return self._group.call(self, command, arguments)

    def _local_evaluation(self, theta):
        params, chunks = self._params(theta), Chunks()

        def work(batch, index, start):
            with torch.no_grad():
                if not self.has_accuracy:
                    return float(self._loss(params, batch)), 0, 0
                outputs = self._outputs(params, batch)
                right, counted = int((outputs.argmax(1) == batch[-1]).sum()), int((batch[-1] != IGNORED).sum())
                return float(self._scalar(self.loss_function(outputs, batch[-1]))), right, counted

        for index, weight, (loss, right, counted) in self._over(work):
            chunks.add(index, weight, loss, right, counted)
        return chunks

    def _evaluate(self, theta):
        found = Chunks.joined(self._gathered("_local_evaluation", theta)).evaluation(self.has_accuracy)
        return self._penalty.evaluation(theta, found)

    def _local_gradient(self, theta):
        params, chunks = self._params(theta), Chunks()
        total = torch.zeros(self.dim, dtype=self._sum_dtype, device=self.device)

        def work(batch, index, start):
            leaves = [p.detach().requires_grad_() for p in params]
            loss = self._loss(leaves, batch)
            parts = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
            return float(loss.detach()), self._vector_of.join(parts)

        for index, weight, (loss, gradient) in self._over(work):
            chunks.add(index, weight, loss, 0, 0)
            total.add_(gradient, alpha=weight)
        return total.to("cpu", torch.float64).numpy(), chunks

    def _gradient(self, theta):
        parts = self._gathered("_local_gradient", theta)
        gradient = sum(part[0] for part in parts) / self.samples
        found = self._penalty.evaluation(theta, Chunks.joined([part[1] for part in parts]).evaluation(False))
        if self.has_accuracy:
            # Counting needs the outputs, which the gradient does not keep.
            found = (found[0], self._evaluate(theta)[1], *found[2:])
        return self._penalty.gradient(theta, gradient), found

    def _local_product(self, theta, curvature, block):
        params = self._params(theta)
        vectors = torch.from_numpy(block).to(self.device, self.dtype)
        wide = vectors.to(self._sum_dtype)
        total = torch.zeros_like(wide)
        quotients, weights = {}, {}

        def work(batch, index, start):
            images = self._batch_product(curvature, params, batch, vectors).detach().to(self._sum_dtype)
            along = torch.einsum("kn,kn->k", images, wide).cpu().double().numpy()
            # A sum of products is finite only if all of them are.
            if not np.isfinite(along).all():
                self._name_sample(params, batch, index, start)
            return images, along

        for index, weight, (images, along) in self._over(work):
            total.add_(images, alpha=weight)
            quotients[index] = quotients.get(index, 0) + weight * along
            weights[index] = weights.get(index, 0) + weight
        places = sorted(weights)
        columns = [quotients[i] / weights[i] for i in places]
        return total.to("cpu", torch.float64).numpy(), columns, [weights[i] for i in places]

    def _product(self, theta, curvature, block):
        self._check_finite(theta)
        parts = self._gathered("_local_product", theta, curvature, block)
        images = parts[0][0] if len(parts) == 1 else sum(part[0] for part in parts)
        images /= self.samples
        columns = [column for part in parts for column in part[1]]
        found = images, np.ascontiguousarray(np.stack(columns, axis=1)), [w for part in parts for w in part[2]]
        return self._penalty.product(curvature, block, found)

    def _batch_product(self, curvature, params, batch, vectors):
        loss = lambda p: self._loss(p, batch)
        if curvature == "hessian":
            return ORDERS[self._order](loss, params, vectors, self._vector_of)
        if curvature == "fisher":
            return products.fisher(lambda p: self._sample_losses(p, batch), params, vectors, self._vector_of)
        outputs, ell = (lambda p: self._outputs(p, batch)), (lambda z: self._scalar(self.loss_function(z, batch[-1])))
        images = products.gauss_newton(outputs, ell, params, vectors, self._vector_of)
        if curvature == "residual":
            return ORDERS[self._order](loss, params, vectors, self._vector_of) - images
        return images

    def _name_sample(self, params, batch, index, start):
        """Says which sample makes a product that is not finite."""
        count = size(batch)
        for i in range(0 if self.coupled else count):
            one = part(batch, i, i + 1)
            with torch.no_grad():
                loss = float(self._loss(params, one))
            if not np.isfinite(loss) or not all(bool(torch.isfinite(t).all()) for t in tensors(one) if t.is_floating_point()):
                raise FloatingPointError(f"a product is not finite: batch {index}, sample {start + i} has loss {loss}")
        raise FloatingPointError(f"a product is not finite in batch {index}, samples {start} to {start + count - 1}")

    # Setting up.

    @staticmethod
    def _flat(chosen):
        return np.concatenate([p.detach().to("cpu", torch.float64).reshape(-1).numpy() for p in chosen.values()])

    def _weights(self, given):
        rest = buffers.rest_hash(self.model.state_dict(), {*self._vector_of.names, *self._buffer_names})
        theta, values = given, None
        if isinstance(given, Mapping):
            theta, values = buffers.of_state_dict(self.model, self._vector_of.names, given, self._buffer_names)
        return {"theta": self._vector(theta), "buffers": values, "sha256": None, "rest": rest}

    def _buffer_values(self):
        own = dict(self.model.named_buffers())
        return buffers.join(self._other.get(name, own[name]) for name in self._buffer_names)

    def _with_buffers(self, values):
        other = copy.copy(self)
        other._other = buffers.split(values, self.model, self._buffer_names)
        return other

    def _other_values(self):
        """The buffers as numbers where they are not those of the model, or None."""
        return self._buffer_values() if self._other else None

    def _buffers_anew(self, theta):
        parts = self._gathered("_local_buffers_anew", theta)
        if parts[0] is None:
            return None
        # Averages over the samples of each process, and of these.
        counts = [count for _, count in parts]
        return sum(count * values for values, count in parts) / sum(counts)

    def _local_buffers_anew(self, theta):
        state = {**self._other, **dict(zip(self._vector_of.names, self._params(theta)))}
        run = self.loss_function if self._whole else (lambda model, batch: model(*batch[:-1]))
        with exact(self.device, self._recurrent):
            found = buffers.anew(self.model, state, map(self._place, self._batches), run)
        if found is None:
            return None
        return buffers.join(found[name] for name in self._buffer_names), sum(map(size, self._batches))

    def _first_samples(self, samples, precision):
        if self.coupled or self._group or (precision == "f64" and self.device.type == "mps"):
            return None
        return self._on(list(SampleRange(self._batches, 0, samples, size, part)), torch.float64 if precision == "f64" else torch.float32)

    def _samples_in(self, start, stop):
        # With weights of their own, samples are not what the mean counts.
        if self.coupled or self._group or self._weight is not None:
            return None
        return self._on(SampleRange(self._batches, start, stop, size, part), self.dtype)

    def _on(self, data, dtype):
        """The same risk on other data."""
        names = set(self._vector_of.names)
        other = Risk(self.model, self.loss_function, data, params=lambda name, _: name in names, batch_size=self._micro,
                     device=self.device, dtype=dtype, weight=self._weight, coupled=self.coupled,
                     weight_decay=self._penalty.decay, name=self.name, split=self.split, _like=self)
        other.theta = self.theta
        if self._other:
            other._other = buffers.split(self._buffer_values(), other.model, other._buffer_names)
        return other

    def _unit_groups(self):
        batch = next(iter(self._batches))
        if self._whole or self.coupled and self._written:
            return None
        few = batch if self.coupled else part(batch, 0, 2)
        return unit_groups(self.model, self._vector_of.names, self._buffer_names, tuple(self._place(few)[:-1]))

    def _memory(self):
        return 0, 0

    def _lead(self, work):
        return work() if self._group is None else self._group.lead(self, work)
