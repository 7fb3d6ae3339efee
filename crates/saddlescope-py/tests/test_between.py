"""Several weights side by side, on the way from one to another and along a training; settling and sharpness."""

import numpy as np
import pytest

import saddlescope as ss


def bowls():
    """(x² − 1)² + y²: minima at (±1, 0), a saddle of height 1 between them."""

    def loss(t):
        return (t[0] ** 2 - 1) ** 2 + t[1] ** 2

    def gradient(t):
        return [4 * t[0] * (t[0] ** 2 - 1), 2 * t[1]]

    def hessian(t, v):
        return [(12 * t[0] ** 2 - 4) * v[0], 2 * v[1]]

    return ss.Function(loss, [0.1, 0.2], gradient=gradient, hessian=hessian, name="two bowls")


def test_compare_has_closed_forms(tmp_path):
    found = ss.compare(bowls(), {"left": [-1.0, 0.0], "middle": [0.0, 0.0], "right": [1.0, 0.0]}, largest=1, smallest=1, grid=3, out=tmp_path)
    points = {p["name"]: p["sides"][0] for p in found.results["points"]}
    assert points["left"]["loss"]["value"] == 0 and points["middle"]["loss"]["value"] == 1
    assert points["left"]["lambda_max"]["value"] == pytest.approx(8) and points["left"]["lambda_min"]["value"] == pytest.approx(2)
    assert points["middle"]["lambda_min"]["value"] == pytest.approx(-4)
    distances = {tuple(p["names"]): p["distance"] for p in found.results["pairs"]}
    assert distances["left", "right"] == pytest.approx(2)
    assert found.report == tmp_path / "compare" / "report.html" and found.report.read_text().startswith("<!")
    assert found.verdict and str(found.report) in repr(found)


def test_the_barrier_of_a_path(tmp_path):
    risk = bowls()
    found = ss.path(risk, {"left": [-1.0, 0.0], "right": [1.0, 0.0]}, points=5, curve=(20, 0.05), out=tmp_path)
    assert found.barrier() == (pytest.approx(1), None)
    line = found.results["ways"][0]
    assert line["name"] == "line" and [v["value"] for v in line["sides"][0]["loss"]] == pytest.approx([0, 0.5625, 1, 0.5625, 0])
    assert any("alignment" in sentence for sentence in found.results["left_out"])
    assert {w["name"] for w in found.results["ways"]} == {"line", "curve"}
    with pytest.raises(KeyError, match="line, curve"):
        found.barrier("river")
    with pytest.raises(KeyError, match="train"):
        found.barrier(split="test")


def test_the_same_call_reads_what_is_there(tmp_path):
    calls, risk = [], bowls()
    inner = risk._functions[2]
    risk._functions = (*risk._functions[:2], lambda t, v: calls.append(1) or inner(t, v))
    weights = {"a": [-1.0, 0.0], "b": [0.5, 0.3], "c": [1.0, 0.0]}
    first = ss.trajectory(risk, weights, grid=0, out=tmp_path)
    made = len(calls)
    again = ss.trajectory(risk, weights, grid=0, out=tmp_path)
    assert made > 0 and len(calls) == made
    assert again.results["points"] == first.results["points"]
    ss.trajectory(risk, {**weights, "d": [1.5, 0.0]}, grid=0, out=tmp_path)
    assert 0 < len(calls) - made < made


def test_trajectory_knows_rates_and_components():
    way = [[-1.0 + 0.5 * i, 0.0] for i in range(4)]
    found = ss.trajectory(bowls(), way, learning_rate=[0.1, 0.1, 0.05, 0.05], momentum=0.5, grid=0)
    assert found.results["stability_limit"] == [20, 20, 40, 40] and found.results["momentum_limit"] == [30, 30, 60, 60]
    assert found.results["shares"][0] == pytest.approx(1) and found.results["distance"] == pytest.approx(1.5)
    assert [p["name"] for p in found.results["points"]] == [f"point-{i}" for i in range(4)]


def test_what_cannot_be_compared_is_said():
    risk = bowls()
    with pytest.raises(ValueError, match="expected the two ends"):
        ss.path(risk, [[0.0, 0.0]])
    with pytest.raises(ValueError, match="shape"):
        ss.compare(risk, {"a": [0.0], "b": [1.0]})
    with pytest.raises(ValueError, match="same"):
        ss.compare(risk, {"a": [0.0, 0.0], "b": [0.0, 0.0]})
    with pytest.raises(ValueError, match="2 learning rates for 3"):
        ss.trajectory(risk, [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]], learning_rate=[1.0, 2.0])

    class Mine(Exception):
        pass

    def broken(t):
        raise Mine("in the loss")

    with pytest.raises(Mine, match="in the loss"):
        ss.compare(ss.Function(broken, [0.0, 0.0]), {"a": [0.0, 0.0], "b": [0.0, 1.0]})


def test_settling_finds_the_saddle(tmp_path):
    risk = bowls()
    found = ss.settle(risk, out=tmp_path)
    assert found.converged and found.kind == "saddle"
    assert np.abs(found.theta).max() < 1e-8 and found.gradient_norms[-1] < 1e-10
    assert found.spectrum["whole"] and found.spectrum["eigenvalues"] == pytest.approx([-4, 2])
    single = bowls()
    single.precision = "f32"
    with pytest.raises(ValueError, match="double precision"):
        ss.settle(single)
    with pytest.raises(ValueError, match="does not offer"):
        ss.settle(ss.Function(lambda t: 0.0, [1.0]))


def test_sharpness_of_a_quadratic():
    h = np.diag([4.0, 1.0, 0.5])
    risk = ss.Function(lambda t: 0.5 * float(t @ h @ t), np.zeros(3), gradient=lambda t: h @ t, hessian=lambda t, v: h @ v)
    found = ss.sharpness(risk)
    values = {kind: m.value for kind, m in found.measures.items()}
    assert values["largest_eigenvalue"] == pytest.approx(4) and values["trace"] == pytest.approx(5.5, rel=0.5)
    assert all(m.formula and m.source for m in found.measures.values()) and "4.0" in repr(found)
    with pytest.raises(ValueError, match="above 1"):
        ss.sharpness(risk, rescale=0.5)


def test_our_engine_takes_weights_files(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed: no weights file is written")
    risk = ss.onnx.Risk("digits-mlp", samples=60)
    tensors, start = {}, 0
    for name, shape, _ in risk.layout:
        size = int(np.prod(shape))
        tensors[name] = (1.01 * risk.theta[start : start + size].reshape(shape)).astype(np.float32)
        start += size
    safetensors.save_file(tensors, tmp_path / "moved.safetensors")
    found = ss.path(risk, {"own": risk.theta, "moved": tmp_path / "moved.safetensors"}, points=3, eigenvalues=False, curve=None)
    assert found.results["distance"] == pytest.approx(0.01 * np.linalg.norm(risk.theta), rel=1e-4)
    # Our engine knows its hidden units.
    assert found.results["alignment"]["units"] > 0


def test_bad_arguments_are_named_before_any_work():
    ends = {"left": [-1.0, 0.0], "right": [1.0, 0.0]}
    for run, options, words in (
        (ss.compare, {"grid": 1}, "grid=1; expected 0 for no surfaces"), (ss.compare, {"seed": -1}, "seed=-1"), (ss.compare, {"out": ""}, "out is an empty path"),
        (ss.compare, {"probes": 1.5}, "probes=1.5"), (ss.path, {"points": 1}, "points=1"), (ss.path, {"curve": 5}, "curve=5; expected"),
        (ss.path, {"curve": (0, 0.1)}, r"curve\[0\]=0"), (ss.path, {"curve": (5, -1)}, r"curve\[1\]=-1"),
        (ss.trajectory, {"learning_rate": float("nan")}, "learning_rate=nan"), (ss.trajectory, {"learning_rate": [0.1, -1]}, "learning_rate=-1"),
        (ss.trajectory, {"tol": -1}, "tol=-1"),
    ):
        with pytest.raises(ValueError, match=words):
            run(bowls(), ends, **options)
