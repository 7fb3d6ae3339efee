"""What tells one function from another: its code, and numbers that it computes at a fixed point."""

import functools
import hashlib
import inspect

import numpy as np

#: Values that are named in full.
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def words(f) -> str:
    """A callable by its name, with a hash of its code and of what ``functools.partial`` fixes.

    What a closure holds is left out, since it may change from call to call: :func:`numbers` tell such functions apart.
    """
    fixed = []
    while isinstance(f, functools.partial):
        fixed += [*map(_plain, f.args), *(f"{name}={_plain(value)}" for name, value in sorted(f.keywords.items()))]
        f = f.func
    inner = inspect.unwrap(f)
    name = getattr(inner, "__qualname__", type(inner).__qualname__)
    code = getattr(inner, "__code__", None) or getattr(type(inner).__call__, "__code__", None)
    parts = [] if code is None else [_code(code), *map(_plain, getattr(inner, "__defaults__", None) or ())]
    return name + (":" + digest(*parts, *fixed) if parts or fixed else "")


def weight(f) -> dict:
    """A user's function for what a batch counts, where there is one."""
    return {} if f is None else {"weight": words(f)}


def code_of(f) -> str:
    """The code of a function, or its name."""
    code = getattr(f, "__code__", None)
    return getattr(f, "__qualname__", "") if code is None else _code(code)


def digest(*parts) -> str:
    """The first digits of the SHA-256 of strings."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def numbers(values, precision) -> str:
    """Numbers with as many digits as another run reproduces: another number of threads rounds sums differently."""
    digits = 6 if precision == "f64" else 3
    # One NaN is as good as another, and a zero has no sign.
    return " ".join(f"{value + 0.0:.{digits - 1}e}" if np.isfinite(value) else "nan" for value in values)


def summary(image, along):
    """Length of a vector and its part along another."""
    size = float(np.linalg.norm(image))
    return size, (float(along @ image) / (size * float(np.linalg.norm(along))) if size > 0 and np.isfinite(size) else 0.0)


def probe_point(layout):
    """A θ that depends on the shapes of the parameters only, of the size of θ before training."""
    random, parts = np.random.RandomState(0), []
    for name, shape, kind in layout:
        part = random.standard_normal(int(np.prod(shape)))
        if kind == "normalization" and not name.endswith("bias"):
            part = 1 + 0.1 * part
        else:
            part *= 0.1 if len(shape) < 2 else 1 / np.sqrt(max(1, np.prod(shape[1:])))
        parts.append(part)
    return np.concatenate(parts)


def direction(dim):
    """A fixed direction."""
    return np.random.RandomState(1).standard_normal(dim)


def _plain(value):
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return f"({','.join(map(_plain, value))})"
    return words(value) if callable(value) else type(value).__qualname__


def _code(code):
    """Instructions, names and constants; not where the code stands."""
    return digest(code.co_code.hex(), repr(code.co_names), *map(_constant, code.co_consts))


def _constant(value):
    if inspect.iscode(value):
        return _code(value)
    if isinstance(value, frozenset):
        return repr(sorted(map(_constant, value)))  # Its order is another in every process.
    if isinstance(value, tuple):
        return f"({','.join(map(_constant, value))})"
    return repr(value)
