"""ONNX files and networks of the zoo as risks of our own engine.

>>> import saddlescope as ss
>>> risk = ss.onnx.Risk("digits-mlp", samples=64)
>>> risk.samples, risk.dim
(64, 3466)
"""

import os
import tempfile
from fnmatch import fnmatchcase

import numpy as np

from . import _native
from ._risk import Penalty
from ._risk import Risk as _Risk

__all__ = ["Risk"]


class Risk(_Risk):
    """A network with its data, computed by Saddlescope's engine: the same risk as that of the command.

    Parameters
    ----------
    model : str or path
        An ``.onnx`` file, or a network of the zoo (``digits-mlp``, ``resnet56-b``, ``mlp:784-128-10``, …).
    data : str, or dict of arrays, optional
        A source as the command takes it (``cifar10:DIR``, ``npz:FILE``, …; ``digits`` for networks of that name), or arrays by
        name: ``y`` (``target``, ``labels``) are targets, the others inputs; the first axis counts samples.
    weights : path, optional
        A safetensors file with PyTorch's names.
    split : {"train", "test"}
    samples : int or (start, stop), optional
        Which samples of the split; all by default.
    normalize : str, optional
        Normalisation of the inputs, as the command takes it.
    loss : str, optional
        cross-entropy, mse, bce, nll, probabilities or own; by default what suits the targets.
    weight_decay : float, optional
        λ of the training: the loss gets the penalty λ/2 ‖θ‖².
    batch_norm : {"eval", "train"}
        Running statistics, or those of the whole batch.
    params : str, iterable of str, or callable, optional
        Names or patterns with ``*`` of the parameters to analyse, or a predicate of the name; the others are frozen.
    dtype : {"f32", "f64"}
    one_sample : bool
        The arrays are those of a single sample, as of a graph whose nodes are the first axis.
    batch_axis : int, or dict of int by name, optional
        Which axis of the inputs counts the samples, where it is not the first.
    fix_input : dict of numbers by name, optional
        Inputs of the file that are the same for all samples, such as a sampling rate.
    parameters_from : path, optional
        A safetensors file that names the parameters; every other tensor of the file is then a constant.

    Raises
    ------
    ValueError
        If model, weights and data do not fit; the message names the place.
    """

    has_gradient = has_accuracy = has_chunks = True
    curvatures = ("hessian", "gauss_newton", "residual", "fisher", "output_gram")

    def __init__(self, model, data=None, *, weights=None, split="train", samples=None, normalize=None, loss=None,
                 weight_decay=0.0, batch_norm="eval", params=None, dtype="f32", one_sample=False,
                 batch_axis=None, fix_input=None, parameters_from=None):
        model = os.fspath(model)
        if samples is not None:
            samples = (0, samples) if np.isscalar(samples) else tuple(samples)
        keep = None if params is None else _predicate(params)
        axes = batch_axis if isinstance(batch_axis, dict) else {} if batch_axis is None else {"": int(batch_axis)}
        numbers = {name: np.ravel(np.asarray(given, float)).tolist() for name, given in (fix_input or {}).items()}
        onnx = dict(one_sample=bool(one_sample), batch_axis=axes, fix_input=numbers,
                    parameters_from=None if parameters_from is None else os.fspath(parameters_from))
        rest = (split, samples, normalize, loss, weight_decay, batch_norm, keep, dtype, onnx)
        weights = None if weights is None else os.fspath(weights)
        if isinstance(data, str) or data is None:
            if data is None and not model.startswith("digits-"):
                raise ValueError("data is needed: a source such as 'cifar10:DIR', or a dict of arrays")
            self._native = _native.NetworkRisk(model, weights, data or "digits", None, *rest)
        else:
            # The engine reads arrays from a file; what it reads is the same whether a user or we wrote it.
            with tempfile.TemporaryDirectory(prefix="saddlescope-") as folder:
                path = os.path.join(folder, "data.npz")
                np.savez(path, **{name: np.asarray(values) for name, values in data.items()})
                self._native = _native.NetworkRisk(model, weights, f"npz:{path}", "arrays", *rest)
        self.theta, self.layout = self._native.theta, self._native.layout
        self.samples, self.name, self.split = self._native.samples, self._native.model, split
        self.precision, self.notes = dtype, self._native.notes
        self._first = 0 if samples is None else samples[0]
        self._given = dict(model=model, data=data, split=split, samples=samples, normalize=normalize, loss=loss,
                           weight_decay=weight_decay, batch_norm=batch_norm, params=params, dtype=dtype,
                           one_sample=one_sample, batch_axis=batch_axis, fix_input=fix_input,
                           parameters_from=parameters_from)
        self._file = weights

    def _about(self):
        return [*Penalty(self._given["weight_decay"]).about(), *self.notes]

    def _samples_in(self, start, stop):
        return Risk(**{**self._given, "samples": (self._first + start, self._first + stop)}, weights=self._file)

    def _weights(self, given):
        if not isinstance(given, (str, os.PathLike)):
            return super()._weights(given)
        other = Risk(**self._given, weights=given)._native
        return {"theta": other.theta, "buffers": other.buffers, "sha256": other.weights, "rest": ""}

    def _evaluate(self, theta):
        loss, correct = self._native.evaluate(theta)
        return loss, correct, [], []

    def _gradient(self, theta):
        gradient, (loss, correct) = self._native.gradient(theta)
        return gradient, (loss, correct, [], [])

    def _product(self, theta, curvature, block):
        return self._native.product(theta, curvature, block), None, []


def _predicate(params):
    if callable(params):
        return params
    patterns = [params] if isinstance(params, str) else list(params)
    return lambda name: any(fnmatchcase(name, pattern) for pattern in patterns)
