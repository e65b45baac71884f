"""A network in memory: channels innermost, and each footprint as a few runs of neighbours.

What the events of two neurons meet is the same strip where weights, order and distances are equal: a kernel is stored
once for the whole map, not by being known as a kernel but because its copies are equal. Only the place of the first
neuron differs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.simulator.footprints import EventMachine, Fan
from neurodeploy.simulator.machine import Ints, Lane
from neurodeploy.simulator.sorting import sorted_by

Array = npt.NDArray[Any]
NOWHERE = 0xFFFFFFFF
_MIX = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)


@dataclass(frozen=True)
class Strips:
    """Where the events of each neuron go; neurons are counted over all kinds, in the order of memory.

    memory : neuron kind -> position -> place in memory
    offset : neuron kind -> number of its first neuron
    tables : name -> uint32 array
        go_begin (scan order * neuron + 1,) : first destination of a neuron, and the end of the last
        go (destination, 2) : place of its strip in the table of strips, place in memory of the first neuron
        strips : strip after strip: first synapse, synapses, fan, runs, and for each run its neurons and their distance
            from the base
        syn_target, syn_rank (synapse,) : distance from the base, place in scan order
    ways : number of the scan order, fan -> (2 * neuron of the source kind,) as in go; NOWHERE where it has no synapse
    fields : connection kind -> field -> (synapse,)
    widest : most synapses that the events of one neuron meet at once
    most : most destinations of a neuron
    """

    memory: Mapping[str, Ints]
    offset: Mapping[str, int]
    tables: Mapping[str, Array]
    ways: Mapping[tuple[int, int], Array]
    fields: Mapping[str, Mapping[str, Ints]]
    widest: int
    most: int


def strips_of(machine: EventMachine) -> Strips:
    """Lay the footprints of a machine out."""
    memory = {n: _memory(machine, n, lane) for n, lane in machine.lanes.items()}
    offset, neurons = {}, 0
    for name, lane in machine.lanes.items():
        offset[name] = neurons
        neurons += lane.size
    pieces, strips = list[tuple[int, _Piece]](), 0
    go: list[Ints] = []
    for block in range(len(machine.scans)):
        for number, fan in enumerate(machine.fans):
            piece = _Piece.of(fan, block, memory)
            source = memory[fan.source_kind][piece.source] + offset[fan.source_kind] + block * neurons
            go.append(np.stack([source, np.full(len(source), len(pieces)), piece.strip + strips, piece.base]))
            pieces.append((number, piece))
            strips += len(piece.lengths)
    return _joined(machine, memory, offset, neurons, pieces, np.concatenate([np.zeros((4, 0), np.int64), *go], axis=1))


def _memory(machine: EventMachine, kind: str, lane: Lane) -> Ints:
    """Group after group, each map row by row with its channels innermost."""
    order = [np.zeros(0, np.int64)]
    for group in machine.network.of_kind(kind):
        positions = lane.slices[group.name]
        if len(group.shape) == 3:
            positions = positions.reshape(group.shape).transpose(1, 2, 0).reshape(-1)
        order.append(positions)
    memory = np.empty(lane.size, np.int64)
    memory[np.concatenate(order)] = np.arange(lane.size)
    return memory


@dataclass(frozen=True)
class _Piece:
    """Footprints of a fan: which strip each source has and where it lies, and the different strips.

    source, strip, base : (source with synapses,)
    lengths : (strip,) synapses
    target, rank : (synapse of a strip,); fields likewise
    """

    source: Ints
    strip: Ints
    base: Ints
    lengths: Ints
    target: Ints
    rank: Ints
    fields: Mapping[str, Ints]

    @staticmethod
    def of(fan: Fan, block: int, memory: Mapping[str, Ints]) -> "_Piece":
        lengths = np.diff(fan.starts)
        source = np.flatnonzero(lengths)
        lengths = lengths[source]
        begin = fan.starts[source]
        part = slice(block * fan.size, (block + 1) * fan.size)
        owner = np.repeat(np.arange(len(source)), lengths)
        rank = np.arange(fan.size) - np.repeat(begin, lengths)
        place = memory[fan.kind.target]
        target = place[fan.targets[part]]
        again = np.zeros(fan.size, np.int64) if fan.unique else _occurrence(owner * len(place) + target, rank)
        order = sorted_by(owner, again, target)
        target, rank = target[order], rank[order]
        fields = {n: v[part][order] for n, v in fan.fields.items()}
        if not len(source):
            return _Piece(source, source, source, lengths, target, rank, fields)
        base = np.minimum.reduceat(target, begin)
        target = target - np.repeat(base, lengths)
        strip, first = _equal(begin, lengths, [target, rank, *fields.values()])
        kept = np.concatenate([np.arange(begin[i], begin[i] + lengths[i]) for i in first])
        own = {n: v[kept] for n, v in fields.items()}
        return _Piece(source, strip, base, lengths[first], target[kept], rank[kept], own)


def _occurrence(pairs: Ints, rank: Ints) -> Ints:
    """How often a footprint has met a neuron before, in scan order."""
    order = np.lexsort((rank, pairs))
    ordered = pairs[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    lengths = np.diff(first, append=len(ordered))
    result = np.empty(len(pairs), np.int64)
    result[order] = np.arange(len(pairs)) - np.repeat(first, lengths)
    return result


def _equal(begin: Ints, lengths: Ints, columns: list[Ints]) -> tuple[Ints, Ints]:
    """Number of the strip of each footprint, and one footprint for each strip."""
    index = (np.arange(int(lengths.sum())) - np.repeat(begin, lengths)).astype(np.uint64)
    mixed = index * np.uint64(_MIX[0])
    for column in columns:
        mixed = (mixed ^ column.astype(np.uint64)) * np.uint64(_MIX[1])
        mixed ^= mixed >> np.uint64(29)
    sums = np.add.reduceat(mixed * np.uint64(_MIX[2]), begin)
    _, first, strip = np.unique(
        np.stack([sums, lengths.astype(np.uint64)]), axis=1, return_index=True, return_inverse=True
    )
    strip = strip.reshape(-1)
    twin = np.repeat(begin[first[strip]], lengths) + index.astype(np.int64)
    if all(np.array_equal(c, c[twin]) for c in columns):
        return strip, first
    return np.arange(len(begin)), np.arange(len(begin))  # two that differ have the same sum: none is shared


def _joined(
    machine: EventMachine,
    memory: Mapping[str, Ints],
    offset: Mapping[str, int],
    neurons: int,
    pieces: list[tuple[int, _Piece]],
    go: Ints,
) -> Strips:
    def joined(parts: list[Ints]) -> Ints:
        return np.concatenate([np.zeros(0, np.int64), *parts])

    lengths = joined([p.lengths for _, p in pieces])
    first = np.concatenate([[0], np.cumsum(lengths)])
    target, rank = joined([p.target for _, p in pieces]), joined([p.rank for _, p in pieces])
    fields: dict[str, dict[str, Ints]] = {}
    at = 0
    for number, piece in pieces:
        kind = machine.fans[number].kind.name
        for name, values in piece.fields.items():
            column = fields.setdefault(kind, {}).setdefault(name, np.zeros(len(target), np.int64))
            column[at : at + len(values)] = values
        at += len(piece.target)
    # a run ends where the next neuron is not the neighbour, and with its strip
    starts = np.diff(target, prepend=-2) != 1
    starts[first[:-1]] = True
    begins = np.flatnonzero(starts)
    order = np.lexsort((go[1], go[0]))
    source, number, strip, base = go[:, order]
    begin = np.searchsorted(source, np.arange(len(machine.scans) * neurons + 1))
    run = np.searchsorted(begins, first)
    fan = joined([np.full(len(p.lengths), number) for number, p in pieces])
    heads, sizes = [first[:-1], lengths, fan, np.diff(run)], np.diff(begins, append=len(target))
    records, places = _records(heads, sizes, target[begins])
    tables = {
        "go_begin": begin,
        "go": np.stack([places[strip], base], axis=1),
        "strips": records,
        "syn_target": target,
        "syn_rank": rank,
    }
    ways = {}
    for at, (fan_number, _) in enumerate(pieces):
        mine = number == at
        kind = machine.fans[fan_number].source_kind
        way = np.full((machine.lanes[kind].size, 2), NOWHERE)
        way[source[mine] % neurons - offset[kind]] = np.stack([places[strip[mine]], base[mine]], axis=1)
        ways[at // len(machine.fans), fan_number] = way.astype(np.uint32).reshape(-1)
    total = np.concatenate([[0], np.cumsum(lengths[strip])])
    widest = int(np.max(total[begin[1:]] - total[begin[:-1]], initial=0))
    most = int(np.max(np.diff(begin), initial=0))
    return Strips(memory, offset, {n: v.astype(np.uint32) for n, v in tables.items()}, ways, fields, widest, most)


def _records(heads: list[Ints], sizes: Ints, targets: Ints) -> tuple[Ints, Ints]:
    """Strips one behind the other, each with its runs; and where each begins."""
    runs = heads[-1]
    length = len(heads) + 2 * runs
    places = np.concatenate([[0], np.cumsum(length)])
    records = np.zeros(int(places[-1]), np.int64)
    for column, values in enumerate(heads):
        records[places[:-1] + column] = values
    of = np.repeat(np.arange(len(runs)), runs)
    at = places[of] + len(heads) + 2 * (np.arange(len(of)) - np.repeat(np.cumsum(runs) - runs, runs))
    records[at], records[at + 1] = sizes, targets
    return records, places[:-1]
