"""Tests of the Python package. Tests that need PyTorch or JAX say so when these are not installed."""

try:
    import torch
except ImportError:
    pass
else:
    # Small networks: threads would only wait for each other, most of all on a machine that does something else.
    torch.set_num_threads(1)
