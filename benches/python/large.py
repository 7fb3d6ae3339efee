#!/usr/bin/env python3
"""Eigenpairs of an operator of 100 million parameters with a basis of 40 vectors: peak memory and time.

  python large.py [--dim 100000000] [--vectors 40] [--tol 1e-3]

The operator is diagonal: a bulk in [−1, 1], λ_max = 1.06 and λ_min = −1.05 apart from it, so that the right answer is known, the basis is filled, and products cost
next to nothing. The basis is stored in single precision (the default from 20 million dimensions on); dots are in double precision.
Prints what was found and how many bytes were resident at most, in bytes for each of the dim × vectors numbers of the basis, too.
"""
import argparse
import json
import resource
import time

import numpy as np

import saddlescope as ss


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=100_000_000)
    parser.add_argument("--vectors", type=int, default=40)
    parser.add_argument("--tol", type=float, default=1e-3)
    parser.add_argument("--precision", choices=["f32", "f64"])
    options = parser.parse_args()
    n = options.dim
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spectrum = np.linspace(-1, 1, n, dtype=np.float32)
    spectrum[n // 3], spectrum[n // 2] = 1.06, -1.05
    seconds = [0.0]

    def product(x):
        begin = time.perf_counter()
        y = spectrum * x
        seconds[0] += time.perf_counter() - begin
        return y

    begin = time.perf_counter()
    found = ss.eigsh(product, dim=n, tol=options.tol, basis_vectors=options.vectors, precision=options.precision)
    whole = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({
        "parameters": n, "basis vectors": options.vectors, "values": found.values.tolist(), "residuals": found.residuals.tolist(),
        "status": found.status, "products": found.products, "restarts": found.restarts, "seconds": round(whole, 1),
        "of it products": round(seconds[0], 1), "peak GiB": round(peak / 2**30, 2), "before GiB": round(before * 1024 / 2**30, 2),
        "bytes for each number of the basis": round(peak / n / options.vectors, 2),
    }))


if __name__ == "__main__":
    main()
