#!/usr/bin/env python3
"""CSV and TSV files for the tests of features/csv.

Made with Python 3.11, NumPy 2.4.6, pandas 3.1.1. No randomness: element (i, j) of features is
((31 i + 17 j) mod 64) / 7 - 4, which has no short decimal form, and the label of row i is i mod 3.
"""
import csv
import os

import numpy as np
import pandas as pd

os.chdir(os.path.dirname(os.path.abspath(__file__)))
N, D = 12, 4
i, j = np.mgrid[0:N, 0:D]
x = (31 * i + 17 * j) % 64 / 7 - 4
label = np.arange(N) % 3
names = [f"f{k}" for k in range(D)]

frame = pd.DataFrame(x, columns=names)
frame.assign(label=label).to_csv("table_pandas.csv", index=False)
frame.assign(label=label).to_csv("bad_index.csv")
np.savetxt("table_savetxt.csv", np.column_stack([label, x]), delimiter=",", header="y," + ",".join(names))
frame.assign(target=label.astype(float)).to_csv("table.tsv", sep="\t", index=False)

# As a spreadsheet writes it: byte order mark, semicolons, CRLF, quotes, a column of text over two lines.
with open("table_excel.csv", "w", newline="", encoding="utf-8-sig") as f:
    w = csv.writer(f, delimiter=";", quoting=csv.QUOTE_ALL)
    w.writerow(["file name"] + names + ["label"])
    for k in range(N):
        w.writerow([f'"row"; {k}\nsecond line'] + x[k].tolist() + [label[k]])
