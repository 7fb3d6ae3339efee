"""The critical point near a risk's θ, and how sharp the loss is there, in which measure."""

import json
from typing import Dict, List, NamedTuple, Optional

import numpy as np

from . import _native
from ._analysis import Analysis, _carry_out
from ._arguments import number, optional_number, whole

__all__ = ["Measure", "Settled", "Sharpness", "settle", "sharpness"]


class Measure(NamedTuple):
    """One measure of sharpness: value, error of the computation, standard error over the data (None where unknown), definition."""

    name: str
    value: float
    error: Optional[float]
    std_error: Optional[float]
    converged: bool
    formula: str
    source: str


def _known(x):
    return None if x is None else float(x)


class Sharpness(Analysis):
    """What :func:`sharpness` found.

    Attributes
    ----------
    measures : dict from kind to Measure
        By the short names of ``results["sharpness"]["measures"][i]["kind"]``.
    left_out : dict from name to str
        Measures that have no meaning here, with the reason.
    """

    def __init__(self, found, folder, keep):
        super().__init__(found, folder, keep)
        result = self.results["sharpness"]
        self.measures: Dict[str, Measure] = {
            m["kind"]: Measure(m["name"], float(m["value"]), _known(m["error"]), _known(m["std_error"]), m["converged"],
                               m["formula"], m["source"])
            for m in result["measures"]
        }
        self.left_out: Dict[str, str] = {m["name"]: m["reason"] for m in result["left_out"]}

    def __repr__(self):
        known = lambda x: "–" if x is None else f"{x:.1e}"
        # What a climb has reached is a bound from below.
        value = lambda kind, m: f"≥ {m.value:.6e}" if kind in ("sam_ascent", "keskar") else f"{m.value:.6e}  ± {known(m.error)}"
        lines = [f"{m.name:<34} {value(kind, m):>26} (data: {known(m.std_error)})  {m.formula}" for kind, m in self.measures.items()]
        return "\n".join([*lines, f"report: {self.report}"])


class Settled(Analysis):
    """What :func:`settle` found.

    Attributes
    ----------
    theta : numpy.ndarray, shape (N,), or None
        The point where settling ended; ``converged`` says whether it is critical.
    """

    def __init__(self, found, folder, keep):
        super().__init__(found, folder, keep)
        self.theta: Optional[np.ndarray] = found["settled"]
        self._found = self.results["settle"]

    @property
    def converged(self) -> bool:
        """Whether ‖∇L‖ is within the tolerance."""
        return self._found["end"] == "converged"

    @property
    def kind(self) -> Optional[str]:
        """minimum, maximum, saddle, degenerate or undecided; None where the point is not critical."""
        return self._found["kind"]

    @property
    def gradient_norms(self) -> List[float]:
        """‖∇L‖ at the risk's θ and after every step."""
        return [float(step["gradient_norm"]) for step in self._found["steps"]]

    @property
    def spectrum(self) -> Optional[dict]:
        """Counts of negative, zero and positive eigenvalues, and the eigenvalues themselves."""
        return self._found["spectrum"]


def _nothing(verb):
    _, nothing, more = map(json.loads, _native.selections())
    return {**nothing, "verb": verb}, more


def settle(risk, *, test=None, out=None, tol=1e-10, max_products=20_000, max_dimension=400, radius=None, downhill=False, whole_up_to=10_000,
           largest=3, smallest=10, seed=0, memory=None, progress=None) -> Settled:
    """The critical point (∇L = 0) near the risk's θ, by Newton's method on the gradient, and its index.

    It does not run off along negative curvature, so that it finds saddles as well as minima.

    Parameters
    ----------
    risk : Risk
        In double precision: in f32 a gradient cannot be told from zero.
    test, out, seed, memory, progress
        As for :func:`analyze`.
    tol : float
        ‖∇L‖ at which a point counts as critical.
    max_products : int
        Most products with the Hessian on the way.
    max_dimension : int
        Most products for one step: vectors of its Krylov space.
    radius : float, optional
        Length of the first step at most; a twentieth of ‖θ‖ by default.
    downhill : bool
        Go downhill to a minimum instead, along negative curvature too: where no critical point is reached otherwise.
    whole_up_to : int
        Every eigenvalue at the critical point for risks of at most so many parameters; the extreme ones for others.
    largest, smallest : int
        How many extreme eigenvalues of a larger risk.

    Returns
    -------
    Settled
        Look at ``converged``: there need not be a critical point nearby.

    Raises
    ------
    ValueError
        A risk in single precision, or without products. Exceptions of the model arrive unchanged.
    """
    if risk.precision != "f64":
        raise ValueError("settling needs double precision (dtype=torch.float64, or dtype='f64'), since in f32 a gradient cannot be "
                         "told from zero")
    if not risk.has_gradient or "hessian" not in risk.curvatures:
        raise ValueError("settling needs a gradient and products with the Hessian, which this risk does not offer")
    selection, more = _nothing("settle")
    selection["settle"] = {**more["settle"], "tolerance": number("tol", tol), "max_products": whole("max_products", max_products, 1),
                           "max_dimension": whole("max_dimension", max_dimension, 1),
                           "radius": optional_number("radius", radius, positive=True), "downhill": bool(downhill)}
    selection["critical_spectrum"] = {**more["critical_spectrum"], "whole_up_to": whole("whole_up_to", whole_up_to),
                                      "largest": whole("largest", largest), "smallest": whole("smallest", smallest)}
    selection["seed"] = whole("seed", seed)
    return _carry_out(risk, test, json.dumps(selection), memory, out, progress, Settled)


def sharpness(risk, *, out=None, rho=0.05, epsilon=1e-3, probes=16, tol=None, gradients=50, rescale=None, seed=0, memory=None,
              progress=None) -> Sharpness:
    """How sharp the loss is at θ, in all measures by their definitions (docs/sharpness.md says what each is).

    Parameters
    ----------
    risk : Risk
    out, seed, memory, progress
        As for :func:`analyze`.
    rho : float
        Radius of the ball of SAM sharpness (Foret et al. 2021).
    epsilon : float
        Of ε-sharpness (Keskar et al. 2017): the box \\|zᵢ\\| ≤ ε(\\|θᵢ\\| + 1).
    probes : int
        Random probes of each trace, one product each.
    tol : float
        Residual allowed at eigenvalues, relative to each.
    gradients : int
        Most gradients of each climb.
    rescale : float, optional
        Also measure copies of a ReLU network with the same function, whose first two layers are rescaled by up to this factor (Dinh et
        al. 2017).

    Returns
    -------
    Sharpness
    """
    rho, epsilon, seed = number("rho", rho, positive=True), number("epsilon", epsilon, positive=True), whole("seed", seed)
    probes, gradients, tol = whole("probes", probes, 1), whole("gradients", gradients, 1), optional_number("tol", tol)
    if rescale is not None and not 1 < number("rescale", rescale):
        raise ValueError(f"rescale={rescale}; expected a number above 1")
    default, _, _ = map(json.loads, _native.selections())
    selection, more = _nothing("sharpness")
    pairs = min(1, risk.dim)
    selection["eigenpairs"] = {**default["eigenpairs"], "largest": pairs, "smallest": min(1, risk.dim - pairs)}
    if tol is not None:
        selection["eigenpairs"].update(tolerance=tol, data_share=None)
    selection.update(earlier_eigenpairs=True, probes=probes, rescaling=rescale, seed=seed)
    selection["sharpness"] = {**more["sharpness"], "rho": rho, "epsilon": epsilon, "gradients": gradients, "probes": probes,
                              "tolerance": 1e-3 if tol is None else tol}
    return _carry_out(risk, None, json.dumps(selection), memory, out, progress, Sharpness)
