"""A placed network as the words of both memories, and the registers and weights that words hold."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from neurodeploy.chips import Chip
from neurodeploy.emit.crossbar.table import CrossbarTable
from neurodeploy.errors import Fault, raise_if
from neurodeploy.network import Group, Network
from neurodeploy.network.network import Ints

CODE = "ND1901"


@dataclass(frozen=True)
class Images:
    """Both memories.

    neurons, synapses : words
    last : highest neuron of a sweep
    alone : spikes of neurons reach no row
    rows : group -> (neuron,) its row, of inputs and units
    """

    neurons: Ints
    synapses: Ints
    last: int
    alone: bool
    rows: dict[str, Ints]


def images_of(network: Network, table: CrossbarTable) -> Images:
    """Words of a placed network; raises Refusal ND1901 with everything that the memories do not hold."""
    raise_if(list(_kind_faults(network, table)))
    units = network.of_kind(table.unit)
    used = np.concatenate([ids_of(g) for g in units])
    last = int(used.max(initial=0))
    alone = not any(p.kind == table.unit_rows for p in network.projections)
    # neurons first, inputs above them, as the time of an event grows with the highest neuron
    rows = {g.name: ids_of(g) for g in units}
    rows |= {g.name: ids_of(g) + (0 if alone else last + 1) for g in network.of_kind(table.input)}
    raise_if(list(_faults(network, table, rows, used)))
    neurons = np.full(table.slots, packed(table, {n: np.zeros(1, np.int64) for n in table.neuron} | _unused(table))[0])
    for g in units:
        neurons[rows[g.name]] = packed(table, {n: g.parameters[n] for n in table.neuron})
    matrix = np.zeros((table.slots, table.slots), np.int64)
    for p in network.projections:
        matrix[rows[p.source][p.sources], rows[p.target][p.targets]] = p.fields[table.weight]
    return Images(neurons, packed_weights(table, matrix), last, alone, rows)


def ids_of(group: Group) -> Ints:
    """Hardware ids of a placed group."""
    return np.zeros(0, np.int64) if group.ids is None else group.ids


def _unused(table: CrossbarTable) -> dict[str, Ints]:
    return {n: np.array([v]) for n, v in table.unused.items()}


def packed(table: CrossbarTable, registers: dict[str, Ints]) -> Ints:
    """Words of neurons; a negative number is its two's complement."""
    word = np.zeros_like(next(iter(registers.values())))
    for name, (lowest, bits) in table.neuron.items():
        word = word | (registers[name] & (1 << bits) - 1) << lowest
    return word


def unpacked(table: CrossbarTable, words: Ints, signed: set[str]) -> dict[str, Ints]:
    """Registers of words; signed : those that can be negative."""
    found = {}
    for name, (lowest, bits) in table.neuron.items():
        value = words >> lowest & (1 << bits) - 1
        found[name] = _signed(value, bits) if name in signed else value
    return found


def _signed(values: Ints, bits: int) -> Ints:
    return np.where(values >> bits - 1 == 1, values - (1 << bits), values)


def packed_weights(table: CrossbarTable, matrix: Ints) -> Ints:
    """Words of a matrix (row, neuron), row after row; the lowest bits belong to the lowest neuron."""
    parts = (matrix & (1 << table.weight_bits) - 1).reshape(-1, table.weights_per_word)
    return np.asarray((parts << table.weight_bits * np.arange(table.weights_per_word)).sum(axis=1))


def signed_of(chip: Chip, table: CrossbarTable) -> set[str]:
    """Registers of neurons that can be negative."""
    return {n for n, p in chip.neurons[table.unit].parameters.items() if p.interval.low < 0}


def unpacked_weights(table: CrossbarTable, words: Ints) -> Ints:
    """Matrix (row, neuron) of words."""
    parts = words[:, None] >> table.weight_bits * np.arange(table.weights_per_word) & (1 << table.weight_bits) - 1
    return _signed(parts, table.weight_bits).reshape(table.slots, table.slots)


def _kind_faults(network: Network, table: CrossbarTable) -> Iterator[Fault]:
    where, known = f"{network.chip.name}, crossbar", {table.input, table.unit}
    for g in network.groups:
        if g.ids is None:
            yield Fault(CODE, f"{where}, group {g.name!r}", "no hardware ids", "a placed network", "map it first")
        if g.kind not in known:
            must, todo = f"{table.unit} and {table.input}", "the host sends such events; the memories hold no place"
            yield Fault(CODE, f"{where}, group {g.name!r}", f"neurons of kind {g.kind!r}", must, todo)
    if not network.of_kind(table.unit):
        yield Fault(CODE, where, f"no {table.unit} neurons", "at least one")


def _faults(network: Network, table: CrossbarTable, rows: dict[str, Ints], used: Ints) -> Iterator[Fault]:
    where = f"{network.chip.name}, crossbar"
    highest = max((int(r.max(initial=-1)) for r in rows.values()), default=-1)
    if highest >= table.slots:
        yield Fault(CODE, where, f"row {highest}", f"0..{table.slots - 1}", "map it: nd.map says how much fits")
    for kind in (table.input, table.unit):
        own = np.concatenate([np.zeros(0, np.int64), *(rows[g.name] for g in network.of_kind(kind))])
        if len(np.unique(own)) < len(own):
            yield Fault(CODE, where, f"two {kind} neurons with one hardware id", "one for each")
    pairs = [rows[p.source][p.sources] * table.slots + rows[p.target][p.targets] for p in network.projections]
    joined = np.concatenate([np.zeros(0, np.int64), *pairs])
    if len(np.unique(joined)) < len(joined):
        yield Fault(CODE, where, "two synapses of one row and one neuron", "one", "add the weights up")
    for g in network.of_kind(table.unit):
        if (g.parameters[table.swept] != 1).any():
            was = f"{table.swept} = 0 in group {g.name!r}"
            must = f"1: a sweep ends at neuron {int(used.max(initial=0))}, the highest in use"
            yield Fault(CODE, where, was, must)
