#!/usr/bin/env python3
"""One-vs-rest logistic regression for the test of internal/logistic, by scikit-learn.

Made with Python 3.11, scikit-learn 1.9.1, NumPy 2.4.6. Element (i, j) of x is sin(0.37 (7 i + j + 1)^2); row i has tag k where
x[i] . a_k + 0.4 sin(i^2) > 0.3, a_kj = cos(k + 2 j).
"""
import json
import os

import numpy as np
from sklearn.linear_model import LogisticRegression

os.chdir(os.path.dirname(os.path.abspath(__file__)))
N, D, K = 60, 7, 3
i, j = np.mgrid[0:N, 0:D]
x = np.sin(0.37 * (7.0 * i + j + 1) ** 2)
k, j = np.mgrid[0:K, 0:D]
y = (x @ np.cos(k + 2.0 * j).T + 0.4 * np.sin(np.arange(N) ** 2.0)[:, None] > 0.3).astype(int)
cases = []
for c in (0.1, 1.0, 30.0):
    fits = [LogisticRegression(C=c, tol=1e-12, max_iter=100000).fit(x, y[:, t]) for t in range(K)]
    cases.append({"c": c, "weights": [f.coef_[0].tolist() for f in fits], "bias": [float(f.intercept_[0]) for f in fits]})
json.dump({"tags": y.ravel().tolist(), "cases": cases}, open("logistic.json", "w"))
