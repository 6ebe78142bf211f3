#!/usr/bin/env python3
"""Times convolutions of whole layers and PyTorch's, in turn, and prints the ratios.

    bench/.venv/bin/python bench/kernels/conv.py [--samples 128] [--rounds 3] [--seconds 0.1] [--only TEXT]

The ratio is PyTorch's time divided by ours: above 1, ours is faster. PyTorch runs twice: with its
channels_last layout, which is ours, and with its default one (NCHW). Both sides use two threads.
"""
import argparse
import os
import statistics
import subprocess
import sys
import time

import torch

# input channels, output channels, height and width, kernel, stride, padding
LAYERS = [
    (64, 64, 32, 3, 1, 1),
    (3, 16, 32, 3, 1, 1),
    (16, 16, 32, 3, 1, 1),
    (32, 32, 16, 3, 1, 1),
    (64, 64, 8, 3, 1, 1),
    (128, 128, 16, 3, 1, 1),
    (256, 256, 8, 3, 1, 1),
    (512, 512, 4, 3, 1, 1),
    (16, 32, 32, 3, 2, 1),
    (64, 128, 32, 3, 2, 1),
    (256, 512, 8, 3, 2, 1),
    (64, 128, 32, 1, 2, 0),
    (256, 64, 16, 1, 1, 0),
    (1, 32, 28, 3, 1, 1),
    (32, 64, 28, 3, 1, 1),
    (3, 64, 32, 3, 1, 1),
    (1, 6, 28, 5, 1, 2),
]
PASSES = ("forward", "data", "weights")


def median_time(f, seconds):
    f()
    times = []
    begin = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def peer(layer, samples, layout):
    """The three passes of PyTorch, as functions, and the number of floating-point operations of each."""
    into, out, size, kernel, stride, pad = layer
    x = torch.randn(samples, into, size, size).to(memory_format=layout)
    w = torch.randn(out, into, kernel, kernel).to(memory_format=layout)
    b = torch.randn(out)
    y = torch.conv2d(x, w, b, stride=stride, padding=pad)
    dy = torch.randn_like(y)

    def backward(*mask):
        return lambda: torch.ops.aten.convolution_backward(
            dy, x, w, None, [stride] * 2, [pad] * 2, [1, 1], False, [0, 0], 1, mask)

    return {
        "forward": lambda: torch.conv2d(x, w, b, stride=stride, padding=pad),
        "data": backward(True, False, False),
        "weights": backward(False, True, False),
    }, 2 * y.numel() * into * kernel * kernel


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--only", default="", help="layers whose name contains this")
    options = parser.parse_args()
    torch.set_num_threads(2)
    torch.set_grad_enabled(False)
    here = os.path.dirname(os.path.abspath(__file__))
    binary = os.path.join(here, "conv", "conv")
    subprocess.run(["go", "build", "-o", binary, "."], cwd=os.path.join(here, "conv"), check=True,
                   env={**os.environ, "CGO_ENABLED": "0"})
    ours = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    print(f"{'layer':26} {'pass':8} {'ours':>9} {'GF':>5} {'channels_last':>14} {'ratio':>6} {'default':>10} {'ratio':>6}")
    behind = 0
    for layer in LAYERS:
        into, out, size, kernel, stride, pad = layer
        name = f"{kernel}x{kernel}/{stride} {into}->{out} {size}x{size}"
        if options.only not in name:
            continue
        last, flops = peer(layer, options.samples, torch.channels_last)
        default, _ = peer(layer, options.samples, torch.contiguous_format)
        sums = [0, 0, 0]
        for which in PASSES:
            if which == "data" and into <= 3:
                continue  # the first layer of a network
            times = [[], [], []]
            for _ in range(options.rounds):
                print(which, size, size, into, out, kernel, stride, pad, options.samples, options.seconds,
                      file=ours.stdin, flush=True)
                times[0].append(float(ours.stdout.readline()))
                times[1].append(median_time(last[which], options.seconds))
                times[2].append(median_time(default[which], options.seconds))
                time.sleep(0.01)
            a, b, c = (statistics.median(t) for t in times)
            sums = [s + t for s, t in zip(sums, (a, b, c))]
            behind += b < a
            print(f"{name:26} {which:8} {a*1e3:7.2f}ms {flops/a/1e9:5.0f} {b*1e3:12.2f}ms {b/a:6.2f} {c*1e3:8.2f}ms {c/a:6.2f}",
                  flush=True)
        a, b, c = sums
        print(f"{name:26} {'sum':8} {a*1e3:7.2f}ms {'':5} {b*1e3:12.2f}ms {b/a:6.2f} {c*1e3:8.2f}ms {c/a:6.2f}", flush=True)
    ours.stdin.close()
    return 1 if behind else 0


if __name__ == "__main__":
    sys.exit(main())
