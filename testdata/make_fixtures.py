"""Trains small networks on scikit-learn's 8x8 digits and keeps what collapse is measured on.

    python make_fixtures.py [FOLDER]

writes, beside this script or into FOLDER,

    trajectory/ckpt_STEP.npz   one network from its first epochs to long after zero training error, a file per
                               checkpoint: the rows of the last hidden layer, its classifier, test rows
    layers.npz                 all hidden layers of a network of four, at the end of its training
    ood.npz                    a network that knows the digits 0 to 7; the 8s and 9s are out of distribution
    imbalanced.npz             five digits with 60 rows each, five with 2: the small classes collapse together

Made with numpy 2.4.6 and scikit-learn 1.9.1. The data come with scikit-learn; seeds are below. Training is
in float64; features are kept as float16, so that the files stay small, classifiers as float32. The digits
(Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI repository, 1998) are free to use under
CC BY 4.0; no image is stored here, only what the networks make of them.
"""
import os
import sys

import numpy as np
from sklearn.datasets import load_digits

IMAGES, DIGITS = load_digits(return_X_y=True)
IMAGES = IMAGES / 16 - 0.3


def split(counts, test, seed):
    """Rows of the digits: counts[c] of digit c to train on, `test` others of each to test with."""
    rng = np.random.default_rng(seed)
    train, rest = [], []
    for digit, count in enumerate(counts):
        rows = rng.permutation(np.flatnonzero(DIGITS == digit))
        train.extend(rows[:count])
        rest.extend(rows[count:count + test])
    return rng.permutation(train), rng.permutation(rest)


class Network:
    """Hidden layers of a linear map, batch normalisation and ReLU; then the linear classifier.

    Outside of a step the normalisation uses the mean and variance of all rows in `calm`.
    """

    def __init__(self, widths, seed, calm):
        rng = np.random.default_rng(seed)
        self.calm = calm
        self.values, self.speeds = [], []
        for a, b in zip(widths, widths[1:]):
            weights = rng.standard_normal((b, a)) * np.sqrt(2 / a)
            self.values.append([weights, np.zeros(b), np.ones(b)])
        self.values[-1] = [0.3 * self.values[-1][0], np.zeros(widths[-1])]
        self.speeds = [[np.zeros_like(v) for v in layer] for layer in self.values]

    def classifier(self):
        return self.values[-1]

    def layers(self, x):
        """The hidden layers of rows x, normalised as the training rows are."""
        train, out = IMAGES[self.calm], []
        for weights, shift, scale in self.values[:-1]:
            train, x = train @ weights.T, x @ weights.T
            mean, std = train.mean(0), np.sqrt(train.var(0) + 1e-5)
            train, x = (np.maximum((v - mean) / std * scale + shift, 0) for v in (train, x))
            out.append(x)
        return out

    def logits(self, x):
        weights, bias = self.classifier()
        return self.layers(x)[-1] @ weights.T + bias

    def step(self, x, y, rate, decay, momentum=0.9):
        """One step of cross-entropy with weight decay on every parameter."""
        inputs, normed, stds = [x], [], []
        for weights, shift, scale in self.values[:-1]:
            x = x @ weights.T
            stds.append(np.sqrt(x.var(0) + 1e-5))
            normed.append((x - x.mean(0)) / stds[-1])
            x = np.maximum(normed[-1] * scale + shift, 0)
            inputs.append(x)
        weights, bias = self.classifier()
        error = x @ weights.T + bias
        error = np.exp(error - error.max(1, keepdims=True))
        error /= error.sum(1, keepdims=True)
        error[np.arange(len(y)), y] -= 1
        error /= len(y)

        gradients = [[error.T @ x, error.sum(0)]]
        error = error @ weights
        for i in reversed(range(len(normed))):
            weights, _, scale = self.values[i]
            error = error * (inputs[i + 1] > 0)
            shift, stretch = error.sum(0), (error * normed[i]).sum(0)
            error = (error - error.mean(0) - normed[i] * (error * normed[i]).mean(0)) * scale / stds[i]
            gradients.insert(0, [error.T @ inputs[i], shift, stretch])
            error = error @ weights
        for values, speeds, slopes in zip(self.values, self.speeds, gradients):
            for value, speed, slope in zip(values, speeds, slopes):
                speed *= momentum
                speed -= rate * (slope + decay * value)
                value += speed

    def train(self, epochs, seed, batch=20, rate=0.05, decay=5e-3, at=None):
        """Trains, with a falling rate; calls at(epochs done) before each epoch and at the end."""
        rng = np.random.default_rng(seed)
        for epoch in range(epochs + 1):
            if at:
                at(epoch)
            if epoch == epochs:
                break
            now = rate * (1 if epoch < epochs // 2 else 0.2 if epoch < 5 * epochs // 6 else 0.04)
            order = rng.permutation(self.calm)
            for a in range(0, len(order), batch):
                part = order[a:a + batch]
                self.step(IMAGES[part], DIGITS[part], now, decay)


def arrays(network, train, test, names=None):
    """The arrays of a feature file. Without names only the last hidden layer is kept."""
    out = {}
    for rows, front in (train, ""), (test, "test_"):
        layers = network.layers(IMAGES[rows])
        for name, layer in zip(names or ["features"], layers if names else layers[-1:]):
            out[front + name] = layer.astype(np.float16)
        out[front + "labels"] = DIGITS[rows].astype(np.uint8)
    w, b = network.classifier()
    out["weights"], out["bias"] = w.astype(np.float32), b.astype(np.float32)
    return out


def report(name, network, train, test):
    errors = [np.mean(network.logits(IMAGES[r]).argmax(1) != DIGITS[r]) for r in (train, test)]
    print(f"{name}: training error {errors[0]:.3f}, test error {errors[1]:.3f}")


def trajectory(folder):
    train, test = split([20] * 10, 10, seed=1)
    network = Network([64, 128, 20, 10], seed=5, calm=train)
    steps = (0, 1, 3, 10, 30, 60, 120, 240, 480, 800)

    def keep(epoch):
        if epoch in steps:
            report(f"trajectory {epoch}", network, train, test)
            np.savez_compressed(os.path.join(folder, "trajectory", f"ckpt_{epoch:03}.npz"),
                                **arrays(network, train, test))

    os.makedirs(os.path.join(folder, "trajectory"), exist_ok=True)
    network.train(steps[-1], seed=6, at=keep)


def layers(folder):
    train, test = split([12] * 10, 6, seed=2)
    network = Network([64, 40, 28, 20, 16, 10], seed=7, calm=train)
    network.train(600, seed=8)
    report("layers", network, train, test)
    names = [f"features/block{i}" for i in (1, 2, 3, 4)]
    np.savez_compressed(os.path.join(folder, "layers.npz"), **arrays(network, train, test, names))


def ood(folder):
    train, test = split([16] * 8, 6, seed=3)
    network = Network([64, 96, 16, 8], seed=9, calm=train)
    network.train(600, seed=10)
    report("ood", network, train, test)
    out = arrays(network, train, test)
    strange = np.flatnonzero(DIGITS >= 8)[:40]
    out["ood_features"] = network.layers(IMAGES[strange])[-1].astype(np.float16)
    np.savez_compressed(os.path.join(folder, "ood.npz"), **out)


def imbalanced(folder):
    train, test = split([60] * 5 + [2] * 5, 6, seed=4)
    network = Network([64, 96, 20, 10], seed=11, calm=train)
    network.train(300, seed=12, decay=1.5e-2)
    report("imbalanced", network, train, test)
    np.savez_compressed(os.path.join(folder, "imbalanced.npz"), **arrays(network, train, test))


if __name__ == "__main__":
    into = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    for make in trajectory, layers, ood, imbalanced:
        make(into)
