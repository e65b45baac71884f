"""A placed network laid out for a chip that events drive: what an event of each neuron meets, in scan order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodeploy.chips import Chip, ConnectionKind
from neurodeploy.chips.event_driven import BACKWARDS, is_scan, scan_words
from neurodeploy.errors import Fault, raise_if
from neurodeploy.network import Network, Projection
from neurodeploy.simulator.machine import Ints, Lane, lanes_of, registers_of, stored_fields
from neurodeploy.simulator.sorting import sorted_by

Scan = Sequence[str] | Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class SideBySide:
    """Several scan orders in one simulation: the samples stand one block behind the other, a block for each order."""

    scans: tuple[Scan, ...]


@dataclass(frozen=True)
class Fan:
    """Where the events of one neuron kind go in one piece: one projection, or several that are scanned as one.

    sources, target : groups that it joins
    starts : (neuron + 1,) of the source kind; synapses of neuron i are starts[i] .. starts[i + 1] - 1, in scan order
    size : synapses; where several scan orders stand side by side, those of the next begin there
    targets : (synapse,) positions among the target kind
    fields : name -> (synapse,) stored synapse fields, and parameters that each projection has of its own
    unique : no footprint holds a neuron twice
    """

    kind: ConnectionKind
    source_kind: str
    sources: tuple[str, ...]
    target: tuple[str, ...]
    starts: Ints
    size: int
    targets: Ints
    fields: Mapping[str, Ints]
    unique: bool


@dataclass(frozen=True)
class EventMachine:
    """What an executor runs.

    fans : in the order in which an event queues for them
    leaving : neuron kind -> numbers of the fans that its events may take
    registers : connection kind -> parameter that all its projections share -> value
    scans : one or several, connection kind -> scan order
    """

    network: Network
    lanes: Mapping[str, Lane]
    fans: tuple[Fan, ...]
    leaving: Mapping[str, tuple[int, ...]]
    registers: Mapping[str, Mapping[str, int]]
    scans: tuple[Mapping[str, tuple[str, ...]], ...]

    def block(self, sample: Ints | int, batch: int) -> Any:
        """Which of the scan orders a sample has, of a batch that holds them all."""
        return sample // (batch // len(self.scans))

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


def assemble_events(network: Network, scan: Scan | SideBySide | None = None) -> EventMachine:
    """Lay a placed network out; raises Refusal ND1204 if it has no hardware ids, ND1303 for the scan order."""
    lanes = lanes_of(network)
    chip = network.chip
    scans = tuple(scans_of(chip, s) for s in (scan.scans if isinstance(scan, SideBySide) else (scan,)))
    joined = chip.file.schedule.joined
    pieces: dict[tuple[object, ...], list[Projection]] = {}
    for number, p in enumerate(network.projections):
        source_kind = network.group(p.source).kind
        pieces.setdefault((p.kind, source_kind) if joined else (number,), []).append(p)
    fans = tuple(_fan(network, many, lanes, scans) for many in pieces.values())
    leaving = {n: tuple(i for i, f in enumerate(fans) if f.source_kind == n) for n in chip.neurons}
    return EventMachine(network, lanes, fans, leaving, registers_of(network), scans)


def _fan(
    network: Network,
    projections: Sequence[Projection],
    lanes: Mapping[str, Lane],
    scans: Sequence[Mapping[str, tuple[str, ...]]],
) -> Fan:
    first = projections[0]
    kind, source_kind = network.chip.connections[first.kind], network.group(first.source).kind
    parts = [_synapses(network, p, lanes) for p in projections]
    source, target = (_joined([p[0][i] for p in parts]) for i in range(2))
    axes = {n: _joined([p[1][n] for p in parts]) for n in parts[0][1]}
    fields = {n: _joined([p[2][n] for p in parts]) for n in parts[0][2]}
    # of one projection synapses stand in this order anyway
    numbers = [np.concatenate([np.arange(len(p[0][0])) for p in parts])] if len(parts) > 1 else []
    orders = _joined([sorted_by(source, *_keys(axes, scan[kind.name]), target, *numbers) for scan in scans])
    starts = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=lanes[source_kind].size))])
    # a kernel meets no neuron twice; other patterns and several projections may
    alone = len(projections) == 1 and first.geometry is not None
    return Fan(
        kind,
        source_kind,
        tuple(dict.fromkeys(p.source for p in projections)),
        tuple(dict.fromkeys(p.target for p in projections)),
        starts,
        len(source),
        target[orders],
        {n: v[orders] for n, v in fields.items()},
        alone or len(np.unique(source * lanes[kind.target].size + target)) == len(source),
    )


def _joined(parts: Sequence[Ints]) -> Ints:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _synapses(
    network: Network, p: Projection, lanes: Mapping[str, Lane]
) -> tuple[tuple[Ints, Ints], dict[str, Ints], dict[str, Ints]]:
    """Source and target of each synapse of a projection, its places along the axes, its stored fields."""
    kind = network.chip.connections[p.kind]
    fields = stored_fields(kind, p.fields, p.parameters)
    source, target = lanes[network.group(p.source).kind].slices[p.source], lanes[kind.target].slices[p.target]
    if p.geometry is None:
        sources, targets = source[p.sources], target[p.targets]
        axes = {"target": targets}
    else:
        links = p.geometry.links
        sources, targets = source[links.sources], target[links.targets]
        f, _, ky, kx = np.indices(p.geometry.kernel).reshape(4, -1)
        axes = {name: at[links.entries] for name, at in (("f", f), ("ky", ky), ("kx", kx))}
        fields = {n: v[links.entries] for n, v in fields.items()}
    own = {n: v for n, v in p.parameters.items() if kind.parameters[n].per == "projection"}
    fields |= {n: np.full(len(sources), v) for n, v in own.items()}
    return (sources, targets), axes, fields


def _keys(axes: Mapping[str, Ints], scan: Sequence[str]) -> Iterator[Ints]:
    for axis in scan:
        values = axes[axis.removeprefix(BACKWARDS)]
        yield -values if axis.startswith(BACKWARDS) else values
