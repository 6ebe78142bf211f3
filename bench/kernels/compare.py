#!/usr/bin/env python3
"""Times the kernels and numpy on the same products, in turn, and prints the ratios.

    bench/.venv/bin/python bench/kernels/compare.py [--rounds 7] [--only TEXT]

The ratio is numpy's time divided by ours: above 1, ours is faster.
"""
import argparse
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "2")
import numpy as np  # noqa: E402

# name, operation, type, m, n, k, level, target
CASES = [
    ("GEMM 1024 cubed", "nn", "float32", 1024, 1024, 1024, "-", 1.0),
    ("GEMM 2048 cubed", "nn", "float32", 2048, 2048, 2048, "-", 1.0),
    ("GEMM 2048 cubed, A^T B", "tn", "float32", 2048, 2048, 2048, "-", None),
    ("GEMM 2048 cubed, A B^T", "nt", "float32", 2048, 2048, 2048, "-", None),
    ("GEMM 1024 cubed", "nn", "float64", 1024, 1024, 1024, "-", 0.97),
    ("GEMM 2048 cubed", "nn", "float64", 2048, 2048, 2048, "-", 0.97),
    ("GEMM 128x784x512", "nn", "float32", 128, 512, 784, "-", 1.1),
    ("GEMM 128x784x512, A B^T", "nt", "float32", 128, 512, 784, "-", None),
    ("GEMM 784x128x512, A^T B", "tn", "float32", 784, 512, 128, "-", None),
    ("logits 50000x512x10", "nn", "float32", 50000, 10, 512, "-", 2.5),
    ("logits 50000x512x10, A B^T", "nt", "float32", 50000, 10, 512, "-", None),
    ("gradient 10x50000x512, A^T B", "tn", "float32", 10, 512, 50000, "-", None),
    ("SYRK 2048, A A^T", "syrk", "float32", 2048, 2048, 2048, "-", 1.2),
    ("SYRK 2048, A^T A", "syrkt", "float32", 2048, 2048, 2048, "-", 1.2),
    ("SYRK 50000x512, A^T A", "syrkt", "float32", 512, 512, 50000, "-", 1.2),
    ("SYRK 50000x512, A^T A", "syrkt", "float64", 512, 512, 50000, "-", None),
    ("panel 50000x512x10", "panel", "float32", 50000, 10, 512, "-", None),
    ("panel 50000x512x10", "panel", "float64", 50000, 10, 512, "-", None),
    ("panel 50000x512x20", "panel", "float64", 50000, 20, 512, "-", None),
    ("panel 8192x2048x2000", "panel", "float32", 8192, 2000, 2048, "-", None),
    ("GEMM 1024 cubed, AVX2", "nn", "float32", 1024, 1024, 1024, "avx2", 0.95),
    ("GEMM 1024 cubed, AVX2", "nn", "float64", 1024, 1024, 1024, "avx2", None),
]


def numpy_product(operation, kind, m, n, k):
    random = np.random.default_rng(1)

    def matrix(rows, cols):
        return (random.random((rows, cols)) - 0.5).astype(kind)

    if operation in ("syrk", "syrkt"):
        a = matrix(n, k) if operation == "syrk" else matrix(k, n)
        c = np.empty((n, n), kind)
        if operation == "syrk":
            return lambda: np.matmul(a, a.T, out=c)
        return lambda: np.matmul(a.T, a, out=c)
    a = matrix(k, m).T if operation[0] == "t" else matrix(m, k)
    b = matrix(n, k).T if operation in ("nt", "tt", "panel") else matrix(k, n)
    c = np.empty((m, n), kind)
    return lambda: np.matmul(a, b, out=c)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="")
    parser.add_argument("--binary", default="")
    options = parser.parse_args()
    here = os.path.dirname(os.path.abspath(__file__))
    binary = options.binary
    if not binary:
        binary = os.path.join(here, "kernels")
        subprocess.run(["go", "build", "-o", binary, "."], cwd=here, check=True, env={**os.environ, "CGO_ENABLED": "0"})
    ours = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(operation, kind, m, n, k, workers, level, repetitions):
        print(operation, kind, m, n, k, workers, level, repetitions, file=ours.stdin, flush=True)
        return statistics.median(float(t) for t in ours.stdout.readline().split())

    print(f"{'product':32} {'type':8} {'ours':>9} {'numpy':>9} {'GF':>6} {'ratio':>6} {'target':>6} {'two cores':>9}")
    missed = 0
    for name, operation, kind, m, n, k, level, target in CASES:
        if options.only not in name:
            continue
        product = numpy_product(operation, kind, m, n, k)
        flops = 2.0 * m * n * k
        repetitions = max(1, min(20, int(4e9 / flops)))
        mine, theirs, single = [], [], []
        product()
        for _ in range(options.rounds):
            # OpenBLAS's threads spin for about 0.1 s after a call, ours for about 1 ms: let them come to rest.
            time.sleep(0.2)
            mine.append(ask(operation, kind, m, n, k, 0, level, repetitions))
            time.sleep(0.01)
            product()
            times = []
            for _ in range(repetitions):
                start = time.perf_counter()
                product()
                times.append(time.perf_counter() - start)
            theirs.append(statistics.median(times))
        time.sleep(0.2)
        for _ in range(3):
            single.append(ask(operation, kind, m, n, k, 1, level, 1))
        a, b = statistics.median(mine), statistics.median(theirs)
        ratio = b / a
        wanted = "" if target is None else f"{target:.2f}"
        mark = ""
        if target is not None and ratio < target:
            mark, missed = "  below target", missed + 1
        print(f"{name:32} {kind:8} {a*1e3:7.2f}ms {b*1e3:7.2f}ms {flops/a/1e9:6.0f} {ratio:6.2f} {wanted:>6} "
              f"{statistics.median(single)/a:9.2f}{mark}", flush=True)
    ours.stdin.close()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
