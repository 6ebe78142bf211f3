#!/usr/bin/env python3
"""Times whole training steps here and in PyTorch, in turn, and prints the ratios of the medians.

    bench/.venv/bin/python bench/train/compare.py [--rounds 5] [--only TEXT]

Batch 128, two threads: forward, cross-entropy, backward, SGD with momentum and weight decay. PyTorch runs in both of its memory
layouts; the ratio is the time of the faster one divided by ours: above 1, ours is faster. Nothing else may run on the machine.
"""
import argparse
import pathlib
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent.parent / "nn" / "testdata"))
from make_fixtures import CNN, MLP, ResNet  # noqa: E402  the same modules that give the stored results

BATCH, CLASSES = 128, 10
CASES = [  # name, architecture, width, height, channels, module, steps a round, target
    ("MLP 784-512-512-10 with batch norm", "mlp", 512, 28, 1, lambda: MLP(784, CLASSES, 512, 2), 30, 1.15),
    ("CNN 28x28, 32 and 64 channels", "cnn", 32, 28, 1, lambda: CNN(28, 28, 1, CLASSES, 32, 128), 4, 1.15),
    ("ResNet-18, width 16", "resnet18", 16, 32, 3, lambda: ResNet([2, 2, 2, 2], 1, 3, CLASSES, 16), 3, 1.0),
    ("ResNet-18, width 64", "resnet18", 64, 32, 3, lambda: ResNet([2, 2, 2, 2], 1, 3, CLASSES, 64), 1, 1.1),
]
LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}


def torch_step(make, height, channels, layout, fused):
    torch.manual_seed(1)
    net = make().to(memory_format=layout)
    x = torch.randn(BATCH, channels, height, height).to(memory_format=layout)
    y = torch.randint(CLASSES, (BATCH,))
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, fused=fused)

    def step():
        optimiser.zero_grad()
        loss = F.cross_entropy(net.head(net.taps(x)[-1]), y)
        loss.backward()
        optimiser.step()

    step()
    return step


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--only", default="", help="cases whose name contains this")
    options.add_argument("--fused", action="store_true", help="PyTorch's fused optimiser instead of its default")
    options.add_argument("--binary", help="built from this folder already")
    o = options.parse_args()
    torch.set_num_threads(2)

    binary = o.binary or str(here / "train")
    if not o.binary:
        subprocess.run(["go", "build", "-o", binary, "."], cwd=here, check=True)
    ours = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    print(f"{'':36}{'ours':>10}{'torch nchw':>12}{'torch nhwc':>12}{'ratio':>8}{'target':>8}")
    missed = False
    for name, architecture, width, height, channels, make, steps, target in CASES:
        if o.only not in name:
            continue
        layouts = {k: torch_step(make, height, channels, v, o.fused) for k, v in LAYOUTS.items() if architecture != "mlp" or k == "nchw"}
        times = {"ours": []} | {k: [] for k in layouts}
        for _ in range(o.rounds):
            for k, step in layouts.items():
                for _ in range(steps):
                    start = time.perf_counter()
                    step()
                    times[k].append(time.perf_counter() - start)
            time.sleep(0.2)  # PyTorch's threads go on spinning for a while
            print(architecture, width, height, channels, CLASSES, BATCH, steps, file=ours.stdin, flush=True)
            times["ours"] += map(float, ours.stdout.readline().split())
        median = {k: statistics.median(v) * 1e3 for k, v in times.items()}
        ratio = min(v for k, v in median.items() if k != "ours") / median["ours"]
        missed |= ratio < target
        cells = [f"{median[k]:.2f} ms" if k in median else "" for k in ("ours", "nchw", "nhwc")]
        print(f"{name:36}{cells[0]:>10}{cells[1]:>12}{cells[2]:>12}{ratio:8.2f}{target:8.2f}", flush=True)
    ours.stdin.close()
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
