"""Writes norms.json: what PyTorch computes with single normalisations, poolings and activations.

    bench/setup.sh && bench/.venv/bin/python nn/testdata/make_norms.py     (from the root of the repository)

Numbers that go in are made by fill() on both sides: stream 2 the input (times 3, plus an offset), 3 the gradient of the output, 100 and 101
weight and bias. Of what comes out, the inner product with stream 1 is stored. Everything is float64, images are n x height x width x channels.
"""
import json
import pathlib

import torch
import torch.nn as nn

from make_fixtures import fill


def digest(t):
    x = t.detach().numpy().ravel()
    return float(f"{x @ fill(1, x.size):.12g}")


torch.set_default_dtype(torch.float64)
IMAGE, VECTOR = (7, 6, 12), (1, 1, 12)
CASES = [  # layer, options, shape, offset of the input, module
    ("batch", {}, IMAGE, 0, nn.BatchNorm2d(12)),
    ("batch", {}, IMAGE, 10000, nn.BatchNorm2d(12)),
    ("batch", {}, VECTOR, 5, nn.BatchNorm2d(12)),
    ("batch", {"Momentum": 0.3, "Epsilon": 0.01}, IMAGE, 0, nn.BatchNorm2d(12, momentum=0.3, eps=0.01)),
]
for groups in 1, 3, 4, 12:
    CASES.append(("group", {"Groups": groups}, IMAGE, 100, nn.GroupNorm(groups, 12)))
CASES.append(("group", {"Groups": 3}, VECTOR, 0, nn.GroupNorm(3, 12)))
for kernel, stride, pad in (2, 2, 0), (2, 1, 1), (3, 2, 1), (3, 1, 1), (3, 3, 0), (4, 2, 2), (1, 2, 0):
    options = {"Kernel": kernel, "Stride": stride, "Pad": pad}
    CASES.append(("max", options, IMAGE, 0, nn.MaxPool2d(kernel, stride, pad)))
    CASES.append(("average", options, IMAGE, 0, nn.AvgPool2d(kernel, stride, pad)))
CASES.append(("global", {}, IMAGE, 0, nn.AdaptiveAvgPool2d(1)))
for name, options, module in (
    ("relu", {}, nn.ReLU()), ("leaky", {}, nn.LeakyReLU()), ("leaky", {"Slope": 0.2}, nn.LeakyReLU(0.2)), ("elu", {}, nn.ELU()),
    ("elu", {"Alpha": 0.5}, nn.ELU(0.5)), ("gelu", {}, nn.GELU()), ("silu", {}, nn.SiLU()), ("sigmoid", {}, nn.Sigmoid()), ("tanh", {}, nn.Tanh()),
):
    CASES.append((name, options, IMAGE, 0, module))

ROWS = 5
result = []
for name, options, (h, w, c), offset, module in CASES:
    x = torch.tensor(3 * fill(2, ROWS * h * w * c).reshape(ROWS, h, w, c) + offset, requires_grad=True)
    norm = hasattr(module, "weight")
    if norm:
        with torch.no_grad():
            module.weight.copy_(torch.tensor(fill(100, c)))
            module.bias.copy_(torch.tensor(fill(101, c)))
    y = module(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).contiguous()
    y.backward(torch.tensor(fill(3, y.numel()).reshape(y.shape)))
    case = {"Layer": name, "Options": options, "Input": [h, w, c], "Offset": offset, "Output": list(y.shape[1:]), "Forward": digest(y), "Backward": digest(x.grad)}
    if norm:
        case["Weight"], case["Bias"] = digest(module.weight.grad), digest(module.bias.grad)
    if name == "batch":
        case["Mean"], case["Variance"], case["Batches"] = digest(module.running_mean), digest(module.running_var), int(module.num_batches_tracked)
        module.eval()
        case["Evaluated"] = digest(module(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).contiguous())
    result.append(case)
path = pathlib.Path(__file__).with_name("norms.json")
path.write_text("[\n" + ",\n".join(json.dumps(r) for r in result) + "\n]\n")
print(path, path.stat().st_size)
