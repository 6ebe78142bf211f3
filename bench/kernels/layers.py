#!/usr/bin/env python3
"""Times single layers of package nn and PyTorch's, forward and backward, in turn, and prints the ratios.

    bench/.venv/bin/python bench/kernels/layers.py [--rounds 3] [--seconds 0.2] [--only TEXT]

The ratio is PyTorch's time divided by ours: above 1, ours is faster. PyTorch runs eagerly, layer after layer, in its
channels_last layout, which is ours, and in its default one (NCHW). Both sides use two threads and a batch of 128.
"""
import argparse
import os
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

import torch
import torch.nn as nn

LAYERS = {
    "batchnorm-relu": lambda c: nn.Sequential(nn.BatchNorm2d(c), nn.ReLU()),
    "groupnorm-relu": lambda c: nn.Sequential(nn.GroupNorm(8, c), nn.ReLU()),
    "maxpool": lambda c: nn.MaxPool2d(2),
    "globalaverage": lambda c: nn.AdaptiveAvgPool2d(1),
    "relu": lambda c: nn.ReLU(),
    "gelu": lambda c: nn.GELU(),
    "silu": lambda c: nn.SiLU(),
    "tanh": lambda c: nn.Tanh(),
}


def peer(layer, shape, layout, seconds):
    h, w, c = shape
    vector = h == w == 1
    if vector and layer == "batchnorm-relu":
        module, x = nn.Sequential(nn.BatchNorm1d(c), nn.ReLU()), torch.randn(128, c)
    else:
        module, x = LAYERS[layer](c), torch.randn(128, c, h, w).to(memory_format=layout)
    x.requires_grad_()
    dy = torch.randn_like(module(x))

    def step():
        x.grad = None
        module(x).backward(dy)

    step()
    times, begin = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--only", default="")
    o = parser.parse_args()
    torch.set_num_threads(2)
    root = pathlib.Path(__file__).resolve().parents[2]
    env = dict(os.environ, GOMAXPROCS="2", CGO_ENABLED="0")
    with tempfile.TemporaryDirectory() as folder:
        binary = os.path.join(folder, "nn.test")
        subprocess.run(["go", "test", "-c", "-o", binary, "./nn"], cwd=root, env=env, check=True)

        def ours(name):
            out = subprocess.run(
                [binary, "-test.run", "^$", "-test.bench", f"^BenchmarkLayer$/^{name.replace('/', '$/^')}$", "-test.benchtime", f"{o.seconds}s"],
                cwd=root / "nn", env=env, check=True, capture_output=True, text=True).stdout
            return float(re.search(r"(\S+) ns/op", out).group(1)) * 1e-9

        listed = subprocess.run([binary, "-test.run", "^$", "-test.bench", "^BenchmarkLayer$", "-test.benchtime", "1x"],
                                cwd=root / "nn", env=env, check=True, capture_output=True, text=True).stdout
        names = [n for n in re.findall(r"^BenchmarkLayer/(\S+?)(?:-\d+)?\s", listed, re.M) if o.only in n]
        print(f"{'layer':32} {'ours ms':>9} {'NHWC ms':>9} {'NCHW ms':>9} {'ratios':>12}")
        for name in names:
            layer, size = name.split("/")
            shape = tuple(int(s) for s in size.split("x"))
            rows = []
            for _ in range(o.rounds):
                rows.append((ours(name), peer(layer, shape, torch.channels_last, o.seconds), peer(layer, shape, torch.contiguous_format, o.seconds)))
            a, b, c = (statistics.median(r[i] for r in rows) for i in range(3))
            print(f"{name:32} {a*1e3:9.3f} {b*1e3:9.3f} {c*1e3:9.3f} {b/a:6.2f} {c/a:5.2f}", flush=True)


if __name__ == "__main__":
    main()
