"""Eigenpairs, traces and densities of operators from Python."""

import os
import pickle
import signal
import threading
import time

import numpy as np
import pytest

import saddlescope as ss


def symmetric(n, seed=0):
    a = np.random.default_rng(seed).normal(size=(n, n))
    return (a + a.T) / 2


def operators(a):
    """The same matrix in every form that is taken."""
    yield "array", a, {}
    yield "function", lambda x: a @ x, {"dim": len(a)}
    yield "block function", lambda x: a @ x, {"dim": len(a), "block": True}
    try:
        import scipy.sparse as sparse
        import scipy.sparse.linalg as linalg
    except ImportError:
        return
    yield "LinearOperator", linalg.aslinearoperator(a), {}
    yield "sparse", sparse.csr_matrix(a), {}


def test_every_kind_of_operator_gives_the_eigenvalues_of_numpy():
    a = symmetric(60)
    exact = np.linalg.eigvalsh(a)[::-1]
    for name, operator, options in operators(a):
        found = ss.eigsh(operator, largest=2, smallest=2, tol=1e-9, **options)
        assert found.converged, name
        wanted = exact[[0, 1, -2, -1]]
        # A residual bounds the distance to an eigenvalue; rounding adds a little.
        assert np.all(np.abs(found.values - wanted) <= found.residuals + 1e-12), name
        for pair in found.pairs:
            assert np.linalg.norm(a @ pair.vector - pair.value * pair.vector) == pytest.approx(pair.residual, abs=1e-12)
            assert np.linalg.norm(pair.vector) == pytest.approx(1, abs=1e-12)


def test_magnitude_and_algorithm1():
    a = np.diag([7.0, 1.0, 0.5, -0.25, -9.0])
    found = ss.eigsh(a, magnitude=2, tol=1e-9)
    assert [round(p.value, 8) for p in found.pairs] == [-9.0, 7.0]
    pairs = ss.algorithm1(a, tol=1e-9)
    assert pairs.condition_holds and "(B.1) holds" in pairs.condition
    assert pairs.maximum.value == pytest.approx(7, abs=1e-7) and pairs.minimum.value == pytest.approx(-9, abs=1e-7)


def test_blocks_reach_an_operator_that_takes_them():
    seen = []

    def product(x):
        seen.append(x.shape[1])
        return np.arange(50.0)[:, None] * x

    ss.eigsh(product, dim=50, block=True, block_size=3)
    assert max(seen) >= 3


def test_traces_agree_with_the_sum_of_the_diagonal():
    a = symmetric(200) + np.diag(np.arange(200.0))
    for method in ("hutchinson", "hutch++", "xtrace"):
        found = ss.trace(a, method=method, max_products=120, seed=3)
        assert abs(found.trace.value - np.trace(a)) < 5 * found.trace.std_error, method
        assert found.products <= 120
    # Signs are exact on diagonal matrices.
    assert ss.trace(np.diag([1.0, 2.0, 3.0])).trace.value == pytest.approx(6, abs=1e-12)
    given = ss.trace(a, probes=np.eye(200) * np.sqrt(200), max_products=200)
    assert given.trace.value == pytest.approx(np.trace(a), rel=1e-12)


def test_density_counts_negative_eigenvalues():
    values = np.repeat([-1.0, 2.0], [100, 300])
    found = ss.density(np.diag(values), probes=8, steps=10)
    index = found.index(1e-6)
    assert abs(index.value - 100) < 5 * index.std_error + 1e-9
    grid = np.linspace(-3, 4, 701)
    curve, errors = found.density(grid, 0.1)
    assert curve.sum() * 0.01 == pytest.approx(1, abs=1e-3) and errors.shape == curve.shape
    assert found.moment(1).value == pytest.approx(found.trace().value / 400)
    copy = pickle.loads(pickle.dumps(found))
    assert copy.density(grid, 0.1)[0].tobytes() == curve.tobytes() and copy.index(1e-6) == index
    assert (copy.dim, copy.products, copy.status, copy.support) == (found.dim, found.products, found.status, found.support)


def test_an_exception_of_the_operator_arrives_as_it_is():
    class Mine(Exception):
        pass

    mine = Mine("here")

    def broken(x):
        raise mine

    for solve in (ss.eigsh, ss.trace, ss.density, ss.algorithm1):
        with pytest.raises(Mine) as caught:
            solve(broken, dim=20)
        assert caught.value is mine
        assert any(entry.name == "broken" for entry in caught.traceback)


def test_what_is_wrong_is_said():
    a = np.eye(4)
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        ss.eigsh(lambda x: x[:-1], dim=4)
    with pytest.raises(ValueError, match="dim is needed"):
        ss.eigsh(lambda x: x)
    with pytest.raises(ValueError, match="square"):
        ss.eigsh(np.ones((3, 4)))
    with pytest.raises(ValueError, match="tol=-1"):
        ss.eigsh(a, tol=-1)
    with pytest.raises(ValueError, match="method"):
        ss.trace(a, method="guess")
    with pytest.raises(TypeError, match="no operator"):
        ss.eigsh(3)
    with pytest.raises(ValueError, match="⟨x, Ay⟩ = ⟨y, Ax⟩ fails"):
        ss.check_operator(np.triu(np.ones((20, 20))))
    ss.check_operator(symmetric(20))


def test_block_products_of_the_wrong_shape_are_refused():
    a = symmetric(6)
    # With as many columns as rows the shape alone does not tell.
    for columns in (2, 6):
        with pytest.raises(ValueError, match="expected the same"):
            ss.trace(lambda x: (a @ x).T, dim=6, block=True, block_size=columns)
    with pytest.raises(ValueError, match=r"shape \(6, 1\) has shape \(6,\)"):
        ss.eigsh(lambda x: (a @ x)[:, 0], dim=6, block=True)
    found = ss.trace(lambda x: a @ x, dim=6, block=True, block_size=6, probes=np.eye(6) * np.sqrt(6))
    assert found.trace.value == pytest.approx(np.trace(a), abs=1e-12)


def test_complex_numbers_are_refused():
    a = symmetric(8)
    hermitian = a + 1j * (np.triu(a) - np.triu(a).T)
    for solve in (ss.eigsh, ss.algorithm1, ss.trace, ss.density, ss.check_operator):
        with pytest.raises(ValueError, match="complex128; expected a real one"):
            solve(hermitian)
        for options in ({}, {"block": True}):
            with pytest.raises(ValueError, match="complex128; expected real numbers"):
                solve(lambda x: hermitian @ x, dim=8, **options)
    with pytest.raises(ValueError, match="start has dtype complex128"):
        ss.eigsh(a, start=np.ones(8) + 0j)
    with pytest.raises(ValueError, match="probes has dtype complex128"):
        ss.trace(a, probes=np.ones((1, 8)) + 0j)


def test_an_operator_that_is_not_symmetric_is_not_called_rounding():
    a = symmetric(60)
    skew = a + 0.3 * np.triu(a)
    for solve in (ss.eigsh, ss.algorithm1):
        found = solve(skew)
        assert found.status == "Stagnated" and "the operator is not symmetric" in found.message and "rounding" not in found.message
    # Rounding itself is still called that.
    single = a.astype(np.float32)
    found = ss.eigsh(lambda x: single @ x.astype(np.float32), dim=60, tol=1e-13, absolute_tol=0)
    assert not found.converged and "rounding" in found.message


def test_numbers_that_cannot_be_meant_are_named():
    a = symmetric(8)
    for options, words in (
        ({"largest": -1}, "largest=-1; expected a whole number from 0 on"), ({"smallest": 1.5}, "smallest=1.5; expected"),
        ({"tol": float("nan")}, "tol=nan; expected a finite number from 0 on"), ({"seed": -1}, "seed=-1"), ({"max_products": -1}, "max_products=-1"),
        ({"memory": -1}, "memory=-1"), ({"block_size": 0}, "block_size=0; expected a whole number from 1 on"), ({"state": ""}, "state is an empty path"),
    ):
        with pytest.raises(ValueError, match=words):
            ss.eigsh(a, **options)
    for solve, options, words in (
        (ss.trace, {"max_products": 0}, "max_products=0"), (ss.trace, {"target_std_error": -1}, "target_std_error=-1"),
        (ss.density, {"probes": 0}, "probes=0"), (ss.density, {"steps": 2.5}, "steps=2.5"), (ss.algorithm1, {"tol": "a"}, "tol='a'"),
        (ss.algorithm1, {"state": ""}, "state is an empty path"),
    ):
        with pytest.raises(ValueError, match=words):
            solve(a, **options)
    with pytest.raises(ValueError, match="dim=8.5"):
        ss.eigsh(lambda x: a @ x, dim=8.5)
    assert ss.eigsh(a, largest=np.int64(1), seed=np.int32(0), tol=np.float32(1e-3)).converged


def test_a_state_goes_on_to_the_same_bits(tmp_path):
    a = symmetric(150)
    whole = ss.eigsh(a, tol=1e-10)
    part = ss.eigsh(a, tol=1e-10, max_products=10)
    assert not part.converged and part.state.products <= 10
    rest = ss.eigsh(a, tol=1e-10, state=pickle.loads(pickle.dumps(part.state)))
    # Another limit on products tests convergence at other places, so only rounding may differ.
    assert np.abs(rest.values - whole.values).max() < 1e-12 and rest.products <= whole.products + 10

    path, calls = tmp_path / "solve.state", []

    def interrupted(x):
        calls.append(1)
        if len(calls) == 13:
            raise KeyboardInterrupt
        return a @ x

    with pytest.raises(KeyboardInterrupt):
        ss.eigsh(interrupted, dim=150, tol=1e-10, state=path)
    again = ss.eigsh(interrupted, dim=150, tol=1e-10, state=path)
    # The same operator at once: a product with a block of one vector may round otherwise than with a vector.
    at_once = ss.eigsh(lambda x: a @ x, dim=150, tol=1e-10)
    assert again.values.tobytes() == at_once.values.tobytes()
    # One was interrupted, and one is made to see whether the state is this operator's.
    assert len(calls) <= whole.products + 2
    with pytest.raises(ValueError, match="dimension"):
        ss.eigsh(symmetric(20), state=path)


def test_ctrl_c_stops_at_the_next_product():
    def slow(x):
        time.sleep(0.02)
        return np.arange(2000.0) * x

    # A process that was started in the background may ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            ss.eigsh(slow, dim=2000, tol=1e-14, absolute_tol=0.0, max_products=3000)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)


def test_the_lock_of_python_is_free_while_rust_computes():
    ticks, stop = [], threading.Event()

    def tick():
        while not stop.wait(0.001):
            ticks.append(time.perf_counter())

    thread = threading.Thread(target=tick)
    thread.start()
    n = 400_000
    spectrum = np.linspace(-1, 1, n)
    gaps = []
    last = [time.perf_counter()]

    def product(x):
        gaps.append((last[0], time.perf_counter()))
        y = spectrum * x
        last[0] = time.perf_counter()
        return y

    ss.eigsh(product, dim=n, max_products=30)
    stop.set()
    thread.join()
    # Ticks of the other thread between the end of one product and the begin of the next: while Rust computes.
    inside = sum(any(a < t < b for a, b in gaps) for t in ticks)
    assert inside > 5


def test_progress_is_told():
    seen = []
    ss.eigsh(symmetric(80), progress=lambda *told: seen.append(told))
    assert seen[-1][0].startswith("lanczos") or "lanczos" in seen[-1][0].lower()
    assert [told[1] for told in seen] == sorted(told[1] for told in seen)

    def stop(*_):
        raise StopIteration("enough")

    with pytest.raises(StopIteration, match="enough"):
        ss.eigsh(symmetric(80), progress=stop)


def test_edges_of_the_dimension():
    one = ss.eigsh(np.array([[3.0]]))
    assert one.pairs[0].value == 3.0
    assert ss.eigsh(lambda x: x, dim=0).pairs == []
    nan = ss.eigsh(lambda x: x * np.nan, dim=5)
    assert nan.status == "NonFinite" and not nan.converged and "NaN" in nan.message
