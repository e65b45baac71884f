"""Random networks for any clocked chip, drawn from nothing but its data."""

import json

import numpy as np
from hypothesis import strategies as st

from neurodeploy.chips import Chip, chip, from_raw, target_root
from neurodeploy.network import Group, Network, Projection
from neurodeploy.step import Interval

NAMES = sorted(p.parent.name for p in target_root().glob("*/chip.toml"))
#: Chips whose connections hold single synapses; random_networks.py also draws kernels.
OURS = [n for n in NAMES if all(c.entry.pattern != "conv" for c in chip(n).connections.values())]


def with_delays(c: Chip) -> Chip:
    """The same chip with three bits of delay at every synapse."""
    raw = json.loads(json.dumps(c.raw))
    for connection in raw["connection"].values():
        connection.setdefault("synapse", {})["delay"] = {"unsigned": 3}
    return from_raw(raw | {"name": "delayed"})


#: Clocked chips with outputs of their own: where any neuron may leave, a network drawn at random has no output.
CHIPS = [c for c in map(chip, OURS) if not c.event_driven and any(k not in c.hidden() for k in c.outputs())]
CHIPS.append(with_delays(CHIPS[-1]))


def values(rng: np.random.Generator, interval: Interval, size: int) -> np.ndarray:
    """Register values: everywhere, near the ends, or small."""
    low, high = interval
    small = Interval(max(low, -20), min(high, 20))
    low, high = [(low, high), (low, min(high, low + 3)), (max(low, high - 3), high), small, small][rng.integers(5)]
    return rng.integers(low, high, size, endpoint=True)


def random_network(c: Chip, seed: int) -> Network:
    """One to three groups of each kind, any number of synapses, doubled ones too, hardware ids with gaps."""
    rng = np.random.default_rng(seed)
    groups, free = [], {kind: rng.permutation(40).tolist() for kind in c.neurons}
    for kind in c.neurons.values():
        for i in range(1 if kind.is_input() else rng.integers(1, 4)):
            size = int(rng.integers(1, 6))
            parameters = {n: values(rng, p.interval, size) for n, p in kind.parameters.items()}
            if "threshold" in parameters and rng.random() < 0.7:
                parameters["threshold"] = rng.integers(1, 300, size)
            ids = np.array([free[kind.name].pop() for _ in range(size)])
            groups.append(Group(f"{kind.name}{i}", kind.name, size, parameters, ids))
    projections = []
    for kind in c.connections.values():
        shared = {n: int(values(rng, p.interval, 1)[0]) for n, p in kind.parameters.items()}
        for source in (g for g in groups if g.kind in kind.sources):
            for target in (g for g in groups if g.kind == kind.target):
                count = int(rng.integers(0, 2 * source.size * target.size + 1))
                at = [rng.integers(0, size, count) for size in (source.size, target.size)]
                fields = {n: values(rng, f.interval, count) for n, f in kind.fields.items()}
                projections.append(Projection(kind.name, source.name, target.name, *at, fields, shared))
    return Network(c, tuple(groups), tuple(projections))


def random_counts(network: Network, seed: int, steps: int = 8, batch: int = 2) -> dict[str, np.ndarray]:
    """Input counts for every input group, some steps silent."""
    rng = np.random.default_rng(seed)
    caps = {g.name: network.chip.neurons[g.kind].entry.external.allowed.high for g in network.inputs()}
    busy = rng.random((steps, 1, 1)) < 0.7
    return {g.name: rng.integers(0, caps[g.name] + 1, (steps, batch, g.size)) * busy for g in network.inputs()}


@st.composite
def networks(draw) -> tuple[Network, dict[str, np.ndarray]]:
    """A network for one of our chips, or one with delays, and its input."""
    seed = draw(st.integers(0, 2**32 - 1))
    network = random_network(draw(st.sampled_from(CHIPS)), seed)
    return network, random_counts(network, seed)
