"""Times `collapsar measure FILE --json`, the whole process, beside the peers, in turn, and prints a table.

    python compare.py --collapsar BINARY [--case k10|k1000] [--rounds 5] [--peers torch,numpy,...]

Every peer is a process of its own that holds the features in memory (see peers.py); collapsar reads them
from the file each time. In a round everything runs once, one after the other, so that slow minutes of the
machine strike all alike; the table gives medians over the rounds. A run during which other programs took
more than a tenth of the processors that it is given is repeated at once.
"""
import argparse
import fcntl
import json
import os
import statistics
import subprocess
import sys
import time

from data import make

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = {"k10": (50_000, 512, 10), "k1000": (50_000, 2048, 1000)}
# How many times faster than the peer collapsar is to be: the limit may be missed by half.
TARGETS = {("k10", "torch"): 5, ("k1000", "torch"): 2.5, ("k10", "package"): 5, ("k1000", "package"): 5,
           ("k10", "limit"): 1 / 1.5, ("k1000", "limit"): 1 / 1.5}
TICKS = os.sysconf("SC_CLK_TCK")


def machine_seconds():
    """Seconds in which the processors worked, or were taken away by the host, since boot."""
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, softirq, steal = map(int, f.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def process_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Peer:
    def __init__(self, name, path, threads):
        self.name, self.threads = name, threads
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "peers.py"), name, path, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ready(self):
        if self.process.stdout.readline().strip() != "ready":
            raise SystemExit(f"{self.name} did not start")

    def run(self):
        before = process_seconds(self.process.pid)
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["seconds"], process_seconds(self.process.pid) - before, answer["values"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Collapsar:
    def __init__(self, binary, path, threads, arguments):
        self.name, self.threads = "collapsar", threads
        self.command = [binary, "measure", path, "--json", *arguments]
        self.environment = {**os.environ, "GOMAXPROCS": str(threads)}

    def ready(self):
        self.run()

    def run(self):
        began = time.perf_counter()
        process = subprocess.Popen(self.command, stdout=subprocess.PIPE, env=self.environment)
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"collapsar ended with {process.returncode}")
        result = json.loads(out)["results"][0]
        values = {k: v.get("value") for k, v in result["metrics"].items()}
        values["route"] = result.get("nc1_route")
        return seconds, usage.ru_utime + usage.ru_stime, values

    def close(self):
        pass


def rounds(entrants, count, lock):
    """Measures everything `count` times; returns the seconds and the last values of each entrant."""
    times = {e.name: [] for e in entrants}
    values = {}
    disturbed = 0
    for _ in range(count):
        with open(lock or os.devnull, "a") as held:
            if lock:
                fcntl.flock(held, fcntl.LOCK_EX)
            for e in entrants:
                while True:
                    began, before = time.perf_counter(), machine_seconds()
                    seconds, own, values[e.name] = e.run()
                    elapsed = time.perf_counter() - began
                    foreign = machine_seconds() - before - own
                    print(f"  {e.name}: {seconds:.3f} s, other programs {foreign:.2f} s", file=sys.stderr, flush=True)
                    spare = elapsed * (os.cpu_count() - e.threads)
                    if foreign <= spare + 0.1 * elapsed * e.threads + 2 / TICKS:
                        times[e.name].append(seconds)
                        break
                    disturbed += 1
                    if disturbed > 20 * count:
                        raise SystemExit("other programs keep the processors busy: try again on a quiet machine")
    return times, values, disturbed


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--collapsar", help="the binary; without it the peers run alone")
    p.add_argument("--case", choices=CASES, action="append")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--peers", default="torch,torch-hermitian,numpy,package,limit")
    p.add_argument("--data", default=os.path.join(HERE, "..", "tmp"), help="folder for the feature files")
    p.add_argument("--lock", help="a file to lock during each round, where jobs on a machine agree on one")
    p.add_argument("arguments", nargs="*", help="more arguments for collapsar measure, after --")
    o = p.parse_args()

    for case in o.case or CASES:
        n, d, k = CASES[case]
        path = os.path.join(o.data, f"{case}.npz")
        make(n, d, k, path)
        entrants = [Collapsar(o.collapsar, path, o.threads, o.arguments)] if o.collapsar else []
        for name in filter(None, o.peers.split(",")):
            entrants.append(Peer(name, path, o.threads))
            entrants[-1].ready()
        if o.collapsar:
            entrants[0].ready()
        times, values, disturbed = rounds(entrants, o.rounds, o.lock)
        for e in entrants:
            e.close()

        print(f"N={n} d={d} K={k}, {o.threads} threads, medians of {o.rounds} rounds ({disturbed} disturbed runs repeated)\n")
        print("| program | seconds | from .. to | times collapsar | target | nc1 |")
        print("|---|---|---|---|---|---|")
        own = statistics.median(times["collapsar"]) if "collapsar" in times else None
        for name, t in times.items():
            middle = statistics.median(t)
            nc1 = values[name].get("nc1", values[name].get("nc1_pinv"))
            ratio = f"{middle / own:.2f}" if own else ""
            target = TARGETS.get((case, name))
            print(f"| {name} | {middle:.3f} | {min(t):.3f} .. {max(t):.3f} | {ratio} "
                  f"| {f'>= {target:.2f}' if target else ''} | {f'{nc1:.8g}' if nc1 is not None else ''} |")
        print(flush=True)


if __name__ == "__main__":
    main()
