"""Small NIR files of every primitive, written with h5py as the versions of nir write them."""

from itertools import pairwise

import h5py
import numpy as np

DT = 1e-3
SEED = 7


def write(path, table, edges=None, version="1.0", metadata=None, **options):
    """Write nodes name -> fields (a graph: name -> ("NIRGraph", nodes, edges)); without edges they are a chain."""
    with h5py.File(path, "w") as file:
        if version:
            file["version"] = version
        graph(file.create_group("node"), table, edges, options)
        for key, value in (metadata or {}).items():
            file[f"node/metadata/{key}"] = value
    return path


def graph(group, table, edges=None, options=None):
    links = list(pairwise(table)) if edges is None else edges
    group["type"] = "NIRGraph"
    group.create_dataset("edges", data=np.array(links[::-1], dtype=object).reshape(-1, 2), dtype=h5py.string_dtype())
    nodes = group.create_group("nodes")
    for name, fields in table.items():
        if isinstance(fields, tuple):
            graph(nodes.create_group(name), fields[1], fields[2], options)
            continue
        for field, value in fields.items():
            packed = options if options and np.ndim(value) and not isinstance(value, str) else {}
            nodes.create_dataset(f"{name}/{field}", data=value, **packed)


def end(kind, *shape):
    return {"type": kind, "shape": np.array(shape)}


def affine(rng, out, into, scale=1.0, *, bias=True, dtype=np.float32):
    weight = {"weight": (scale * rng.normal(size=(out, into))).astype(dtype)}
    return {"type": "Affine" if bias else "Linear", **weight} | (
        {"bias": (0.2 * rng.normal(size=out)).astype(dtype)} if bias else {}
    )


def conv(rng, out, into, kernel, stride=1, padding=0, dilation=1, groups=1, *, bias=True):
    axes = len(kernel)
    form = {
        name: value if isinstance(value, str) else np.broadcast_to(value, (axes,)) if axes > 1 else value
        for name, value in (("stride", stride), ("padding", padding), ("dilation", dilation))
    }
    weight = rng.normal(size=(out, into // groups, *kernel)).astype(np.float32)
    own = (0.2 * rng.normal(size=out) * bias).astype(np.float32)
    return {"type": f"Conv{axes}d", "weight": weight, "bias": own, "groups": groups, **form}


def pool(kind, kernel, stride=None, padding=(0, 0)):
    return {"type": kind, "kernel_size": kernel, "stride": stride or kernel, "padding": padding}


def neurons(kind, shape, rng=None, **given):
    """Parameters of a layer: all alike, or drawn for each neuron."""
    low = {"tau": 4e-3, "tau_mem": 4e-3, "tau_syn": 2e-3, "r": 1.0, "v_leak": 0.0, "v_threshold": 0.3, "w_in": 1.0}
    fields = {
        "I": ("r",),
        "IF": ("r", "v_threshold"),
        "LI": ("tau", "r", "v_leak"),
        "LIF": ("tau", "r", "v_leak", "v_threshold"),
        "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
        "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "w_in"),
    }[kind]
    found = {"type": kind}
    for name in fields:
        value = np.full(shape, given.get(name, 400.0 if name == "r" and kind in ("I", "IF") else low[name]))
        found[name] = value if rng is None or name == "v_leak" else value * rng.uniform(0.7, 1.6, shape)
    extra = {name: np.full(shape, value) for name, value in given.items() if name not in fields}
    return found | extra
