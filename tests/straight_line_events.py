"""Layers of integrate-and-fire neurons that events drive, written out as loops; knows no texts, links or tables.

Written from the published rules: add, clamp, compare, reset for every synapse, one after the other; each event is
followed to its end, the oldest waiting one first.
"""

from collections import deque
from itertools import product

import numpy as np


class StraightLine:
    """One sample. loops : nesting of the loops over one footprint, a sign in front of each axis ("+f", "-kx")."""

    def __init__(self, network, loops=("+f", "+ky", "+kx"), *, newest_first=False):
        self.network, self.loops, self.newest_first = network, loops, newest_first
        self.v = {g.name: g.parameters["initial"].copy() for g in network.groups if g.parameters}
        self.shape = {g.name: g.shape for g in network.groups}
        self.fired = {g.name: np.zeros(g.size, np.int64) for g in network.groups}

    def step(self, counts):
        """Events of a step in ascending channel, then the tick. counts : input group -> (neuron,)."""
        for values in self.fired.values():
            values[:] = 0
        for name, values in counts.items():
            for neuron, times in enumerate(values.tolist()):
                for _ in range(times):
                    self.fired[name][neuron] += 1
                    self.follow(name, neuron)
        for name, v in self.v.items():
            p = self.network.group(name).parameters
            for i in range(v.size):
                v[i] += p["bias"][i]
                v[i] = max(v[i], p["threshold_low"][i])

    def follow(self, name, neuron):
        waiting = deque(self.sent(name, neuron))
        while waiting:
            projection, source = waiting.popleft()
            new = [entry for target in self.meet(projection, source) for entry in self.sent(projection.target, target)]
            if self.newest_first:
                waiting.extendleft(reversed(new))
            else:
                waiting.extend(new)

    def sent(self, name, neuron):
        return [(p, neuron) for p in self.network.projections if p.source == name]

    def meet(self, projection, source):
        """Neurons of the target that fire, in order."""
        g = projection.geometry
        features, blocks, rows, columns = g.kernel
        kernel = projection.fields["w"].reshape(g.kernel)
        c, y, x = np.unravel_index(source, g.source)
        y, x = y // g.pooling[0], x // g.pooling[1]
        c = c + g.shift
        assert g.groups == 1
        assert 0 <= c < blocks
        _, height, width = self.shape[projection.target]
        ends = {"f": features, "ky": rows, "kx": columns}
        ranges = [list(range(ends[a[1:]]))[:: 1 if a[0] == "+" else -1] for a in self.loops]
        fired = []
        for places in product(*ranges):
            at = dict(zip((a[1:] for a in self.loops), places, strict=True))
            down, across = y + g.padding[0] - at["ky"], x + g.padding[1] - at["kx"]
            if down % g.stride[0] or across % g.stride[1]:
                continue
            ny, nx = down // g.stride[0], across // g.stride[1]
            if not (0 <= ny < height and 0 <= nx < width):
                continue
            target = (at["f"] * height + ny) * width + nx
            if self.one_synapse(projection.target, target, int(kernel[at["f"], c, at["ky"], at["kx"]])):
                fired.append(target)
        return fired

    def one_synapse(self, name, i, w):
        p, v = self.network.group(name).parameters, self.v[name]
        v[i] += w
        v[i] = max(v[i], p["threshold_low"][i])
        if v[i] < p["threshold_high"][i]:
            return False
        v[i] = 0 if p["return_to_zero"][i] else v[i] - p["threshold_high"][i]
        self.fired[name][i] += 1
        return True


def run_straight(network, inputs, **options):
    """(counts, states) of group -> (time, 1, neuron) and group -> {"v": (time, 1, neuron)}."""
    steps = len(next(iter(inputs.values())))
    model = StraightLine(network, **options)
    counts = {g.name: np.zeros((steps, 1, g.size), np.int64) for g in network.groups}
    states = {name: {"v": np.zeros((steps, 1, v.size), np.int64)} for name, v in model.v.items()}
    for t in range(steps):
        model.step({name: values[t, 0] for name, values in inputs.items()})
        for name, values in counts.items():
            values[t, 0] = model.fired[name]
        for name, many in states.items():
            many["v"][t, 0] = model.v[name]
    return counts, states
