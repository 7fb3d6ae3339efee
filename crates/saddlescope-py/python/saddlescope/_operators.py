"""Symmetric operators of SciPy, curvlinops, PyTorch and NumPy as one callable on blocks of vectors."""

import numpy as np

from ._arguments import whole


def resolve(A, dim=None, block=None):
    """The block product of an operator.

    Parameters
    ----------
    A : array (n, n), sparse matrix, SciPy LinearOperator, curvlinops operator, torch tensor or callable
        Real and symmetric. A callable takes a vector of shape (n,) and returns one, or with ``block=True`` an array (n, k) of k columns.
    dim : int, optional
        n; needed for a callable, checked for everything else.
    block : bool, optional
        For callables: whether columns come together.

    Returns
    -------
    product : callable
        From a float64 array (k, n), one vector a row, to an array of the same shape.
    n : int
    dtype : str
        Number type of the operator as far as it is known: "f32" or "f64".
    """
    shape = getattr(A, "shape", None)
    if shape is not None:
        if len(shape) != 2 or shape[0] != shape[1]:
            raise ValueError(f"the operator has shape {tuple(shape)}; expected a square one")
        n = int(shape[0])
        if dim is not None and dim != n:
            raise ValueError(f"dim={dim}, but the operator has shape {tuple(shape)}")
        if "complex" in str(getattr(A, "dtype", "")):
            raise ValueError(f"the operator has dtype {A.dtype}; expected a real one (for a Hermitian A + iC: the real symmetric [[A, -C], [C, A]], "
                             "which has every eigenvalue twice)")
        if _is_torch(A):
            return _torch_product(A), n, _width(getattr(A, "dtype", None))
        matmat = getattr(A, "matmat", None)
        if matmat is None:
            if not hasattr(A, "__matmul__"):
                raise TypeError(f"{type(A).__name__} has a shape but no product (`matmat` or `@`)")
            matmat = A.__matmul__
        return _rows(matmat), n, _width(getattr(A, "dtype", None))
    if callable(A):
        if dim is None:
            raise ValueError("dim is needed for a function: the length of its vectors")
        n = whole("dim", dim)
        return (_rows_of_function(A) if block else _columns(A)), n, "f64"
    raise TypeError(
        f"{type(A).__name__} is no operator; expected a matrix, a SciPy LinearOperator, a curvlinops operator, "
        "or a function with dim="
    )


def _width(dtype):
    return "f32" if any(word in str(dtype) for word in ("float32", "float16")) else "f64"


def real(values, what):
    """An array of doubles. Imaginary parts are refused, which NumPy would drop."""
    values = np.asarray(values)
    if np.iscomplexobj(values):
        raise ValueError(f"{what} has dtype {values.dtype}; expected real numbers (values.real if the imaginary parts are rounding)")
    return np.ascontiguousarray(values, dtype=np.float64)


def _array(images):
    """What an operator returned, as doubles in rows that lie one after the other."""
    return real(images, "what the operator returned")


def _rows(matmat):
    def product(block):
        images = np.asarray(matmat(block.T))
        if images.shape != block.T.shape:
            raise ValueError(f"the product with columns of shape {block.T.shape} has shape {images.shape}; expected the same")
        return _array(images.T)

    return product


def _rows_of_function(function):
    product = _rows(function)

    def split(block):
        if len(block) < 2 or len(block) != block.shape[1]:
            return product(block)
        # As many columns as rows: their shape would not tell rows from columns.
        return np.concatenate([product(block[:-1]), product(block[-1:])])

    return split


def _columns(matvec):
    def product(block):
        if len(block) == 1:
            # No copy more than needed: a vector may be as large as memory allows.
            image = np.asarray(matvec(block[0]))
            if image.shape != block[0].shape:
                raise ValueError(f"the function returned shape {image.shape}; expected {block[0].shape}")
            return _array(image).reshape(1, -1)
        images = np.empty_like(block)
        for x, y in zip(block, images):
            image = np.asarray(matvec(x))
            if image.shape != x.shape:
                raise ValueError(f"the function returned shape {image.shape}; expected {x.shape}")
            y[:] = _array(image)
        return images

    return product


def _is_torch(A):
    """Torch tensors and operators that multiply torch tensors (curvlinops from version 3 on)."""
    module = type(A).__module__.split(".")[0]
    if module == "torch":
        return True
    return any(c.__module__.startswith("curvlinops") and c.__name__ == "PyTorchLinearOperator" for c in type(A).__mro__)


def _torch_product(A):
    import torch

    dtype = getattr(A, "dtype", torch.float64)
    device = getattr(A, "device", torch.device("cpu"))

    def product(block):
        images = A @ torch.from_numpy(block).to(device=device, dtype=dtype).T
        if images.is_complex():
            raise ValueError(f"what the operator returned has dtype {images.dtype}; expected real numbers")
        return _array(images.T.detach().to("cpu", torch.float64).numpy())

    return product


def asymmetry(product, n, seed):
    """|xᵀAy − yᵀAx| for two random vectors, relative to ‖x‖ ‖Ay‖: rounding if A is symmetric. Two products."""
    x, y = np.random.default_rng(seed).standard_normal((2, 1, n))
    ax, ay = product(x), product(y)
    scale = max(np.linalg.norm(x) * np.linalg.norm(ay), np.linalg.norm(y) * np.linalg.norm(ax))
    return float(abs(np.vdot(x, ay) - np.vdot(y, ax)) / scale) if scale > 0 else 0.0
