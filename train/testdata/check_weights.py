"""Reads the weights of a LeNet with batch norm into a PyTorch module of the same architecture, wants its features to be those of an
export, and saves the module's state_dict.

    check_weights.py weights.safetensors images.npz features.npz out.pt
"""
import sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file


class LeNet(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 6, 5, bias=False), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 16, 5, bias=False), nn.BatchNorm2d(16)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, classes)

    def features(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        return F.relu(self.fc2(F.relu(self.fc1(x.flatten(1)))))


weights, images, features, out = sys.argv[1:]
state = load_file(weights)
a = np.load(features)
net = LeNet(len(a["weights"]))
net.load_state_dict(state)
net.eval()
x = torch.from_numpy(np.load(images)["x"]).permute(0, 3, 1, 2)
with torch.no_grad():
    h = net.features(x).numpy()
off = np.abs(h - a["features"]).max() / np.abs(h).max()
assert off < 1e-5, f"features are off by {off}"
assert np.array_equal(net.fc3.weight.detach().numpy(), a["weights"]) and np.array_equal(net.fc3.bias.detach().numpy(), a["bias"])
torch.save({"model": net.state_dict(), "epoch": 3}, out)
