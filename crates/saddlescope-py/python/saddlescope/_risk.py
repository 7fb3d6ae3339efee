"""The loss as the analysis knows it: what every engine implements, and plain functions."""

import hashlib
import json
from typing import List, NamedTuple, Optional, Tuple

import numpy as np

from . import _identity

#: Curvature matrices: H = ∇∇L; G, the generalised Gauss–Newton matrix; R = H − G; the Fisher matrix of per-sample gradients.
CURVATURES = ("hessian", "gauss_newton", "residual", "fisher")


class Evaluation(NamedTuple):
    """Loss at one θ: the mean, (correct, counted) predictions or None, and the losses and weights of groups of samples."""

    loss: float
    correct: Optional[Tuple[int, int]] = None
    chunk_losses: list = ()
    chunk_samples: list = ()

    @property
    def accuracy(self) -> Optional[float]:
        """Share of correct predictions."""
        return None if self.correct is None else self.correct[0] / self.correct[1]


class Operator:
    """One curvature matrix at one θ, for :func:`eigsh` and SciPy alike.

    Attributes
    ----------
    shape : (N, N)
    """

    dtype = np.dtype(np.float64)

    def __init__(self, risk, curvature, theta):
        if curvature not in risk.curvatures:
            said = "".join(f"\n  {note}" for note in risk.notes)
            raise ValueError(f"{curvature!r} is not offered; this risk offers {', '.join(risk.curvatures) or 'no products'}{said}")
        self.curvature, self._point = curvature, risk._at(theta, 0)
        self.shape = (risk.dim, risk.dim)
        self._lead = risk._lead

    def matmat(self, X):
        """A X for columns X of shape (N, k)."""
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[0] != self.shape[0]:
            raise ValueError(f"vectors of shape {X.shape}; expected ({self.shape[0]}, k)")
        block = np.ascontiguousarray(X.T)
        return self._lead(lambda: self._point.product(self.curvature, block)[0]).T

    def matvec(self, x):
        """A x for one vector of shape (N,)."""
        return self.matmat(np.asarray(x).reshape(-1, 1))[:, 0]

    def __matmul__(self, X):
        return self.matvec(X) if np.ndim(X) == 1 else self.matmat(X)


class Risk:
    """L(θ): a mean over samples with the data held fixed, or any function at all.

    A subclass sets the attributes and writes ``_evaluate``, and as many of ``_gradient`` and ``_product`` as it can. Vectors are
    float64 arrays of length N.

    Attributes
    ----------
    theta : numpy.ndarray, shape (N,)
        The point that is analysed.
    layout : list of (name, shape, kind)
        The tensors of θ in order. Kinds: conv_filter, linear_weight, linear_weight_transposed, bias, normalization, embedding, other.
    samples : int
        Number of samples that the loss is a mean over.
    name : str
        Name of the model, for titles.
    split : str
        What the samples are, for example "train".
    curvatures : tuple of str
        Curvature matrices whose products are offered.
    precision : {"f32", "f64"}
        Number type of the computation.
    has_gradient, has_accuracy, has_chunks, repeatable : bool
    notes : list of str
        What a reader should know, a sentence each.
    """

    samples = 1
    name = "function"
    split = "train"
    curvatures: Tuple[str, ...] = ()
    precision = "f64"
    has_gradient = has_accuracy = has_chunks = False
    repeatable = True
    fingerprint = ""
    notes: List[str] = []
    _native = None
    _computed = None

    theta: np.ndarray
    layout: List[tuple]

    @property
    def dim(self) -> int:
        """N, the number of parameters."""
        return self.theta.size

    def evaluate(self, theta=None) -> Evaluation:
        """L(θ), at this risk's own θ by default."""
        theta = self._vector(theta)
        return self._lead(lambda: Evaluation(*self._evaluate(theta)))

    def loss(self, theta=None) -> float:
        """L(θ) as a number."""
        return self.evaluate(theta).loss

    def gradient(self, theta=None) -> np.ndarray:
        """∇L(θ), shape (N,)."""
        if not self.has_gradient:
            raise ValueError("this risk offers no gradient")
        theta = self._vector(theta)
        return self._lead(lambda: self._gradient(theta)[0])

    def hessian(self, theta=None) -> Operator:
        """H = ∇∇L(θ) as an operator."""
        return self.operator("hessian", theta)

    def operator(self, curvature="hessian", theta=None) -> Operator:
        """One of the curvature matrices at θ as an operator."""
        return Operator(self, curvature, self._vector(theta))

    def identity(self) -> dict:
        """What results depend on besides θ, by name. What the risk computes at a fixed point is compared besides."""
        return {}

    def _vector(self, theta):
        if theta is None:
            return self.theta
        theta = np.ascontiguousarray(theta, dtype=np.float64)
        if theta.shape != self.theta.shape:
            raise ValueError(f"θ has shape {theta.shape}; expected {self.theta.shape}")
        return theta

    def _check_finite(self, theta):
        """Refuses a θ that is not finite, by the name of the parameter, before its data are blamed for a product."""
        if np.isfinite(theta).all():
            return
        start = 0
        for name, shape, _ in self.layout:
            values = theta[start : start + int(np.prod(shape))]
            start += values.size
            if not np.isfinite(values).all():
                raise FloatingPointError(f"θ is not finite: parameter {name!r} holds {values[~np.isfinite(values)][0]}")

    def _about(self):
        """What a reader of the report should know."""
        return list(self.notes)

    def _identity_json(self):
        """The identity with what the risk computes, so that results of another function are not taken for its own."""
        if self._computed is None:
            self._computed = _identity.numbers(self._compute(), self.precision)
        return json.dumps({**self.identity(), "computed": self._computed})

    def _compute(self):
        """Numbers that tell this function from others: the loss at θ, and length and direction of the gradient and of a product."""
        along = _identity.direction(self.dim)
        found = [self._evaluate(self.theta)[0]]
        if self.has_gradient:
            found += _identity.summary(self._gradient(self.theta)[0], along)
        if "hessian" in self.curvatures:
            found += _identity.summary(np.asarray(self._at(self.theta, 0).product("hessian", along[None])[0])[0], along)
            if self.has_gradient and found[1] < 1e-9 * found[3]:
                found[1:3] = 0.0, 0.0  # Rounding, at a critical point.
        return found

    def _memory(self):
        """Bytes needed whatever else is, and of the data alone."""
        return 0, 0

    def _first_samples(self, samples, precision):
        """The same risk on fewer samples in another number type, or None."""
        return None

    def samples_in(self, start, stop):
        """The same risk on its samples ``start`` to ``stop`` only, in the order of the data.

        Raises
        ------
        ValueError
            For samples that are not there, and risks whose samples cannot be told apart.
        """
        if not 0 <= start < stop <= self.samples:
            raise ValueError(f"samples {start} to {stop} of {self.samples}; expected at least one of them")
        found = self._samples_in(start, stop)
        if found is None:
            raise ValueError("this risk cannot be evaluated on some of its samples only")
        return found

    def _samples_in(self, start, stop):
        """The same risk on some of its samples, or None."""
        return None

    def _unit_groups(self):
        """Hidden units that can change places without changing the function: (name, units, axes), or None where that is not known.

        Every axis is (in buffers, start, outer, inner): unit u owns the elements start + (o · units + u) · inner + i for o < outer, i < inner.
        """
        return None

    def _weights(self, given):
        """Weights as :func:`compare` and the like take them: `theta`, `buffers` or None, `sha256` or None, `rest`."""
        return {"theta": self._vector(given), "buffers": None, "sha256": None, "rest": self.fingerprint}

    def _buffer_values(self):
        """What belongs to the weights without being a parameter (running statistics), one number after the other."""
        return np.empty(0)

    def _with_buffers(self, values):
        """The same risk with other values there."""
        raise ValueError("this risk has no buffers that could be changed")

    def _buffers_anew(self, theta):
        """The buffers with running statistics computed anew at θ, or None where there are no such statistics."""
        return None

    def _evaluate(self, theta):
        raise NotImplementedError

    def _gradient(self, theta):
        raise NotImplementedError

    def _product(self, theta, curvature, block):
        raise NotImplementedError

    def _at(self, theta, keep_bytes):
        return _Point(self, theta)

    def _lead(self, work):
        """Runs what uses this risk; a risk spread over processes lets one of them lead."""
        return work()

    def __repr__(self):
        return f"<{type(self).__module__}.{type(self).__name__} {self.name}: {self.dim} parameters, {self.samples} samples>"


class _Point:
    """Products at one θ."""

    def __init__(self, risk, theta):
        self.risk, self.theta = risk, np.array(theta)

    def product(self, curvature, block):
        return self.risk._product(self.theta, curvature, block)


class Function(Risk):
    """A NumPy function as a risk.

    Parameters
    ----------
    loss : callable
        From θ (N,) to a number.
    theta : array_like, shape (N,)
        The point that is analysed.
    gradient : callable, optional
        From θ to ∇L(θ), shape (N,).
    hessian : callable, optional
        From (θ, v) to H(θ) v, shape (N,).
    layout : list of (name, shape, kind), optional
        The tensors of θ; filter normalisation needs them.
    name : str

    Examples
    --------
    >>> import saddlescope as ss
    >>> saddle = ss.Function(lambda t: t[0] ** 2 - t[1] ** 2, theta=[0, 0],
    ...                      gradient=lambda t: [2 * t[0], -2 * t[1]], hessian=lambda t, v: [2 * v[0], -2 * v[1]])
    >>> [round(pair.value, 9) for pair in ss.eigsh(saddle.hessian()).pairs]
    [2.0, -2.0]
    """

    def __init__(self, loss, theta, *, gradient=None, hessian=None, layout=None, name="function"):
        self.theta = np.atleast_1d(np.array(theta, dtype=np.float64))
        if self.theta.ndim != 1:
            raise ValueError(f"theta has shape {self.theta.shape}; expected a vector")
        if self.theta.size == 0:
            raise ValueError("theta is empty; expected at least one parameter")
        self._functions = loss, gradient, hessian
        self.layout = layout or [("theta", list(self.theta.shape), "other")]
        size = sum(int(np.prod(shape)) for _, shape, _ in self.layout)
        if size != self.theta.size:
            raise ValueError(f"the layout has {size} parameters, theta has {self.theta.size}")
        self.name, self.notes = name, []
        self.has_gradient = gradient is not None
        self.curvatures = () if hessian is None else ("hessian",)

    def identity(self):
        return {"function": self.name, "computed_by": "numpy"}

    def _evaluate(self, theta):
        return float(self._functions[0](theta)), None, [], []

    def _gradient(self, theta):
        return self._shaped(self._functions[1](theta), "gradient"), self._evaluate(theta)

    def _product(self, theta, curvature, block):
        return np.stack([self._shaped(self._functions[2](theta, v), "product") for v in block]), None, []

    def _shaped(self, values, what):
        values = np.ascontiguousarray(values, dtype=np.float64)
        if values.shape != self.theta.shape:
            raise ValueError(f"the {what} has shape {values.shape}; expected {self.theta.shape}")
        return values


class Penalty:
    """Weight decay: λ/2 ‖θ‖² is added to the loss, λθ to the gradient, λv to products with H and G."""

    def __init__(self, weight_decay):
        self.decay = float(weight_decay)
        if not (np.isfinite(self.decay) and self.decay >= 0):
            raise ValueError(f"weight_decay {weight_decay}; expected a number from 0 on")

    def evaluation(self, theta, found):
        """Loss and losses of chunks with the penalty."""
        if self.decay == 0:
            return found
        loss, correct, chunk_losses, weights = found
        penalty = 0.5 * self.decay * float(theta @ theta)
        return loss + penalty, correct, [one + penalty for one in chunk_losses], weights

    def gradient(self, theta, gradient):
        return gradient if self.decay == 0 else gradient + self.decay * theta

    def product(self, curvature, block, found):
        """Images and quotients of chunks with the penalty. H − G has none of it, and the Fisher matrix is that of the likelihood."""
        if self.decay == 0 or curvature not in ("hessian", "gauss_newton"):
            return found
        images, quotients, weights = found
        along = self.decay * np.einsum("kn,kn->k", block, block)
        return images + self.decay * block, quotients + along[:, None], weights

    def about(self):
        return [f"Weight decay: {self.decay:g}/2 ‖θ‖² is added to the loss."] if self.decay else []

    def identity(self):
        return {"weight_decay": self.decay} if self.decay else {}


class SampleRange:
    """Samples `start` to `stop` of a sequence of batches, read anew in every pass.

    Parameters
    ----------
    size : callable
        Number of samples of a batch.
    part : callable
        ``part(batch, first, last)``: some samples of a batch.
    """

    def __init__(self, batches, start, stop, size, part):
        self._batches, self._start, self._stop, self._size, self._part = batches, start, stop, size, part

    def __iter__(self):
        place = 0
        for batch in self._batches:
            count = self._size(batch)
            first, last = max(self._start - place, 0), min(self._stop - place, count)
            if first < last:
                yield batch if last - first == count else self._part(batch, first, last)
            place += count
            if place >= self._stop:
                return


def fingerprint(*arrays) -> str:
    """SHA-256 over shapes, types and values of arrays."""
    h = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        h.update(f"{array.shape}{array.dtype}".encode())
        h.update(array.tobytes())
    return h.hexdigest()
