"""Write small networks with one version of nir: python make_versions.py FOLDER, in an environment that has it.

    for v in 0.1.0 0.2.0 1.0.0 1.0.1 1.0.4 1.0.5 1.0.6 1.0.7 1.0.8; do
        python3 -m venv nir-$v && nir-$v/bin/pip install nir==$v "numpy<2" h5py && nir-$v/bin/python make_versions.py .
    done

Each file is of our own drawing: row.nir a recurrent network on a row, map.nir convolutions, nested.nir the recurrent
layer as a graph in the graph. A primitive that the version has not is left out. What could not be written is printed.
"""

import inspect
import sys
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np

VERSION = version("nir")
RNG = np.random.default_rng(20261121)


def make(kind, **given):
    """Node of a kind with those arguments that this version knows."""
    known = inspect.signature(getattr(nir, kind)).parameters
    if "shape" in given and "shape" not in known:
        given = {"input_type" if kind == "Input" else "output_type": {kind.lower(): given["shape"]}}
    return getattr(nir, kind)(**{name: value for name, value in given.items() if name in known})


def has(kind):
    return hasattr(nir, kind)


def weights(*shape):
    return (0.6 * RNG.normal(size=shape)).astype(np.float32)


def neurons(kind, shape, **given):
    low = {"tau": 4e-3, "tau_mem": 4e-3, "tau_syn": 2e-3, "r": 1.0, "v_leak": 0.0, "v_threshold": 0.2, "w_in": 1.0}
    values = {
        name: (np.full(shape, value) * RNG.uniform(0.8, 1.3, shape)).astype(np.float32)
        for name, value in (low | given).items()
    }
    return make(kind, v_reset=np.zeros(shape, np.float32), **values)


def graph(nodes, edges):
    return nir.NIRGraph(nodes=nodes, edges=edges)


def row():
    nodes = {
        "input": make("Input", shape=np.array([5])),
        "fc1": make("Affine", weight=weights(6, 5), bias=weights(6)),
        "lif1.lif": neurons("CubaLIF", (6,)),
        "lif1.w_rec": make("Affine", weight=weights(6, 6), bias=weights(6)),
        "delay": make("Delay", delay=np.array([0, 1, 2, 1, 0, 3]) * np.float32(1e-3)),
        "fc2": make("Linear", weight=weights(4, 6)),
        "lif2": neurons("LIF", (4,), v_leak=0.05),
        "scale": make("Scale", scale=weights(4)),
        "li": neurons("LI", (4,), v_leak=0.1),
        "output": make("Output", shape=np.array([4])),
    }
    chain = ["input", "fc1", "lif1.lif", "delay", "fc2", "lif2", "scale", "li", "output"]
    return graph(nodes, [*pairwise(chain), ("lif1.lif", "lif1.w_rec"), ("lif1.w_rec", "lif1.lif")])


def nested():
    inner = {
        "input": make("Input", shape=np.array([6])),
        "lif": neurons("LIF", (6,)),
        "w_rec": make("Linear", weight=weights(6, 6)),
        "output": make("Output", shape=np.array([6])),
    }
    nodes = {
        "input": make("Input", shape=np.array([5])),
        "fc": make("Affine", weight=weights(6, 5), bias=weights(6)),
        "sub": graph(inner, [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]),
        "output": make("Output", shape=np.array([6])),
    }
    return graph(nodes, [*pairwise(["input", "fc", "sub", "output"])])


def conv(axes, out, into, size, **given):
    form = {name: np.full(axes, value) if axes > 1 else value for name, value in given.items()}
    shape = size if axes > 1 else size[0]
    kernel = weights(out, into, *[3] * axes)
    return make(f"Conv{axes}d", input_shape=shape, weight=kernel, groups=1, bias=weights(out), **form)


def map_():
    nodes = {
        "input": make("Input", shape=np.array([2, 6, 6])),
        "0": conv(2, 3, 2, (6, 6), stride=1, padding=1, dilation=1),
        "1": neurons("IF", (3, 6, 6), r=400.0),
    }
    for kind, name, size in (("SumPool2d", "2", 3), ("AvgPool2d", "2a", 1)):
        if has(kind):
            two = np.array([2, 2]) if kind == "SumPool2d" else np.array([3, 3])
            nodes[name] = make(kind, kernel_size=two, stride=two, padding=np.array([0, 0]))
            last = size
    side = 6 if not has("SumPool2d") else last
    nodes["3"] = make("Flatten", input_type={"input": np.array([3, side, side])}, start_dim=0, end_dim=-1)
    nodes["4"] = make("Affine", weight=weights(4, 3 * side * side), bias=weights(4))
    nodes["5"] = neurons("I", (4,), r=300.0)
    nodes["6"] = make("Threshold", threshold=np.full(4, 0.5, np.float32))
    if has("Identity"):
        nodes["7"] = make("Identity", input_type={"input": np.array([4])})
    if has("CubaLI"):
        nodes["8"] = neurons("CubaLI", (4,))
    nodes["output"] = make("Output", shape=np.array([4]))
    return graph(nodes, [*pairwise(nodes)])


for name, network in (("row", row), ("map", map_), ("nested", nested)):
    path = Path(sys.argv[1]) / f"nir-{VERSION}-{name}.nir"
    try:
        nir.write(str(path), network())
        sys.stdout.write(f"{path.name} written by nir {VERSION}, numpy {np.__version__}\n")
    except Exception as error:  # noqa: BLE001 - every version fails in its own way, and says how
        path.unlink(missing_ok=True)
        sys.stdout.write(f"{path.name} could not be written by nir {VERSION}: {error!r}\n")
