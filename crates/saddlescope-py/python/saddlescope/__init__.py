"""What the loss landscape around a trained network really looks like, with proof.

>>> import numpy as np, saddlescope as ss
>>> found = ss.eigsh(np.diag([4.0, 1.0, -2.0]), largest=1, smallest=1)
>>> [round(pair.value, 6) for pair in found.pairs]
[4.0, -2.0]

================================================  =====================================================
to analyse                                        use
================================================  =====================================================
a ``torch.nn.Module`` with a loss and data        :class:`saddlescope.torch.Risk`, then :func:`analyze`
a JAX loss over a pytree                          :class:`saddlescope.jax.Risk`, then :func:`analyze`
an ONNX file or a network of the zoo              :class:`saddlescope.onnx.Risk`, then :func:`analyze`
a NumPy function                                  :class:`Function`, then :func:`analyze`
a symmetric matrix known only by its products     :func:`eigsh`, :func:`trace`, :func:`density`
================================================  =====================================================
"""

from importlib import import_module as _import_module

from ._analysis import Analysis, Cut, Surface, analyze, cut, escape, random_direction, surface
from ._between import Comparison, Path, Trajectory, compare, path, trajectory
from ._linalg import (
    DominantPairs,
    Eigenpair,
    Eigensolution,
    Estimate,
    SpectralDensity,
    TraceEstimate,
    algorithm1,
    check_operator,
    density,
    eigsh,
    trace,
)
from ._native import State, __version__
from ._point import Measure, Settled, Sharpness, settle, sharpness
from ._risk import Evaluation, Function, Operator, Risk

__all__ = [
    "Analysis", "Comparison", "Cut", "DominantPairs", "Eigenpair", "Eigensolution", "Estimate", "Evaluation",
    "Function", "Measure", "Operator", "Path", "Risk", "Settled", "Sharpness", "SpectralDensity", "State", "Surface",
    "TraceEstimate", "Trajectory", "__version__", "algorithm1", "analyze", "check_operator", "compare", "cut",
    "density", "eigsh", "escape", "jax", "onnx", "path", "random_direction", "settle", "sharpness", "surface", "torch",
    "trace", "trajectory",
]

_ENGINES = ("torch", "jax", "onnx")


def __getattr__(name):
    # Engines are imported on first use: none of them is needed for the others.
    if name in _ENGINES:
        return _import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
