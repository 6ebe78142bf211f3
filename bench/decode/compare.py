#!/usr/bin/env python3
"""Times the decoders on a million rows and numpy's matrix product of these with all vectors, in turn, and prints the ratios.

    bench/.venv/bin/python bench/decode/compare.py [--rounds 5]

The ratios are the time of product and decision together divided by that of the product alone: ours in float64, by which the decoders
go, and numpy's in float64 and in float32. Wants an otherwise idle machine and 6 GB of memory.
"""
import argparse
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "2")
import numpy as np  # noqa: E402

here = os.path.dirname(os.path.abspath(__file__))
ROWS, TAGS, DIM, BATCH = 10**6, 1000, 64, 16384


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    rounds = options.parse_args().rounds
    program = os.path.join(here, "..", "tmp", "decode")
    os.makedirs(os.path.dirname(program), exist_ok=True)
    subprocess.run(["go", "build", "-o", program, "."], cwd=here, env=dict(os.environ, CGO_ENABLED="0"), check=True)
    ours = subprocess.Popen([program, "-rows", str(ROWS), "-tags", str(TAGS), "-dim", str(DIM), "-batch", str(BATCH)],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    names = ours.stdout.readline().split()

    random = np.random.default_rng(1)
    x, v = random.standard_normal((ROWS, DIM)), random.standard_normal((TAGS, DIM))
    z = np.zeros((BATCH, TAGS))
    x32, v32, z32 = x.astype(np.float32), v.astype(np.float32), np.zeros((ROWS, TAGS), np.float32)

    def whole():
        np.matmul(x32, v32.T, out=z32)

    def batches():  # 8 GB at once would be too much
        for lo in range(0, ROWS, BATCH):
            part = x[lo:lo + BATCH]
            np.matmul(part, v.T, out=z[:len(part)])

    def seconds(do):
        time.sleep(0.2)
        begin = time.perf_counter()
        do()
        return time.perf_counter() - begin

    times = {name: [] for name in names + ["numpy float64", "numpy float32"]}
    for turn in range(rounds + 1):
        theirs = [seconds(batches), seconds(whole)]
        time.sleep(0.2)  # OpenBLAS's threads go on spinning
        ours.stdin.write("\n")
        ours.stdin.flush()
        mine = [float(s) for s in ours.stdout.readline().split()]
        if turn > 0:  # the first warms up
            for name, s in zip(times, mine + theirs):
                times[name].append(s)
    ours.stdin.close()
    middle = {name: statistics.median(t) for name, t in times.items()}
    print(f"{'':20} {'seconds':>8} {'to our product':>15} {'numpy float64':>14} {'numpy float32':>14}")
    late = False
    for name, s in middle.items():
        ratio = s / middle["product"]
        late = late or name in names and ratio > 3
        print(f"{name:20} {s:8.2f} {ratio:15.2f} {s / middle['numpy float64']:14.2f} {s / middle['numpy float32']:14.2f}")
    sys.exit(1 if late else 0)


if __name__ == "__main__":
    main()
