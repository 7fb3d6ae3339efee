"""Functions of NumPy: the analysis with its folder, cuts, surfaces, directions, the escape."""

import numpy as np
import pytest

import saddlescope as ss


def double_well(calls=None):
    """x² + (y² − 1)² − 1 near its saddle, moved to (1, 1): H = diag(2, −4)."""

    def loss(t):
        if calls is not None:
            calls.append("loss")
        x, y = t[0] - 1, t[1] - 1
        return x**2 + (y**2 - 1) ** 2 + 1

    def gradient(t):
        x, y = t[0] - 1, t[1] - 1
        return [2 * x, 4 * y * (y**2 - 1)]

    def hessian(t, v):
        if calls is not None:
            calls.append("product")
        y = t[1] - 1
        return [2 * v[0], (12 * y**2 - 4) * v[1]]

    return ss.Function(loss, [1.0, 1.0], gradient=gradient, hessian=hessian, name="double well")


def test_values_of_a_function():
    risk = double_well()
    assert risk.loss() == 2.0 and risk.loss([1, 2]) == 1.0
    assert risk.gradient([2, 1]).tolist() == [2, 0]
    assert risk.hessian().matmat(np.eye(2)).tolist() == [[2, 0], [0, -4]]
    with pytest.raises(ValueError, match="shape"):
        risk.loss([1.0])
    with pytest.raises(ValueError, match="not offered"):
        risk.operator("fisher")
    with pytest.raises(ValueError, match="no gradient"):
        ss.Function(lambda t: 0.0, [1.0]).gradient()


def test_an_analysis_finds_saddle_and_way_out(tmp_path):
    risk = double_well()
    found = ss.analyze(risk, out=tmp_path, grid=5)
    assert [round(p.value, 9) for p in found.eigenpairs] == [2.0, -4.0]
    assert found.results["hessian_signs"] == "indefinite" and found.results["kind"] == "saddle"
    assert any("saddle" in sentence for sentence in found.verdict)
    assert found.report.read_text().startswith("<!")
    html = found._repr_html_()
    assert "<svg" in html and "double well" in html
    assert found.figure("spectrum").lstrip().startswith(b"<")
    assert found.figure("spectrum", "png").startswith(b"\x89PNG")
    with pytest.raises(KeyError, match="spectrum"):
        found.figure("nothing")
    out = ss.escape(risk, found)
    # The wells are at distance 1 along y.
    assert out[0] == pytest.approx(1, abs=1e-6) and abs(abs(out[1] - 1) - 1) < 0.05
    assert all(s.loss.shape == (len(s.alpha), len(s.beta)) for s in found.surfaces) and found.surfaces


def test_a_second_call_reads_what_is_there_and_more_can_be_asked(tmp_path):
    ss.analyze(double_well(), out=tmp_path, stages=["eigenpairs"])
    calls = []
    ss.analyze(double_well(calls), out=tmp_path, stages=["eigenpairs"])
    assert calls.count("product") == 1  # The one by which the function is known.
    more = ss.analyze(double_well(calls), out=tmp_path, stages=["eigenpairs", "cuts"])
    assert more.cuts and calls.count("loss") > 0
    with pytest.raises(ValueError, match="double well"):
        other = double_well()
        other.name = "another"
        ss.analyze(other, out=tmp_path)


def test_an_exception_stops_and_the_same_call_continues(tmp_path):
    whole = ss.analyze(double_well(), out=tmp_path / "whole", grid=5)

    class Broken(Exception):
        pass

    risk, left = double_well(), [60]
    inner = risk._functions[0]

    def loss(t):
        left[0] -= 1
        if left[0] == 0:
            raise Broken("at this call")
        return inner(t)

    risk._functions = (loss, *risk._functions[1:])
    with pytest.raises(Broken, match="at this call"):
        ss.analyze(risk, out=tmp_path / "part", grid=5)
    again = ss.analyze(risk, out=tmp_path / "part", grid=5)
    for a, b in zip(whole.surfaces, again.surfaces):
        assert a.loss.tobytes() == b.loss.tobytes()
    assert [p.value for p in whole.eigenpairs] == [p.value for p in again.eigenpairs]


def test_only_a_loss_is_analysed_as_far_as_that_goes(tmp_path):
    found = ss.analyze(ss.Function(lambda t: float(t @ t), [1.0, 2.0]), out=tmp_path, stages=["eigenpairs", "surfaces"], grid=5)
    assert found.eigenpairs == [] and found.results["not_offered"]


def test_bad_arguments_are_named_before_any_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    risk = double_well()
    for options, words in (
        ({"grid": 1}, "grid=1; expected a whole number from 2 on"), ({"grid": 2.5}, "grid=2.5"), ({"largest": -1}, "largest=-1; expected"),
        ({"tol": float("nan")}, "tol=nan; expected a finite number"), ({"seed": -1}, "seed=-1"), ({"memory": -1}, "memory=-1"),
        ({"max_products": 2.5}, "max_products=2.5"), ({"stages": ["escape"]}, "stage 'escape' needs the stage 'eigenpairs'"),
        ({"stages": ["fits"]}, "needs the stage 'probes'"), ({"stages": []}, "stages names no stage"), ({"stages": "cuts"}, r"such as \['cuts'\]"),
        ({"stages": ["guess"]}, "stage 'guess'"), ({"out": ""}, "out is an empty path"),
    ):
        with pytest.raises(ValueError, match=words):
            ss.analyze(risk, **{"out": "folder", **options})
    for run, options, words in (
        (ss.settle, {"tol": float("nan")}, "tol=nan"), (ss.settle, {"radius": -1}, "radius=-1; expected a finite number above 0"),
        (ss.settle, {"whole_up_to": -1}, "whole_up_to=-1"), (ss.sharpness, {"probes": 0}, "probes=0"), (ss.sharpness, {"rho": float("inf")}, "rho=inf"),
        (ss.sharpness, {"out": ""}, "out is an empty path"),
    ):
        with pytest.raises(ValueError, match=words):
            run(risk, **{"out": "folder", **options})
    for axis in ((-1, 1, 2.5), (-1, 1, 1), (-1, 1), 5):
        with pytest.raises(ValueError, match="axis"):
            ss.cut(risk, [0.0, 1.0], axis)
    assert list(tmp_path.iterdir()) == []
    numbers = ss.analyze(risk, stages=["eigenpairs", "surfaces"], grid=np.int64(3), seed=np.int32(1), largest=np.int64(1), tol=np.float32(1e-3))
    assert len(numbers.eigenpairs) == 2


def test_a_table_of_no_eigenpairs_is_empty():
    pytest.importorskip("pandas", reason="pandas is not installed: tables are not tested")
    columns = ["end", "value", "residual", "std_error", "converged"]
    assert list(ss.analyze(double_well(), stages=["eigenpairs"]).to_pandas().columns) == columns
    empty = ss.analyze(double_well(), stages=["cuts"]).to_pandas()
    assert len(empty) == 0 and list(empty.columns) == columns


def test_cuts_surfaces_and_directions():
    risk = double_well()
    line = ss.cut(risk, [0.0, 1.0], (-1, 1, 3))
    assert line.loss.tolist() == [1, 2, 1] and line.alpha.tolist() == [-1, 0, 1]
    rows = []
    plane = ss.surface(risk, ([1, 0], [0, 1]), ((-1, 1, 3), (0, 1, 2)), progress=lambda done, total: rows.append((done, total)))
    assert plane.loss.tolist() == [[3, 2], [2, 1], [3, 2]] and rows == [(1, 3), (2, 3), (3, 3)]
    pair = ss.eigsh(risk.hessian()).pairs[0]
    assert ss.cut(risk, pair, (-1, 1, 3)).loss.tolist() == pytest.approx([3, 2, 3])
    with pytest.raises(ValueError, match="axis"):
        ss.cut(risk, [0, 1], (1, -1, 3))
    layered = ss.Function(lambda t: 0.0, np.arange(1.0, 7.0), layout=[("w", [2, 2], "linear_weight"), ("b", [2], "bias")])
    d = ss.random_direction(layered, seed=1)
    # Each neuron (row) has the norm of the same row of θ, biases are zero.
    assert np.linalg.norm(d[:2]) == pytest.approx(np.linalg.norm([1, 2])) and np.linalg.norm(d[2:4]) == pytest.approx(5)
    assert d[4:].tolist() == [0, 0]
    assert np.linalg.norm(ss.random_direction(layered, normalize="unit")) == pytest.approx(1)
    assert not np.array_equal(d, ss.random_direction(layered, seed=1, index=1))


def test_our_own_engine():
    risk = ss.onnx.Risk("digits-mlp", samples=40, dtype="f64")
    assert risk.samples == 40 and risk.dim == sum(int(np.prod(s)) for _, s, _ in risk.layout)
    v = np.random.default_rng(0).normal(size=risk.dim)
    step = 1e-5
    difference = (risk.gradient(risk.theta + step * v) - risk.gradient(risk.theta - step * v)) / (2 * step)
    image = risk.hessian().matvec(v)
    # Central differences: error of order step² and of rounding over the step.
    assert np.linalg.norm(image - difference) < 1e-5 * np.linalg.norm(image)
    few = ss.onnx.Risk("digits-mlp", samples=40, params="*.bias")
    assert 0 < few.dim < risk.dim
    with pytest.raises(ValueError, match="unknown model"):
        ss.onnx.Risk("nothing", data="digits")
    found = ss.analyze(risk, test=ss.onnx.Risk("digits-mlp", split="test", samples=20, dtype="f64"), stages=["eigenpairs"])
    assert found.eigenpairs[0].converged and found.results["accuracy"] is not None
    assert found.std_errors[0] is None or found.std_errors[0] > 0
