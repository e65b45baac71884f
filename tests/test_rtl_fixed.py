"""Neurons in fixed point as RTL: every register of every step is that of the simulation, in Icarus Verilog."""

import numpy as np
import pytest
import torch
from rtl_runs import judge
from test_icarus import SIMULATED

import neurodeploy as nd
from neurodeploy.layers import ALIF, GIF, GIF_PRESETS, ExpIF, Neuron

SIZE, STEPS = 3, 60
X = np.random.default_rng(3).random((STEPS, 1, SIZE)).astype(np.float32)
#: layer and the strength of its input
LAYERS = {
    "ALIF": (lambda: ALIF(SIZE, tau_mem=20.0, tau_adapt=30.0, norm_input=False), 0.6),
    "ALIF with a synapse": (lambda: ALIF(SIZE, tau_mem=20.0, tau_adapt=30.0, tau_syn=4.0, threshold=0.2), 0.6),
    "ALIF, many spikes": (lambda: ALIF(SIZE, tau_mem=20.0, tau_adapt=9.0, threshold=0.2, max_spikes=None), 0.6),
} | {f"GIF, {n}": (lambda preset=p: GIF(SIZE, 0.1, **preset), 40.0) for n, p in GIF_PRESETS.items()}


class Steep(Neuron):
    """A membrane with an exponential onset: powers by a table that interpolates."""

    arguments = {}  # noqa: RUF012
    states = {"v": 0.0}  # noqa: RUF012
    step = """
v = v - 0.1 * v + 0.05 * exp(v - 1) + x
spike = above(v, 2)
v = v - 2 * spike
"""


LAYERS["exponential"] = (lambda: Steep(SIZE), 0.6)
LAYERS["ExpIF"] = (lambda: ExpIF(SIZE, 1.0), 40.0)
LAYERS["ExpIF, short steps"] = (lambda: ExpIF(SIZE, 0.1), 400.0)
DEFAULT = {("ALIF with a synapse", 16), ("GIF, tonic bursting", 24), ("exponential", 16)}
CASES = [
    pytest.param(name, bits, marks=() if (name, bits) in DEFAULT else pytest.mark.slow)
    for name in LAYERS
    for bits in (16, 24)
]


@SIMULATED
@pytest.mark.parametrize(("name", "bits"), CASES)
def test_a_neuron_in_fixed_point_has_the_registers_of_the_simulation_as_rtl(name, bits, tmp_path, count):
    torch.manual_seed(0)
    layer, strength = LAYERS[name]
    made = nd.derive(layer(), nd.chip("fixed"), calibration=X * strength, bits=bits)
    network, given = nd.place_identity(made.network), made.encode(X * strength)
    counts = given if isinstance(given, dict) else {network.inputs()[0].name: np.asarray(given)}
    assert sum(int(v.sum()) for n, v in nd.simulate(network, counts, drain=0).counts.items() if n not in counts) > 3
    judge(network, counts, tmp_path, count, 2)
