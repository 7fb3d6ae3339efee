"""Eigenpairs, traces and spectral densities of symmetric operators. Every result says how good it is."""

import os
from dataclasses import dataclass, field
from typing import List, NamedTuple, Optional, Tuple

import numpy as np

from . import _native
from ._arguments import file_path, number, optional_number, optional_whole, whole
from ._operators import asymmetry, real, resolve
from ._progress import solver_progress

__all__ = [
    "DominantPairs", "Eigenpair", "Eigensolution", "Estimate", "SpectralDensity", "TraceEstimate", "algorithm1",
    "check_operator", "density", "eigsh", "trace",
]

#: From this dimension on, basis vectors are stored in single precision unless ``precision`` says otherwise.
SINGLE_FROM = 20_000_000

#: xᵀAy − yᵀAx relative to ‖x‖ ‖Ay‖ that is more than rounding, of single precision too.
_ASYMMETRIC = 1e-5


class Estimate(NamedTuple):
    """A number with its standard error (infinite where it is not known) and the number of samples behind it."""

    value: float
    std_error: float
    samples: int


@dataclass(frozen=True)
class Eigenpair:
    """An eigenpair with its true residual.

    Attributes
    ----------
    value : float
        The Rayleigh quotient λ = vᵀAv.
    vector : numpy.ndarray, shape (n,)
        The unit vector v; its entry of largest magnitude is positive.
    residual : float
        ‖Av − λv‖₂ from a product with this very vector: some eigenvalue of A is within it of λ.
    converged : bool
        Whether the residual is within the tolerance.
    """

    value: float
    vector: np.ndarray
    residual: float
    converged: bool

    @property
    def interval(self) -> Tuple[float, float]:
        """[λ − residual, λ + residual]: it holds at least one eigenvalue."""
        return self.value - self.residual, self.value + self.residual

    def __repr__(self):
        more = "" if self.converged else ", not converged"
        return f"Eigenpair(value={self.value:.8g}, residual={self.residual:.2e}{more})"


@dataclass(frozen=True)
class Eigensolution:
    """What :func:`eigsh` found.

    Attributes
    ----------
    pairs : list of Eigenpair
        By descending value; by descending magnitude if ``magnitude`` was asked for.
    status, message : str
        How the solve ended, as a word and with what to do next.
    products : int
        Products used, those that check residuals included.
    restarts : int
        How often the basis was full and had to be compressed.
    norm_estimate : float
        The largest |λ| seen, a lower bound of ‖A‖₂.
    ritz : list of (value, residual estimate)
        The wanted Ritz values, also when no pair could be checked.
    state : State
        What it takes to go on: ``eigsh(A, ..., state=found.state)``.
    """

    pairs: List[Eigenpair]
    n_largest: int
    n_smallest: int
    status: str
    message: str
    products: int
    restarts: int
    norm_estimate: float
    ritz: List[Tuple[float, float]]
    state: "_native.State"

    @property
    def converged(self) -> bool:
        """Whether every pair asked for is there and has converged."""
        return self.status == "Converged"

    @property
    def largest(self) -> List[Eigenpair]:
        """The pairs of the upper end, largest first."""
        return self.pairs[: self.n_largest]

    @property
    def smallest(self) -> List[Eigenpair]:
        """The pairs of the lower end, smallest last."""
        return self.pairs[len(self.pairs) - self.n_smallest :]

    @property
    def values(self) -> np.ndarray:
        """The eigenvalues, shape (m,)."""
        return np.array([pair.value for pair in self.pairs])

    @property
    def residuals(self) -> np.ndarray:
        """The residuals, shape (m,)."""
        return np.array([pair.residual for pair in self.pairs])

    @property
    def vectors(self) -> np.ndarray:
        """The eigenvectors as columns, shape (n, m) (a copy)."""
        return np.stack([pair.vector for pair in self.pairs], axis=1) if self.pairs else np.empty((self.state.dim, 0))

    def __repr__(self):
        lines = [f"{self.message}; {self.products} products"]
        lines += [f"  λ = {p.value:< 16.8g} residual {p.residual:.2e}" for p in self.pairs]
        return "\n".join(lines)


@dataclass(frozen=True)
class DominantPairs:
    """What the paper's :func:`algorithm1` found: the pair of largest magnitude, then the one farthest from it.

    ``condition`` says in words whether condition (B.1) holds, under which these are λ_max and λ_min; ``None`` before both are known.
    """

    first: Optional[Eigenpair]
    second: Optional[Eigenpair]
    condition: Optional[str]
    condition_holds: Optional[bool]
    status: str
    message: str
    products_first: int
    products: int

    @property
    def maximum(self) -> Optional[Eigenpair]:
        """The pair of the larger eigenvalue."""
        if self.first is None:
            return None
        return self.first if self.first.value >= 0 else self.second

    @property
    def minimum(self) -> Optional[Eigenpair]:
        """The pair of the smaller eigenvalue."""
        if self.first is None:
            return None
        return self.second if self.first.value >= 0 else self.first


@dataclass(frozen=True)
class TraceEstimate:
    """tr A with its standard error, and ‖A‖²_F where the method gives it."""

    trace: Estimate
    frobenius_squared: Optional[Estimate]
    per_probe: np.ndarray = field(repr=False)
    status: str
    message: str
    products: int


class SpectralDensity:
    """The density of eigenvalues, as the Gauss quadratures of random probes.

    Attributes
    ----------
    dim : int
        Number of eigenvalues.
    quadratures : list of (nodes, weights)
        One for each probe: weights are not negative and sum to 1.
    products, status, message
        What it cost and how it ended.
    """

    def __init__(self, native):
        self._native = native

    dim = property(lambda self: self._native.dim)
    products = property(lambda self: self._native.products)
    status = property(lambda self: self._native.status)
    message = property(lambda self: self._native.message)
    quadratures = property(lambda self: self._native.quadratures)
    support = property(lambda self: self._native.support, doc="The smallest and the largest node.")
    resolution = property(lambda self: self._native.resolution, doc="A width for `density` that the steps can resolve.")

    def density(self, grid, width):
        """The density at every point of a grid, each node spread to a Gaussian.

        Parameters
        ----------
        grid : array_like, shape (g,)
            Places λ.
        width : float
            Standard deviation of the Gaussian, in units of λ.

        Returns
        -------
        values, std_errors : numpy.ndarray, shape (g,)
            The curve integrates to 1; errors are over the probes.
        """
        return self._native.density(np.ascontiguousarray(grid, dtype=np.float64), float(width))

    def moment(self, k) -> Estimate:
        """(1/n) Σ λᵢᵏ."""
        return Estimate(*self._native.moment(k))

    def trace(self) -> Estimate:
        """Σ λᵢ."""
        return Estimate(*self._native.trace())

    def index(self, zero=0.0) -> Estimate:
        """How many eigenvalues lie below −`zero`."""
        return Estimate(*self._native.index(float(zero)))

    def fraction_below(self, threshold) -> Estimate:
        """The share of eigenvalues below a threshold."""
        return Estimate(*self._native.fraction_below(float(threshold)))


def _lead(A, work):
    """Runs a solve; an operator spread over processes lets one of them lead."""
    return getattr(A, "_lead", lambda work: work())(work)


def _pair(found):
    return None if found is None else Eigenpair(*found)


def _options(n, dtype, *, largest=1, smallest=1, magnitude=None, tol, absolute_tol, max_products, basis_vectors, memory,
             precision, block_size, seed, start):
    if start is not None:
        start = np.atleast_2d(real(start, "start"))
    if precision is None:
        precision = "f32" if n >= SINGLE_FROM else "f64"
    return {
        "largest": whole("largest", largest), "smallest": whole("smallest", smallest), "magnitude": optional_whole("magnitude", magnitude),
        "tol": number("tol", tol), "absolute_tol": optional_number("absolute_tol", absolute_tol),
        "max_products": whole("max_products", max_products), "basis_vectors": optional_whole("basis_vectors", basis_vectors, 1),
        "memory": optional_whole("memory", memory, 1), "precision": precision, "block_size": whole("block_size", block_size, 1),
        "seed": whole("seed", seed), "start": start,
    }


def _look_at_symmetry(found, product, n, options):
    """Where a solve ended because residuals stay large: rounding does that, and an operator that is not symmetric. Two products tell."""
    if found["status"] not in ("RoundingFloor", "Stagnated") or found["products"] + 2 > options["max_products"]:
        return
    found["products"] += 2
    share = asymmetry(product, n, options["seed"])
    if share > _ASYMMETRIC:
        found["message"] = (f"the operator is not symmetric: xᵀAy and yᵀAx of random vectors differ by {share:.1e} ‖x‖ ‖Ay‖ "
                            "(saddlescope.check_operator says more)")


def eigsh(A, *, largest=1, smallest=1, magnitude=None, tol=1e-4, absolute_tol=None, max_products=1000, dim=None, block=None,
          block_size=1, basis_vectors=None, memory=None, precision=None, seed=0, start=None, state=None, progress=None):
    """Extreme eigenpairs of a symmetric operator, each with its true residual.

    Both ends come from one Krylov space (thick-restart Lanczos; Wu and Simon 2000). The result is the same to the last bit
    for the same ``seed`` on any number of threads, if the operator is.

    Parameters
    ----------
    A : matrix, SciPy LinearOperator, curvlinops operator, ``risk.hessian()`` or callable
        A = Aᵀ, n × n; a callable takes vectors (n,), or with ``block=True`` columns (n, k).
    largest, smallest : int
        How many pairs at either end of the spectrum.
    magnitude : int, optional
        Instead: how many pairs of largest |λ|.
    tol : float
        A pair has converged when ‖Av − λv‖₂ ≤ tol·|λ|.
    absolute_tol : float, optional
        A floor for the same, as a multiple of ‖A‖; by default a small multiple of the rounding unit.
    max_products : int
        At most this many products.
    dim : int, optional
        n, for a callable.
    block_size : int
        Vectors multiplied at a time. One needs the fewest products.
    basis_vectors, memory : int, optional
        Limit on the basis, as a number of vectors (128 by default) or in bytes.
    precision : {"f32", "f64"}, optional
        How the basis is stored (arithmetic is in double precision always): f64 below 20 million dimensions, else f32.
    seed : int
    start : array_like, shape (m, n), optional
        Where to start, for example at eigenvectors of a cheaper operator, one a row.
    state : State or path, optional
        A state to go on from; or a file in which the state is kept after every product. If the file exists the solve goes on
        from there, so that an interrupted call continues when it is made again. It is left there when the solve ends.
    progress : bool or callable, optional
        True for a progress bar (tqdm); or ``f(stage, products, max_products, ritz, estimate)``.

    Returns
    -------
    Eigensolution
        Look at ``converged``: running out of products is no exception.

    Raises
    ------
    ValueError
        If the request cannot be carried out. Exceptions of the operator arrive unchanged.
    """
    product, n, dtype = resolve(A, dim, block)
    options = _options(n, dtype, largest=largest, smallest=smallest, magnitude=magnitude, tol=tol, absolute_tol=absolute_tol,
                       max_products=max_products, basis_vectors=basis_vectors, memory=memory, precision=precision,
                       block_size=block_size, seed=seed, start=start)
    path = None
    if isinstance(state, (str, os.PathLike)):
        state, path = None, file_path("state", state)

    def work():
        with solver_progress(progress) as watch:
            found = _native.eigsh(product, n, options, state, path, watch)
        _look_at_symmetry(found, product, n, options)
        found["pairs"] = [Eigenpair(*pair) for pair in found["pairs"]]
        return Eigensolution(**found)

    return _lead(A, work)


def algorithm1(A, *, tol=1e-4, absolute_tol=None, max_products=1000, dim=None, block=None, basis_vectors=None, memory=None,
               precision=None, seed=0, state=None, progress=None):
    """Algorithm 1 of Böttcher and Wheeler (2022): the pair of largest |λ|, then that of the shifted operator.

    For comparison: :func:`eigsh` finds both pairs with fewer products. Parameters and errors as there.
    state : path, optional
        A file in which every product is kept (8 n bytes each): the same call goes on after a stop, with the same bits, and a call
        for more goes on from there. Delete the file when you are done. A file of
        another operator is an error (one product is made again to see); products of another call are replaced.

    Returns
    -------
    DominantPairs
    """
    product, n, dtype = resolve(A, dim, block)
    options = _options(n, dtype, tol=tol, absolute_tol=absolute_tol, max_products=max_products, basis_vectors=basis_vectors,
                       memory=memory, precision=precision, block_size=1, seed=seed, start=None)
    file = file_path("state", state)

    def work():
        with solver_progress(progress) as watch:
            found = _native.algorithm1(product, n, options, file, watch)
        _look_at_symmetry(found, product, n, options)
        found["first"], found["second"] = _pair(found["first"]), _pair(found["second"])
        return DominantPairs(**found)

    return _lead(A, work)


def trace(A, *, method="hutchinson", max_products=100, target_std_error=None, probes="rademacher", dim=None, block=None,
          block_size=8, seed=0, state=None, progress=None):
    """tr A with its standard error.

    Parameters
    ----------
    A, dim, block, block_size, seed, progress
        As for :func:`eigsh`.
    method : {"hutchinson", "hutch++", "xtrace"}
        Hutchinson (1990); Hutch++ (Meyer and others 2021) and XTrace (Epperly, Tropp and Webber 2024) take the dominant part out
        first, which pays where eigenvalues decay fast.
    max_products : int
    target_std_error : float, optional
        Stop once the standard error is no larger.
    probes : {"rademacher", "gaussian"} or array_like, shape (m, n)
        Random vectors of Hutchinson's method; given ones, one a row, must have E[zzᵀ] = I.
    state : path, optional
        A file in which every product is kept (8 n bytes each): the same call goes on after a stop, with the same bits, and a call
        for more goes on from there. Delete the file when you are done. A file of
        another operator is an error (one product is made again to see); products of another call are replaced.

    Returns
    -------
    TraceEstimate
    """
    product, n, _ = resolve(A, dim, block)
    if not isinstance(probes, str):
        if method != "hutchinson":
            raise ValueError(f"given probes are for method='hutchinson', not {method!r}")
        probes = np.atleast_2d(real(probes, "probes"))
    options = {"max_products": whole("max_products", max_products, 1), "target_std_error": optional_number("target_std_error", target_std_error),
               "block_size": whole("block_size", block_size, 1), "seed": whole("seed", seed)}
    file = file_path("state", state)

    def work():
        with solver_progress(progress) as watch:
            found = _native.trace(product, n, method, probes, options, file, watch)
        found["trace"] = Estimate(*found["trace"])
        if found["frobenius_squared"] is not None:
            found["frobenius_squared"] = Estimate(*found["frobenius_squared"])
        return TraceEstimate(**found)

    return _lead(A, work)


def density(A, *, probes=16, steps=64, block_size=4, reorthogonalise=True, precision=None, kind="sphere", dim=None, block=None,
            seed=0, state=None, progress=None) -> SpectralDensity:
    """The density of all eigenvalues by stochastic Lanczos quadrature (Ubaru, Chen and Saad 2017).

    Parameters
    ----------
    A, dim, block, seed, progress
        As for :func:`eigsh`.
    probes : int
        Number of random vectors: errors shrink with its root.
    steps : int
        Products for each of them: the resolution grows with it.
    block_size : int
        Probes multiplied at a time; so many bases are in memory.
    reorthogonalise : bool
        Keep each basis (memory for ``steps`` vectors); without it outliers appear as several close nodes.
    kind : {"sphere", "rademacher"}
    state : path, optional
        A file in which every product is kept (8 n bytes each): the same call goes on after a stop, with the same bits, and a call
        for more goes on from there. Delete the file when you are done. A file of
        another operator is an error (one product is made again to see); products of another call are replaced.

    Returns
    -------
    SpectralDensity
    """
    product, n, _ = resolve(A, dim, block)
    if precision is None:
        precision = "f32" if n >= SINGLE_FROM else "f64"
    options = {"probes": whole("probes", probes, 1), "steps": whole("steps", steps, 1), "block_size": whole("block_size", block_size, 1),
               "reorthogonalise": reorthogonalise, "precision": precision, "kind": kind, "seed": whole("seed", seed)}
    file = file_path("state", state)

    def work():
        with solver_progress(progress) as watch:
            return SpectralDensity(_native.density(product, n, options, file, watch))

    return _lead(A, work)


def check_operator(A, *, tolerance=1e-10, dim=None, block=None):
    """Whether an operator is linear, symmetric and repeatable, and whether block products are products of the columns.

    Parameters
    ----------
    A, dim, block
        As for :func:`eigsh`.
    tolerance : float
        Largest error allowed, relative to ‖A‖: about 1e-5 for an operator in single precision.

    Raises
    ------
    ValueError
        With the first property that fails, and by how much.
    """
    product, n, _ = resolve(A, dim, block)
    problem = _native.check_operator(product, n, number("tolerance", tolerance))
    if problem is not None:
        raise ValueError(problem)
