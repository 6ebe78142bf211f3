#!/usr/bin/env python3
"""Parquet files with lists of tags, for the tests of features/parquet. Made with Python 3.11, pyarrow 26.0.1."""
import os

import pyarrow as pa
import pyarrow.parquet as pq

os.chdir(os.path.dirname(os.path.abspath(__file__)))
words = [["cat", "dog"], [], ["dog"], None, ["ant", "cat", "dog"], ["é"]] * 3
numbers = [[0, 3], [], [2], None, [0, 1, 3], [7]] * 3
x = pa.array([float(i) for i in range(18)], pa.float32())
features = pa.array([[float(i), 1.0] for i in range(18)], pa.list_(pa.float32()))
pq.write_table(pa.table({"features": features, "labels": words}), "tags_words.parquet", row_group_size=7)
pq.write_table(pa.table({"a": x, "b": x, "tags": pa.array(words, pa.list_(pa.string()))}), "tags_plain_v2.parquet", compression="zstd", data_page_version="2.0",
               use_dictionary=False, data_page_size=16, write_batch_size=2)
pq.write_table(pa.table({"a": x, "b": x, "labels": pa.array(numbers, pa.list_(pa.int32()))}), "tags_numbers.parquet")
pq.write_table(pa.table({"a": x, "b": x, "tags": pa.array([[i % 4, 4] for i in range(18)], pa.list_(pa.int64()))}), "tags_even.parquet", compression="none")
pq.write_table(pa.table({"a": x, "tags": pa.array([["cat", None]] * 18)}), "bad_null_tag.parquet")
