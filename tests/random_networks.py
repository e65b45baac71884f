"""Random legal networks and inputs for any clocked chip, from nothing but its chip data.

Sizes are small and magnitudes are drawn evenly on a logarithmic scale, so that thresholds, weights and shifts meet in
the same range and neurons fire; corners of every register are frequent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from neurodeploy.chips.compile import DELAY
from neurodeploy.network import Convolution, Group, Network, Projection, place_identity
from neurodeploy.step.language import Name

UNIFORM_UP_TO = 64  # ranges up to this width are drawn evenly


@dataclass(frozen=True)
class Options:
    """What the networks are like.

    inputs, hidden, outputs, steps : ranges of sizes, both ends included
    groups : most groups of one kind; with more than one, hardware ids are shuffled and have gaps
    density : range of the share of pairs that a weighted connection joins
    links : range of targets of one source, for connections without weights (aliases); None keeps the chip's limit
    doubled : share of synapses that stand twice
    corners : share of values drawn from the corners of their range
    narrow : parameter or synapse field -> range to draw from, inside what the register holds
    without : connection kinds and neuron kinds left out
    rates : mean events per input and step, one is drawn for each sample
    beyond_cap : whether input counts leave the chip's event cap for what the register holds
    """

    inputs: tuple[int, int] = (1, 8)
    hidden: tuple[int, int] = (1, 23)
    outputs: tuple[int, int] = (1, 6)
    steps: tuple[int, int] = (20, 50)
    batch: int = 2
    groups: int = 1
    density: tuple[float, float] = (0.1, 1.0)
    links: tuple[int, int] | None = None
    doubled: float = 0.0
    corners: float = 0.1
    narrow: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    rates: tuple[float, ...] = (0.02, 0.5, 3, 12)
    beyond_cap: bool = True


def random_network(chip, rng, options=Options()):
    """Draw a placed network of all neuron kinds and all connection kinds of a chip."""
    kinds = [kind for kind in chip.neurons.values() if kind.name not in options.without]
    groups = [g for kind in kinds for g in _groups(kind, rng, options)]
    if any(c.entry.pattern == "conv" and c.name not in options.without for c in chip.connections.values()):
        groups = [replace(g, shape=_shape(g.size, rng)) for g in groups]
    projections = []
    for kind in chip.connections.values():
        if kind.name in options.without:
            continue
        parameters = _parameters(kind, rng, options)
        apart = any(p.per == "projection" for p in kind.parameters.values())
        for source in (g for g in groups if g.kind in kind.sources):
            for target in (g for g in groups if g.kind == kind.target):
                mine = _parameters(kind, rng, options) if apart else parameters
                build = _convolution if kind.entry.pattern == "conv" else _projection
                projections.append(build(chip, kind, source, target, mine, rng, options))
    network = Network(chip, tuple(groups), tuple(projections))
    return _scattered(network, rng) if options.groups > 1 else place_identity(network)


def random_counts(network, rng, options=Options()):
    """Draw input: group -> (time, batch, neuron) counts with silent gaps and corner values."""
    steps = int(rng.integers(options.steps[0], options.steps[1] + 1))
    counts = {}
    for g in network.inputs():
        entry = network.chip.neurons[g.kind].entry.external
        interval = entry.interval if options.beyond_cap else entry.allowed
        rates = rng.choice(options.rates, options.batch)
        drawn = rng.poisson(rates[None, :, None], (steps, options.batch, g.size))
        if interval.low < 0:
            drawn = drawn * rng.choice([-1, 1], drawn.shape)
        at_corner = rng.random(drawn.shape) < options.corners * 0.2
        corners = [c for c in (*_corners(interval), *_corners(entry.allowed), entry.allowed.high + 1) if c in interval]
        drawn[at_corner] = rng.choice(corners, int(at_corner.sum()))
        for sample in range(options.batch):
            if rng.random() < 0.3:
                begin = int(rng.integers(steps))
                drawn[begin : begin + steps // 3, sample] = 0
        counts[g.name] = np.clip(drawn, interval.low, interval.high)
    return counts


def _groups(kind, rng, options):
    role = kind.entry.role
    low, high = {"input": options.inputs, "output": options.outputs}.get(role, options.hidden)
    for number in range(int(rng.integers(1, options.groups + 1))):
        size = int(rng.integers(low, high + 1))
        each = {n: 1 if p.per == "layer" else size for n, p in kind.parameters.items()}
        drawn = {n: _values(rng, n, p.interval, each[n], options) for n, p in kind.parameters.items()}
        parameters = {n: np.broadcast_to(v, size).copy() for n, v in drawn.items()}
        yield Group(f"{kind.name}{number}" if number else kind.name, kind.name, size, parameters)


def _parameters(kind, rng, options):
    return {n: int(_values(rng, n, p.interval, 1, options)[0]) for n, p in kind.parameters.items()}


def _shape(size, rng):
    """Size neurons as channels of one row."""
    channels = int(rng.choice([n for n in range(1, size + 1) if size % n == 0]))
    return channels, 1, size // channels


def _convolution(_, kind, source, target, parameters, rng, options):
    """Draw a kernel as long as these two sizes need."""
    (channels, _, width), (features, _, wanted) = source.shape, target.shape
    padding = max(0, -((width - wanted) // 2)) + int(rng.integers(0, 2))
    kernel = (features, channels, 1, width + 2 * padding - wanted + 1)
    geometry = Convolution(source.shape, kernel, padding=(0, padding))
    mask = rng.random(geometry.entries) < rng.uniform(*options.density)
    fields = {}
    for name, entry in kind.fields.items():
        values = _values(rng, name, entry.interval, geometry.entries, options)
        fields[name] = np.where(mask, values, 0) if name in kind.entry.weights else values
    none = np.zeros(0, np.int64)
    return Projection(kind.name, source.name, target.name, none, none, fields, parameters, geometry)


def _projection(chip, kind, source, target, parameters, rng, options):
    if kind.entry.weights:
        share = rng.uniform(*options.density)
        mask = rng.random((source.size, target.size)) < share
    else:
        mask = _links(chip, kind, source, target, rng, options)
    if not kind.entry.allow_self and source.name == target.name:
        np.fill_diagonal(mask, val=False)
    if kind.entry.forward_only == "refuse" and source.kind == target.kind:
        mask = np.triu(mask, 1)
    joined = np.ones_like(mask) if kind.entry.pattern == "dense" else mask
    sources, targets = np.nonzero(joined)
    twice = np.flatnonzero(rng.random(len(sources)) < options.doubled)
    sources, targets = np.concatenate([sources, sources[twice]]), np.concatenate([targets, targets[twice]])
    fields = {}
    for name, entry in kind.fields.items():
        interval = entry.interval
        if name == DELAY:
            interval = type(interval)(0, min(interval.high, 3))
        values = _values(rng, name, interval, len(sources), options)
        fields[name] = np.where(mask[sources, targets], values, 0) if name in kind.entry.weights else values
    return Projection(kind.name, source.name, target.name, sources, targets, fields, parameters)


def _links(chip, kind, source, target, rng, options):
    mask = np.zeros((source.size, target.size), bool)
    low, high = options.links or (0, _fan_out(chip, kind))
    for row in mask:
        number = min(int(rng.integers(low, high + 1)), target.size)
        row[rng.choice(target.size, number, replace=False)] = True
    return mask


def _fan_out(chip, kind):
    """Most targets of one source that the chip's limits allow; 2 where there is none."""
    limits = [
        limit.entry.at_most
        for limit in chip.limits.values()
        if limit.entry.per == "source" and limit.formula == Name(f"entries_{kind.name}")
    ]
    return min(limits, default=2)


def _corners(interval):
    wanted = {interval.low, interval.low + 1, -1, 0, 1, interval.high - 1, interval.high}
    return sorted(c for c in wanted if c in interval)


def _values(rng, name, interval, size, options):
    """Numbers of a register: corners, and even or logarithmic draws in between."""
    interval = type(interval)(*options.narrow.get(name, interval))
    low, high = interval
    if high - low <= UNIFORM_UP_TO or rng.random() < 0.3:
        values = rng.integers(low, high + 1, size)
    else:
        largest = rng.uniform(1, np.log2(max(abs(low), abs(high)) + 1))
        magnitude = np.exp2(rng.uniform(0, largest, size)).astype(np.int64)
        signs = rng.choice([-1, 1] if low < 0 else [1], size)
        values = np.clip(signs * magnitude, low, high)
    at_corner = rng.random(size) < options.corners
    values[at_corner] = rng.choice(_corners(interval), int(at_corner.sum()))
    return values


def _scattered(network, rng):
    """Hardware ids in random order, with gaps: they, not the groups, decide the order of events."""
    free = {}
    for g in network.groups:
        free[g.kind] = free.get(g.kind, 0) + g.size
    free = {kind: rng.permutation(size + 5)[:size].tolist() for kind, size in free.items()}
    return replace(
        network,
        groups=tuple(replace(g, ids=np.array([free[g.kind].pop() for _ in range(g.size)])) for g in network.groups),
    )
