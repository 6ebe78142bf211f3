"""Losses and their gradients by PyTorch, for the tests of package nn.

    bench/.venv/bin/python nn/testdata/make_losses.py     (from the root of the repository; writes nn/testdata/losses.json)

Everything is float64. Where PyTorch has the loss, it is PyTorch's; the others are written as their papers have them, and
autograd makes the gradients.
"""
import json
import re

import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
rng = np.random.default_rng(15)
N, K, D = 8, 4, 5
logits = np.round(2 * rng.standard_normal((N, K)), 3)
features = np.round(rng.standard_normal((N, D)), 3)
early = np.round(rng.standard_normal((N, 3)), 3)  # a tap before the features
labels = np.array([0, 1, 2, 0, 1, 2, 0, 3])
tags = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 1, 1], [1, 1, 1, 1], [0, 0, 1, 0], [0, 1, 0, 1], [0, 0, 0, 1]])
class_weights = np.array([0.5, 1.0, 2.0, 1.5])
priors = np.array([400, 300, 200, 100])

y, t = torch.tensor(labels), torch.tensor(tags, dtype=torch.float64)


def onehot():
    return F.one_hot(y, K).double()


def focal(z, gamma):
    lp = F.log_softmax(z, 1).gather(1, y[:, None])[:, 0]
    return (-(1 - lp.exp()) ** gamma * lp).mean()


def rescaled(z, target, kappa, scale):
    return (kappa * target * (z - scale) ** 2 + (1 - target) * z ** 2).sum(1).mean() / 2


def pal(z, target):
    return F.cross_entropy(z, target)  # soft targets that need not sum to one: the sum over the labels


def supcon(h, tau):
    u = F.normalize(h, dim=1)
    s = u @ u.T / tau
    off = ~torch.eye(N, dtype=bool)
    pos = (y[:, None] == y[None]) & off
    lse = torch.logsumexp(s.masked_fill(~off, -torch.inf), 1)
    return sum((lse[i] - s[i][pos[i]].mean()) if pos[i].any() else 0 * lse[i] for i in range(N)) / N


def mcr2(h, eps2):
    z = F.normalize(h, dim=1)
    m, d = z.shape
    eye = torch.eye(d)
    whole = torch.logdet(eye + d / (m * eps2) * z.T @ z) / 2
    parts = 0
    for c in range(K):
        zc = z[y == c]
        parts = parts + len(zc) / m * torch.logdet(eye + d / (len(zc) * eps2) * zc.T @ zc) / 2
    return parts - whole


def probe(z):
    """The gradient of the cross-entropy without its value."""
    v = F.cross_entropy(z, y)
    return v - v.detach()


def svsl(taps, alpha):
    total = 0
    for g in taps:
        for c in range(K):
            gc = g[y == c]
            total = total + ((gc - gc.mean(0)) ** 2).sum()
    return alpha * total / N


CASES = {  # name: (spec, tags?, class weights?, function of z, h, g)
    "ce": (dict(name="ce"), 0, 0, lambda z, h, g: F.cross_entropy(z, y)),
    "ce weighted": (dict(name="ce"), 0, 1, lambda z, h, g: F.cross_entropy(z, y, weight=torch.tensor(class_weights))),
    "label smoothing": (dict(name="ce", smoothing=0.2), 0, 0, lambda z, h, g: F.cross_entropy(z, y, label_smoothing=0.2)),
    "label smoothing by name": (dict(name="label_smoothing"), 0, 0, lambda z, h, g: F.cross_entropy(z, y, label_smoothing=0.1)),
    "focal": (dict(name="focal"), 0, 0, lambda z, h, g: focal(z, 2)),
    "focal 0.5": (dict(name="focal", gamma=0.5), 0, 0, lambda z, h, g: focal(z, 0.5)),
    "logit adjustment": (dict(name="ce", adjustment=1.5, priors=priors.tolist()), 0, 0,
                         lambda z, h, g: F.cross_entropy(z + 1.5 * torch.tensor(priors / 1000).log(), y)),
    "mse": (dict(name="mse"), 0, 0, lambda z, h, g: F.mse_loss(z, onehot()) * K / 2),
    "mse tags": (dict(name="mse"), 1, 0, lambda z, h, g: F.mse_loss(z, t) * K / 2),
    "mse rescaled": (dict(name="mse_rescaled", kappa=15, scale=30), 0, 0, lambda z, h, g: rescaled(z, onehot(), 15, 30)),
    "bce": (dict(name="bce"), 0, 0, lambda z, h, g: F.binary_cross_entropy_with_logits(z, onehot()) * K),
    "bce tags": (dict(name="bce"), 1, 0, lambda z, h, g: F.binary_cross_entropy_with_logits(z, t) * K),
    "pal": (dict(name="pal"), 1, 0, lambda z, h, g: pal(z, t)),
    "pal mean": (dict(name="pal_mean"), 1, 0, lambda z, h, g: pal(z, t / t.sum(1, keepdim=True).clamp(min=1))),
    "pal of labels": (dict(name="pal"), 0, 0, lambda z, h, g: F.cross_entropy(z, y)),
    "dot": (dict(name="dot", target=3), 0, 0, lambda z, h, g: ((z.gather(1, y[:, None]) - 3) ** 2).mean() / 6),
    "cosine softmax": (dict(name="cosine_softmax", temperature=0.2, margin=0.35), 0, 0,
                       lambda z, h, g: F.cross_entropy((z - 0.35 * onehot()) / 0.2, y)),
    "supcon": (dict(name="supcon", temperature=0.3), 0, 0, lambda z, h, g: supcon(h, 0.3) + probe(z)),
    "mcr2": (dict(name="mcr2"), 0, 0, lambda z, h, g: mcr2(h, 0.5) + probe(z)),
    "feature decay": (dict(name="ce", feature_decay=0.02), 0, 0,
                      lambda z, h, g: F.cross_entropy(z, y) + 0.01 * h.square().sum(1).mean()),
    "feature decay tags": (dict(name="pal", feature_decay=0.02), 1, 0, lambda z, h, g: pal(z, t) + 0.01 * h.square().sum(1).mean()),
    "svsl": (dict(name="ce", svsl=0.1), 0, 0, lambda z, h, g: F.cross_entropy(z, y) + svsl([g, h], 0.1)),
    "svsl from the features": (dict(name="ce", svsl=0.1, svsl_from=1), 0, 0, lambda z, h, g: F.cross_entropy(z, y) + svsl([h], 0.1)),
    "all terms": (dict(name="supcon", svsl=0.1, feature_decay=0.02), 0, 0,
                  lambda z, h, g: supcon(h, 0.1) + probe(z) + svsl([g, h], 0.1) + 0.01 * h.square().sum(1).mean()),
}

out = dict(_made_by=f"make_losses.py, torch {torch.__version__.split('+')[0]}", logits=logits.ravel().tolist(), features=features.ravel().tolist(),
           early=early.ravel().tolist(), labels=labels.tolist(), tags=tags.ravel().tolist(), class_weights=class_weights.tolist(), cases={})
for name, (spec, multi, weighted, f) in CASES.items():
    z, h, g = (torch.tensor(a, requires_grad=True) for a in (logits, features, early))
    v = f(z, h, g)
    v.backward()
    case = dict(spec=spec, tags=bool(multi), weighted=bool(weighted), value=v.item())
    for key, a in ("dlogits", z), ("dfeatures", h), ("dearly", g):
        if a.grad is not None:
            case[key] = [float(f"{x:.13g}") for x in a.grad.ravel().tolist()]
    out["cases"][name] = case
text = json.dumps(out, indent=1)
# numbers of a list share a line
text = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m.group(1)) + "]", text)
open("nn/testdata/losses.json", "w").write(text + "\n")
