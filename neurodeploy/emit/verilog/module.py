"""A placed network as one synthesizable module: memories, datapaths, and a control that walks the schedule."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from neurodeploy.chips import Handler
from neurodeploy.chips.compile import GIVEN_EXTERNAL
from neurodeploy.emit.verilog.control import Control
from neurodeploy.emit.verilog.datapath import Datapath, Wire, datapath, literal
from neurodeploy.emit.verilog.deliveries import Deliverer
from neurodeploy.emit.verilog.memories import (
    Files,
    Table,
    address_bits,
    bits_for,
    declare_banks,
    number,
    read_signed,
    table,
)
from neurodeploy.emit.verilog.parts import Memory, States
from neurodeploy.errors import Fault, Refusal
from neurodeploy.network import Network
from neurodeploy.simulator import assemble
from neurodeploy.step import Interval

#: Numbers of lanes: powers of two, so that lane and address of a neuron are bits of its position.
LANES = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Module:
    """A network in Verilog.

    code : of the module; files : name -> content of the hexadecimal files that it reads
    memories : (kind, state) -> name, bits, whether signed
    inputs, outputs : neuron kind -> first address of its neurons on the bus, in ascending hardware id
    lanes : neurons that are computed at once; neuron i is in lane i modulo their number
    bits : of all memories; wires : operators of the datapaths of one lane
    quiet_cycles, busy_cycles : of a step without events, and of one in which everything emits, bus beats left out
    """

    name: str
    code: str
    files: Mapping[str, str]
    memories: Mapping[tuple[str, str], Memory]
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    emits: Mapping[str, str]
    count_bits: tuple[int, int]
    address_bits: tuple[int, int]
    lanes: int
    bits: int
    wires: int
    quiet_cycles: int
    busy_cycles: int


def to_verilog(network: Network, name: str, lanes: int = 1) -> Module:
    """Write a placed network as the module ``name``.

    lanes : neurons that are computed at once, a power of two
    Raises Refusal ND1901 for a chip that events drive, a network without an input, or another number of lanes; ND1204
    without hardware ids.
    """
    return Writer(network, name, lanes).module()


@dataclass
class Writer:
    """Collects the parts of a module."""

    network: Network
    name: str
    banks: int
    states: States = field(default_factory=States)
    files: Files = field(default_factory=Files)
    code: list[str] = field(default_factory=list)
    declared: list[str] = field(default_factory=list)
    banked: list[str] = field(default_factory=list)
    buses: dict[str, int] = field(default_factory=dict)
    memories: dict[tuple[str, str], Memory] = field(default_factory=dict)
    paths: dict[str, Datapath] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    start: list[str] = field(default_factory=list)
    deliverers: dict[str, Deliverer] = field(default_factory=dict)
    walks: list[str] = field(default_factory=list)
    pasts: list[tuple[str, str]] = field(default_factory=list)
    turns: dict[int, int] = field(default_factory=dict)
    wires: int = 0
    quiet: int = 0
    busy: int = 0

    def module(self) -> Module:
        """Write everything."""
        n, where = self.network, f"{self.network.chip.name}, verilog"
        if self.banks not in LANES:
            must = f"one of {', '.join(map(str, LANES))}"
            raise Refusal(Fault("ND1901", where, f"{self.banks} lanes", must, "lanes do not change what is computed"))
        if n.chip.event_driven:
            must = "a chip that takes steps: a queue of events has no schedule to walk"
            raise Refusal(Fault("ND1901", where, "events drive the chip", must, "take a format of the chip's own"))
        if not n.inputs():
            raise Refusal(Fault("ND1901", where, "a network without an input group", "at least one", "add one"))
        self.machine = assemble(n)
        self.lanes = {k: lane for k, lane in self.machine.lanes.items() if lane.size}
        self.depth = self.machine.longest_delay + 1
        self.past = sorted(
            {r.source_kind for many in self.machine.deliveries.values() for d in many for r in d.rows if r.delay}
        )
        rows = [self.rows(lane.size) for lane in self.lanes.values()]
        rows += [self.depth * self.rows(self.lanes[k].size) for k in self.past]
        self.sweep = max(rows)
        spans = [sum(Deliverer.span(d).size for d in many) for many in self.machine.deliveries.values()]
        sizes = [lane.size for lane in self.lanes.values() if lane.kind.is_output()]
        self.address = address_bits(max([*rows, *spans, *sizes, 2 * self.banks - 1]) + 1)
        self.inputs = dict(self._bases([k for k, lane in self.lanes.items() if lane.kind.entry.external is not None]))
        self.outputs = dict(self._bases([k for k, lane in self.lanes.items() if lane.kind.is_output()]))
        self._neurons()
        Control(self).write()
        return self._assembled()

    def _bases(self, kinds: Sequence[str]) -> Iterator[tuple[str, int]]:
        base = 0
        for kind in kinds:
            yield kind, base
            base += self.lanes[kind].size

    # registers

    def rows(self, size: int) -> int:
        """Addresses of so many neurons in each bank."""
        return -(-size // self.banks)

    def _neurons(self) -> None:
        """Memories of states, parameters and counts from outside; what they show one cycle after their address."""
        self.wires_of: dict[str, dict[str, Wire]] = {}
        for kind, lane in self.lanes.items():
            rows = self.rows(lane.size)
            # places beyond the last neuron hold its registers: nothing is computed for them
            beyond = {p: np.pad(v, (0, rows * self.banks - lane.size), "edge") for p, v in lane.parameters.items()}
            whole = table(f"par_{kind}", rows, beyond, self.banks)
            parameters, lines = declare_banks(whole, "at", self.files, f"{self.name}_{whole.name}")
            self.banked += lines
            seen = {p: self.bound(f"{kind}_{p}", parameters.wire(p), banked=True) for p in lane.parameters}
            for state, entry in lane.kind.states.items():
                memory = self.memory(kind, state, entry.interval, lane.size)
                self.memories[kind, state] = memory
                start = seen[entry.start] if isinstance(entry.start, str) else Wire("", Interval(*[entry.start] * 2))
                memory.writes["OP_INIT"] = (start, "")
                seen[state] = self.shown(memory, entry.interval)
            external = lane.kind.entry.external
            if external is not None:
                self.files.bits += bits_for(external.interval) * rows * self.banks
                given = read_signed(f"ext_{kind}_q", external.interval)
                seen[GIVEN_EXTERNAL] = self.bound(f"{kind}_{GIVEN_EXTERNAL}", given, banked=True)
            self.wires_of[kind] = seen

    def memory(self, owner: str, register: str, interval: Interval, size: int) -> Memory:
        """A memory for a register of all neurons of a kind, or of all targets of a connection."""
        made = Memory(f"mem_{owner}_{register}", size, self.rows(size), bits_for(interval), interval.low < 0)
        self.files.bits += made.bits * made.rows * self.banks
        return made

    def shown(self, memory: Memory, interval: Interval) -> Wire:
        """What was read from a memory, as a signed value."""
        return self.bound(f"is_{memory.name}", read_signed(f"{memory.name}_q", interval), banked=True)

    def bound(self, name: str, wire: Wire, *, banked: bool = False) -> Wire:
        """The same value under a name of its own, in the block of a lane or beside it."""
        if wire.fixed:
            return wire
        made = replace(wire, code=name)
        lines = self.banked if banked else self.declared
        lines.append(f"    wire signed [{made.bits - 1}:0] {name} = {wire.code};")
        return made

    def chosen(self, register: str, bits: int, bank: str) -> str:
        """What one of the lanes has read into ``REGISTER_q``."""
        self.buses[register] = bits
        parts = [f"all_{register}[{(k + 1) * bits - 1}:{k * bits}]" for k in range(self.banks)]
        found, wide = parts[-1], address_bits(self.banks)
        for k in reversed(range(self.banks - 1)):
            found = f"({bank} == {number(k, wide)}) ? {parts[k]} : {found}"
        return found

    def part_lanes(self, name: str, t: Table, first: tuple[str, str], last: tuple[str, str]) -> str:
        """In which lanes the addresses of a range are those of its neurons.

        t : table of ranges; first, last : its columns with an address, and with a bit for each lane there
        """
        whole = Interval(*[(1 << self.banks) - 1] * 2)
        found = []
        for end, (at, lanes) in (("first", first), ("last", last)):
            if t.columns[lanes].range != whole:
                wire = f"{end}_lanes_{name}"
                self.declared.append(f"    wire [{self.banks - 1}:0] {wire} = {t.code(lanes, self.banks)};")
                found.append(f"(n != {t.code(at, self.address)} || {wire}[k])")
        return " && ".join(found) or "1'b1"

    def text(
        self, label: str, op: str, handler: Handler, wires: Mapping[str, Wire], kept: Mapping[str, Memory]
    ) -> None:
        """A datapath for a handler, and what its op writes; what it reads stands still while it does not run."""
        self.code += [f"    // {label}", f"    wire {label}_runs = op_q == {op};"]
        given = {n: self._gated(label, n, wires[n]) for n in sorted(handler.reads | handler.writes) if n in wires}
        path = datapath(handler, label, given, {n: self.held(m) for n, m in kept.items()})
        self.wires += path.wires
        self.code += [*path.lines, ""]
        for register in handler.writes:
            kept[register].write(op, path, register)
        if path.outside:
            self.faults[op] = list(path.outside.values())

    def _gated(self, label: str, name: str, wire: Wire) -> Wire:
        """What a text reads, while it runs; else one number that it may read."""
        if wire.fixed:
            return wire
        made, still = replace(wire, code=f"{label}_{name}_0"), min(max(0, wire.range.low), wire.range.high)
        code = f"{label}_runs ? {wire.code} : {literal(still, wire.bits)}"
        self.code.append(f"    wire signed [{made.bits - 1}:0] {made.code} = {code};")
        return made

    def held(self, memory: Memory) -> Interval:
        """What a memory holds."""
        for (kind, state), known in self.memories.items():
            if known is memory:
                return self.lanes[kind].kind.states[state].interval
        top = 1 << memory.bits - 1
        return Interval(-top, top - 1) if memory.signed else Interval(0, 2 * top - 1)

    # the file

    def _assembled(self) -> Module:
        from neurodeploy.emit.verilog.writing import module_code

        in_bits, out_bits = self._count_bits()
        self.in_bits = in_bits
        widths = (address_bits(self._total(self.inputs)), address_bits(max(self._total(self.outputs), 1)))
        code = module_code(self, (in_bits, out_bits), widths)
        return Module(
            self.name,
            code,
            self.files.texts,
            self.memories,
            self.inputs,
            self.outputs,
            {k: lane.kind.emits for k, lane in self.lanes.items()},
            (in_bits, out_bits),
            widths,
            self.banks,
            self.files.bits,
            self.wires,
            self.quiet,
            self.quiet + self.busy,
        )

    def _total(self, bases: Mapping[str, int]) -> int:
        return sum(self.lanes[k].size for k in bases)

    def _count_bits(self) -> tuple[int, int]:
        """Bits of a count on the way in and out."""
        entries = [self.lanes[k].kind.entry.external for k in self.inputs]
        given = max(bits_for(e.interval) for e in entries if e is not None)
        return given, max((self.memories[k, self.lanes[k].kind.emits].bits for k in self.outputs), default=1)
