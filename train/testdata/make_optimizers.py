"""Writes optimizers.json: where PyTorch's optimizers go in six steps, in float64.

    bench/setup.sh && bench/.venv/bin/python train/testdata/make_optimizers.py     (from the root of the repository)

The gradient in step t of parameter i is g = sin(3 t + i) + w^2 / 2, so that it depends on where the steps before have led.
"""
import json
import pathlib

import torch

CASES = {
    "sgd": (torch.optim.SGD, dict(lr=0.1)),
    "sgd_decay": (torch.optim.SGD, dict(lr=0.1, weight_decay=0.05)),
    "momentum": (torch.optim.SGD, dict(lr=0.1, momentum=0.9, weight_decay=0.05)),
    "nesterov": (torch.optim.SGD, dict(lr=0.1, momentum=0.8, weight_decay=0.05, nesterov=True)),
    "adam": (torch.optim.Adam, dict(lr=0.01, betas=(0.8, 0.95), eps=1e-7)),
    "adam_decay": (torch.optim.Adam, dict(lr=0.01, weight_decay=0.05)),
    "adamw": (torch.optim.AdamW, dict(lr=0.01, weight_decay=0.05)),
}

out = {"_torch": torch.__version__}
for name, (kind, options) in CASES.items():
    w = torch.linspace(-1, 1, 5, dtype=torch.float64).requires_grad_()
    opt = kind([w], **options)
    for t in range(6):
        i = torch.arange(5, dtype=torch.float64)
        w.grad = (torch.sin(3 * t + i) + w.detach() ** 2 / 2)
        opt.step()
    out[name] = {"options": {k: v for k, v in options.items()}, "w": w.tolist()}
pathlib.Path(__file__).with_name("optimizers.json").write_text(json.dumps(out, indent=1) + "\n")
