#!/usr/bin/env python3
"""PyTorch files for the tests of features/torch.

Made with Python 3.11 twice: by PyTorch 2.15.0 and NumPy 2.4.6 (this writes all files), and by
PyTorch 1.13.1 and NumPy 1.26.4 (`make_torch.py 1.13`, which writes torch_1.13.pt alone). No
randomness: element (i, j) of features is ((31 i + 17 j) mod 64) / 8 - 4, exact in every
floating-point type, and the label of row i is i mod 3.
"""
import argparse
import collections
import os
import pickle
import sys

import numpy as np
import torch

os.chdir(os.path.dirname(os.path.abspath(__file__)))
N, D = 8, 5
i, j = torch.meshgrid(torch.arange(N), torch.arange(D), indexing="ij")
x = ((31 * i + 17 * j) % 64 / 8 - 4).float()
label = torch.arange(N) % 3

# What a training script saves: features by layer, labels, a classifier, settings beside them.
model = torch.nn.Sequential(collections.OrderedDict(fc=torch.nn.Linear(D, 3)))
with torch.no_grad():
    model.fc.weight.copy_(x[:3])
    model.fc.bias.copy_(label[:3])
everything = {
    "features": {"block1": x, "block2": x.double().t().contiguous().t()},
    "labels": label, "model": model.state_dict(), "weight": torch.nn.Parameter(x[:3].clone()),
    "lists": [x[0].half(), (x[1].bfloat16(), None)], 7: label.to(torch.uint8),
    "numpy": x.numpy(), "fortran": np.asfortranarray(x.numpy().astype(">f8")), "empty": np.zeros((0, 5)),
    "epoch": 3, "big": 1 << 80, "lr": 0.1, "name": "run \u00e9", "done": True, "accuracy": np.float64(0.5),
    "shape": x.shape, "device": torch.device("cpu"),
}
if sys.argv[1:] == ["1.13"]:
    torch.save(everything, "torch_1.13.pt")
    sys.exit()
torch.save(everything, "torch.pt")
torch.save({"features": x, "numpy": x.numpy(), "none": (), "three": (1, 2, 3)}, "torch_protocol4.pt", pickle_protocol=4)

# Views: all strides that indexing, transposing and expanding make, over one storage.
base = x.clone()
torch.save([base, base.t(), base[1:7:2, 1:4], base[:, 2], base[3].expand(4, D), base[2, 2], base.reshape(2, 4, D).permute(2, 0, 1), base[:0]],
           "torch_views.pt")

# Element types, one with an untyped storage.
types = [torch.bool, torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
         torch.float32, torch.float64, torch.uint16, torch.uint32, torch.uint64]
torch.save({str(t).removeprefix("torch."): label.to(t) for t in types}, "torch_types.pt")

torch.save(x, "torch_tensor.pt")

# What is refused.
torch.save(model, "bad_module.pt")
torch.save({"features": x, "args": argparse.Namespace(lr=0.1)}, "bad_namespace.pt")
torch.save({"f": os.system}, "bad_global.pt")
torch.save({"features": np.array([None, 1], dtype=object)}, "bad_object.pt")
torch.save(label, "bad_legacy.pt", _use_new_zipfile_serialization=False)
with open("bad_pickle.pkl", "wb") as f:
    pickle.dump({"features": x.numpy()}, f)
