"""Firing patterns of one neuron model in floats and in 24 bits of fixed point: the same spikes, drawn together."""

import argparse
import tempfile
from pathlib import Path

import numpy as np

import neurodeploy as nd
from neurodeploy.layers import GIF, GIF_PRESETS
from neurodeploy.plot import plot_derived, save_picture

DT, STEPS = 0.5, 1200  # ms; 600 ms
HELD = {  # input, and for how many steps
    "tonic spiking": (1.5, STEPS),
    "spike frequency adaptation": (2.0, STEPS),
    "phasic spiking": (1.5, STEPS),
    "tonic bursting": (2.0, STEPS),
    "rebound burst": (-3.5, 1000),
}

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "fixed_patterns.png")
parser.add_argument("--bits", type=int, default=24)
options = parser.parse_args()
names = {option for name in HELD for option in GIF_PRESETS[name]}
given = {option: [GIF_PRESETS[name].get(option, 0.0) for name in HELD] for option in sorted(names)}
layer = GIF(len(HELD), dt=DT, **given)
x = np.zeros((STEPS, 1, len(HELD)))
for neuron, (strength, steps) in enumerate(HELD.values()):
    x[:steps, 0, neuron] = strength

made = nd.derive(layer, nd.chip("fixed"), calibration=x, bits=options.bits)
run = nd.simulate(nd.place_identity(made.network), made.encode(x), record=["v"], drain=0, executor="numpy")
real = made.layers[0].kind.course.spikes
for neuron, name in enumerate(HELD):
    found, wanted = (np.flatnonzero(s[:, 0, neuron]) * DT for s in (run.counts["neurons"], real))
    print(f"{name}: {len(wanted)} spikes from {wanted[0]} ms in floats, {len(found)} from {found[0]} ms in fixed point")
save_picture(plot_derived(made, run, labels=tuple(HELD), dt_s=DT / 1000), options.out)
print(options.out)
