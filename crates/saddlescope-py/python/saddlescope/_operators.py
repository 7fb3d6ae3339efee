"""Symmetric operators of SciPy, curvlinops, PyTorch and NumPy as one callable on blocks of vectors."""

import numpy as np


def resolve(A, dim=None, block=None):
    """The block product of an operator.

    Parameters
    ----------
    A : array (n, n), sparse matrix, SciPy LinearOperator, curvlinops operator, torch tensor or callable
        A callable takes a vector of shape (n,) and returns one, or with ``block=True`` an array (n, k) of k columns.
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
        if dim < 0:
            raise ValueError(f"dim={dim}; expected a length")
        return (_rows(A) if block else _columns(A)), int(dim), "f64"
    raise TypeError(
        f"{type(A).__name__} is no operator; expected a matrix, a SciPy LinearOperator, a curvlinops operator, "
        "or a function with dim="
    )


def _width(dtype):
    return "f32" if any(word in str(dtype) for word in ("float32", "float16")) else "f64"


def _array(images):
    """What an operator returned, as doubles in rows that lie one after the other."""
    return np.ascontiguousarray(images, dtype=np.float64)


def _rows(matmat):
    def product(block):
        images = _array(np.asarray(matmat(block.T)).T)
        return images.reshape(block.shape) if images.size == block.size else images

    return product


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
            y[:] = image
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
        vectors = torch.from_numpy(block).to(device=device, dtype=dtype)
        return _array((A @ vectors.T).T.detach().to("cpu", torch.float64).numpy())

    return product
