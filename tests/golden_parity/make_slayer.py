"""Integers that blocks of lava-dl 0.6.0's slayer export, for cases as JSON on the standard input.

python3 -m venv /tmp/slayer
/tmp/slayer/bin/pip install torch==2.13.0 numpy matplotlib h5py
/tmp/slayer/bin/pip install --no-deps --ignore-requires-python lava-dl==0.6.0
/tmp/slayer/bin/python tests/golden_parity/make_slayer.py < cases.json
"""

import importlib.metadata
import json
import pathlib
import sys
import types

import lava
import torch

PACKAGE = "lava.lib.dl.slayer"


def imported(*names):
    """Import single modules past their packages, whose __init__ asks for OpenCV, torchvision and Lava."""
    folder = pathlib.Path(next(iter(lava.__path__))) / "lib" / "dl" / "slayer"
    places = {"lava.lib": folder.parent.parent, "lava.lib.dl": folder.parent, PACKAGE: folder}
    for name, path in (places | {f"{PACKAGE}.block": folder / "block"}).items():
        module = types.ModuleType(name)
        module.__path__ = [str(path)]
        sys.modules[name] = module
    return [__import__(f"{PACKAGE}.{name}", fromlist=["any"]) for name in names]


class Recorder(dict):
    """What stands in for the HDF5 file that a block is exported to."""

    def create_dataset(self, name, shape=None, dtype=None, data=None):
        del shape, dtype
        self[name] = data


def block_of(cuba, norm, case):
    """A block with the weights of a case; its bias is a normalisation's mean, with the other sign."""
    neuron = {name: case[name] for name in ("threshold", "current_decay", "voltage_decay")}
    weight = torch.tensor(case["weight"], dtype=torch.float32)
    if case["bias"] is not None:
        neuron["norm"] = norm.MeanOnlyBatchNorm
    if weight.ndim == 4:
        block = cuba.Conv(neuron, weight.shape[1], weight.shape[0], tuple(weight.shape[2:]))
        synapse = block.synapse
    elif case["back"] is not None:
        block = cuba.Recurrent(neuron, weight.shape[1], weight.shape[0])
        block.recurrent_synapse.weight.data = torch.tensor(case["back"])[..., None, None, None]
        synapse = block.input_synapse
    else:
        block = cuba.Dense(neuron, weight.shape[1], weight.shape[0])
        synapse = block.synapse
    synapse.weight.data = weight.reshape(synapse.weight.shape)
    if case["bias"] is not None:
        block.neuron.norm.running_mean = -torch.tensor(case["bias"], dtype=torch.float32)
    block.neuron.shape = (len(weight),)  # what a first forward pass would find
    return block


def integers(cuba, norm, case):
    file = Recorder()
    block_of(cuba, norm, case).export_hdf5(file)
    read = {"weight": "weight", "back": "weight_rec", "bias": "bias"}
    arrays = {
        ours: file[theirs].reshape(torch.tensor(case[ours]).shape) for ours, theirs in read.items() if theirs in file
    }
    scalars = {"threshold": "vThMant", "current_decay": "iDecay", "voltage_decay": "vDecay"}
    return {n: v.astype(int).tolist() for n, v in arrays.items()} | {
        ours: int(file[f"neuron/{theirs}"]) for ours, theirs in scalars.items()
    }


def main():
    cuba, norm = imported("block.cuba", "neuron.norm")
    found = [integers(cuba, norm, case) for case in json.load(sys.stdin)]
    version = importlib.metadata.version("lava-dl")
    json.dump({"made_by": f"lava-dl {version}, torch {torch.__version__}", "integers": found}, sys.stdout)


if __name__ == "__main__":
    main()
