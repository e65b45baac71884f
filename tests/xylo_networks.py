"""A small Xylo network whose numbers can be followed by hand."""

import json
from dataclasses import replace

import numpy as np

from neurodeploy import chips
from neurodeploy.network import Network, group, pairs, place_identity, projection

STEPS, EVENT_STEP = 12, 2


def small(chip_name="xylo_audio3"):
    """Two inputs, three hidden neurons in a chain, two outputs.

    dash 15 takes 1 from a positive current: an event of weight 101 makes i1 = 100 and v = 100, exactly the threshold.
    """
    chip = chips.chip(chip_name)
    channel = group(chip, "in", "channel", 2)
    hidden = group(chip, "hid", "hidden", 3, dash_syn1=15, dash_syn2=15, dash_mem=3, threshold=100, bias=0)
    output = group(chip, "out", "output", 2, dash_syn1=2, dash_mem=2, threshold=40, bias=0)
    links = (
        projection(chip, "in", channel, hidden, w1=[[0, 101, 0], [30, 0, 20]], w2=np.zeros((2, 3), int)),
        projection(chip, "rec", hidden, hidden, w1=[[0, 0, 0], [0, 0, 90], [25, 0, 0]], w2=np.zeros((3, 3), int)),
        projection(chip, "out", hidden, output, w1=[[20, 0], [0, 33], [50, 0]]),
    )
    return place_identity(Network(chip, (channel, hidden, output), links))


def events(steps=STEPS, samples=1):
    """One event in channel 0 at step 2, some in channel 1 later; nothing else."""
    counts = np.zeros((steps, samples, 2), int)
    counts[EVENT_STEP, :, 0] = 1
    counts[5:9, :, 1] = 2
    return counts


def with_parameter(network, name, parameter, neuron, value):
    """The network with one register of one neuron changed."""
    groups = []
    for g in network.groups:
        values = {n: v.copy() for n, v in g.parameters.items()}
        if g.name == name:
            values[parameter][neuron] = value
        groups.append(replace(g, parameters=values))
    return replace(network, groups=tuple(groups))


def with_weight(network, kind, source, target, value, field="w1"):
    """The network with one synapse field changed."""
    projections = []
    for p in network.projections:
        fields = {n: v.copy() for n, v in p.fields.items()}
        if p.kind == kind:
            at = np.flatnonzero((p.sources == source) & (p.targets == target))
            assert at.size == 1
            fields[field][at] = value
        projections.append(replace(p, fields=fields))
    return replace(network, projections=tuple(projections))


def with_chip(network, change, projections=None):
    """The network on a chip whose description ``change`` edited in place."""
    raw = json.loads(json.dumps(network.chip.raw))
    change(raw)
    return replace(network, chip=chips.from_raw(raw), projections=projections or network.projections)


def with_alias(network, links):
    """The network with aliases between hidden neurons."""
    hidden = network.group("hid")
    return replace(network, projections=(*network.projections, pairs(network.chip, "alias", hidden, hidden, links)))


def busy(rng, chip_name="xylo_audio3"):
    """Random values in every register that a few steps can show; dense and saturating now and then."""
    chip = chips.chip(chip_name)
    channels, neurons, outputs = 3, 7, 3

    def dash(size):
        return rng.integers(1, 6, size)

    def weights(*shape):
        return rng.integers(-128, 128, shape) * (rng.random(shape) < 0.7)

    channel = group(chip, "in", "channel", channels)
    settings = {"threshold": rng.integers(50, 400, neurons), "bias": rng.integers(-20, 40, neurons)}
    dashes = {name: dash(neurons) for name in ("dash_syn1", "dash_syn2", "dash_mem")}
    hidden = group(chip, "hid", "hidden", neurons, **dashes, **settings)
    output = group(chip, "out", "output", outputs, dash_syn1=dash(outputs), dash_mem=dash(outputs), threshold=300)
    both = {"w1": weights(channels, neurons), "w2": weights(channels, neurons)}
    recurrent = {"w1": weights(neurons, neurons), "w2": weights(neurons, neurons)}
    links = (
        projection(chip, "in", channel, hidden, {"shift": 2}, **both),
        projection(chip, "rec", hidden, hidden, **recurrent),
        projection(chip, "out", hidden, output, w1=weights(neurons, outputs)),
        pairs(chip, "alias", hidden, hidden, [(1, 4), (5, 0)]),
    )
    return place_identity(Network(chip, (channel, hidden, output), links))
