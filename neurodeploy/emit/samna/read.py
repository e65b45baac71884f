"""Configuration -> Network: the way back, which shows that nothing was lost. Every fault is listed."""

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neurodeploy.chips import Chip
from neurodeploy.emit.samna.blocks import plain_ids
from neurodeploy.emit.samna.checks import Checks, Ints, short
from neurodeploy.emit.samna.files import FRAME, chip_of, load_json
from neurodeploy.emit.samna.parse import ParsedBlock, parse_block
from neurodeploy.emit.samna.table import Block, SamnaTable, samna_table
from neurodeploy.emit.samna.write import unplain
from neurodeploy.errors import raise_if
from neurodeploy.network import Group, Network, Projection, pairs
from neurodeploy.step import Interval

_IDS = Interval(0, 2**31 - 1)


def read_configuration(path: str | Path, *, chip: Chip | None = None) -> Network:
    """Read a file of ``write_configuration``.

    Raises Refusal: ND1401 no JSON of one meaning, and all of ``from_configuration``.
    """
    return from_configuration(load_json(path), chip=chip)


def from_configuration(configuration: Mapping[str, Any], *, chip: Chip | None = None) -> Network:
    """Network with the registers, hardware ids and groups of a configuration; it simulates as the one written.

    chip : the chip, where it is not one of the known names

    Blocks of a matrix without any weight come back as no projection. Entries that the network does not need, such
    as the front end, stand in its notes.
    Raises Refusal: ND1901 with every missing, unknown or contradicting entry, ND1404 another version, ND1104.
    """
    found = chip_of(configuration, chip)
    return _Reader(found, samna_table(found), configuration).network()


class _Reader(Checks):
    def __init__(self, chip: Chip, table: SamnaTable, configuration: Mapping[str, Any]) -> None:
        super().__init__()
        self.chip, self.table, self.whole = chip, table, configuration

    def network(self) -> Network:
        table, whole = self.table, self.whole
        self.entries(whole, "", [*FRAME, *table.computed()], table.given)
        self.frame()
        blocks = {b.block: parse_block(self, self.chip, b, whole[b.block]) for b in table.blocks if b.block in whole}
        for switch in table.enable:
            self.flag(whole.get(switch, False), switch)
        groups = self.group_ids(whole.get("ids", []))
        raise_if(self.faults)  # entries are compared with each other only where each is sound
        sizes = self.sizes(blocks)
        self.placed(groups, sizes)
        self.switched(blocks)
        raise_if(self.faults)
        groups = [replace(g, parameters=self.parameters(g, blocks)) for g in groups]
        projections = [p for b in table.blocks for p in self.projections(b, blocks[b.block], groups, sizes)]
        kept = {n: copy.deepcopy(whole[n]) for n in (*table.given, "operation_mode") if n in whole}
        return Network(self.chip, tuple(groups), tuple(projections), whole["dt_s"], {"samna": kept})

    def frame(self) -> None:
        whole, table = self.whole, self.table
        for name, must in (("chip", self.chip.name), ("module", table.module)):
            if whole.get(name, must) != must:
                self.fault(name, f"found {short(whole[name])}", f"{must!r}", "read it with the chip it was made for")
        step = whole.get("dt_s")
        if step is not None and not (type(step) in {int, float} and 0 < step < math.inf):
            self.fault("dt_s", f"found {short(step)}", "seconds above 0, or null")
        if not isinstance(whole.get("note", ""), str):
            self.fault("note", f"found {short(whole['note'])}", "a sentence")
        modes = table.operation_mode
        if whole.get("operation_mode", modes[0]) not in modes:
            self.fault("operation_mode", f"found {short(whole['operation_mode'])}", f"one of {', '.join(modes)}")
        given = sorted(n for n in table.given if n in whole)
        if whole.get("unverified", given) != given:
            must = f"the entries that neurodeploy did not compute: {given}"
            self.fault("unverified", f"found {short(whole['unverified'])}", must)
        for name in given:
            self.faults += unplain(whole[name], f"configuration, {name}")

    def group_ids(self, value: object) -> list[Group]:
        """Groups with their hardware ids, still without registers."""
        if not isinstance(value, list):
            self.fault("ids", f"found {short(value)}", "a list of groups")
            return []
        groups = list[Group]()
        for i, entry in enumerate(value):
            entries = self.entries(entry, f"ids[{i}]", ("group", "kind", "ids"))
            name, kind, ids = entries.get("group"), entries.get("kind"), entries.get("ids")
            kinds = [b.kind for b in self.table.blocks]
            if not isinstance(name, str) or name in {g.name for g in groups}:
                self.fault(f"ids[{i}].group", f"found {short(name)}", "a name that stands once")
            if kind not in kinds:
                self.fault(f"ids[{i}].kind", f"found {short(kind)}", f"one of {', '.join(kinds)}")
            if not isinstance(ids, list) or not ids:
                self.fault(f"ids[{i}].ids", f"found {short(ids)}", "a list of hardware ids, at least one")
                continue
            numbers = [self.integer(n, f"ids[{i}].ids[{j}]", _IDS) for j, n in enumerate(ids)]
            groups.append(Group(str(name), str(kind), len(numbers), {}, np.asarray(numbers, np.int64)))
        return groups

    def sizes(self, blocks: Mapping[str, ParsedBlock]) -> dict[str, int]:
        """Number of neurons of each kind; every matrix must agree with it."""
        source, hidden, readout = self.table.blocks
        sizes = {b.kind: blocks[b.block].size for b in (hidden, readout)}
        sizes[source.kind] = len(next(iter(blocks[source.block].matrices.values())))
        for b in self.table.blocks:
            kind = self.chip.connections[b.connection]
            rows, columns = sizes[kind.sources[0]], sizes[kind.target]
            # fewer input columns cover the first hidden ids, fewer output rows the last
            most_rows = min(rows, kind.entry.sources_last or rows)
            most_columns = min(columns, kind.entry.targets_first or columns)
            least_rows, least_columns = (1 if b is readout else rows), (1 if b is source else columns)
            first = next(iter(blocks[b.block].matrices.values())).shape
            for name, matrix in blocks[b.block].matrices.items():
                height, width = matrix.shape
                sound = least_rows <= height <= most_rows and least_columns <= width <= most_columns
                if not sound or matrix.shape != first:
                    must = f"{Interval(least_rows, most_rows)} rows of {Interval(least_columns, most_columns)}"
                    must += f", as many as in {next(iter(b.weights))}"
                    self.fault(f"{b.block}.{name}", f"{height} rows of {width}", must)
        return sizes

    def placed(self, groups: list[Group], sizes: Mapping[str, int]) -> None:
        for kind, size in sizes.items():
            ids = sorted(i for g in groups if g.kind == kind for i in plain_ids(g.ids))
            if ids != list(range(size)):
                must = f"each of 0..{size - 1} once, as the blocks hold {size} neurons of that kind"
                self.fault("ids", f"{len(ids)} hardware ids of kind {kind!r}: {short(ids)}", must)

    def switched(self, blocks: Mapping[str, ParsedBlock]) -> None:
        """A switch that is off must not hide a value."""
        for switch, name in self.table.enable.items():
            for block, held in blocks.items():
                values = held.matrices.get(name, held.neurons.get(name))
                if self.whole[switch] is False and values is not None and np.any(values):
                    was = f"false, while {block} holds {name} other than 0"
                    self.fault(switch, was, "true, or zeros: the chip would not use them")
        for b in self.table.blocks:
            held = blocks[b.block]
            if b.alias is None:
                continue
            if not held.alias_enabled and np.any(held.targets >= 0):
                was = f"false, while {int(np.sum(held.targets >= 0))} neurons have a target"
                self.fault(f"{b.block}.{b.alias.enable}", was, "true, or no targets")
            own = np.flatnonzero(held.targets == np.arange(held.size))
            if own.size and not self.chip.connections[b.alias.connection].entry.allow_self:
                where = f"{b.block}.neurons[{own[0]}].{b.alias.target}"
                self.fault(where, f"found {own[0]}, the neuron itself", "another neuron, or null")

    def parameters(self, g: Group, blocks: Mapping[str, ParsedBlock]) -> dict[str, Ints]:
        block = next(b for b in self.table.blocks if b.kind == g.kind)
        return {p: blocks[block.block].neurons[n][np.asarray(g.ids)] for n, p in block.neuron.items()}

    def projections(
        self, block: Block, held: ParsedBlock, groups: list[Group], sizes: Mapping[str, int]
    ) -> Iterator[Projection]:
        kind = self.chip.connections[block.connection]
        rows, columns = sizes[kind.sources[0]], sizes[kind.target]
        full = {field: np.zeros((rows, columns), np.int64) for field in block.weights.values()}
        written = np.zeros((rows, columns), bool)
        for name, field in block.weights.items():
            height, width = held.matrices[name].shape
            full[field][rows - height :, :width] = held.matrices[name]
            written[rows - height :, :width] = True
        used = np.any([m != 0 for m in full.values()], axis=0)
        kept = used if kind.entry.pattern == "pairs" else written
        registers = {p: held.registers[n] for n, p in block.registers.items()}
        ends = [(s, t) for s in groups if s.kind in kind.sources for t in groups if t.kind == kind.target]
        joined = [(s, t) for s, t in ends if used[np.ix_(_ids(s), _ids(t))].any()]
        for s, t in joined or ends[:1]:  # without any weight one projection carries the registers
            place = np.ix_(_ids(s), _ids(t))
            sources, targets = np.nonzero(kept[place] & bool(joined))
            fields = {f: m[place][sources, targets] for f, m in full.items()}
            yield Projection(kind.name, s.name, t.name, sources, targets, fields, registers)
        if block.alias is not None:
            yield from self.links(block.alias.connection, held.targets, groups)

    def links(self, connection: str, target: Ints, groups: list[Group]) -> Iterator[Projection]:
        kind = self.chip.connections[connection]
        for s in (g for g in groups if g.kind in kind.sources):
            for t in (g for g in groups if g.kind == kind.target):
                place = {i: k for k, i in enumerate(plain_ids(t.ids))}
                found = [(k, place[i]) for k, i in enumerate(target[_ids(s)].tolist()) if i in place]
                if found:
                    yield pairs(self.chip, connection, s, t, found)


def _ids(g: Group) -> Ints:
    return np.asarray(g.ids, np.int64)
