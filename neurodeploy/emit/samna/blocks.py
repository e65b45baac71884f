"""One block of the configuration: matrices by hardware id, registers and neurons of a placed network."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.chips import ConnectionKind
from neurodeploy.emit.samna.table import Block
from neurodeploy.errors import Fault
from neurodeploy.network import Network, Projection

Ints = npt.NDArray[np.int64]


def plain_ids(ids: Ints | None) -> list[int]:
    """Hardware ids as a list."""
    return [] if ids is None else [int(i) for i in ids]


def any_value(body: Mapping[str, Any], name: str) -> bool:
    """Whether a matrix or a register of neurons of that name holds anything but 0, in any block."""
    held = [b[name] for b in body.values() if name in b]
    held += [n[name] for b in body.values() for n in b.get("neurons", ()) if name in n]
    return any(np.any(np.asarray(values)) for values in held)


def block_entries(network: Network, block: Block) -> tuple[dict[str, Any], list[Fault]]:
    """Entries of a block, and why they cannot hold the network."""
    kind = network.chip.connections[block.connection]
    projections = [p for p in network.projections if p.kind == block.connection]
    shape = (_count(network, kind.sources[0]), _count(network, kind.target))
    matrices = {name: _matrix(network, projections, field, shape) for name, field in block.weights.items()}
    faults = list(_doubled(network, projections))
    first, last, outside = _window(network, kind, np.any([m != 0 for m in matrices.values()], axis=0))
    faults += outside
    result: dict[str, Any] = {name: m[first:, :last].tolist() for name, m in matrices.items()}
    for name, register in block.registers.items():
        unset = kind.parameters[register].default or 0
        result[name] = int(projections[0].parameters[register]) if projections else unset
    if block.neuron:
        result["neurons"] = _neurons(network, block)
    if block.alias is not None:
        targets: list[int | None] = [None] * shape[0]
        faults += _aliases(network, block.alias.connection, targets)
        for neuron, target in zip(result["neurons"], targets, strict=True):
            neuron[block.alias.target] = target
        result[block.alias.enable] = any(t is not None for t in targets)
    return result, faults


def _count(network: Network, kind: str) -> int:
    return sum(g.size for g in network.of_kind(kind))


def _ends(network: Network, p: Projection) -> tuple[Ints, Ints]:
    """Hardware ids of both ends of every synapse."""
    source, target = network.group(p.source).ids, network.group(p.target).ids
    return np.asarray(source)[p.sources], np.asarray(target)[p.targets]


def _matrix(network: Network, projections: list[Projection], field: str, shape: tuple[int, int]) -> Ints:
    matrix = np.zeros(shape, np.int64)
    for p in projections:
        sources, targets = _ends(network, p)
        used = p.fields[field] != 0
        matrix[sources[used], targets[used]] = p.fields[field][used]
    return matrix


def _doubled(network: Network, projections: list[Projection]) -> Iterator[Fault]:
    """Pairs with two synapses: the chip would deliver one after the other, a matrix has one place for both."""
    seen: set[tuple[int, int]] = set()
    for p in projections:
        used = np.any([v != 0 for v in p.fields.values()], axis=0)
        sources, targets = (ends[used].tolist() for ends in _ends(network, p))
        again = []
        for pair in zip(sources, targets, strict=True):
            again += [pair] if pair in seen else []
            seen.add(pair)
        if again:
            was = f"a second synapse from id {again[0][0]} to id {again[0][1]}"
            where = f"{network.chip.name}, projection {p.source} -> {p.target}"
            todo = "merge the projections into one"
            yield Fault("ND1901", where, was, "one for each pair", todo, {"count": len(again)})


def _window(network: Network, kind: ConnectionKind, used: npt.NDArray[np.bool_]) -> tuple[int, int, list[Fault]]:
    """First row and end of the columns that are written.

    Where the chip reaches only a window of ids, the matrix ends with the last (starts with the first) id in use:
    the vendor's cycle model counts the neurons that are written.
    """
    rows, columns = np.flatnonzero(used.any(axis=1)), np.flatnonzero(used.any(axis=0))
    first, last, faults = 0, used.shape[1], []
    where = f"{network.chip.name}, connection {kind.name!r}"
    todo = "call neurodeploy.map(network), which places these neurons inside, or make the layer smaller"
    reach = kind.entry.targets_first
    if reach:
        last = int(columns[-1]) + 1 if columns.size else 1
        outside = columns[columns >= reach].tolist()
        if outside:
            was = f"weights to {len(outside)} hardware ids outside the window, the first of them {outside[0]}"
            must = f"it reaches the first {reach} ids, 0..{reach - 1}"
            faults.append(Fault("ND1901", where, was, must, todo, {"outside": len(outside), "first": outside[0]}))
    reach = kind.entry.sources_last
    if reach:
        size = used.shape[0]
        first = int(rows[0]) if rows.size else size - 1
        outside = rows[rows < size - reach].tolist()
        if outside:
            was = f"weights from {len(outside)} hardware ids outside the window, the first of them {outside[0]}"
            must = f"it reads the last {reach} of {size} ids, {size - reach}..{size - 1}"
            faults.append(Fault("ND1901", where, was, must, todo, {"outside": len(outside), "first": outside[0]}))
    return first, last, faults


def _neurons(network: Network, block: Block) -> list[dict[str, Any]]:
    """Registers of each neuron, in ascending hardware id."""
    neurons: list[dict[str, Any]] = [{} for _ in range(_count(network, block.kind))]
    for g in network.of_kind(block.kind):
        for name, parameter in block.neuron.items():
            for i, value in zip(plain_ids(g.ids), g.parameters[parameter].tolist(), strict=True):
                neurons[i][name] = value
    return neurons


def _aliases(network: Network, connection: str, targets: list[int | None]) -> Iterator[Fault]:
    """Fill in the one target of each neuron."""
    allow_self = network.chip.connections[connection].entry.allow_self
    for p in network.projections:
        if p.kind != connection:
            continue
        where = f"{network.chip.name}, {connection} {p.source} -> {p.target}"
        for source, target in zip(*(ends.tolist() for ends in _ends(network, p)), strict=True):
            if source == target and not allow_self:
                yield Fault("ND1901", where, f"hardware id {source} has itself as target", "another neuron")
            if targets[source] is not None:
                was = f"hardware id {source} has a second target, {target}"
                yield Fault("ND1901", where, was, f"one target; it has {targets[source]}", "remove one of them")
            else:
                targets[source] = target
