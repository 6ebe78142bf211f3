#!/usr/bin/env python3
"""Carries weights from here to PyTorch and back, and compares what the networks say about the same images.

    bench/.venv/bin/python bench/train/interop.py [--binary collapsar] [--only TEXT]

There: a network is trained here for an epoch; its weights.safetensors goes into the PyTorch module with strict=True, which has to
give the logits of the exported features. Back: a state_dict that PyTorch filled is read by --init-from, as .pt and as .safetensors;
the loss at epoch 0 has to be PyTorch's, and the parameters have to come out of the run as they went in, at a rate that moves nothing.
Both to 1e-4 of the largest logit.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

root = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(root / "nn" / "testdata"))
from make_fixtures import CNN, MLP, VGG, LeNet, ResNet, fill_state  # noqa: E402  the same modules that give the stored results

TOLERANCE = 1e-4
CLASSES, ROWS, BATCH = 10, 60, 20
CASES = [  # architecture, width, side, channels, module
    ("mlp", 32, 28, 1, lambda: MLP(784, CLASSES, 32, 2)),
    ("cnn", 8, 28, 1, lambda: CNN(28, 28, 1, CLASSES, 8, 128)),
    ("lenet", 0, 28, 1, lambda: LeNet(28, 28, 1, CLASSES)),
    ("vgg11", 8, 32, 3, lambda: VGG([1, 1, 2, 2, 2], 3, CLASSES, 8)),
    ("resnet18", 8, 32, 3, lambda: ResNet([2, 2, 2, 2], 1, 3, CLASSES, 8)),
]


def logits(module, images):
    x = torch.tensor(images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        return module.eval().head(module.taps(x)[-1])


def train(binary, folder, data, name, width, *more):
    command = [binary, "train", str(data), "--model", name, "--width", str(width), "--epochs", "1", "--batch", str(BATCH), "--standardize", "none",
               "--layer", "features", "--metrics", "classifier_error", "--out", str(folder), "--export", str(folder) + ".npz", "--quiet", *more]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(" ".join(command) + "\n" + done.stderr)
    with open(folder / "metrics.jsonl") as lines:
        start = json.loads(next(lines))
    return load_file(folder / "weights.safetensors"), np.load(str(folder) + ".npz"), start


def error(module, weights, export, images):
    """The largest difference between the logits of module with these weights and those exported, as a share of the largest."""
    module.load_state_dict(weights, strict=True)
    ours = torch.tensor(export["features"] @ export["weights"].T + export["bias"])
    return ((logits(module, images) - ours).abs().max() / ours.abs().max()).item()


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--binary", help="collapsar, built from this repository already")
    options.add_argument("--only", default="", help="architectures whose name contains this")
    o = options.parse_args()
    torch.set_num_threads(2)

    missed = False
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        binary = o.binary
        if not binary:
            binary = str(scratch / "collapsar")
            subprocess.run(["go", "build", "-o", binary, "./cmd/collapsar"], cwd=root, check=True)
        print(f"{'':12}{'there':>10}{'.pt':>10}{'.safetensors':>14}")
        for name, width, side, channels, make in CASES:
            if o.only not in name:
                continue
            draw = np.random.default_rng(1)
            images = draw.integers(0, 256, (ROWS, side, side, channels), dtype=np.uint8)
            labels = np.arange(ROWS) % CLASSES
            data = scratch / f"{name}.npz"
            np.savez(data, x_train=images, y_train=labels)

            weights, export, _ = train(binary, scratch / f"{name}_there", data, name, width)
            errors = [error(make(), weights, export, images)]

            module = make()
            with torch.no_grad():
                fill_state(module)
            state = {k: v.clone() for k, v in module.state_dict().items()}
            loss = F.cross_entropy(logits(module, images), torch.tensor(labels)).item()
            for suffix in ".pt", ".safetensors":
                path = scratch / (name + suffix)
                torch.save(state, path) if suffix == ".pt" else save_file(state, path)
                weights, export, start = train(binary, scratch / (name + suffix[1:]), data, name, width,
                                               "--init-from", str(path), "--lr", "1e-30", "--weight-decay", "0")
                for k, v in state.items():
                    if k.endswith("num_batches_tracked"):
                        assert weights[k] == v + ROWS // BATCH, (name, k, weights[k], v)
                    elif "running" not in k:
                        assert torch.equal(weights[k], v), (name, k)
                errors.append(max(error(make(), weights, export, images), abs(start["train"]["loss"] / loss - 1)))
            print(f"{name:12}{errors[0]:10.1e}{errors[1]:10.1e}{errors[2]:14.1e}", flush=True)
            missed = missed or not max(errors) <= TOLERANCE
    if missed:
        sys.exit(f"a difference above {TOLERANCE}")


if __name__ == "__main__":
    main()
