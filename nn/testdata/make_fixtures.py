"""Writes networks.json: what PyTorch computes with the architectures of nn.Build, made small.

    bench/setup.sh && bench/.venv/bin/python nn/testdata/make_fixtures.py     (from the root of the repository)

The modules below are the PyTorch form of the architectures: their state_dicts have the names and shapes of ours, those of the
ResNets and VGGs being torchvision's. Numbers that go in are not stored but made by fill() on both sides. Of what comes out, logits are stored
as they are, everything else as its inner product with fill(). Everything is float64.
"""
import json
import pathlib

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


def fill(stream, n):
    """n numbers in [-1, 1): SplitMix64 of the stream and the index."""
    with np.errstate(over="ignore"):
        x = (np.uint64(stream) << np.uint64(32)) + np.arange(n, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(11)).astype(np.float64) / 2.0**52 - 1


class MLP(nn.Module):
    def __init__(self, inputs, classes, width, depth, norm=True):
        super().__init__()
        self.depth, self.norm = depth, norm
        for i in range(1, depth + 1):
            setattr(self, f"l{i}", nn.Linear(inputs if i == 1 else width, width, bias=not norm))
            if norm:
                setattr(self, f"b{i}", nn.BatchNorm1d(width))
        self.fc = nn.Linear(width, classes)

    def taps(self, x):
        taps, x = [], x.flatten(1)
        for i in range(1, self.depth + 1):
            x = getattr(self, f"l{i}")(x)
            x = F.relu(getattr(self, f"b{i}")(x) if self.norm else x)
            taps.append(x)
        return taps

    def head(self, features):
        return self.fc(features)


class CNN(nn.Module):
    def __init__(self, height, width, channels, classes, w, hidden):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, w, 3, padding=1)
        self.conv2 = nn.Conv2d(w, 2 * w, 3, padding=1)
        self.fc1 = nn.Linear(2 * w * (height // 2) * (width // 2), hidden)
        self.fc = nn.Linear(hidden, classes)

    def taps(self, x):
        a = F.relu(self.conv1(x))
        b = F.max_pool2d(F.relu(self.conv2(a)), 2)
        return [a, b, F.relu(self.fc1(b.flatten(1)))]

    def head(self, features):
        return self.fc(features)


class CNNLinear(nn.Module):
    def __init__(self, height, width, channels, classes, w, features):
        super().__init__()
        quarter = lambda n: -(-n // 4)
        self.conv1 = nn.Conv2d(channels, w, 5, stride=2, padding=2)
        self.conv2 = nn.Conv2d(w, 2 * w, 5, stride=2, padding=2)
        self.fc1 = nn.Linear(2 * w * quarter(height) * quarter(width), 256)
        self.bn1 = nn.BatchNorm1d(256)
        self.fc2 = nn.Linear(256, features)
        self.fc = nn.Linear(features, classes)

    def taps(self, x):
        a = F.relu(self.conv1(x))
        b = F.relu(self.conv2(a))
        c = F.relu(self.bn1(self.fc1(b.flatten(1))))
        return [a, b, c, self.fc2(c)]

    def head(self, features):
        return self.fc(features)


class LeNet(nn.Module):
    def __init__(self, height, width, channels, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        pooled = [((s - 4) // 2 - 4) // 2 for s in (height, width)]
        self.fc1 = nn.Linear(16 * pooled[0] * pooled[1], 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def taps(self, x):
        a = F.max_pool2d(F.relu(self.conv1(x)), 2)
        b = F.max_pool2d(F.relu(self.conv2(a)), 2)
        c = F.relu(self.fc1(b.flatten(1)))
        return [a, b, c, F.relu(self.fc2(c))]

    def head(self, features):
        return self.fc3(features)


class VGG(nn.Module):
    def __init__(self, stages, channels, classes, w):
        super().__init__()
        layers = []
        for stage, n in enumerate(stages):
            out = w * min(2**stage, 8)
            for _ in range(n):
                layers += [nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
                channels = out
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def taps(self, x):
        taps = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                taps.append(x)
        return taps + [x.mean((2, 3))]

    def head(self, features):
        return self.classifier(features)


class Block(nn.Module):
    """torchvision's BasicBlock and, with expansion 4, its Bottleneck."""

    def __init__(self, channels, width, stride, expansion):
        super().__init__()
        out = width * expansion
        conv = lambda i, o, k, s: nn.Conv2d(i, o, k, s, padding=k // 2, bias=False)
        if expansion == 1:
            shapes = [(channels, width, 3, stride), (width, out, 3, 1)]
        else:
            shapes = [(channels, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)]
        self.depth = len(shapes)
        for i, shape in enumerate(shapes, 1):
            setattr(self, f"conv{i}", conv(*shape))
            setattr(self, f"bn{i}", nn.BatchNorm2d(shape[1]))
        self.downsample = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(conv(channels, out, 1, stride), nn.BatchNorm2d(out))

    def forward(self, x):
        y = x
        for i in range(1, self.depth + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            if i < self.depth:
                y = F.relu(y)
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """torchvision's ResNet with a stem of one 3x3 convolution and no pooling."""

    def __init__(self, blocks, expansion, channels, classes, w):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, w, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(w)
        channels = w
        for stage, n in enumerate(blocks):
            width, layer = w << stage, []
            for i in range(n):
                layer.append(Block(channels, width, 2 if stage > 0 and i == 0 else 1, expansion))
                channels = width * expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layer))
        self.fc = nn.Linear(channels, classes)

    def taps(self, x):
        taps = [F.relu(self.bn1(self.conv1(x)))]
        for stage in range(1, 5):
            for block in getattr(self, f"layer{stage}"):
                taps.append(block(taps[-1]))
        return taps + [taps[-1].mean((2, 3))]

    def head(self, features):
        return self.fc(features)


ROWS, CLASSES = 4, 3
NETWORKS = [  # architecture, options of nn.Build, height x width x channels, module
    ("mlp", dict(Width=6, Depth=2), (3, 2, 2), lambda h, w, c: MLP(h * w * c, CLASSES, 6, 2)),
    ("mlp", dict(Width=5, Depth=3, Norm="none"), (3, 2, 1), lambda h, w, c: MLP(h * w * c, CLASSES, 5, 3, norm=False)),
    ("cnn", dict(Width=3, FeatureDim=7), (6, 5, 2), lambda h, w, c: CNN(h, w, c, CLASSES, 3, 7)),
    ("cnn_linear", dict(Width=3, FeatureDim=5), (11, 9, 2), lambda h, w, c: CNNLinear(h, w, c, CLASSES, 3, 5)),
    ("lenet", dict(), (20, 18, 1), lambda h, w, c: LeNet(h, w, c, CLASSES)),
    ("vgg11", dict(Width=2), (32, 33, 3), lambda h, w, c: VGG([1, 1, 2, 2, 2], c, CLASSES, 2)),
    ("resnet18", dict(Width=3), (11, 12, 3), lambda h, w, c: ResNet([2, 2, 2, 2], 1, c, CLASSES, 3)),
    ("resnet50", dict(Width=2), (9, 10, 1), lambda h, w, c: ResNet([3, 4, 6, 3], 4, c, CLASSES, 2)),
]


def fill_state(module):
    """Stream 100 + k for tensor k of the state_dict."""
    shapes = []
    for k, (name, t) in enumerate(module.state_dict().items()):
        u = fill(100 + k, t.numel()).reshape(tuple(t.shape))
        if name.endswith("num_batches_tracked"):
            u = np.array(5)
        elif name.endswith("running_var"):
            u = 1 + 0.5 * u
        elif t.ndim >= 2:  # of unit variance times the input's, about
            u = u * np.sqrt(3 / np.prod(t.shape[1:]))
        elif name.endswith("weight"):
            u = 1 + 0.2 * u
        t.copy_(torch.tensor(u))
        shapes.append([name, list(t.shape)])
    return shapes


def digest(t):
    """Inner product with stream 1."""
    x = t.detach().numpy().ravel()
    return number(x @ fill(1, x.size))


def number(x):
    return float(f"{x:.10g}")


def rows_last(t):
    """Images as n x height x width x channels."""
    return t.permute(0, 2, 3, 1) if t.ndim == 4 else t


def main():
    torch.set_default_dtype(torch.float64)
    result = []
    for name, options, (h, w, c), make in NETWORKS:
        net = make(h, w, c)
        with torch.no_grad():
            state = fill_state(net)
        x = torch.tensor(fill(2, ROWS * h * w * c).reshape(ROWS, h, w, c)).permute(0, 3, 1, 2)
        net.train()
        taps = net.taps(x)
        logits = net.head(taps[-1])
        loss = (logits * torch.tensor(fill(3, logits.numel()).reshape(logits.shape))).sum()
        for i, tap in enumerate(taps):  # every tap has a gradient of its own, stream 10 + i
            t = rows_last(tap)
            loss = loss + 0.1 * (t * torch.tensor(fill(10 + i, t.numel()).reshape(t.shape))).sum()
        loss.backward()
        net.eval()
        evaluated = net.head(net.taps(x)[-1])
        after = dict(net.named_buffers()) | {k: p.grad for k, p in net.named_parameters()}
        result.append(dict(
            architecture=name, options=options, input=[h, w, c], rows=ROWS,
            state=[[k, shape, digest(after[k].double())] for k, shape in state],  # of a parameter, its gradient; of a statistic, itself afterwards
            taps=[digest(rows_last(t)) for t in taps],
            logits=[number(v) for v in logits.detach().numpy().ravel()],
            evaluated=[number(v) for v in evaluated.detach().numpy().ravel()],
        ))

    path = pathlib.Path(__file__).with_name("networks.json")
    path.write_text("[\n" + ",\n".join(json.dumps(r, separators=(",", ":")) for r in result) + "\n]\n")
    print(path, path.stat().st_size, "bytes, torch", torch.__version__)


if __name__ == "__main__":
    main()
