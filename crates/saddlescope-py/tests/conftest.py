"""Tests of the Python package. Tests that need PyTorch or JAX say so when these are not installed."""
