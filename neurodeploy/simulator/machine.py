"""A placed network laid out for execution: neurons of a kind in ascending hardware id, synapses in rows by source."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.chips import Chip, ConnectionKind, NeuronKind, Phase
from neurodeploy.chips.compile import DELAY
from neurodeploy.errors import Fault, Refusal
from neurodeploy.network import Network
from neurodeploy.step import NUMPY, run

Ints = npt.NDArray[np.int64]


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


@dataclass(frozen=True)
class Scan:
    """Neurons that may be stepped together, and what they deliver afterwards.

    deliveries : connection kind and the rows of one source, sources in ascending hardware id
    """

    part: slice
    deliveries: tuple[tuple[str, tuple[Row, ...]], ...] = ()


@dataclass(frozen=True)
class Machine:
    """What an executor runs.

    rows : connection kind -> rows: source kinds in the order of the chip file, sources in ascending hardware id
    registers : connection kind -> parameter -> value; the default where no projection sets it
    scans : neuron phase -> its pieces
    """

    chip: Chip
    lanes: Mapping[str, Lane]
    rows: Mapping[str, tuple[Row, ...]]
    registers: Mapping[str, Mapping[str, int]]
    scans: Mapping[str, tuple[Scan, ...]]
    longest_delay: int


def assemble(network: Network) -> Machine:
    """Lay a placed network out; raises Refusal ND1204 if it has no hardware ids."""
    chip, lanes = network.chip, lanes_of(network)
    rows = {name: tuple(_rows(network, kind, lanes)) for name, kind in chip.connections.items()}
    registers = registers_of(network)
    scans = {p.name: tuple(_scans(p, lanes[p.neuron].size, chip, rows)) for p in chip.schedule if p.neuron}
    longest = max((row.delay for many in rows.values() for row in many), default=0)
    return Machine(chip, lanes, rows, registers, scans, longest)


def lanes_of(network: Network) -> dict[str, Lane]:
    """Neurons of every kind in ascending hardware id; raises Refusal ND1204 if there are no ids."""
    if not network.placed:
        missing = ", ".join(g.name for g in network.groups if g.ids is None)
        todo = "call neurodeploy.map(network), or place_identity(network) for a small network"
        raise Refusal(Fault("ND1204", "network", f"groups without hardware ids: {missing}", "a placed network", todo))
    return {name: _lane(network, kind) for name, kind in network.chip.neurons.items()}


def registers_of(network: Network) -> dict[str, dict[str, int]]:
    """Parameters of every connection kind; the default where no projection sets it."""
    registers = {
        name: {n: p.default for n, p in kind.parameters.items() if p.default is not None}
        for name, kind in network.chip.connections.items()
    }
    for p in network.projections:
        registers[p.kind] = dict(p.parameters)
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


def _scans(phase: Phase, size: int, chip: Chip, rows: Mapping[str, tuple[Row, ...]]) -> Iterator[Scan]:
    inner = [(c, tuple(own)) for c in phase.connections for _, own in groupby(rows[c], lambda row: row.source)]
    inner.sort(key=lambda pair: pair[1][0].source)
    sources = [own[0].source for _, own in inner]
    here = [row for c, own in inner if chip.connections[c].target == phase.neuron for row in own]
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


def _rows(network: Network, kind: ConnectionKind, lanes: Mapping[str, Lane]) -> Iterator[Row]:
    columns: list[tuple[Ints, ...]] = []
    names = [n for n in kind.fields if n != DELAY]
    for order, source_kind in enumerate(kind.sources):
        for p in network.projections:
            if p.kind != kind.name or network.group(p.source).kind != source_kind:
                continue
            fields, at = stored_fields(kind, p.pairwise.fields, p.parameters), p.pairwise
            sources = lanes[source_kind].slices[p.source][at.sources]
            targets = lanes[kind.target].slices[p.target][at.targets]
            delay = fields.get(DELAY, np.zeros(len(sources), np.int64))
            columns.append((np.full(len(sources), order), sources, delay, targets, *(fields[n] for n in names)))
    if not columns:
        return
    table = np.stack([np.concatenate(parts) for parts in zip(*columns, strict=True)])
    if table.shape[1] == 0:
        return
    # a target that stands twice in a row is delivered in a second pass, in the order they were given
    occurrence = np.zeros(table.shape[1], np.int64)
    seen: dict[tuple[int, ...], int] = {}
    for i, key in enumerate(map(tuple, table[:4].T.tolist())):
        occurrence[i] = seen.get(key, 0)
        seen[key] = int(occurrence[i]) + 1
    table = np.vstack([table[:3], occurrence[None], table[3:]])
    # by source kind, source, longest delay first (the older event)
    table = table[:, np.lexsort((table[4], table[3], -table[2], table[1], table[0]))]
    heads = table[:4]
    starts = np.flatnonzero(np.any(np.diff(heads, axis=1, prepend=-1), axis=0))
    for begin, end in zip(starts, [*starts[1:], table.shape[1]], strict=True):
        kind_index, position, steps = (int(x) for x in table[:3, begin])
        part = table[4:, begin:end]
        yield Row(kind.sources[kind_index], position, steps, part[0], dict(zip(names, part[1:], strict=True)))


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
