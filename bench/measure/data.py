"""Features as a partly trained network leaves them, from a seed, in a stored .npz.

Rows are the ReLU of a class mean plus noise. The means are a random simplex about a common positive
vector, the noise has a decaying spectrum and a different size in every class, one row in fifty lies
between two classes, the classifier is aligned with the centred means up to noise, and the labels are in
random order.

    python data.py N D K FILE        writes FILE unless it is there
"""
import os
import sys

import numpy as np

SEED = 20260117


def make(n, d, k, path):
    if os.path.exists(path):
        return
    rng = np.random.default_rng([SEED, n, d, k])
    labels = rng.permutation(np.arange(n) % k)
    directions = rng.standard_normal((k, d), dtype=np.float32)
    directions -= directions.mean(axis=0)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    common = 0.4 + 0.2 * rng.random(d, dtype=np.float32)
    size = 0.35 * np.sqrt(d).astype(np.float32)
    spread = (0.1 + 0.1 * rng.random(k)).astype(np.float32)
    scales = (1 / np.sqrt(1 + np.arange(d) / 16)).astype(np.float32)
    scales *= np.sqrt(d / np.sum(scales**2)).astype(np.float32)
    features = np.empty((n, d), np.float32)
    for a in range(0, n, 4096):
        y = labels[a:a + 4096]
        noise = rng.standard_normal((len(y), d), dtype=np.float32) * scales
        other = rng.integers(0, k, len(y))
        share = np.where(rng.random(len(y)) < 0.02, rng.random(len(y)), 0).astype(np.float32)[:, None]
        towards = (1 - share) * directions[y] + share * directions[other]
        features[a:a + 4096] = np.maximum(common + size * towards + spread[y, None] * noise, 0)
    weights = directions + rng.standard_normal((k, d), dtype=np.float32) * np.float32(0.3 / np.sqrt(d))
    means = np.zeros((k, d))
    for a in range(0, n, 4096):
        np.add.at(means, labels[a:a + 4096], features[a:a + 4096])
    means /= np.bincount(labels, minlength=k)[:, None]
    bias = -(weights @ means.mean(axis=0)).astype(np.float32)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    np.savez(path + ".part.npz", features=features, labels=labels.astype(np.int64), weights=weights, bias=bias)
    os.replace(path + ".part.npz", path)


if __name__ == "__main__":
    make(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
