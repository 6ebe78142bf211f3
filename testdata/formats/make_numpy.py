"""Makes the .npy, .npz and .safetensors files beside it: python make_numpy.py [OUTDIR]

Made with Python 3.11.7, numpy 2.4.6, safetensors 0.8.0. No randomness: element i of a matrix is
(7 i mod 101) - 50, a quarter of that for floats, plus 50 for unsigned types, and 5 i mod 3 mod 2 for
booleans. The readers' tests know this rule.
"""
import sys
from pathlib import Path

import numpy as np
import safetensors
from safetensors.numpy import save_file

out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)


def matrix(dtype, rows=6, cols=3):
    i = np.arange(rows * cols)
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        v = i * 5 % 3 % 2
    else:
        v = i * 7 % 101 - 50.0
        if dtype.kind == "f":
            v = v / 4
        if dtype.kind == "u":
            v = v + 50
    return v.astype(dtype).reshape(rows, cols)


types = ["bool", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]
all_types = {"features/" + t: matrix(t) for t in types}
labels = np.arange(6) % 3

np.save(out / "float32.npy", matrix("f4"))
np.save(out / "float16_fortran.npy", np.asfortranarray(matrix("f2")))
np.lib.format.write_array(open(out / "version2.npy", "wb"), matrix("f8"), version=(2, 0))
np.lib.format.write_array(open(out / "version3.npy", "wb"), matrix(">f8"), version=(3, 0))
np.savez(out / "stored.npz", **all_types, labels=labels)
np.savez_compressed(out / "deflated.npz", **all_types, labels=labels)
np.savez(out / "orders.npz", **{f"features/{t}{order}": np.array(matrix(t), dtype=">" + t if "be" in order else t, order="F" if "f" in order else "C")
                               for t in ["f2", "f4", "f8", "i4"] for order in ["_be", "_le_f", "_be_f"]})
np.savez(out / "other.npz", features=matrix("f4"), labels=labels, objects=np.array([{}, []], dtype=object),
         names=np.array(["cat", "dog", "eel"]), dates=np.array(["2020-01-01"], dtype="M8[D]"), complex=np.zeros(2, "c8"),
         record=np.zeros(2, [("x", "f4"), ("y", "i4")]), scalar=np.float64(0.5), empty=np.zeros((0, 3)))
np.savez(out / "arrays.npz", matrix("f4"), labels)
save_file({**all_types, "labels": labels}, out / "numpy.safetensors", metadata={"made_by": "make_numpy.py"})
bits = (matrix("f4").view(np.uint32) >> 16).astype(np.uint16)  # exact: the values have few bits
spec = lambda dtype, a: safetensors.TensorSpec(dtype=dtype, shape=a.shape, data_ptr=a.ctypes.data, data_len=a.nbytes)
safetensors.serialize_file({"features": spec("bfloat16", bits), "labels": spec("int64", labels)}, out / "bfloat16.safetensors")
np.savez(out / "bfloat16.npz", features=bits, labels=labels.astype("u2"))
