"""Several weights of one model: side by side, on the way from one to another, and along a training."""

from collections.abc import Mapping

from . import _native
from ._analysis import Found, _in_folder, _other
from ._arguments import grid_side, number, optional_number, optional_whole, whole

__all__ = ["Comparison", "Path", "Trajectory", "compare", "path", "trajectory"]


class Comparison(Found):
    """What :func:`compare` found: ``results["points"]``, ``results["pairs"]``, ``results["plane"]``, as in docs/between-points.md."""


class Path(Found):
    """What :func:`path` found: ``results["ways"]`` (line, aligned line, curve) and ``results["points"]``."""

    def barrier(self, way="line", split=None):
        """The largest loss on a way over the larger loss of its ends.

        Parameters
        ----------
        way : str
            Its name in ``results["ways"]``; the first one of that name.
        split : str, optional
            Which samples; those of the analysis by default.

        Returns
        -------
        height : float
            0 where the ends are highest.
        std_error : float or None
            Standard error over the data, None where it is not known.

        Raises
        ------
        KeyError
            With the ways or splits there are.
        """
        ways = [w for w in self.results["ways"] if w["name"] == way]
        if not ways:
            raise KeyError(f"no way {way!r}; there are {', '.join(w['name'] for w in self.results['ways'])}")
        sides = [s for s in ways[0]["sides"] if split is None or s["split"] == split]
        if not sides:
            raise KeyError(f"no split {split!r}; there are {', '.join(s['split'] for s in ways[0]['sides'])}")
        found = sides[0]["barrier"]
        return float(found["height"]), None if found["std_error"] is None else float(found["std_error"])


class Trajectory(Found):
    """What :func:`trajectory` found: ``results["points"]``, ``results["shares"]``, both planes."""


def _named(weights):
    """Pairs of name and weights: of a mapping, or numbered."""
    if isinstance(weights, Mapping):
        return list(weights.items())
    weights = list(weights)
    width = len(str(max(len(weights) - 1, 0)))
    return [(f"point-{i:0{width}}", given) for i, given in enumerate(weights)]


def _given(risk, weights, position=None):
    found = []
    for i, (name, given) in enumerate(_named(weights)):
        # A name is part of file names, so that "a/b" becomes "a_b".
        one = {"name": _native.clean_name(str(name)), "origin": str(name), "position": (None, None, None), **risk._weights(given)}
        if position is not None:
            one["position"] = position(i)
        found.append(one)
    return found


def _common(seed, probes, largest, smallest, tol, max_products):
    """The options that all have."""
    return {"seed": whole("seed", seed), "probes": whole("probes", probes), "largest": whole("largest", largest),
            "smallest": whole("smallest", smallest), "tol": optional_number("tol", tol), "max_products": whole("max_products", max_products)}


def _curve(curve):
    """(steps, rate) of the training of a curve, or None."""
    if curve is None:
        return None
    try:
        steps, rate = curve
    except (TypeError, ValueError):
        raise ValueError(f"curve={curve!r}; expected (steps, rate) or None") from None
    return whole("curve[0]", steps, 1), number("curve[1]", rate, positive=True)


def _run(verb, kind, risk, weights, test, options, memory, out, progress, place):
    other, memory = _other(risk, test), optional_whole("memory", memory, 1)

    def work(folder, monitor, keep):
        found = _native.between(verb, risk, risk.name, risk.split, other, weights, options, memory, folder, monitor)
        return kind(found, folder, keep, place)

    return _in_folder(risk, out, progress, work)


def compare(risk, weights, *, test=None, out=None, largest=3, smallest=3, tol=None, max_products=500, probes=16, grid=21,
            sharpness=False, seed=0, memory=None, progress=None) -> Comparison:
    """Several weights of one model side by side: loss, accuracy, extreme eigenvalues, trace, distances, a common plane.

    Parameters
    ----------
    risk : Risk
        The model with its data; its own θ takes part only if it is among the weights.
    weights : mapping from names, or sequence
        Two or more: vectors (N,), state dicts (PyTorch), pytrees (JAX) or weights files (:class:`saddlescope.onnx.Risk`).
    test : Risk, optional
        The same model on other samples: every point is analysed there, too.
    out : path, optional
        Folder for results; the same call continues what is there. By default a folder that is deleted with the result.
    largest, smallest, tol, max_products
        As for :func:`analyze`, at every point.
    probes : int
        Random probes of the trace, one product each.
    grid : int
        Points along each side of a surface; 0 leaves surfaces out.
    sharpness : bool
        Whether all measures of :func:`sharpness` are taken at every point.
    seed, memory, progress
        As for :func:`analyze`.

    Returns
    -------
    Comparison
        Errors of differences of losses are those of differences on the same samples.

    Raises
    ------
    ValueError
        Fewer than two weights, two that are the same, or of another model. Exceptions of the model arrive unchanged.
    """
    options = {**_common(seed, probes, largest, smallest, tol, max_products), "grid": grid_side(grid), "sharpness": sharpness}
    return _run("compare", Comparison, risk, _given(risk, weights), test, options, memory, out, progress, "compare")


def path(risk, weights, *, test=None, out=None, points=25, eigenvalues=True, tol=None, max_products=500, probes=16,
         statistics_anew=True, align=True, curve=(200, 0.02), seed=0, memory=None, progress=None) -> Path:
    """From one weights to another: the loss on the straight line and on a curve of low loss, and the barrier on the way.

    Parameters
    ----------
    risk, test, out, seed, memory, progress
        As for :func:`compare`.
    weights : mapping from names, or sequence
        The two ends.
    points : int
        Points on each way, ends included.
    eigenvalues : bool
        Whether λ_max, λ_min and trace are computed at both ends and at the highest point of the line.
    tol, max_products, probes
        Of these.
    statistics_anew : bool
        Whether there is also a line on which batch-norm statistics are computed anew at every point (PyTorch: in training mode,
        averaged over the batches of ``risk``).
    align : bool
        Whether hidden units of the second end are also put in the order of the first one's (Ainsworth et al. 2023). This needs
        to know the units, as our own engine does and ``torch.fx`` tells of most image models of PyTorch; elsewhere the report says that
        it is left out.
    curve : (steps, rate) or None
        Training of a quadratic Bézier curve (Garipov et al. 2018): its steps, and the length of the first ones as a share of the
        distance between the ends. None for no curve.

    Returns
    -------
    Path
    """
    given = _given(risk, weights)
    if len(given) != 2:
        raise ValueError(f"{len(given)} weights are given; expected the two ends of the path")
    options = {**_common(seed, probes, 1, 1, tol, max_products), "points": whole("points", points, 2), "eigenvalues": eigenvalues,
               "statistics_anew": statistics_anew, "align": align, "curve": _curve(curve)}
    return _run("path", Path, risk, given, test, options, memory, out, progress, f"path-{given[0]['name']}-{given[1]['name']}")


def trajectory(risk, checkpoints, *, test=None, out=None, learning_rate=None, momentum=None, tol=None, max_products=500, probes=16,
               grid=25, seed=0, memory=None, progress=None) -> Trajectory:
    """The way of a training through its checkpoints: losses, eigenvalues and trace along it, and its principal components.

    Parameters
    ----------
    risk, test, out, seed, memory, progress
        As for :func:`compare`.
    checkpoints : mapping from names, or sequence
        Three or more weights, in the order of the training. A new one costs only itself.
    learning_rate : float or sequence, optional
        η, at every checkpoint or the same for all, for the line 2/η above which gradient descent is unstable.
    momentum : float, optional
        μ, for 2(1 + μ)/η.
    tol, max_products, probes
        Of λ_max, λ_min and the trace at every checkpoint.
    grid : int
        Points along each side of a plane; 0 leaves planes out.

    Returns
    -------
    Trajectory
    """
    named = _named(checkpoints)
    rates = learning_rate
    if learning_rate is not None and hasattr(learning_rate, "__len__"):
        if len(learning_rate) != len(named):
            raise ValueError(f"{len(learning_rate)} learning rates for {len(named)} checkpoints")
        rates = None
    position = None if rates is not None or learning_rate is None else (lambda i: (None, number("learning_rate", learning_rate[i], positive=True), momentum))
    if momentum is not None and not 0 <= momentum < 1:
        raise ValueError(f"momentum={momentum}; expected at least 0 and below 1")
    options = {**_common(seed, probes, 1, 1, tol, max_products), "grid": grid_side(grid),
               "learning_rate": optional_number("learning_rate", rates, positive=True), "momentum": momentum}
    given = _given(risk, dict(named), position)
    return _run("trajectory", Trajectory, risk, given, test, options, memory, out, progress, "trajectory")
