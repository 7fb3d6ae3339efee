"""The examples in the docstrings and the types of the package."""

import doctest

import pytest

import saddlescope as ss


def test_examples_of_the_docstrings():
    for module in (ss, ss._risk, ss.onnx):
        found = doctest.testmod(module)
        assert found.attempted > 0 and found.failed == 0, module


@pytest.mark.parametrize("engine, module", [("torch", "_risk"), ("jax", None)])
def test_examples_of_engines(engine, module):
    pytest.importorskip(engine, reason=f"{engine} is not installed: its examples are skipped")
    part = getattr(ss, engine)
    if module:
        import importlib

        part = importlib.import_module(f"{part.__name__}.{module}")
    assert doctest.testmod(part).failed == 0


def test_everything_public_is_documented():
    for name in set(ss.__all__) - {"torch", "jax", "onnx", "__version__"}:
        assert (getattr(ss, name).__doc__ or "").strip(), name
