"""Integers of sinabs 3.1.3's discretize, for cases as JSON on the standard input; samna is not needed, nor imported.

python3 -m venv /tmp/sinabs
/tmp/sinabs/bin/pip install torch==2.13.0 numpy pbr matplotlib h5py
/tmp/sinabs/bin/pip install --no-deps sinabs==3.1.3 nir nirtorch
/tmp/sinabs/bin/python tests/golden_parity/make_sinabs.py < cases.json
"""

import json
import pathlib
import sys
import types

import sinabs
import sinabs.layers as sl
import torch

PACKAGE = "sinabs.backend.dynapcnn"


def discretize():
    """Import the one module past its package, whose __init__ imports samna."""
    folder = pathlib.Path(sinabs.__file__).parent / "backend"
    for name, path in (("sinabs.backend", folder), (PACKAGE, folder / "dynapcnn")):
        module = types.ModuleType(name)
        module.__path__ = [str(path)]
        sys.modules[name] = module
    module = __import__(f"{PACKAGE}.discretize", fromlist=["discretize"])
    if "samna" in sys.modules:
        sys.exit("samna was imported")
    return module


def integers(module, case):
    weight = torch.tensor(case["weight"], dtype=torch.float32)
    conv = torch.nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2:], bias=case["bias"] is not None)
    conv.weight.data = weight
    if case["bias"] is not None:
        conv.bias.data = torch.tensor(case["bias"], dtype=torch.float32)
    iaf = sl.IAF(spike_threshold=torch.tensor(case["threshold"]), min_v_mem=torch.tensor(case["low"]))
    conv, iaf = module.discretize_conv_spike(conv, iaf)
    bias = [0] * len(weight) if conv.bias is None else conv.bias.int().tolist()
    return {
        "weight": conv.weight.int().tolist(),
        "bias": bias,
        "threshold": int(iaf.spike_threshold),
        "low": int(iaf.min_v_mem),
    }


def main():
    module = discretize()
    found = [integers(module, case) for case in json.load(sys.stdin)]
    json.dump({"made_by": f"sinabs {sinabs.__version__}, torch {torch.__version__}", "integers": found}, sys.stdout)


if __name__ == "__main__":
    main()
