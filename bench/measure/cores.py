"""Measures a file on one processor and on two, in turn, and prints the ratio of the medians.

    python cores.py --collapsar BINARY [--rounds 5] [--case k1000]
"""
import argparse
import os
import statistics

from compare import CASES, Collapsar, rounds
from data import make


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--collapsar", required=True)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--case", choices=CASES, default="k1000")
    p.add_argument("--lock", help="a file to lock during each round, where jobs on a machine agree on one")
    o = p.parse_args()
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tmp", f"{o.case}.npz")
    make(*CASES[o.case], path)
    entrants = []
    for threads in 1, 2:
        entrants.append(Collapsar(o.collapsar, path, threads, []))
        entrants[-1].name = f"{threads} processor{'s' * (threads > 1)}"
        entrants[-1].ready()
    times, _, _ = rounds(entrants, o.rounds, o.lock)
    one, two = (statistics.median(times[e.name]) for e in entrants)
    print(f"{o.case}: {one:.3f} s on one processor, {two:.3f} s on two: {one / two:.2f} times faster (target 1.7)")


if __name__ == "__main__":
    main()
