"""Make the ONNX files of this folder: python make_exports.py, with torch 2.13.0, onnx 1.23.2 and onnxscript 0.7.2.

Each network is exported by both of torch's exporters, from the same weights. outputs.npz has its input and torch's own
output; made.json says what made the files. Weights are small whole numbers over powers of two, so that the files are
exact and the same on each machine. Stack traces are taken out: they name folders.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxscript
import torch
from torch import nn

warnings.filterwarnings("ignore")
HERE = Path(__file__).parent
MADE_ON = sys.argv[1] if len(sys.argv) > 1 else ""
EXPORTERS = {"torchscript": False, "dynamo": True}


class Residual(nn.Module):
    """An addition, a pooling, a flattening with numbers."""

    def __init__(self):
        super().__init__()
        self.stem, self.conv = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.norm, self.pool, self.head = nn.BatchNorm2d(3), nn.AvgPool2d(2), nn.Linear(48, 4)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.norm(self.conv(x)))
        return self.head(torch.flatten(self.pool(x), 1))


class Dense(nn.Module):
    """Gemm with and without a bias, a normalisation of rows, a view."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = nn.Linear(12, 8), nn.Linear(8, 6, bias=False), nn.Linear(6, 3)
        self.norm, self.drop = nn.BatchNorm1d(8), nn.Dropout(0.5)

    def forward(self, x):
        x = x.view(x.size(0), -1)
        x = torch.relu(self.norm(self.one(x)))
        return self.three(self.drop(torch.relu(self.two(x))))


NETWORKS = {
    "chain": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 4, 1),
            nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 3),
        ),
        (2, 8, 8),
    ),
    "residual": (Residual, (1, 8, 8)),
    "dense": (Dense, (3, 2, 2)),
}  # fmt: skip


def settled(net, rng):
    """Weights in eighths, running statistics as they come after training."""
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            low, high = (1, 9) if name.endswith("running_var") else (-6, 7)
            if tensor.is_floating_point():
                tensor.copy_(torch.as_tensor(rng.integers(low, high, tuple(tensor.shape)) / 8))
    return net.eval()


def without_traces(path):
    """Take out where in which file each node came from: that names folders of a machine."""
    made = onnx.load(path)
    for node in made.graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
    path.write_bytes(made.SerializeToString(deterministic=True))


outputs = {}
for name, (make, shape) in NETWORKS.items():
    rng = np.random.default_rng(sum(map(ord, name)))
    net = settled(make(), rng)
    given = torch.as_tensor(rng.integers(0, 9, (4, *shape)) / 8, dtype=torch.float32)
    outputs[f"{name}.input"] = given.numpy()
    with torch.no_grad():
        outputs[f"{name}.output"] = net(given).numpy()
    for exporter, dynamo in EXPORTERS.items():
        batch = (
            {"dynamic_shapes": ({0: torch.export.Dim("batch")},)} if dynamo else {"dynamic_axes": {"x": {0: "batch"}}}
        )
        path = HERE / f"{name}-{exporter}.onnx"
        torch.onnx.export(
            net, (given,), path, input_names=["x"], dynamo=dynamo, external_data=False, verbose=False, **batch
        )
        without_traces(path)
np.savez(HERE / "outputs.npz", **outputs)
made_by = f"torch {torch.__version__}, onnx {onnx.__version__}, onnxscript {onnxscript.__version__}"
(HERE / "made.json").write_text(json.dumps({"made_by": made_by, "on": MADE_ON}, indent=1) + "\n")
