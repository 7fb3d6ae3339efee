"""Writes the NumPy files that the tests read. Values are i/2 - 3 for floats and i - 3 (or i) for integers, i in C order."""
import numpy as np

count = lambda shape: np.arange(np.prod(shape, dtype=int)).reshape(shape)
floats = lambda shape, dtype: (count(shape) / 2 - 3).astype(dtype)
arrays = {
    "f4": floats((5, 2, 3), "<f4"),
    "f8_fortran": np.asfortranarray(floats((5, 2, 3), "<f8")),
    "f2": floats((5, 2), "<f2"),
    "f4_big": floats((5,), ">f4"),
    "i2_big": (count((5, 3)) - 3).astype(">i2"),
    "i8": (count((5,)) - 3).astype("<i8"),
    "u4_fortran": np.asfortranarray(count((5, 4)).astype("<u4")),
    "u1": count((5, 2)).astype("u1"),
    "bool": count((5,)) % 2 == 1,
    "scalar": np.float32(-3),
}
np.savez_compressed("numpy_deflated.npz", **arrays)
np.savez("numpy_stored.npz", x_train=arrays["f4"], y_train=count((5,)), x_test=arrays["f8_fortran"][:2], y_test=count((2,)))
with open("numpy_version2.npy", "wb") as f:
    np.lib.format.write_array(f, arrays["f8_fortran"], version=(2, 0))
