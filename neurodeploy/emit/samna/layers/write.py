"""Placed network -> configuration in samna's field names for cores that hold a layer each; nothing is dropped."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from neurodeploy.archive import canonical_json, write_atomically
from neurodeploy.emit.samna.files import FORMAT, NOTE
from neurodeploy.emit.samna.layers.blocks import (
    Block,
    Ints,
    blocks_of,
    kernel_faults,
    kernel_form,
    whole_kernel,
)
from neurodeploy.emit.samna.layers.ends import readout_entries, sensor_entries
from neurodeploy.emit.samna.layers.setup import Setup, setup_faults
from neurodeploy.emit.samna.layers.table import LayersTable, cores_of, layers_table, number
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.mapper.layers import read_plan
from neurodeploy.network import Group, Network, Projection

#: Entries beside those of samna.
FRAME = ("format", "chip", "module", "dt_s", "groups", "projections", "note", "unverified")
#: Neurons that one input may have; more than any sensor and any host sends to.
LARGEST = 2**24


def to_configuration(network: Network, setup: Setup | None = None) -> dict[str, Any]:
    """Configuration of a placed network, all values as integers, switches, lists and names.

    setup : sensor, readout, what is monitored; None sends events from the host and monitors the last layers

    Weights are [feature][channel][x][y], initial states [feature][x][y]. Limits of layers and cores are the mapper's
    business (``mapper.map_network``).
    Raises Refusal: ND1204 not placed, ND1801 layers that no core can hold, ND1901 with everything that the
    configuration cannot express.
    """
    chosen = setup or Setup()
    table = layers_table(network.chip)
    if not network.placed:
        missing = ", ".join(g.name for g in network.groups if g.ids is None)
        todo = "call neurodeploy.map(network)"
        raise Refusal(Fault("ND1204", "network", f"groups without hardware ids: {missing}", "a placed network", todo))
    return _Writer(network, table, chosen).configuration()


def write_configuration(network: Network, path: str | Path, setup: Setup | None = None) -> None:
    """Write the configuration as JSON; the same network gives the same bytes."""
    write_atomically(Path(path), canonical_json(to_configuration(network, setup)).encode())


class _Writer:
    def __init__(self, network: Network, table: LayersTable, setup: Setup) -> None:
        self.network, self.table, self.setup = network, table, setup
        self.chip, self.cores = network.chip, cores_of(network.chip)

    def configuration(self) -> dict[str, Any]:
        """All of it, or every fault."""
        network, table, setup = self.network, self.table, self.setup
        self.blocks, faults = blocks_of(network, table)
        split = frozenset(name for name, blocks in self.blocks.items() if len(blocks) > 1)
        self.plan, unheld = read_plan(network, split & {p.target for p in network.projections})
        raise_if([*faults, *unheld, *self.input_faults()])  # what follows is about cores that hold a layer
        raise_if([*self.faults(), *setup_faults(network, table, setup)])
        raise_if([*kernel_faults(network, table), *self.spread_faults()])
        places = {b.core: b for blocks in self.blocks.values() for b in blocks}
        monitored = setup.monitored(network)
        return {
            "format": FORMAT,
            "chip": self.chip.name,
            "module": table.module,
            "dt_s": None if network.dt_s is None else float(network.dt_s),
            "groups": [self.group(g) for g in network.groups],
            "projections": [self.projection(p) for p in network.projections],
            "note": NOTE,
            "unverified": [table.filter.block] if setup.filter else [],
            table.layers: [
                self.core(places[core], monitored) if core in places else self.unused()
                for core in range(self.cores.count)
            ],
            table.sensor.block: sensor_entries(network, table, setup.sensor, self.blocks),
            table.filter.block: dict.fromkeys(table.filter.off, False) | copy.deepcopy(dict(setup.filter)),
            table.readout.block: readout_entries(self.chip, table, setup.readout),
        }

    def faults(self) -> Iterator[Fault]:
        """What the fields of a core cannot say."""
        for layer in self.plan.layers:
            where = f"{self.chip.name}, layer {layer.name!r}"
            facts = layer.facts(layer.edges[0])
            for path, names in self.table.layer.geometry.items():
                values = {facts[n] for n in names}
                if len(values) > 1:
                    was = ", ".join(f"{n} = {facts[n]}" for n in names)
                    yield Fault("ND1901", where, was, f"equal ones: they share the field {path}")
            for name, value in self.table.layer.fixed.items():
                if facts[name] != value:
                    was, must = f"{name} = {facts[name]}", f"{value}: there is no field for it"
                    yield Fault("ND1901", where, was, must, "write the kernel out, with zeros")
            for edge in layer.edges:
                if edge.source in self.blocks and len(set(edge.geometry.pooling)) > 1:
                    was = f"{edge.source!r} pooled by {edge.geometry.pooling}"
                    yield Fault("ND1901", where, was, "one number for rows and columns")
            yield from self.register_faults(self.network.group(layer.name), where)
        for name, most in self.sources():
            asked = len(self.destinations(name, 0))
            if asked > most:
                was = f"{asked} destinations of {name!r}, the blocks of split layers and the readout among them"
                yield Fault("ND1901", self.chip.name, was, f"at most {most}")

    def input_faults(self) -> Iterator[Fault]:
        """Inputs that cannot be named by a shape and a first hardware id."""
        for g in self.network.of_kind(self.table.input):
            where, ids = f"{self.chip.name}, input {g.name!r}", np.asarray(g.ids)
            if len(g.shape) != 3 or g.size > LARGEST:
                must = f"(channel, row, column), at most {LARGEST:,} neurons"
                yield Fault("ND1901", where, f"shape {g.shape}, {g.size:,} neurons", must)
            if not np.array_equal(ids, ids[0] + np.arange(g.size)):
                must = "one after the other, in the order of the neurons"
                yield Fault("ND1901", where, "scattered hardware ids", must, "call neurodeploy.map(network)")

    def register_faults(self, g: Group, where: str) -> Iterator[Fault]:
        """Registers that differ where the core has one."""
        names = self.table.layer
        for block in self.blocks[g.name]:
            maps = {p: self.part(g, block, p) for p in g.parameters}
            for name in (*names.registers.values(), *names.switches.values()):
                if len(np.unique(maps[name])) > 1:
                    was = f"{name} from {maps[name].min()} to {maps[name].max()}"
                    yield Fault("ND1901", where, was, f"one value: core {block.core} has one register")
            for name in names.features.values():
                flat = maps[name].reshape(block.features, -1)
                uneven = np.flatnonzero(flat.min(axis=1) != flat.max(axis=1))
                if uneven.size:
                    was = f"{name} differs inside feature {block.first + int(uneven[0])}"
                    yield Fault("ND1901", where, was, f"one value for each feature: core {block.core} has no more")

    def spread_faults(self) -> Iterator[Fault]:
        """Memories of the core with the readout's layer, which holds features for every place that is read."""
        readout = self.setup.readout
        if readout is None:
            return
        blocks = self.blocks[readout.layer]
        where = f"{self.chip.name}, readout, layer {readout.layer!r}"
        if len(blocks) > 1:
            yield Fault("ND1901", where, f"split over {len(blocks)} cores", "one core", "do not split it")
            return
        features = self.features(blocks[0])
        needs = self.plan.needs(self.plan.layer(readout.layer), features)
        for name, memory in self.cores.memory.items():
            held = memory.each[blocks[0].core]
            if needs[name] > held:
                was = f"{needs[name]:,} {memory.unit} for {features} features, which the readout wants"
                todo = "count the spikes on the host, without a readout"
                yield Fault("ND1901", where, was, f"core {blocks[0].core} has {held:,}", todo, {"memory": name})

    # the entries of samna

    def core(self, block: Block, monitored: tuple[str, ...]) -> dict[str, Any]:
        """A core that holds a block of a layer."""
        names, g = self.table.layer, self.network.group(block.layer)
        features = self.features(block)
        layer = self.plan.layer(block.layer)
        entry: dict[str, Any] = {}
        for path, facts in names.geometry.items():
            _put(entry, path, layer.facts(layer.edges[0], features)[facts[0]])
        for name, field in names.weights.items():
            kernel = whole_kernel(self.network, g.name, field)[block.first : block.first + block.features]
            entry[name] = self.turned(self.spread(kernel, features)).tolist()
        for name, parameter in names.features.items():
            entry[name] = self.spread(self.part(g, block, parameter), features)[:, 0, 0].tolist()
        for name, parameter in names.neurons.items():
            entry[name] = self.turned(self.spread(self.part(g, block, parameter), features)).tolist()
        for name, parameter in names.registers.items():
            entry[name] = int(self.part(g, block, parameter).flat[0])
        for name, parameter in names.switches.items():
            entry[name] = bool(self.part(g, block, parameter).flat[0])
        for name, parameter in names.used.items():
            entry[name] = bool(self.part(g, block, parameter).any())
        entry |= dict.fromkeys(names.off, False) | {names.monitor: block.layer in monitored}
        leading = self.destinations(block.layer, block.first)
        idle = [self.destination()] * (self.cores.destinations - len(leading))
        return entry | {self.table.destination.list: [*leading, *copy.deepcopy(idle)]}

    def unused(self) -> dict[str, Any]:
        """A core without a layer: nothing leaves it; its other registers stay as samna has them."""
        off = [*self.table.layer.used, *self.table.layer.off, self.table.layer.monitor]
        idle = [self.destination() for _ in range(self.cores.destinations)]
        return dict.fromkeys(off, False) | {self.table.destination.list: idle}

    def destinations(self, source: str, first: int) -> list[dict[str, Any]]:
        """Where the spikes of a block of a layer go, in the order of the network; the readout last."""
        result = []
        for p in self.network.projections:
            if p.source == source and p.geometry is not None:
                shift, pooling = p.geometry.shift + first, p.geometry.pooling[0]
                result += [self.destination(b.core, pooling, shift) for b in self.blocks[p.target]]
        if self.setup.readout is not None and self.setup.readout.layer == source:
            result.append(self.destination(int(str(number(self.chip, self.table.readout.destination).value))))
        return result

    def destination(self, layer: int | None = None, pooling: int = 1, shift: int = 0) -> dict[str, Any]:
        """One entry; without a layer it is off."""
        names = self.table.destination
        on = layer is not None
        return {names.enable: on, names.layer: layer or 0, names.pooling: pooling, names.shift: shift}

    # what samna has no fields for, and the way back needs

    def group(self, g: Group) -> dict[str, Any]:
        """Name and shape of a group, and where it stands."""
        entry: dict[str, Any] = {"group": g.name, "kind": g.kind, "shape": list(g.shape)}
        if g.name in self.blocks:
            return entry | {"blocks": [[b.core, b.first, b.features] for b in self.blocks[g.name]]}
        return entry | {"first_id": int(np.asarray(g.ids)[0])}

    def projection(self, p: Projection) -> dict[str, Any]:
        """Ends of a projection; from an input also what the host does with an event before it sends it."""
        entry: dict[str, Any] = {"source": p.source, "target": p.target}
        if p.geometry is not None:
            entry["kernel"] = kernel_form(self.network, p, p.geometry)
            if p.source not in self.blocks:
                entry |= {"pooling": list(p.geometry.pooling), "shift": p.geometry.shift}
        return entry

    # arrays

    def sources(self) -> Iterator[tuple[str, int]]:
        """Layers and inputs with the destinations that each can have; the host itself serves any number of cores."""
        yield from ((name, self.cores.destinations) for name in self.blocks)
        if self.setup.sensor is not None:
            yield from ((g.name, self.cores.inputs[g.kind]) for g in self.network.of_kind(self.table.input))

    def features(self, block: Block) -> int:
        """Features on the core: those of the block, and for the readout silent ones between them."""
        readout = self.setup.readout
        if readout is None or readout.layer != block.layer:
            return block.features
        return (block.features - 1) * self.table.readout.spread + 1

    def spread(self, values: Ints, features: int) -> Ints:
        """(feature, ...) with zeros for the silent features in between."""
        if features == len(values):
            return values
        wide = np.zeros((features, *values.shape[1:]), np.int64)
        wide[:: self.table.readout.spread] = values
        return wide

    def turned(self, values: Ints) -> Ints:
        """The last two axes, (row, column), in samna's order."""
        first, second = self.table.map_axes
        ahead = values.ndim - 2
        return values.transpose(*range(ahead), ahead + first, ahead + second)

    def part(self, g: Group, block: Block, parameter: str) -> Ints:
        """(feature, row, column) of a parameter on a core."""
        return g.parameters[parameter].reshape(g.shape)[block.first : block.first + block.features]


def _put(entry: dict[str, Any], path: str, value: int) -> None:
    *above, name = path.split(".")
    for part in above:
        entry = entry.setdefault(part, {})
    entry[name] = value
