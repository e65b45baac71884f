"""Read our files in other programs: python read_back.py LIBRARY FILE.nir DATA.npz prints how many spikes differ.

DATA.npz has input (time, channel) counts, output (time, neuron) as we computed them, and dt_s. LIBRARY is snntorch
1.0.0, norse 1.1.0 or sinabs 3.1.3, each with nir 1.0.8.
"""

import json
import sys
import warnings

import nir
import numpy as np
import torch

warnings.filterwarnings("ignore")
LIBRARY, FILE, DATA = sys.argv[1:]


def sinabs(graph, x, _dt_s):
    from sinabs.nir import from_nir

    found = from_nir(graph, batch_size=1)(x)
    return found[0] if isinstance(found, tuple) else found


def norse(graph, x, dt_s):
    from norse.torch.utils.import_nir import from_nir

    return stepped(from_nir(graph, dt=dt_s), x)


def snntorch(graph, x, _dt_s):
    from snntorch.import_nir import import_from_nir

    return stepped(import_from_nir(graph), x)


def stepped(net, x):
    state, rows = None, []
    for row in x:
        found, state = net(row[None], state)
        rows.append((found[0] if isinstance(found, tuple) else found).reshape(-1))
    return torch.stack(rows)


with torch.no_grad(), np.load(DATA) as data:
    run = {"sinabs": sinabs, "norse": norse, "snntorch": snntorch}[LIBRARY]
    theirs = run(nir.read(FILE), torch.as_tensor(data["input"], dtype=torch.float32), float(data["dt_s"])).numpy()
    told = {"values": int(theirs.size), "spikes": float(theirs.sum()), "differ": int((theirs != data["output"]).sum())}
sys.stdout.write("\n" + json.dumps(told) + "\n")
