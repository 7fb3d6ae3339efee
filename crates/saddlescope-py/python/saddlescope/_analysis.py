"""The analysis of a point of any risk, its report, and slices of the loss."""

import json
import tempfile
from dataclasses import dataclass
from html import escape as _html
from pathlib import Path
from typing import List, Optional

import numpy as np

from . import _native
from ._arguments import file_path, optional_number, optional_whole, whole
from ._linalg import Eigenpair
from ._progress import StageBars, _bar

__all__ = ["Analysis", "Cut", "Surface", "analyze", "cut", "escape", "random_direction", "surface"]


_STAGES = ("eigenpairs", "probes", "fits", "density", "split", "filtered_planes", "escape", "cuts", "surfaces")

#: What a stage cannot do without.
_NEEDS = {"split": "eigenpairs", "escape": "eigenpairs", "fits": "probes"}

#: Kinds of tensors that are made of filters, neurons or rows.
_FILTERED = ("conv_filter", "linear_weight", "linear_weight_transposed", "embedding")


@dataclass(frozen=True)
class Cut:
    """The loss along a line, L(θ + α d): coordinates ``alpha`` (n,), raw ``loss`` (n,), ``accuracy`` (n,) or None.

    ``std_error`` (n,) is the standard error of each loss over the samples, ``difference_std_error`` (n,) that of its difference from
    ``center_loss`` = L(θ) on the same samples; None where the loss does not come in parts (batches).
    """

    alpha: np.ndarray
    loss: np.ndarray
    accuracy: Optional[np.ndarray] = None
    name: str = "cut"
    direction: str = "given"
    curvature: Optional[float] = None
    slope: Optional[float] = None
    center_loss: Optional[float] = None
    std_error: Optional[np.ndarray] = None
    difference_std_error: Optional[np.ndarray] = None

    def plot(self, ax=None):
        """Draws the cut with matplotlib and returns the axes."""
        import matplotlib.pyplot as plt

        ax = ax or plt.gca()
        (line,) = ax.plot(self.alpha, self.loss)
        if self.difference_std_error is not None:
            low, high = self.loss - self.difference_std_error, self.loss + self.difference_std_error
            ax.fill_between(self.alpha, low, high, color=line.get_color(), alpha=0.25, linewidth=0)
        ax.set(xlabel="α", ylabel="loss", title=self.direction)
        return ax


@dataclass(frozen=True)
class Surface:
    """The loss over a plane, L(θ + α η + β δ): raw ``loss`` of shape (len(alpha), len(beta)), ``accuracy`` alike or None.

    ``std_error`` and ``difference_std_error`` (same shape, or None) are as those of :class:`Cut`.
    """

    alpha: np.ndarray
    beta: np.ndarray
    loss: np.ndarray
    accuracy: Optional[np.ndarray] = None
    name: str = "surface"
    split: str = ""
    directions: tuple = ("given", "given")
    center_loss: Optional[float] = None
    std_error: Optional[np.ndarray] = None
    difference_std_error: Optional[np.ndarray] = None

    def plot(self, ax=None, levels=30):
        """Draws contours with matplotlib and returns the axes."""
        import matplotlib.pyplot as plt

        ax = ax or plt.gca()
        lines = ax.contourf(self.beta, self.alpha, self.loss, levels=levels)
        ax.figure.colorbar(lines, ax=ax, label="loss")
        ax.set(xlabel="β", ylabel="α", title=" and ".join(self.directions))
        return ax


def _surface(found):
    shape = len(found["alpha"]), len(found["beta"])
    for name in ("loss", "accuracy", "std_error", "difference_std_error"):
        if found[name] is not None:
            found[name] = found[name].reshape(shape)
    return Surface(**found)


class Found:
    """What a folder of results holds: ``results`` (its ``results.json``), the report, the figures."""

    def __init__(self, results, folder, keep, place=""):
        self.results = json.loads(results)
        self.folder, self._keep = Path(folder) / place, keep

    def __getstate__(self):
        # A folder that is deleted with the result belongs to the process that made it.
        return {**self.__dict__, "_keep": None}

    @property
    def verdict(self) -> List[str]:
        """What it means, in sentences."""
        return self.results["verdict"]

    @property
    def report(self) -> Path:
        """The page with everything on it."""
        return self.folder / "report.html"

    def figure(self, name, ending="svg") -> bytes:
        """A figure's file as bytes; names as in the folder ``figures``.

        Raises
        ------
        KeyError
            With the names there are.
        """
        files = {p.stem: p for p in sorted((self.folder / "figures").glob(f"*.{ending}"))}
        if name not in files:
            raise KeyError(f"no figure {name!r} as {ending}; there are {', '.join(files) or 'none'}")
        return files[name].read_bytes()

    def __repr__(self):
        return "\n".join([*self.verdict, f"report: {self.report}"])

    def _repr_html_(self):
        figures = sorted((self.folder / "figures").glob("*.svg"))[:2]
        drawn = "".join(f'<div style="display:inline-block;max-width:48%">{p.read_text()}</div>' for p in figures)
        verdict = "".join(f"<li>{_html(sentence)}</li>" for sentence in self.verdict)
        return f"<ul>{verdict}</ul>{drawn}<p>{_html(str(self.report))}</p>"


class Analysis(Found):
    """What an analysis found.

    Attributes
    ----------
    results : dict
        Everything of ``results.json`` (docs/results.md says what is what).
    eigenpairs : list of Eigenpair
        Largest first; ``std_errors`` has the standard error of each value over the data (None where it is not known).
    verdict : list of str
        What it means, in sentences.
    cuts, surfaces : list of Cut, list of Surface
    folder : pathlib.Path
        Where results, figures and ``report.html`` are.
    """

    def __init__(self, found, folder, keep):
        super().__init__(found["results"], folder, keep)
        pairs = zip(self.results["eigenpairs"], found["eigenvectors"])
        self.eigenpairs: List[Eigenpair] = [
            Eigenpair(_number(p["value"]), vector, _number(p["residual"]), p["converged"]) for p, vector in pairs
        ]
        self.std_errors = [p["std_error"] for p in self.results["eigenpairs"]]
        self.cuts = [Cut(**c) for c in found["cuts"]]
        self.surfaces = [_surface(s) for s in found["surfaces"]]

    def to_pandas(self):
        """The eigenpairs as a table: end, value, residual, std_error, converged."""
        import pandas

        columns = ["end", "value", "residual", "std_error", "converged"]
        return pandas.DataFrame(self.results["eigenpairs"], columns=columns)

    def __repr__(self):
        head = f"{self.results['model']}: {self.results['parameters']} parameters, {self.results['samples']} samples"
        lines = [head, *self.verdict]
        lines += [f"  λ = {p.value:< 16.8g} residual {p.residual:.2e}" for p in self.eigenpairs]
        return "\n".join([*lines, f"report: {self.report}"])

    def _repr_html_(self):
        rows = "".join(
            f"<tr><td>{p.value:.6g}</td><td>{p.residual:.1e}</td><td>{'–' if e is None else f'{e:.1e}'}</td></tr>"
            for p, e in zip(self.eigenpairs, self.std_errors)
        )
        table = f"<table><tr><th>λ</th><th>residual</th><th>± over data</th></tr>{rows}</table>" if rows else ""
        figures = sorted((self.folder / "figures").glob("*.svg"))
        wanted = [p for p in figures if p.stem.startswith(("surface", "cut"))][:4] or figures[:2]
        drawn = "".join(f'<div style="display:inline-block;max-width:48%">{p.read_text()}</div>' for p in wanted)
        verdict = "".join(f"<li>{_html(sentence)}</li>" for sentence in self.verdict)
        title = _html(f"{self.results['model']}: {self.results['parameters']} parameters, {self.results['samples']} samples")
        return f"<b>{title}</b><ul>{verdict}</ul>{table}{drawn}<p>{_html(str(self.report))}</p>"


def _number(x):
    # JSON has no NaN and infinities: they are written as words.
    return float("nan") if x is None else float(x)


def _selection(options):
    """The selection of stages as JSON, from the keyword arguments of :func:`analyze`."""
    default, nothing, _ = map(json.loads, _native.selections())
    stages, seed, largest, smallest, tol, max_products, grid, keep_biases, share = options
    chosen = dict(default)
    if stages is not None:
        stages = _stages(stages)
        chosen = dict(nothing)
        chosen.update({name: default[name] for name in stages})
    chosen["seed"] = seed
    chosen["random"]["keep_biases"] = keep_biases
    if chosen["eigenpairs"] is not None:
        chosen["eigenpairs"].update(largest=largest, smallest=smallest, max_products=max_products)
        if tol is not None:
            chosen["eigenpairs"].update(tolerance=tol, data_share=None)
    if chosen["surfaces"] is not None:
        chosen["surfaces"]["grid"] = grid
    if share is not None:
        chosen["slice_samples"] = {"share": share}
    return json.dumps(chosen)


def _stages(stages):
    """The names of stages as a list, all of them known and with what they need."""
    if isinstance(stages, str):
        raise ValueError(f"stages={stages!r}; expected a list of names, such as [{stages!r}]")
    stages = list(stages)
    if not stages:
        raise ValueError(f"stages names no stage; expected some of {', '.join(_STAGES)}")
    for name in stages:
        if name not in _STAGES:
            raise ValueError(f"stage {name!r}; expected some of {', '.join(_STAGES)}")
        if name in _NEEDS and _NEEDS[name] not in stages:
            raise ValueError(f"stage {name!r} needs the stage {_NEEDS[name]!r}: name both")
    return stages


def analyze(risk, *, test=None, out=None, stages=None, largest=3, smallest=3, tol=None, max_products=500, grid=25,
            slice_samples=None, seed=0, memory=None, progress=None) -> Analysis:
    """What the landscape around the risk's θ really looks like: certified eigenpairs, trace, density, slices, a verdict, a report.

    Parameters
    ----------
    risk : Risk
    test : Risk, optional
        The same model on other samples, for slices and for the escape.
    out : path, optional
        Folder for results. The same call continues what is there, and more may be asked for later; results of another model or
        of other data are refused. By default a folder that is deleted with the result.
    stages : iterable of str, optional
        Which stages: eigenpairs, probes, fits, density, split, filtered_planes, escape, cuts, surfaces; all by default. What
        the risk does not offer is left out, and the report says so. Split and escape need eigenpairs, fits need probes; without
        eigenpairs cuts and surfaces are along random directions only.
    largest, smallest : int
        Eigenpairs at either end.
    tol : float, optional
        Residual allowed, relative to each |λ|. By default 1e-3, or a tenth of the error of λ over the data where that is more.
    max_products : int
    grid : int
        Points along each side of a surface.
    slice_samples : int or "auto" or float, optional
        How many samples cuts and surfaces are drawn on, the first ones; all by default. "auto" takes as many as make the errors of
        differences at most 5 % of their range, a float below 1 as many as make them that share of it.
    seed : int
    memory : int, optional
        Bytes that may be used; too few are refused.
    progress : bool or object, optional
        True for bars (tqdm); or an object with ``begin(stage, steps)``, ``advance(done, note)``, ``end(note)``, ``note(text)``,
        ``plan(seconds, products, bytes)``.

    Returns
    -------
    Analysis

    Raises
    ------
    ValueError
        A folder of something else, or a request that cannot be carried out.
    RuntimeError
        A risk that fails its own checks. Exceptions of the model arrive unchanged; after any of them, and after Ctrl-C, the same
        call continues.
    """
    largest, smallest, seed = whole("largest", largest), whole("smallest", smallest), whole("seed", seed)
    tol, max_products, grid = optional_number("tol", tol), whole("max_products", max_products), whole("grid", grid, 2)
    if largest + smallest > risk.dim:
        # No more pairs than there are: the same ones, shared between the ends.
        smallest = min(smallest, max(risk.dim // 2, risk.dim - largest))
        largest = min(largest, risk.dim - smallest)
    # Without any filter, filter normalisation would leave nothing of a random direction.
    keep_biases = not any(kind in _FILTERED for _, _, kind in risk.layout)
    count, share = _slice_samples(slice_samples)
    selection = _selection((stages, seed, largest, smallest, tol, max_products, grid, keep_biases, share))
    return _carry_out(risk, test, selection, memory, out, progress, Analysis, count)


def _slice_samples(given):
    """(number of samples or None, share or None) of what `slice_samples` says."""
    if given is None:
        return None, None
    if given == "auto":
        return None, 0.05
    if isinstance(given, float) and 0 < given < 1:
        return None, given
    if isinstance(given, (int, np.integer)) and given > 0:
        return int(given), None
    raise ValueError(f"slice_samples {given!r}; expected a number of samples, \"auto\", or a share between 0 and 1")


def _other(risk, test):
    """Name and risk of the other samples."""
    if test is None:
        return None
    if test.dim != risk.dim:
        raise ValueError(f"test has {test.dim} parameters, the risk has {risk.dim}")
    return test.split if test.split != risk.split else "test", test


def _in_folder(risk, out, progress, work):
    """Runs `work(folder, monitor, keep)` where this risk leads; without `out` in a folder that is deleted with the result."""
    out = file_path("out", out)

    def run():
        keep = None if out is not None else tempfile.TemporaryDirectory(prefix="saddlescope-")
        folder = out if keep is None else keep.name
        bars = StageBars() if progress is True else (progress or None)
        try:
            return work(folder, bars, keep)
        finally:
            if isinstance(bars, StageBars):
                bars.close()

    return risk._lead(run)


def _carry_out(risk, test, selection, memory, out, progress, kind, slice_samples=None):
    other, memory = _other(risk, test), optional_whole("memory", memory, 1)
    about = risk._about()
    if slice_samples is not None and slice_samples < risk.samples:
        about.append(f"Cuts and surfaces use the first {slice_samples} of these samples.")

    def work(folder, monitor, keep):
        found = _native.analyze(risk, risk.theta, risk.name, risk.split, other, selection, memory, folder, monitor,
                                risk.fingerprint, getattr(risk._native, "weights", None), True, slice_samples, about)
        return kind(found, folder, keep)

    return _in_folder(risk, out, progress, work)


def _axis(axis):
    try:
        lo, hi, count = axis
    except (TypeError, ValueError):
        raise ValueError(f"axis {axis!r}; expected (lo, hi, count)") from None
    return float(lo), float(hi), whole("axis[2]", count, 2)


def _direction(risk, direction):
    direction = direction.vector if isinstance(direction, Eigenpair) else direction
    return risk._vector(direction)


def cut(risk, direction, axis=(-1, 1, 51), *, theta=None) -> Cut:
    """The loss along a line, L(θ + α d).

    Parameters
    ----------
    risk : Risk
    direction : array_like, shape (N,), or Eigenpair
        d, used as it is.
    axis : (lo, hi, count)
        The values of α.
    theta : array_like, shape (N,), optional
        The risk's own by default.

    Returns
    -------
    Cut
        NaN and infinities stay where they are.
    """
    along, axis = _direction(risk, direction), _axis(axis)
    work = lambda: Cut(**_native.cut(risk, risk._vector(theta), along, axis))
    return risk._lead(work)


def surface(risk, directions, axes=((-1, 1, 25), (-1, 1, 25)), *, theta=None, progress=None) -> Surface:
    """The loss over a plane, L(θ + α η + β δ).

    Parameters
    ----------
    risk : Risk
    directions : pair of array_like, shape (N,), or of Eigenpair
        η and δ, used as they are.
    axes : pair of (lo, hi, count)
        The values of α and β.
    theta : array_like, shape (N,), optional
    progress : bool or callable, optional
        True for a bar; or ``f(rows done, rows)``.

    Returns
    -------
    Surface
    """
    first, second = (_direction(risk, d) for d in directions)
    axes = tuple(_axis(a) for a in axes)

    def work():
        bar = _bar(unit="row", total=axes[0][2]) if progress is True else None
        watch = (lambda done, total: bar.update(done - bar.n)) if bar is not None else (progress or None)
        try:
            return _surface(_native.surface(risk, risk._vector(theta), (first, second), axes, watch))
        finally:
            if bar is not None:
                bar.close()

    return risk._lead(work)


def random_direction(risk, *, normalize="filter", keep_biases=False, seed=0, index=0) -> np.ndarray:
    """A direction of independent N(0, 1) numbers, shape (N,).

    Parameters
    ----------
    risk : Risk
        Its θ and layout set the scale.
    normalize : {"filter", "layer", "unit", None}
        Filter normalisation (Li et al. 2018): each filter or neuron gets the norm of the same filter of θ.
    keep_biases : bool
        Whether components at biases and normalisation parameters stay; they are zero otherwise.
    seed, index : int
        Directions of different ``index`` are independent.
    """
    blocks = [(name, list(shape), kind) for name, shape, kind in risk.layout]
    return _native.random_direction(blocks, risk.theta, normalize, keep_biases, whole("seed", seed), whole("index", index))


def escape(risk, analysis):
    """θ moved along negative curvature by the step that an analysis found to lower the loss.

    Parameters
    ----------
    risk : Risk
    analysis : Analysis
        Of this risk, with the stage ``escape``.

    Returns
    -------
    numpy.ndarray, shape (N,), or what ``risk.state_dict`` makes of it
        A new state dict for models of PyTorch; the model itself is not changed.

    Raises
    ------
    ValueError
        If no step lowers the loss.
    """
    found = analysis.results["escape"]
    if found is None or found["step"] == 0:
        raise ValueError("the analysis found no step along negative curvature that lowers the loss")
    lowest = min(analysis.eigenpairs, key=lambda pair: pair.value)
    moved = risk.theta + found["step"] * lowest.vector
    return risk.state_dict(moved) if hasattr(risk, "state_dict") else moved
