#!/usr/bin/env python3
"""Parquet files for the tests of features/parquet.

Made with Python 3.11, pyarrow 26.0.1, NumPy 2.4.6. No randomness: element (i, j) of features is
((31 i + 17 j) mod 64) / 8 - 4, exact in every floating-point type, and the label of row i is i mod 3.
"""
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

os.chdir(os.path.dirname(os.path.abspath(__file__)))
N, D = 40, 5
i, j = np.mgrid[0:N, 0:D]
x = (31 * i + 17 * j) % 64 / 8 - 4
label = np.arange(N) % 3


def fixed(a, t):
    return pa.FixedSizeListArray.from_arrays(pa.array(a.ravel().astype(t)), a.shape[1])


def lists(a, t):
    return pa.array([list(r) for r in a.astype(t)], pa.list_(pa.from_numpy_dtype(np.dtype(t))))


# Both kinds of lists, scalars and strings; two row groups; the defaults of the writer.
pq.write_table(
    pa.table({"features": lists(x, "f4"), "fixed": fixed(x, "f8"), "label": label,
              "flag": label == 1, "name": [f"row {k}" for k in range(N)],
              "struct": [{"a": 1}] * N, "nested": [[[1.0]]] * N}),
    "lists.parquet", row_group_size=24)

# Scalar columns: features in order, labels apart. Many small pages of the second version.
small = pa.table({**{f"f{k}": x[:, k].astype("f4") for k in range(D)}, "label": label.astype("i4")})
pq.write_table(small, "scalars_gzip_v2.parquet", compression="gzip", data_page_version="2.0",
               data_page_size=32, write_batch_size=8, use_dictionary=False)

# Encodings that are not the default, Zstandard, page check sums.
pq.write_table(
    pa.table({"features": fixed(x, "f4"), "wide": fixed(1000 * x, "i8"), "target": label.astype("i2"),
              "flags": fixed(x > 0, "?")}),
    "encodings_zstd.parquet", compression="zstd", use_dictionary=False, version="2.6",
    data_page_version="2.0", write_page_checksum=True, data_page_size=128, write_batch_size=8,
    column_encoding={"features.list.element": "BYTE_STREAM_SPLIT", "wide.list.element": "DELTA_BINARY_PACKED",
                     "target": "DELTA_BINARY_PACKED", "flags.list.element": "RLE"})

# Other element types, nothing optional.
types = {t: (label * 3).astype(t) for t in ("i1", "u1", "u2", "u4", "u8", "f2", "f8")}
pq.write_table(
    pa.table(types, schema=pa.schema([pa.field(t, pa.from_numpy_dtype(np.dtype(t)), nullable=False) for t in types])),
    "types.parquet", compression="none")

# What is refused.
pq.write_table(pa.table({"features": [[1.0, 2.0], [3.0], [4.0, 5.0]]}), "bad_ragged.parquet")
pq.write_table(pa.table({"features": [[1.0, 2.0], [3.0, None]]}), "bad_null_element.parquet")
pq.write_table(pa.table({"features": [[1.0, 2.0], None, [3.0, 4.0]]}), "bad_null_list.parquet")
pq.write_table(pa.table({"x": [1.0, None], "label": [0, 1]}), "bad_null.parquet")
pq.write_table(pa.table({"features": [[[1.0], [2.0]], [[3.0], [4.0]]]}), "bad_nested.parquet")
pq.write_table(pa.table({"name": ["a", "b"], "when": pa.array([1, 2], pa.date32())}), "bad_no_numbers.parquet")
pq.write_table(pa.table({"x": [1.0, 2.0]}), "bad_brotli.parquet", compression="brotli")
