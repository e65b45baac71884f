"""A placed network laid out for execution: neurons of a kind in ascending hardware id, synapses in rows by source."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.chips import Chip, ConnectionKind, NeuronKind, Phase
from neurodeploy.chips.compile import DELAY
from neurodeploy.errors import Fault, Refusal
from neurodeploy.network import Network, Projection
from neurodeploy.simulator.sorting import ascending, sorted_by
from neurodeploy.step import NUMPY, run

Ints = npt.NDArray[np.int64]
Part = slice | Ints  # positions of neurons


@dataclass(frozen=True)
class Row:
    """The synapses of one source that are delivered together; no target stands twice.

    source : position of the source among its kind
    source_kind : neuron kind of the source
    delay : additional steps
    targets : (synapse,) positions among the target kind
    fields : name -> (synapse,) stored synapse fields
    """

    source_kind: str
    source: int
    delay: int
    targets: Ints
    fields: Mapping[str, Ints]


@dataclass(frozen=True)
class Lane:
    """All neurons of one kind, in ascending hardware id.

    parameters : name -> (neuron,) register values
    slices : group -> positions of its neurons here, in the group's own order
    """

    kind: NeuronKind
    size: int
    ids: Ints
    parameters: Mapping[str, Ints]
    slices: Mapping[str, Ints]

    def part(self, group: str) -> Part:
        """Positions of the neurons of a group: a slice, which copies nothing, where they are neighbours in order."""
        at = self.slices[group]
        first = int(at[0]) if at.size else 0
        return slice(first, first + at.size) if np.array_equal(at, np.arange(first, first + at.size)) else at


@dataclass(frozen=True)
class Delivery:
    """Rows that are delivered one after the other, into accumulators that are 0 before the first of them.

    rows : source kinds in the order of the chip file, sources in ascending hardware id
    registers : parameter -> value
    part : positions among the target kind on which ``on_sum`` runs after the last row
    projection : which of the network's projections, in its order; 0 where the rows are those of all of a kind
    delay : additional steps of the rows; 0 where they have various ones
    """

    rows: tuple[Row, ...]
    registers: Mapping[str, int]
    part: Part
    projection: int = 0
    delay: int = 0


@dataclass(frozen=True)
class Scan:
    """Neurons that may be stepped together, and what they deliver afterwards.

    deliveries : connection kind and the rows of one source, sources in ascending hardware id
    """

    part: slice
    deliveries: tuple[tuple[str, Delivery], ...] = ()


@dataclass(frozen=True)
class Machine:
    """What an executor runs.

    deliveries : connection kind -> what is delivered together. A kind that sums or has parameters for each projection
        is delivered projection by projection in the order of the network, the longest delay (the oldest events) first;
        of any other kind all rows are one delivery
    registers : connection kind -> parameter that all its projections share -> value, the default where none sets it
    scans : neuron phase -> its pieces
    """

    chip: Chip
    lanes: Mapping[str, Lane]
    deliveries: Mapping[str, tuple[Delivery, ...]]
    registers: Mapping[str, Mapping[str, int]]
    scans: Mapping[str, tuple[Scan, ...]]
    longest_delay: int


def assemble(network: Network) -> Machine:
    """Lay a placed network out; raises Refusal ND1204 if it has no hardware ids."""
    chip, lanes, registers = network.chip, lanes_of(network), registers_of(network)
    deliveries = {
        name: tuple(_deliveries(network, kind, lanes, registers[name])) for name, kind in chip.connections.items()
    }
    scans = {p.name: tuple(_scans(p, lanes[p.neuron].size, chip, deliveries)) for p in chip.schedule if p.neuron}
    longest = max((row.delay for many in deliveries.values() for d in many for row in d.rows), default=0)
    return Machine(chip, lanes, deliveries, registers, scans, longest)


def lanes_of(network: Network) -> dict[str, Lane]:
    """Neurons of every kind in ascending hardware id; raises Refusal ND1204 if there are no ids."""
    if not network.placed:
        missing = ", ".join(g.name for g in network.groups if g.ids is None)
        todo = "call neurodeploy.map(network), or place_identity(network) for a small network"
        raise Refusal(Fault("ND1204", "network", f"groups without hardware ids: {missing}", "a placed network", todo))
    return {name: _lane(network, kind) for name, kind in network.chip.neurons.items()}


def registers_of(network: Network) -> dict[str, dict[str, int]]:
    """Parameters that all projections of a connection kind share; the default where none sets it."""
    shared = {
        name: {n: p for n, p in kind.parameters.items() if p.per != "projection"}
        for name, kind in network.chip.connections.items()
    }
    registers = {
        name: {n: p.default for n, p in known.items() if p.default is not None} for name, known in shared.items()
    }
    for p in network.projections:
        registers[p.kind] = {n: v for n, v in p.parameters.items() if n in shared[p.kind]}
    return registers


def initial_states(lanes: Mapping[str, Lane], batch: int) -> dict[str, dict[str, Ints]]:
    """Neuron kind -> state -> (batch, neuron) after a reset."""
    starts = {name: {s: e.start for s, e in lane.kind.states.items()} for name, lane in lanes.items()}
    return {
        name: {
            s: np.array(
                np.broadcast_to(lane.parameters[v] if isinstance(v, str) else v, (batch, lane.size)),
                np.int64,
                order="C",
            )
            for s, v in starts[name].items()
        }
        for name, lane in lanes.items()
    }


def _deliveries(
    network: Network, kind: ConnectionKind, lanes: Mapping[str, Lane], registers: Mapping[str, int]
) -> Iterator[Delivery]:
    mine = [(i, p) for i, p in enumerate(network.projections) if p.kind == kind.name]
    if not kind.apart:
        rows = tuple(_rows(network, kind, lanes, [p for _, p in mine]))
        yield Delivery(rows, registers, slice(0, lanes[kind.target].size))
        return
    for number, p in mine:
        positions = lanes[kind.target].slices[p.target]
        close = positions.size == int(np.ptp(positions)) + 1
        part = slice(int(positions.min()), int(positions.max()) + 1) if close else positions
        own = sorted(_rows(network, kind, lanes, [p]), key=lambda row: -row.delay)
        for delay, slot in groupby(own, lambda row: row.delay):
            yield Delivery(tuple(slot), p.parameters, part, number, delay)


def _scans(phase: Phase, size: int, chip: Chip, deliveries: Mapping[str, tuple[Delivery, ...]]) -> Iterator[Scan]:
    inner = [
        (c, replace(delivery, rows=tuple(own)))
        for c in phase.connections
        for delivery in deliveries[c]
        for _, own in groupby(delivery.rows, lambda row: row.source)
    ]
    inner.sort(key=lambda pair: pair[1].rows[0].source)
    sources = [delivery.rows[0].source for _, delivery in inner]
    here = [row for c, delivery in inner if chip.connections[c].target == phase.neuron for row in delivery.rows]
    links = [(row.source, int(t)) for row in here for t in row.targets]
    for begin, end in _segments(size, links):
        yield Scan(slice(begin, end), tuple(inner[bisect_left(sources, begin) : bisect_left(sources, end)]))


def _lane(network: Network, kind: NeuronKind) -> Lane:
    groups = network.of_kind(kind.name)
    ids = np.concatenate([_ids(g.ids) for g in groups]) if groups else np.zeros(0, np.int64)
    order = np.argsort(ids, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    parameters, slices, first = {}, {}, 0
    for name in kind.parameters:
        joined = np.concatenate([g.parameters[name] for g in groups]) if groups else np.zeros(0, np.int64)
        parameters[name] = joined[order]
    for g in groups:
        slices[g.name] = place[first : first + g.size]
        first += g.size
    return Lane(kind, len(ids), ids[order], parameters, slices)


def _ids(ids: Ints | None) -> Ints:
    return np.zeros(0, np.int64) if ids is None else ids


def stored_fields(kind: ConnectionKind, fields: Mapping[str, Ints], parameters: Mapping[str, int]) -> dict[str, Ints]:
    """What the chip keeps of synapse fields: the ``stored`` text, run once for each synapse."""
    environment: dict[str, Any] = {**fields, **{n: np.int64(v) for n, v in parameters.items()}}
    run(kind.stored.statements, environment, NUMPY)
    size = len(next(iter(fields.values()))) if fields else 0
    return {n: np.broadcast_to(np.asarray(environment[n], np.int64), (size,)) for n in kind.fields}


def _rows(
    network: Network, kind: ConnectionKind, lanes: Mapping[str, Lane], projections: Sequence[Projection]
) -> Iterator[Row]:
    columns: list[tuple[Ints, ...]] = []
    names = [n for n in kind.fields if n != DELAY]
    for order, source_kind in enumerate(kind.sources):
        for p in projections:
            if network.group(p.source).kind != source_kind:
                continue
            fields, at = stored_fields(kind, p.pairwise.fields, p.parameters), p.pairwise
            sources = _positions(lanes[source_kind], p.source, at.sources)
            targets = _positions(lanes[kind.target], p.target, at.targets)
            none = np.broadcast_to(np.int64(0), sources.shape)
            columns.append((none + order, sources, -fields.get(DELAY, none), targets, *(fields[n] for n in names)))
    if not sum(len(c[0]) for c in columns):
        return
    table = [np.concatenate(parts) if len(parts) > 1 else parts[0] for parts in zip(*columns, strict=True)]
    # by source kind, source, longest delay first (the older event)
    occurrence = np.broadcast_to(np.int64(0), table[0].shape)
    if not ascending(*table[:4]):
        order_of = sorted_by(*table[:4])
        table = [values[order_of] for values in table]
        occurrence = _occurrences(table[:4])
        if occurrence.any():
            # a target that stands twice in a row is delivered in a second pass, in the order they were given
            order_of = sorted_by(*table[:3], occurrence, table[3])
            table, occurrence = [values[order_of] for values in table], occurrence[order_of]
    starts = np.flatnonzero(_changes([*table[:3], occurrence]))
    for begin, end in zip(starts, [*starts[1:], len(occurrence)], strict=True):
        kind_index, position, delay = (int(x[begin]) for x in table[:3])
        parts = {n: values[begin:end] for n, values in zip(names, table[4:], strict=True)}
        yield Row(kind.sources[kind_index], position, -delay, table[3][begin:end], parts)


def _positions(lane: Lane, group: str, members: Ints) -> Ints:
    """Positions of members of a group; where the group begins at 0, that is no new memory."""
    part = lane.part(group)
    if isinstance(part, slice):
        return members + part.start if part.start else members
    return part[members]


def _changes(columns: Sequence[Ints]) -> npt.NDArray[np.bool_]:
    """Where a place differs from the one before it."""
    found = np.ones(len(columns[0]), bool)
    found[1:] = False
    for values in columns:
        found[1:] |= values[1:] != values[:-1]
    return found


def _occurrences(columns: Sequence[Ints]) -> Ints:
    """How many equal places stand before each, of sorted columns."""
    heads = np.flatnonzero(_changes(columns))
    sizes = np.diff(heads, append=len(columns[0]))
    return np.arange(len(columns[0])) - np.repeat(heads, sizes)


def _segments(size: int, links: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Cut 0..size so that no neuron delivers to a higher one of its piece; lower ones have taken their step anyway."""
    reach = np.full(size, -1, np.int64)  # for each neuron, the highest lower neuron that delivers to it
    for a, b in links:
        if a < b:
            reach[b] = max(reach[b], a)
    begin = 0
    for i in range(size):
        if reach[i] >= begin:
            yield begin, i
            begin = i
    if size:
        yield begin, size
