"""The peers: each measures the features in memory, in float32 and in batches, on the threads it is given.

    python peers.py NAME FILE THREADS

loads FILE, works through a small part of it once to warm up, prints a line, and then, for every line it
reads, measures once and prints a JSON object with the seconds and the numbers it found.

Each of torch, torch-hermitian and numpy finds the class means, both covariances, NC1 by pseudo-inverse, the
usual measures of NC2 and NC3, the nearest-centre decisions and their agreement with the classifier.
`package` follows the accumulators and measures of the neural-collapse Python package (which is not on
PyPI): class means by products with one-hot labels, a covariance, variance norms, decisions, then its
eleven measures; its own bookkeeping (hashes of the means at every batch) is left out, in its favour.
`limit` is what any program must do: read the file's bytes once a pass, and two single-precision products
of the features, with the class means and with the classifier.
"""
import json
import os
import sys
import time

BATCH = 4096


def load(path):
    import numpy as np

    with np.load(path) as f:
        return f["features"], f["labels"], f["weights"], f["bias"]


def batches(n):
    return ((a, min(a + BATCH, n)) for a in range(0, n, BATCH))


class Torch:
    hermitian = False

    def __init__(self, path, threads):
        import torch

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.t = torch
        self.data = tuple(torch.from_numpy(a) for a in load(path))

    def part(self):
        h, y, w, b = self.data
        rows = min(len(h), 2 * BATCH)
        return h[:rows], y[:rows], w, b

    def measure(self, h, y, w, b):
        t = self.t
        n, d = h.shape
        k = w.shape[0]
        counts = t.bincount(y, minlength=k)
        means = t.zeros(k, d).index_add_(0, y, h) / counts.clamp(min=1).unsqueeze(1)
        centred = means - means.mean(0)
        within = t.zeros(d, d)
        agree = errors = 0
        half = (means * means).sum(1) / 2
        for a, e in batches(n):
            x, c = h[a:e], y[a:e]
            diff = x - means[c]
            within.addmm_(diff.T, diff)
            near = t.addmm(half, x, means.T, beta=-1).argmax(1)
            agree += (near == t.addmm(b, x, w.T).argmax(1)).sum()
            errors += (near != c).sum()
        within /= n
        between = centred.T @ centred / k
        inverse = t.linalg.pinv(between, hermitian=self.hermitian)
        norms, wnorms = centred.norm(dim=1), w.norm(dim=1)
        unit = centred / norms.unsqueeze(1)
        cosines = unit @ unit.T
        pairs = t.triu_indices(k, k, 1)
        cosines = cosines[pairs[0], pairs[1]]
        return {
            "nc1": ((within * inverse.T).sum() / k).item(),
            "nc2_equinorm": (norms.std(unbiased=False) / norms.mean()).item(),
            "nc2_max_angle": (cosines + 1 / (k - 1)).abs().mean().item(),
            "nc2w_equinorm": (wnorms.std(unbiased=False) / wnorms.mean()).item(),
            "nc3_distance": (w / w.norm() - centred / centred.norm()).norm().item(),
            "nc4_disagreement": 1 - int(agree) / n,
            "ncc_error": int(errors) / n,
        }


class TorchHermitian(Torch):
    hermitian = True


class Numpy:
    def __init__(self, path, threads):
        self.data = load(path)

    def part(self):
        h, y, w, b = self.data
        rows = min(len(h), 2 * BATCH)
        return h[:rows], y[:rows], w, b

    def measure(self, h, y, w, b):
        import numpy as np

        n, d = h.shape
        k = w.shape[0]
        counts = np.bincount(y, minlength=k)
        means = np.zeros((k, d), np.float32)
        for a, e in batches(n):
            if k <= 64:
                hot = (y[a:e] == np.arange(k)[:, None]).astype(np.float32)
                means += hot @ h[a:e]
            else:
                order = np.argsort(y[a:e], kind="stable")
                classes, first = np.unique(y[a:e][order], return_index=True)
                means[classes] += np.add.reduceat(h[a:e][order], first, axis=0)
        means /= np.maximum(counts, 1)[:, None].astype(np.float32)
        centred = means - means.mean(0)
        within = np.zeros((d, d), np.float32)
        agree = errors = 0
        half = (means * means).sum(1) / 2
        for a, e in batches(n):
            x, c = h[a:e], y[a:e]
            diff = x - means[c]
            within += diff.T @ diff
            near = (x @ means.T - half).argmax(1)
            agree += int((near == (x @ w.T + b).argmax(1)).sum())
            errors += int((near != c).sum())
        within /= n
        between = centred.T @ centred / np.float32(k)
        inverse = np.linalg.pinv(between)
        norms, wnorms = np.linalg.norm(centred, axis=1), np.linalg.norm(w, axis=1)
        unit = centred / norms[:, None]
        cosines = (unit @ unit.T)[np.triu_indices(k, 1)]
        return {
            "nc1": float((within * inverse.T).sum() / k),
            "nc2_equinorm": float(norms.std() / norms.mean()),
            "nc2_max_angle": float(np.abs(cosines + 1 / (k - 1)).mean()),
            "nc2w_equinorm": float(wnorms.std() / wnorms.mean()),
            "nc3_distance": float(np.linalg.norm(w / np.linalg.norm(w) - centred / np.linalg.norm(centred))),
            "nc4_disagreement": 1 - agree / n,
            "ncc_error": errors / n,
        }


class Package(Torch):
    """Accumulators in the manner of the neural-collapse package, with all of its measures but nc5."""

    def tiled(self, rows, kernel, tile=100):
        t = self.t
        k = len(rows)
        grid = t.empty(k, k)
        for i in range(0, k, tile):
            for j in range(0, k, tile):
                grid[i:i + tile, j:j + tile] = kernel(rows[i:i + tile].unsqueeze(1), rows[j:j + tile])
        return grid[~t.eye(k, dtype=t.bool)]

    def measure(self, h, y, w, b):
        t = self.t
        n, d = h.shape
        k = w.shape[0]
        classes = t.arange(k)
        counts, totals = t.zeros(k, dtype=t.int32), t.zeros(k, d)
        for a, e in batches(n):
            hot = y[a:e, None] == classes
            counts += hot.sum(0, dtype=t.int32)
            totals += hot.T.float() @ h[a:e]
        means = totals / counts.unsqueeze(1).float()
        centre = means.mean(0)
        centred = means - centre

        within, variances = t.zeros(d, d), t.zeros(k)
        for a, e in batches(n):
            diff = h[a:e] - means[y[a:e]]
            within += diff.T @ diff
        within /= n
        for a, e in batches(n):
            hot = (y[a:e, None] == classes).T.float()
            variances += (hot @ (h[a:e] - means[y[a:e]]).square()).sum(1)
        variances /= counts.float()
        matches = t.zeros(k, dtype=t.int32)
        lengths = means.norm(dim=1).square()
        for a, e in batches(n):
            x = h[a:e]
            distances = x.norm(dim=1).square().unsqueeze(1) + lengths - 2 * t.inner(x, means)
            same = (distances.argmin(1) == (x @ w.T).argmax(1)).int()
            matches.scatter_add_(0, y[a:e], same)

        between = centred.T @ centred / k
        out = {"nc1_pinv": (t.trace(t.linalg.pinv(between) @ within) / k).item()}
        u, s = self.leading(between, min(k - 1, d - 1))
        out["nc1_svd"] = (((u.T @ within @ u).diagonal() / s).sum() / k).item()
        out["nc1_quot"] = (t.trace(within) / t.trace(between)).item()
        bundled = t.cat((means, variances.unsqueeze(1)), 1)
        out["nc1_cdnv"] = self.tiled(bundled, lambda p, q: (p[..., -1] + q[..., -1]) / 2
                                     / (p[..., :-1] - q[..., :-1]).square().sum(-1)).mean().item()
        ideal = (t.eye(k) - 1 / k) / (k - 1) ** 0.5
        for name, left in ("nc2_etf_err", centred), ("nc3_dual_err", w):
            gram = left @ centred.T
            out[name] = (gram / gram.norm() - ideal).norm().item()
        unit = centred / centred.norm(dim=1, keepdim=True)
        grid = self.tiled(unit, lambda p, q: (p - q).norm(dim=-1))
        out["nc2g_dist"] = grid.var(unbiased=False).item()
        grid = self.tiled(unit, lambda p, q: -(p - q).norm(dim=-1).log())
        out["nc2g_log"] = grid.var(unbiased=False).item()
        out["nc3u_uni_dual"] = (w * centred).sum(1).var().item()
        out["nc4_agree"] = (matches.sum() / counts.sum()).item()
        return out

    def leading(self, between, r):
        import torch
        from scipy.sparse.linalg import svds

        u, s, _ = svds(between.numpy(), k=r)
        return torch.from_numpy(u.copy()), torch.from_numpy(s.copy())


class Limit:
    def __init__(self, path, threads):
        import numpy as np
        from concurrent.futures import ThreadPoolExecutor

        self.data, self.path, self.threads, self.np = load(path), path, threads, np
        self.pool = ThreadPoolExecutor(threads)
        self.buffers = [bytearray(1 << 20) for _ in range(threads)]

    def part(self):
        h, y, w, b = self.data
        rows = min(len(h), 2 * BATCH)
        return h[:rows], y[:rows], w, b

    def read(self, file, worker, start, stop):
        buffer = memoryview(self.buffers[worker])
        while start < stop:
            start += os.preadv(file, [buffer[:min(len(buffer), stop - start)]], start)

    def measure(self, h, y, w, b):
        began = time.perf_counter()
        size = os.path.getsize(self.path)
        file = os.open(self.path, os.O_RDONLY)
        for _ in range(2):
            step = -(-size // self.threads)
            list(self.pool.map(lambda i: self.read(file, i, i * step, min(size, (i + 1) * step)),
                               range(self.threads)))
        os.close(file)
        reading = time.perf_counter() - began
        for rows in w, w:
            out = None
            for a, e in batches(len(h)):
                out = self.np.matmul(h[a:e], rows.T, out=out if out is not None and len(out) == e - a else None)
        return {"reading": reading, "products": time.perf_counter() - began - reading}


PEERS = {"torch": Torch, "torch-hermitian": TorchHermitian, "numpy": Numpy, "package": Package, "limit": Limit}


def main():
    name, path, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    for v in "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS":
        os.environ[v] = str(threads)
    peer = PEERS[name](path, threads)
    if peer.data[0].shape[1] <= 512:
        peer.measure(*peer.data)
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        values = peer.measure(*peer.data)
        seconds = time.perf_counter() - began
        print(json.dumps({"seconds": seconds, "values": values}), flush=True)


if __name__ == "__main__":
    main()
