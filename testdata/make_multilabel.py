"""Trains a small network on pairs of scikit-learn's 8x8 digits and keeps what multi-label collapse is measured on.

    python make_multilabel.py [FOLDER]

writes multilabel.npz, beside this script or into FOLDER: the last hidden layer (linear, 8 numbers) of a network that tells which of
the digits 0 to 4 stand in a frame of 8 x 16: one digit on either side, or one on a random side alone. 16 training rows for each
digit, 8 for each pair; 8 and 4 test rows. The loss is pick-all-label cross-entropy with weight decay 0.01 on the classifier and
0.01/N on the features of the N training rows.

Made with numpy 2.4.6 and scikit-learn 1.9.1. Features are kept as float16, the classifier as float32. Digits: see make_fixtures.py.
"""
import itertools
import os
import sys

import numpy as np
from sklearn.datasets import load_digits

K, HIDDEN, DIM = 5, 64, 8
IMAGES, DIGITS = load_digits(return_X_y=True)
IMAGES = IMAGES.reshape(-1, 8, 8) / 16


def frames(rng, pool, singles, pairs):
    """Frames of digits from the pool, and their labels."""
    x, y = [], []
    sets = [(k,) for k in range(K)] * singles + list(itertools.combinations(range(K), 2)) * pairs
    for tags in sets:
        sides = rng.permutation(2)[:len(tags)]
        frame = np.zeros((8, 16))
        for tag, side in zip(tags, sides):
            frame[:, 8 * side:8 * side + 8] = IMAGES[rng.choice(pool[tag])]
        x.append(frame.ravel())
        y.append([int(k in tags) for k in range(K)])
    order = rng.permutation(len(x))
    return np.array(x)[order], np.array(y, np.uint8)[order]


def main(folder):
    rng = np.random.default_rng(3)
    rows = [rng.permutation(np.flatnonzero(DIGITS == k)) for k in range(K)]
    x, y = frames(rng, [r[:60] for r in rows], 16, 8)
    xt, yt = frames(rng, [r[60:] for r in rows], 8, 4)
    n, m = len(x), y.sum(1, keepdims=True)
    p = [rng.standard_normal(s) * c for s, c in (((128, HIDDEN), .15), ((HIDDEN,), 0), ((HIDDEN, DIM), .2), ((DIM,), 0), ((DIM, K), .3), ((K,), 0))]
    first, second = [np.zeros_like(v) for v in p], [np.zeros_like(v) for v in p]
    hidden = lambda v: np.maximum(v @ p[0] + p[1], 0)
    steps = 4000
    for step in range(1, steps + 1):
        a = hidden(x)
        h = a @ p[2] + p[3]
        z = h @ p[4] + p[5]
        q = np.exp(z - z.max(1, keepdims=True))
        dz = (m * q / q.sum(1, keepdims=True) - y) / n
        dh = dz @ p[4].T + 1e-2 / n * h
        da = (dh @ p[2].T) * (a > 0)
        grads = [x.T @ da, da.sum(0), a.T @ dh, dh.sum(0), h.T @ dz + 1e-2 * p[4], dz.sum(0)]
        rate = 3e-3 * (1 - step / (steps + 1))
        for v, g, f, s in zip(p, grads, first, second):
            f += .1 * (g - f)
            s += .001 * (g * g - s)
            v -= rate * (f / (1 - .9 ** step)) / (np.sqrt(s / (1 - .999 ** step)) + 1e-8)
    out = lambda v: (hidden(v) @ p[2] + p[3]).astype(np.float16)
    np.savez_compressed(os.path.join(folder, "multilabel.npz"), features=out(x), labels=y, weights=p[4].T.astype(np.float32),
                        bias=p[5].astype(np.float32), test_features=out(xt), test_labels=yt)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__)))
