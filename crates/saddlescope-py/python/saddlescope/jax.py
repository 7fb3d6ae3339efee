"""Losses of JAX as risks.

The loss must be a pure function: random numbers and mutable state (dropout keys, batch statistics) belong into its closure or
into the batch, so that they are the same in every pass. Keys in a batch are those of ``jax.random.key``, which are no samples.

>>> import jax.numpy as jnp, saddlescope as ss
>>> loss = lambda params, batch: jnp.mean((batch["x"] @ params["w"] - batch["y"]) ** 2)
>>> batch = {"x": jnp.eye(2), "y": jnp.zeros(2)}
>>> risk = ss.jax.Risk(loss, {"w": jnp.zeros(2)}, [batch])
>>> [round(pair.value, 5) for pair in ss.eigsh(risk.hessian()).pairs]                          # (2/N) XᵀX
[1.0, 1.0]
"""

import copy
import hashlib

import numpy as np

import jax
import jax.numpy as jnp

from . import _identity
from ._risk import Penalty, SampleRange
from ._risk import Risk as _Risk

__all__ = ["Risk"]


class Risk(_Risk):
    """The mean of a JAX loss over batches, as a function of a pytree of parameters.

    Products are made by ``jax.jvp`` of ``jax.grad``, compiled with ``jax.jit`` once for each shape of a batch.

    Parameters
    ----------
    loss : callable
        ``loss(params, batch)``, the mean over the samples of the batch.
    params : pytree of arrays
        The point that is analysed. Leaves that are not floating point are held fixed.
    batches : iterable of pytrees
        Read once for every product; a list, or an object whose iteration starts anew each time.
    weight : callable, optional
        What a batch counts in the mean: by default the length of the first axis of its leaves, random keys left out.
    coupled : bool, optional
        Whether the loss of a batch is no mean over its samples (contrastive losses, batch statistics, noise drawn for a whole batch).
        The risk is then the weighted mean of the batches' losses. By default so if the first batch holds keys of ``jax.random.key``.
    weight_decay : float
        λ of the training: the loss gets the penalty λ/2 ‖θ‖².
    name, split : str
        For titles; ``split`` says what the samples are.

    Raises
    ------
    ValueError
        For batches that can be read only once or differ between passes, leaves of other lengths, losses that are no mean, and
        parameters without floating-point leaves.
    """

    has_gradient = has_chunks = True
    curvatures = ("hessian",)

    def __init__(self, loss, params, batches, *, weight=None, coupled=None, weight_decay=0.0, name="jax", split="train"):
        if iter(batches) is batches:
            raise ValueError("batches is an iterator and can be read once only: give a list")
        paths, self._tree = jax.tree_util.tree_flatten_with_path(params)
        leaves = [jnp.asarray(leaf) for _, leaf in paths]
        self._free = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]
        if not self._free:
            raise ValueError("params has no leaf of real floating point")
        if not any(leaves[i].size for i in self._free):
            raise ValueError("params holds no parameter: all leaves of floating point are empty")
        self._leaves, self._batches, self._weight = leaves, batches, weight or _count
        self.coupled = coupled
        self.name, self.split, self.notes, self._loss, self._penalty = name, split, [], loss, Penalty(weight_decay)
        self.layout = [(_path(paths[i][0]), list(leaves[i].shape), "other") for i in self._free]
        self.theta = np.concatenate([np.asarray(leaves[i], dtype=np.float64).reshape(-1) for i in self._free])
        fixed = [leaf for i, leaf in enumerate(leaves) if i not in self._free]
        self.fingerprint = _hash(fixed).hex() if fixed else ""
        self.precision = "f64" if all(leaves[i].dtype == jnp.float64 for i in self._free) else "f32"
        self.repeatable = jax.default_backend() == "cpu"
        of = lambda free, batch: loss(self._params(free), batch)
        self._value, self._slope = jax.jit(of), jax.jit(jax.value_and_grad(of))
        self._push = jax.jit(lambda free, v, batch: jax.jvp(lambda p: jax.grad(of)(p, batch), (free,), (v,))[1])
        self._look()

    def _look(self):
        whole, self.samples, first = hashlib.sha256(), 0, None
        for batch in self._batches:
            digest = _hash(batch)
            first = first or digest
            whole.update(digest)
            self.samples += self._count(batch)
        if self.samples == 0:
            raise ValueError("batches holds no sample")
        if _hash(next(iter(self._batches))) != first:
            raise ValueError("the first batch differs between two passes: turn off shuffling and random augmentation")
        self._data_hash = whole.hexdigest()
        batch = next(iter(self._batches))
        if self.coupled is None:
            self.coupled = any(map(_is_key, jax.tree_util.tree_leaves(batch)))
        value = self._value(self._split(self.theta), batch)
        if jnp.shape(value) != ():
            raise ValueError(f"the loss returned shape {jnp.shape(value)}; expected a number, the mean over the batch")
        if not self.coupled:
            self._check_mean(batch)

    def _check_mean(self, batch):
        """Whether the loss of a few samples is the mean over two halves of them."""
        if self._weight is not _count and len(_lengths(batch)) > 1:
            return  # What counts samples is not known.
        half, free = min(_count(batch) // 2, 8), self._split(self.theta)
        if half == 0:
            return
        parts = [_part(batch, 0, half), _part(batch, half, 2 * half)]
        whole, weights = _part(batch, 0, 2 * half), list(map(self._count, parts))
        found, losses = float(self._value(free, whole)), [float(self._value(free, part)) for part in parts]
        if not np.isfinite(found) or sum(weights) == 0:
            return
        mean = sum(w * loss for w, loss in zip(weights, losses) if w) / sum(weights)
        if not abs(mean - found) <= (1e-5 if self.precision == "f64" else 1e-3) * max(abs(found), 1e-6):
            raise ValueError(
                f"the loss of {2 * half} samples is {found:.9g}, the weighted mean of its two halves {mean:.9g}: the loss must be the mean "
                "over what weight counts (a mean, no sum; give weight= where samples count differently, or coupled=True where the "
                "samples of a batch depend on each other or share random numbers)"
            )

    def identity(self):
        return {"computed_by": "jax", "backend": jax.default_backend(), "dtype": self.precision, "loss": _identity.words(self._loss),
                "coupled": self.coupled, "data.sha256": self._data_hash,
                **_identity.weight(self._weight if self._weight is not _count else None), **self._penalty.identity()}

    def _compute(self):
        """Loss and gradient of the first batch at a point that does not depend on the parameters' values; where they are not finite
        there, or cannot be computed, those at θ."""
        along, batch = _identity.direction(self.dim), next(iter(self._batches))

        def at(theta):
            loss, slope = self._slope(self._split(theta), batch)
            return [float(loss), *_identity.summary(self._join(slope), along)]

        found = [np.nan]
        try:
            found = at(_identity.probe_point(self.layout))
        except Exception:  # Outside of what the loss can compute.
            pass
        return found if np.isfinite(found).all() else at(self.theta)

    def _about(self):
        said = self.identity()
        about = f"Computed by JAX {jax.__version__} on {said['backend']} in {said['dtype']}. The loss is the mean of {said['loss'].partition(':')[0]} over {self.samples} samples."
        return [about, *self._penalty.about(), *self.notes]

    def _samples_in(self, start, stop):
        # With weights of their own, or single numbers for batches, samples are not rows.
        if self.coupled or self._weight is not _count:
            return None
        other = copy.copy(self)
        other._computed, other._batches, other.notes = None, SampleRange(self._batches, start, stop, _count, _part), list(self.notes)
        other._look()
        return other

    def params(self, theta=None):
        """The pytree of parameters of a vector θ (N,)."""
        return self._params(self._split(self._vector(theta)))

    def _weights(self, given):
        leaves, tree = jax.tree_util.tree_flatten(given)
        if tree == self._tree:
            given = self._join([leaves[i] for i in self._free])
        return super()._weights(given)

    def _params(self, free):
        leaves = list(self._leaves)
        for i, leaf in zip(self._free, free):
            leaves[i] = leaf
        return jax.tree_util.tree_unflatten(self._tree, leaves)

    def _split(self, vector):
        parts, start = [], 0
        for i in self._free:
            leaf = self._leaves[i]
            parts.append(jnp.asarray(vector[start : start + leaf.size].reshape(leaf.shape), dtype=leaf.dtype))
            start += leaf.size
        return parts

    def _join(self, parts):
        return np.concatenate([np.asarray(part, dtype=np.float64).reshape(-1) for part in parts])

    def _count(self, batch):
        found = self._weight(batch)
        if int(found) != found or found < 0:
            raise ValueError(f"weight returned {found}; expected a whole number of samples")
        return int(found)

    def _mean(self, losses, weights):
        return float(np.dot(losses, weights) / self.samples), None, list(map(float, losses)), weights

    def _evaluate(self, theta):
        free, losses, weights = self._split(theta), [], []
        for batch in self._batches:
            losses.append(float(self._value(free, batch)))
            weights.append(self._count(batch))
        return self._penalty.evaluation(theta, self._mean(losses, weights))

    def _gradient(self, theta):
        free, losses, weights, total = self._split(theta), [], [], np.zeros(self.dim)
        for batch in self._batches:
            loss, slope = self._slope(free, batch)
            losses.append(float(loss))
            weights.append(self._count(batch))
            total += weights[-1] * self._join(slope)
        return self._penalty.gradient(theta, total / self.samples), self._penalty.evaluation(theta, self._mean(losses, weights))

    def _product(self, theta, curvature, block):
        self._check_finite(theta)
        free, vectors = self._split(theta), [self._split(v) for v in block]
        images, columns, weights = np.zeros(block.shape), [], []
        for index, batch in enumerate(self._batches):
            weights.append(self._count(batch))
            parts = np.stack([self._join(self._push(free, v, batch)) for v in vectors])
            images += weights[-1] * parts
            columns.append(np.einsum("kn,kn->k", parts, block))
            # A sum of products is finite only if all of them are.
            if not np.isfinite(columns[-1]).all():
                self._name_sample(free, batch, index)
        found = images / self.samples, np.ascontiguousarray(np.stack(columns, axis=1)), weights
        return self._penalty.product(curvature, block, found)

    def _name_sample(self, free, batch, index):
        """Says which sample makes a product that is not finite."""
        rows = 0 if self.coupled or len(_lengths(batch)) != 1 else _count(batch)
        for i in range(rows):
            one = _part(batch, i, i + 1)
            loss, leaves = float(self._value(free, one)), [leaf for leaf in jax.tree_util.tree_leaves(one) if not _is_key(leaf)]
            if not np.isfinite(loss) or not all(bool(jnp.isfinite(leaf).all()) for leaf in leaves):
                raise FloatingPointError(f"a product is not finite: batch {index}, sample {i} has loss {loss}")
        raise FloatingPointError(f"a product is not finite in batch {index}")


def _is_key(leaf):
    """Whether this is a random key with a type of its own; older ones are plain numbers."""
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _lengths(batch):
    """The lengths of the first axes of a batch: (name, shape) of one leaf for each."""
    found = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(batch)[0]:
        if np.ndim(leaf) and not _is_key(leaf):
            found.setdefault(np.shape(leaf)[0], (_path(path), np.shape(leaf)))
    return found


def _count(batch):
    lengths = _lengths(batch)
    if len(lengths) > 1:
        leaves = ", ".join(f"{name} {shape}" for name, shape in lengths.values())
        raise ValueError(
            f"the leaves of a batch have different lengths ({leaves}), so that the number of its samples is not known: give weight=, a "
            "function from a batch to that number; random keys made by jax.random.key are told from samples, those of jax.random.PRNGKey are not"
        )
    return next(iter(lengths), 1)


def _part(batch, start, stop):
    """Samples `start` to `stop`: every leaf whose first axis counts samples is cut."""
    whole = next(iter(_lengths(batch)), None)
    return jax.tree_util.tree_map(lambda leaf: leaf[start:stop] if np.ndim(leaf) and np.shape(leaf)[0] == whole else leaf, batch)


def _path(keys):
    return jax.tree_util.keystr(keys, simple=True, separator=".") if keys else "theta"


def _hash(batch):
    h = hashlib.sha256()
    for leaf in jax.tree_util.tree_leaves(batch):
        if _is_key(leaf):
            h.update(f"{leaf.dtype}".encode())
            leaf = jax.random.key_data(leaf)
        array = np.ascontiguousarray(leaf)
        h.update(f"{array.shape}{array.dtype}".encode())
        h.update(array.tobytes())
    return h.digest()
