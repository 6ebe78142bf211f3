"""Make plain.mat and deflated.mat with SciPy: python make_mat.py, in this folder. Made with SciPy 1.17.1."""
import numpy as np
import scipy.io

x = np.arange(2 * 3 * 3 * 4, dtype=np.uint8).reshape(2, 3, 3, 4)  # X[r, q, c, i] = ((r 3 + q) 3 + c) 4 + i
y = np.array([[10], [1], [2], [9]], dtype=np.uint8)
scipy.io.savemat("plain.mat", {"note": "text", "X": x, "y": y}, do_compression=False)
scipy.io.savemat("deflated.mat", {"note": "text", "X": x, "y": y.astype(float)}, do_compression=True)
numbers = {t: np.array([[1, 2, 3], [100, 5, 6]], t) for t in "int8 uint8 int16 uint16 int32 uint32 int64 uint64 float32 float64".split()}
scipy.io.savemat("types.mat", {"cell": np.array([1, "a"], object), "complex": np.array([1j]), **numbers}, do_compression=True)
