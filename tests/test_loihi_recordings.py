"""Recordings of a Loihi 2 chip and of Lava's fixed-point model, made by others; they are not part of this project."""

import os
from pathlib import Path

import numpy as np
import pytest
from executor_names import CLOCKED

from neurodeploy.chips import chip
from neurodeploy.network import Network, group, place_identity, projection
from neurodeploy.simulator import simulate
from neurodeploy.step import PYTHON, evaluate
from neurodeploy.step.language import INTEGER, parse_expression

#: lif_norse.nir as the script of the paper wrote it: alpha = dt / tau of 0.1 ms / 2.5 ms, threshold 0.1
ALPHA = 0.0001 / 0.0025
REGISTERS = {"du": 4095, "dv": int(ALPHA * 4095), "threshold": int(0.1 * 131071) >> 9}
WEIGHT = int(ALPHA * 256)
#: file -> chip, dialect, and whether a probe of the chip was recorded
RECORDINGS = {"loihi2_lif.csv": ("loihi2", "", True), "lava_cpu_fixed_lif.csv": ("loihi2", "lava", False)}


def recording(name):
    """Input spikes, v and output spikes, step by step."""
    table = np.loadtxt(Path(os.environ["NEURODEPLOY_DATA"]) / "recordings" / name, delimiter=",")
    return (table[:, i].astype(np.int64) for i in range(3))


def neuron(target):
    x, y = group(target, "x", "input", 1), group(target, "y", "lif", 1, **REGISTERS)
    return place_identity(Network(target, (x, y), (projection(target, "dense", x, y, {"sign_mode": 2}, w=WEIGHT),)))


def viewed(network, run, state):
    """What a probe shows: the chip's own formula over the states and registers."""
    kind = network.chip.neurons["lif"]
    formula = parse_expression(kind.entry.view[state], operators=INTEGER, where="view")
    registers = {n: int(v[0]) for n, v in network.group("y").parameters.items()}
    steps = zip(*(v[:, 0, 0].tolist() for v in run.states["y"].values()), strict=True)
    return np.array([evaluate(formula, registers | dict(zip(run.states["y"], s, strict=True)), PYTHON) for s in steps])


@pytest.mark.shared_data
@pytest.mark.parametrize("executor", CLOCKED)
@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_is_reproduced_in_every_spike_and_every_v(name, executor, count):
    target, spoken, probed = RECORDINGS[name]
    network = neuron(chip(target).dialect(spoken))
    events, v, spikes = recording(name)
    run = simulate(network, events[:, None, None], record=["v", "spike"], drain=0, executor=executor)
    assert len(events) == 1000
    assert spikes.sum() == 4
    np.testing.assert_array_equal(run.counts["y"][:, 0, 0], spikes)
    np.testing.assert_array_equal(viewed(network, run, "v"), v)
    assert np.array_equal(run.states["y"]["v"][:, 0, 0], v) is not probed  # the register counts where the probe reads
    count(f"steps of {name} reproduced", len(v))


@pytest.mark.shared_data
@pytest.mark.parametrize("change", [{"dv": 1}, {"threshold": 1}, {"du": -8}])
def test_another_register_value_does_not_give_the_recording(change):
    network = neuron(chip("loihi2"))
    g = network.group("y")
    other = {n: v + change.get(n, 0) for n, v in g.parameters.items()}
    changed = Network(network.chip, (network.groups[0], type(g)(g.name, g.kind, 1, other, g.ids)), network.projections)
    events, v, spikes = recording("loihi2_lif.csv")
    run = simulate(changed, events[:, None, None], record=["v", "spike"], drain=0)
    same = np.array_equal(run.counts["y"][:, 0, 0], spikes) and np.array_equal(viewed(changed, run, "v"), v)
    assert not same
