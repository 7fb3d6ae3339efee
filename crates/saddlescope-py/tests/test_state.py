"""Solvers and estimators that were stopped go on with the products they made."""

import numpy as np
import pytest

import saddlescope as ss

N = 200
DIAGONAL = np.linspace(-3.0, 7.0, N)

CALLS = {
    "trace": lambda A, **more: ss.trace(A, dim=N, max_products=40, **more).per_probe,
    "hutch++": lambda A, **more: ss.trace(A, dim=N, method="hutch++", max_products=45, **more).trace.value,
    "density": lambda A, **more: ss.density(A, dim=N, probes=4, steps=12, **more).quadratures[1][0],
    "algorithm1": lambda A, **more: ss.algorithm1(A, dim=N, tol=1e-8, **more).first.value,
}


class Stopped(Exception):
    pass


@pytest.mark.parametrize("name", CALLS)
def test_a_stopped_call_goes_on_with_its_products(name, tmp_path):
    made = []

    def product(v):
        made.append(1)
        if limit and len(made) > limit:
            raise Stopped
        return DIAGONAL * v

    call, limit = CALLS[name], None
    at_once = call(product)
    whole = len(made)
    state = tmp_path / "state"
    made.clear()
    limit = whole // 2
    with pytest.raises(Stopped):
        call(product, state=state)
    made.clear()
    limit = None
    again = call(product, state=state)
    assert np.array_equal(again, at_once), "the same bits"
    assert 0 < len(made) <= whole - whole // 2 + 9, f"{len(made)} products of {whole} were made again"


def test_more_probes_go_on(tmp_path):
    made = []

    def product(v):
        made.append(1)
        return DIAGONAL * v

    state = tmp_path / "state"
    ss.trace(product, dim=N, max_products=16, state=state)
    assert len(made) == 16
    more = ss.trace(product, dim=N, max_products=48, state=state)
    # One is made again, to see whether the file is this operator's.
    assert len(made) == 49
    assert more.trace.samples == 48


@pytest.mark.parametrize("name", CALLS)
def test_the_file_of_another_operator_is_refused(name, tmp_path):
    state, call = tmp_path / "state", CALLS[name]
    right = call(lambda v: DIAGONAL * v, state=state)
    kept = state.read_bytes()
    with pytest.raises(ValueError, match="another operator"):
        call(lambda v: 1.01 * DIAGONAL * v, state=state)
    assert state.read_bytes() == kept, "what was there is lost"
    assert np.array_equal(call(lambda v: DIAGONAL * v, state=state), right)
    (tmp_path / "text").write_text("no products\n" * 1000)
    with pytest.raises(ValueError, match="holds no products"):
        call(lambda v: DIAGONAL * v, state=tmp_path / "text")


def test_the_space_of_another_operator_is_refused():
    made = []

    def product(v):
        made.append(1)
        return DIAGONAL * v

    part = ss.eigsh(product, dim=N, tol=1e-8, max_products=20)
    with pytest.raises(ValueError, match="another operator"):
        ss.eigsh(lambda v: 1.01 * DIAGONAL * v, dim=N, tol=1e-8, state=part.state)
    rest, whole = ss.eigsh(product, dim=N, tol=1e-8, state=part.state), ss.eigsh(product, dim=N, tol=1e-8)
    assert np.abs(rest.values - whole.values).max() < 1e-10


def test_a_state_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        ss.trace(lambda v: v, dim=3, state=tmp_path / "nowhere" / "state")
