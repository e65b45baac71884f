"""Configuration -> Network for cores that hold a layer each: the way back, which shows that nothing was lost.

Only what a network needs is read; the configuration of what was read is then written anew, and every difference is a
fault. So an entry that contradicts another, or that nobody reads, cannot pass.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from neurodeploy.chips import Chip
from neurodeploy.emit.samna.checks import Ints, short
from neurodeploy.emit.samna.files import chip_of, load_json
from neurodeploy.emit.samna.layers.blocks import own_kernel
from neurodeploy.emit.samna.layers.parse import SIZE, WORD, Core, Parser
from neurodeploy.emit.samna.layers.setup import Setup
from neurodeploy.emit.samna.layers.table import LayersTable, cores_of, layers_table, number
from neurodeploy.emit.samna.layers.write import FRAME, LARGEST, to_configuration
from neurodeploy.errors import Fault, raise_if
from neurodeploy.network import Convolution, Group, Network, Projection
from neurodeploy.step import Interval

#: Differences that one refusal lists.
_LISTED = 20


def read_configuration(path: str | Path, *, chip: Chip | None = None) -> tuple[Network, Setup]:
    """Read a file of ``write_configuration``.

    Raises Refusal: ND1401 no JSON of one meaning, and all of ``from_configuration``.
    """
    return from_configuration(load_json(path), chip=chip)


def from_configuration(configuration: Mapping[str, Any], *, chip: Chip | None = None) -> tuple[Network, Setup]:
    """The placed network of a configuration, and what was decided beside it; both give the same configuration again.

    chip : the chip, where it is not one of the known names
    Raises Refusal: ND1901 with every missing, unknown or contradicting entry, ND1404 another version, ND1104, and all
    of ``to_configuration``.
    """
    found = chip_of(configuration, chip)
    network, setup = _Reader(found, layers_table(found), configuration).everything()
    made = to_configuration(network, setup) | {"note": configuration["note"]}
    faults = [
        Fault("ND1901", f"configuration, {path}", f"found {short(was)}", f"{short(must)}, as follows from the rest")
        for path, was, must in islice(_differences(configuration, made, ""), _LISTED)
    ]
    raise_if(faults)
    return network, setup


def _differences(found: object, made: object, path: str) -> Iterator[tuple[str, object, object]]:
    if isinstance(found, dict) and isinstance(made, dict):
        dot = f"{path}." if path else ""
        for name in [*made, *(n for n in found if n not in made)]:
            yield from _differences(found.get(name, "nothing"), made.get(name, "nothing"), f"{dot}{name}")
    elif isinstance(found, list) and isinstance(made, list) and len(found) == len(made):
        for i, (was, must) in enumerate(zip(found, made, strict=True)):
            yield from _differences(was, must, f"{path}[{i}]")
    elif type(found) is not type(made) or found != made:
        yield path, found, made


class _Reader(Parser):
    def __init__(self, chip: Chip, table: LayersTable, configuration: Mapping[str, Any]) -> None:
        super().__init__(chip, table)
        self.whole, self.cores = configuration, cores_of(chip)
        self.blocks: dict[str, list[tuple[int, int, int]]] = {}

    def everything(self) -> tuple[Network, Setup]:
        table, whole = self.table, self.whole
        names = (table.layers, table.sensor.block, table.filter.block, table.readout.block)
        self.entries(whole, "", [*FRAME, *names])
        raise_if(self.faults)
        step = whole["dt_s"]
        if step is not None and not (type(step) is float and 0 < step < math.inf):
            self.fault("dt_s", f"found {short(step)}", "seconds above 0, or null")
        if not isinstance(whole["note"], str):
            self.fault("note", f"found {short(whole['note'])}", "a sentence")
        groups = {g.name: g for g in self.groups()}
        listed = whole[table.layers]
        if not isinstance(listed, list) or len(listed) != self.cores.count:
            self.fault(table.layers, f"found {short(listed)}", f"a list of {self.cores.count} cores")
        raise_if(self.faults)  # cores are read by what the groups say of them
        reads = number(self.chip, table.readout.destination).value
        held = {
            core: self.core(listed[core], f"{table.layers}[{core}]", self.spots(groups[name]), features, reads)
            for name, blocks in self.blocks.items()
            for core, _, features in blocks
        }
        ends = self.ends(groups)
        raise_if(self.faults)
        setup = self.setup(held, reads)
        links = [self.projection(entry, i, groups, held) for i, entry in enumerate(ends)]
        raise_if(self.faults)
        made = tuple(self.with_registers(g, held) for g in groups.values())
        return Network(self.chip, made, tuple(p for p in links if p is not None), step), setup

    @staticmethod
    def spots(g: Group) -> tuple[int, int]:
        """(rows, columns) of a map."""
        _, rows, columns = g.shape
        return rows, columns

    # groups and their blocks

    def groups(self) -> Iterator[Group]:
        """Groups with their hardware ids, still without registers."""
        listed = self.whole["groups"]
        if not isinstance(listed, list):
            self.fault("groups", f"found {short(listed)}", "a list of groups")
            return
        seen = set[str]()
        for i, entry in enumerate(listed):
            where = f"groups[{i}]"
            inner = isinstance(entry, Mapping) and entry.get("kind") == self.table.kind
            place = "blocks" if inner else "first_id"
            entries = self.entries(entry, where, ("group", "kind", "shape", place))
            name, before = entries.get("group"), len(self.faults)
            if not isinstance(name, str) or name in seen:
                self.fault(f"{where}.group", f"found {short(name)}", "a name that stands once")
            if not inner and entries.get("kind") != self.table.input:
                must = f"{self.table.input!r} or {self.table.kind!r}"
                self.fault(f"{where}.kind", f"found {short(entries.get('kind'))}", must)
            shape = self.array(entries.get("shape"), f"{where}.shape", (3,), SIZE)
            if shape is None or place not in entries or len(self.faults) > before:
                continue
            size, sizes = math.prod(shape.tolist()), tuple(shape.tolist())
            if size > (self.cores.slots * self.cores.count if inner else LARGEST):
                self.fault(f"{where}.shape", f"{size:,} neurons", "fewer")
                continue
            ids = self.block_ids(name, sizes, entries, where) if inner else self.input_ids(size, entries, where)
            seen.add(str(name))
            yield Group(str(name), str(entries["kind"]), size, {}, ids, sizes)

    def input_ids(self, size: int, entries: Mapping[str, Any], where: str) -> Ints:
        first = self.integer(entries["first_id"], f"{where}.first_id", Interval(0, LARGEST))
        return np.arange(first, first + size)

    def block_ids(self, name: Any, shape: tuple[int, int, int], entries: Mapping[str, Any], where: str) -> Ints:
        """Hardware ids of a layer; its blocks follow each other and cover it."""
        listed = entries["blocks"]
        if not isinstance(listed, list) or not 1 <= len(listed) <= self.cores.count:
            self.fault(f"{where}.blocks", f"found {short(listed)}", "a list of [core, first feature, features]")
            return np.arange(math.prod(shape))
        rows = [self.array(row, f"{where}.blocks[{i}]", (3,), WORD) for i, row in enumerate(listed)]
        blocks = [(int(r[0]), int(r[1]), int(r[2])) for r in rows if r is not None]
        ends = [0, *(first + features for _, first, features in blocks)]
        follows = ends[:-1] == [first for _, first, _ in blocks] and all(a < b for a, b in pairwise(ends))
        taken = {core for others in self.blocks.values() for core, _, _ in others} | {-1}
        apart = len({core for core, _, _ in blocks} - taken) == len(blocks)
        if not follows or ends[-1] != shape[0] or not apart or any(core >= self.cores.count for core, _, _ in blocks):
            must = f"blocks that cover features 0..{shape[0] - 1}, each on a core of its own below {self.cores.count}"
            self.fault(f"{where}.blocks", f"found {short(listed)}", must)
            return np.arange(math.prod(shape))
        self.blocks[str(name)] = blocks
        spots = shape[1] * shape[2]
        return np.concatenate([core * self.cores.slots + np.arange(count * spots) for core, _, count in blocks])

    # registers

    def with_registers(self, g: Group, held: Mapping[int, Core]) -> Group:
        if g.name not in self.blocks:
            return g
        parameters = {}
        for name in self.kind.parameters:
            parts = []
            for core, _, features in self.blocks[g.name]:
                values = held[core].registers[name]
                parts.append(np.broadcast_to(0 if values is None else values, (features, *g.shape[1:])))
            parameters[name] = np.concatenate(parts).reshape(-1).astype(np.int64)
        return replace(g, parameters=parameters)

    # projections

    def ends(self, groups: Mapping[str, Group]) -> list[Mapping[str, Any]]:
        """Entries of the projections with sound ends."""
        listed, result = self.whole["projections"], []
        if not isinstance(listed, list):
            self.fault("projections", f"found {short(listed)}", "a list of projections")
            return []
        for i, entry in enumerate(listed):
            where = f"projections[{i}]"
            from_host = isinstance(entry, Mapping) and not isinstance(entry.get("source"), list | dict)
            from_host = from_host and entry.get("source") in groups and entry["source"] not in self.blocks
            more = ("pooling", "shift") if from_host else ()
            entries = self.entries(entry, where, ("source", "target", "kernel", *more))
            before = len(self.faults)
            for end, known in (("source", list(groups)), ("target", list(self.blocks))):
                if entries.get(end) not in known:
                    self.fault(f"{where}.{end}", f"found {short(entries.get(end))}", f"one of {', '.join(known)}")
            if entries.get("kernel") not in ("whole", "own"):
                self.fault(f"{where}.kernel", f"found {short(entries.get('kernel'))}", "'whole' or 'own'")
            if len(self.faults) == before:
                result.append(entries)
        return result

    def projection(
        self, entry: Mapping[str, Any], index: int, groups: Mapping[str, Group], held: Mapping[int, Core]
    ) -> Projection | None:
        source, target = groups[entry["source"]], groups[entry["target"]]
        where, blocks = f"projections[{index}]", self.blocks[target.name]
        pooling, shift = (1, 1), 0
        if source.name in self.blocks:
            number_ = self.place(index, source.name)
            leading = held[self.blocks[source.name][0][0]].leading
            if number_ >= len(leading):
                must = "a destination for each projection, and for each core that it leads to"
                self.fault(where, f"{source.name!r} has {len(leading)} destinations", must)
                return None
            _, both, shift = leading[number_]
            pooling = (both, both)
        else:
            sizes = self.array(entry["pooling"], f"{where}.pooling", (2,), SIZE)
            pooling = pooling if sizes is None else (int(sizes[0]), int(sizes[1]))
            shift = self.integer(entry["shift"], f"{where}.shift", WORD)
        facts = held[blocks[0][0]].facts
        channels = facts["channels"] // max(facts["groups"], 1)
        geometry = Convolution(
            (source.shape[0], source.shape[1], source.shape[2]),
            (target.shape[0], channels, facts["kernel_rows"], facts["kernel_columns"]),
            (facts["stride_rows"], facts["stride_columns"]),
            (facts["padding_rows"], facts["padding_columns"]),
            pooling,
            shift,
            facts["groups"],
        )
        found = list(geometry.faults(f"configuration, {where}"))
        kernels = {name: self.kernel(held, blocks, name) for name in self.connection.fields}
        shapes = [k.shape for k in kernels.values() if k is not None]
        if not found and shapes != [geometry.kernel] * len(kernels):
            self.fault(where, f"kernels of {shapes}", f"{geometry.kernel} on every core")
        self.faults += found
        if self.faults:
            return None
        none = np.zeros(0, np.int64)
        chosen = {n: k if entry["kernel"] == "whole" else own_kernel(k, geometry) for n, k in kernels.items()}
        fields = {n: np.ascontiguousarray(k).reshape(-1) for n, k in chosen.items()}
        return Projection(self.table.connection, source.name, target.name, none, none, fields, {}, geometry)

    def place(self, index: int, source: str) -> int:
        """Which destination of its source a projection is."""
        earlier = self.whole["projections"][:index]
        return sum(len(self.blocks[p["target"]]) for p in earlier if p["source"] == source)

    def kernel(self, held: Mapping[int, Core], blocks: Sequence[tuple[int, int, int]], field: str) -> Ints:
        parts = [held[core].weights[field] for core, _, _ in blocks]
        sound = [p for p in parts if p is not None]
        if len(sound) < len(parts) or len({p.shape[1:] for p in sound}) > 1:
            return np.zeros((0, 0, 0, 0), np.int64)
        return np.concatenate(sound)

    # what stands beside the network

    def setup(self, held: Mapping[int, Core], reads: object) -> Setup:
        """Sensor, readout, monitors and filter, as far as one must know them to write the same again."""
        whole, table = self.whole, self.table
        monitored = tuple(n for n, blocks in self.blocks.items() if held[blocks[0][0]].monitored)
        read_out = [n for n, blocks in self.blocks.items() if any(d[0] == reads for d in held[blocks[0][0]].leading)]
        blocks = {n: whole[n] for n in (table.sensor.block, table.filter.block, table.readout.block)}
        for name, value in blocks.items():
            if not isinstance(value, Mapping):
                self.fault(name, f"found {short(value)}", "a table")
        raise_if(self.faults)
        filtered = dict(blocks[table.filter.block]) if whole["unverified"] else {}
        sensor = self.sensor(blocks[table.sensor.block])
        readout = self.readout(blocks[table.readout.block], read_out[0]) if read_out else None
        raise_if(self.faults)
        return Setup(sensor, readout, monitored, filtered)
