"""Measures a large .npy file and prints the time and the most memory that collapsar held.

    python memory.py --collapsar BINARY [--gigabytes 5] [--data FOLDER]

The file holds random numbers, not holes: float32 features of 2048 dimensions in 1000 classes, with the labels
and a classifier in files of their own. It stays in FOLDER for the next time.
"""
import argparse
import multiprocessing
import os
import subprocess
import time

import numpy as np

D, K = 2048, 1000


def make(path, rows):
    if os.path.exists(path) and os.path.exists(path + ".labels.npy"):
        return
    rng = np.random.default_rng([20260117, rows])
    labels = rng.permutation(np.arange(rows) % K)
    means = rng.standard_normal((K, D), dtype=np.float32)
    noise = rng.standard_normal((1 << 22,), dtype=np.float32)
    out = np.lib.format.open_memmap(path + ".part", "w+", np.float32, (rows, D))
    for a in range(0, rows, 1024):
        y = labels[a:a + 1024]
        shift = rng.integers(0, len(noise) - len(y) * D)
        out[a:a + len(y)] = means[y] + noise[shift:shift + len(y) * D].reshape(len(y), D)
    out.flush()
    del out
    np.save(path + ".labels.npy", labels)
    np.savez(path + ".weights.npz", weights=means, bias=np.zeros(K, np.float32))
    os.replace(path + ".part", path)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--collapsar", required=True)
    p.add_argument("--gigabytes", type=float, default=5)
    p.add_argument("--data", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tmp"))
    o = p.parse_args()
    path = os.path.join(o.data, f"large{o.gigabytes:g}.npy")
    # In a process of its own: a child starts with its parent's peak.
    maker = multiprocessing.get_context("spawn").Process(target=make, args=(path, int(o.gigabytes * 1e9 / (4 * D))))
    maker.start()
    maker.join()
    if maker.exitcode:
        raise SystemExit("the file could not be made")
    began = time.perf_counter()
    process = subprocess.Popen([o.collapsar, "measure", path, "--json", "--labels-file", path + ".labels.npy",
                                "--weights-file", path + ".weights.npz"], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        raise SystemExit(f"collapsar ended with {os.waitstatus_to_exitcode(status)}")
    print(f"{os.path.getsize(path) / 1e9:.2f} GB in {seconds:.1f} s, at most {usage.ru_maxrss / 1024:.0f} MiB resident "
          f"(target: below 300 MB, {300e6 / 2**20:.0f} MiB)")


if __name__ == "__main__":
    main()
