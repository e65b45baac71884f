"""Mutated NIR files: python nir_fuzz.py FOLDER FIRST MANY prints for each what became of it, one line of JSON each.

The long version runs in a process of its own, with a bound on memory, because a fault in reading could end it.
"""

import json
import resource
import sys
import time
from pathlib import Path

import nir_plain
import numpy as np
import torch

from neurodeploy.errors import Refusal
from neurodeploy.nir import inspect_nir
from neurodeploy.nir.reading import build_model

STATED = {"dt_s": 1e-3, "integrator": "euler", "comparison": ">", "max_spikes": 1, "v_min": None, "reset": "zero"}
STATED |= {"recurrent_delay": 1}
MEMORY, STEPS = 2 << 30, 6


def mutated(data, rng):
    """Change a file: bits, bytes, blocks, its end."""
    data, kind = bytearray(data), int(rng.integers(0, 6))
    at = rng.integers(0, len(data), int(rng.integers(1, 9)))
    if kind == 0:
        for place in at:
            data[place] ^= 1 << int(rng.integers(0, 8))
    elif kind == 1:
        for place in at:
            data[place] = int(rng.choice([0, 1, 127, 128, 255, int(rng.integers(0, 256))]))
    elif kind == 2:  # only where something stands: structure, names, numbers
        used = np.flatnonzero(np.frombuffer(bytes(data), np.uint8))
        for place in rng.choice(used, 3):
            data[place] = int(rng.integers(0, 256))
    elif kind == 3:
        data = data[: int(at[0])]
    elif kind == 4:
        start, size = int(at[0]), int(rng.integers(1, 64))
        data[start : start + size] = bytes(data[int(at[-1]) : int(at[-1]) + size])
    else:
        start, size = int(at[0]), int(rng.integers(1, 256))
        data[start : start + size] = bytes(size)
    return bytes(data)


def equal_reading(path, found):
    """Whether the plain reading of a file has the same nodes, values and edges."""
    nodes, edges, ends = nir_plain.flat(nir_plain.read(path))
    flat = found.flat
    same = set(nodes) == set(flat.nodes) and ends == (flat.input, flat.output)
    same = same and set(edges) == {*flat.edges, *flat.back}
    for name, node in flat.nodes.items() if same else ():
        plain = {key: value for key, value in nodes[name].items() if key != "type"}
        own = dict(node.fields)
        if "w_in" not in plain:
            own.pop("w_in", None)
        same = same and set(plain) == set(own) and all(np.array_equal(plain[key], own[key]) for key in plain)
    return same


def equal_output(path, found, model):
    """Whether the model computes what the plain reading computes; None where that meets numbers beyond floats."""
    shape = found.shapes.into[found.flat.input]
    x = np.random.default_rng(0).poisson(0.7, (STEPS, *shape)).astype(float)
    dtype = next((p.dtype for p in model.parameters()), torch.float32)
    with np.errstate(all="ignore"), torch.no_grad():
        ours = model(torch.as_tensor(x.reshape(STEPS, 1, -1), dtype=dtype))[:, 0].double().numpy()
        theirs = nir_plain.Run(nir_plain.read(path), {**STATED, "dt": STATED["dt_s"]})(x)
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()) or np.abs(theirs).max() > 1e6:
        return None
    return bool(ours.shape == theirs.shape and np.allclose(ours, theirs, rtol=1e-3, atol=1e-3))


def judged(path):
    """What became of a file."""
    begun = time.perf_counter()
    try:
        found = inspect_nir(path)
        model = build_model(found, STATED).model
    except Refusal as refusal:
        return {
            "outcome": "refused",
            "codes": sorted({f.code for f in refusal.faults}),
            "s": time.perf_counter() - begun,
        }
    spent = time.perf_counter() - begun
    same = equal_reading(path, found)
    return {"outcome": "read", "same": same, "output": equal_output(path, found, model) if same else False, "s": spent}


def judgements(folder, first, many):
    """What became of mutated files, seed by seed."""
    sources = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("golden_nir/*.nir"))]
    path = Path(folder) / f"{first}.nir"
    for seed in range(first, first + many):
        path.write_bytes(mutated(sources[seed % len(sources)], np.random.default_rng([20261121, seed])))
        try:
            line = judged(path)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            line = {"outcome": "traceback", "error": repr(error)}
        yield {"seed": seed, "kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, **line}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (2 * MEMORY, resource.RLIM_INFINITY))
    torch.set_num_threads(1)
    for told in judgements(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])):
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
