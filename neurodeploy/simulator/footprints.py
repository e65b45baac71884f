"""A placed network laid out for a chip that events drive: what an event of each neuron meets, in scan order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neurodeploy.chips import Chip, ConnectionKind
from neurodeploy.chips.event_driven import BACKWARDS, is_scan, scan_words
from neurodeploy.errors import Fault, raise_if
from neurodeploy.network import Network, Projection
from neurodeploy.simulator.machine import Ints, Lane, lanes_of, registers_of, stored_fields

Scan = Sequence[str] | Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Fan:
    """Where the events of one neuron kind go in one piece: one projection, or several that are scanned as one.

    sources, target : groups that it joins
    starts : (neuron + 1,) of the source kind; synapses of neuron i are starts[i] .. starts[i + 1] - 1, in scan order
    targets : (synapse,) positions among the target kind
    fields : name -> (synapse,) stored synapse fields
    unique : no footprint holds a neuron twice
    """

    kind: ConnectionKind
    source_kind: str
    sources: tuple[str, ...]
    target: tuple[str, ...]
    starts: Ints
    targets: Ints
    fields: Mapping[str, Ints]
    unique: bool


@dataclass(frozen=True)
class EventMachine:
    """What an executor runs.

    fans : in the order in which an event queues for them
    leaving : neuron kind -> numbers of the fans that its events may take
    registers : connection kind -> parameter -> value
    scans : connection kind -> scan order
    """

    network: Network
    lanes: Mapping[str, Lane]
    fans: tuple[Fan, ...]
    leaving: Mapping[str, tuple[int, ...]]
    registers: Mapping[str, Mapping[str, int]]
    scans: Mapping[str, tuple[str, ...]]

    @property
    def chip(self) -> Chip:
        """The chip of the network."""
        return self.network.chip


def scans_of(chip: Chip, scan: Scan | None) -> dict[str, tuple[str, ...]]:
    """Scan order of every connection kind: what a run states, else what the chip file states.

    scan : one order for every connection kind, or connection kind -> order
    Raises Refusal ND1303.
    """
    stated = dict.fromkeys(chip.connections, scan) if not isinstance(scan, Mapping) else dict(scan)
    faults, result = list[Fault](), {}
    for name in sorted(set(stated) - set(chip.connections)):
        must = f"one of {', '.join(chip.connections)}"
        faults.append(Fault("ND1303", "simulate, scan", f"connection kind {name!r}", must))
    for name, kind in chip.connections.items():
        order = stated.get(name)
        order = kind.entry.scan if order is None else tuple((order,) if isinstance(order, str) else order)
        if not is_scan(order, kind.entry.pattern):
            must = scan_words(kind.entry.pattern)
            faults.append(Fault("ND1303", f"simulate, scan of {name!r}", f"{list(order)}", must))
        result[name] = order
    raise_if(faults)
    return result


def assemble_events(network: Network, scan: Scan | None = None) -> EventMachine:
    """Lay a placed network out; raises Refusal ND1204 if it has no hardware ids, ND1303 for the scan order."""
    lanes = lanes_of(network)
    chip, scans = network.chip, scans_of(network.chip, scan)
    joined = chip.file.schedule.waits == "spike"
    pieces: dict[tuple[object, ...], list[Projection]] = {}
    for number, p in enumerate(network.projections):
        source_kind = network.group(p.source).kind
        pieces.setdefault((p.kind, source_kind) if joined else (number,), []).append(p)
    fans = tuple(_fan(network, many, lanes, scans) for many in pieces.values())
    leaving = {n: tuple(i for i, f in enumerate(fans) if f.source_kind == n) for n in chip.neurons}
    return EventMachine(network, lanes, fans, leaving, registers_of(network), scans)


def _fan(
    network: Network, projections: Sequence[Projection], lanes: Mapping[str, Lane], scans: Mapping[str, tuple[str, ...]]
) -> Fan:
    first = projections[0]
    kind, source_kind = network.chip.connections[first.kind], network.group(first.source).kind
    scan = scans[kind.name]
    parts = [_synapses(network, p, lanes, scan) for p in projections]
    source, target, number, *keys = (np.concatenate(c) for c in zip(*(columns for columns, _ in parts), strict=True))
    fields = {n: np.concatenate([f[n] for _, f in parts]) for n in kind.fields}
    order = np.lexsort((number, target, *reversed(keys), source))
    source, target = source[order], target[order]
    starts = np.searchsorted(source, np.arange(lanes[source_kind].size + 1))
    # a kernel meets no neuron twice; other patterns and several projections may
    alone = len(projections) == 1 and first.geometry is not None
    pairs = source * lanes[kind.target].size + target
    return Fan(
        kind,
        source_kind,
        tuple(dict.fromkeys(p.source for p in projections)),
        tuple(dict.fromkeys(p.target for p in projections)),
        starts,
        target,
        {n: np.ascontiguousarray(v[order]) for n, v in fields.items()},
        alone or len(np.unique(pairs)) == len(pairs),
    )


def _synapses(
    network: Network, p: Projection, lanes: Mapping[str, Lane], scan: Sequence[str]
) -> tuple[list[Ints], dict[str, Ints]]:
    """Source, target, number and keys of the scan for each synapse of a projection, and its stored fields."""
    kind = network.chip.connections[p.kind]
    fields = stored_fields(kind, p.fields, p.parameters)
    source, target = lanes[network.group(p.source).kind].slices[p.source], lanes[kind.target].slices[p.target]
    if p.geometry is None:
        sources, targets = source[p.sources], target[p.targets]
        axes = {"target": targets}
    else:
        links = p.geometry.links
        sources, targets = source[links.sources], target[links.targets]
        f, _, ky, kx = np.unravel_index(links.entries, p.geometry.kernel)
        axes = {"f": f, "ky": ky, "kx": kx}
        fields = {n: v[links.entries] for n, v in fields.items()}
    keys = list(_keys(axes, scan))
    return [sources, targets, np.arange(len(sources)), *keys], fields


def _keys(axes: Mapping[str, Ints], scan: Sequence[str]) -> Iterator[Ints]:
    for axis in scan:
        values = axes[axis.removeprefix(BACKWARDS)]
        yield -values if axis.startswith(BACKWARDS) else values
