"""A placed network as one synthesizable module: memories, datapaths, and a control that walks the schedule."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from neurodeploy.chips import Handler, Phase
from neurodeploy.chips.compile import GIVEN_EXTERNAL
from neurodeploy.emit.verilog.datapath import Datapath, Wire, datapath, literal
from neurodeploy.emit.verilog.deliveries import Deliverer
from neurodeploy.emit.verilog.memories import Files, address_bits, bits_for, declare_table, read_signed, table
from neurodeploy.emit.verilog.parts import Memory, States
from neurodeploy.errors import Fault, Refusal
from neurodeploy.network import Network
from neurodeploy.simulator import assemble
from neurodeploy.simulator.machine import Delivery
from neurodeploy.step import Interval


@dataclass(frozen=True)
class Module:
    """A network in Verilog.

    code : of the module; files : name -> content of the hexadecimal files that it reads
    memories : (kind, state) -> name, bits, whether signed
    inputs, outputs : neuron kind -> first address of its neurons on the bus, in ascending hardware id
    bits : of all memories; wires : operators of all datapaths
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
    bits: int
    wires: int
    quiet_cycles: int
    busy_cycles: int


def to_verilog(network: Network, name: str) -> Module:
    """Write a placed network as the module ``name``.

    Raises Refusal ND1901 for a chip that events drive, a network without input or output, or texts that write what they
    deliver over connections with delays; ND1204 without hardware ids.
    """
    return Writer(network, name).module()


@dataclass
class Writer:
    """Collects the parts of a module."""

    network: Network
    name: str
    states: States = field(default_factory=States)
    files: Files = field(default_factory=Files)
    code: list[str] = field(default_factory=list)
    declared: list[str] = field(default_factory=list)
    memories: dict[tuple[str, str], Memory] = field(default_factory=dict)
    paths: dict[str, Datapath] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    start: list[str] = field(default_factory=list)
    deliverers: dict[str, Deliverer] = field(default_factory=dict)
    walks: list[str] = field(default_factory=list)
    pasts: list[tuple[str, str, int]] = field(default_factory=list)
    turns: dict[int, int] = field(default_factory=dict)
    wires: int = 0
    quiet: int = 0
    busy: int = 0

    def module(self) -> Module:
        """Write everything."""
        n, where = self.network, f"{self.network.chip.name}, verilog"
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
        sizes = [lane.size for lane in self.lanes.values()] + [self.depth * self.lanes[k].size for k in self.past]
        spans = [sum(Deliverer.span(d).size for d in many) for many in self.machine.deliveries.values()]
        self.address = address_bits(max(sizes + spans) + 1) + 1
        self.sweep = max(sizes)
        self.inputs = dict(self._bases([k for k, lane in self.lanes.items() if lane.kind.entry.external is not None]))
        self.outputs = dict(self._bases([k for k, lane in self.lanes.items() if lane.kind.is_output()]))
        self._neurons()
        self._control()
        return self._assembled()

    def _bases(self, kinds: Sequence[str]) -> Iterator[tuple[str, int]]:
        base = 0
        for kind in kinds:
            yield kind, base
            base += self.lanes[kind].size

    # registers

    def _neurons(self) -> None:
        """Memories of states, parameters and counts from outside; what they show one cycle after their address."""
        self.wires_of: dict[str, dict[str, Wire]] = {}
        for kind, lane in self.lanes.items():
            parameters = table(f"par_{kind}", lane.size, dict(lane.parameters))
            self.declared += declare_table(parameters, "at", self.files, f"{self.name}_{parameters.name}.hex")
            seen = {p: parameters.wire(p) for p in lane.parameters}
            for state, entry in lane.kind.states.items():
                memory = self.memory(kind, state, entry.interval, lane.size)
                self.memories[kind, state] = memory
                start = seen[entry.start].code if isinstance(entry.start, str) else literal(entry.start)
                memory.writes["OP_INIT"] = (start, "")
                seen[state] = self.shown(memory, entry.interval)
            external = lane.kind.entry.external
            if external is not None:
                bits = bits_for(external.interval)
                self.files.bits += bits * lane.size
                seen[GIVEN_EXTERNAL] = Wire(read_signed(f"ext_{kind}_q", external.interval), external.interval)
            self.wires_of[kind] = seen

    def memory(self, owner: str, register: str, interval: Interval, size: int) -> Memory:
        """A memory for a register of all neurons of a kind, or of all targets of a connection."""
        made = Memory(f"mem_{owner}_{register}", size, bits_for(interval), interval.low < 0)
        self.files.bits += made.bits * size
        return made

    @staticmethod
    def shown(memory: Memory, interval: Interval) -> Wire:
        """What was read from a memory, as a signed value."""
        return Wire(read_signed(f"{memory.name}_q", interval), interval)

    def text(
        self, label: str, op: str, handler: Handler, wires: Mapping[str, Wire], kept: Mapping[str, Memory]
    ) -> None:
        """A datapath for a handler, and what its op writes."""
        held = {n: self._held(m) for n, m in kept.items()}
        path = datapath(handler, label, wires, held)
        self.wires += path.wires
        self.code += [f"    // {label}", *path.lines, ""]
        for register in handler.writes:
            kept[register].write(op, path, register)
        if path.outside:
            self.faults[op] = list(path.outside.values())

    def _held(self, memory: Memory) -> Interval:
        for (kind, state), known in self.memories.items():
            if known is memory:
                return self.lanes[kind].kind.states[state].interval
        top = 1 << memory.bits - 1
        return Interval(-top, top - 1) if memory.signed else Interval(0, 2 * top - 1)

    # control

    def _control(self) -> None:
        self.states.add("INIT", f"if (n == {self.sweep - 1}) begin n <= 0; state <= INIT_END; end else n <= n + 1'b1;")
        self.states.issue("state == INIT", "n", "OP_INIT")
        self.states.add("INIT_END", "state <= INPUT;")
        self.states.add("INPUT", "if (in_valid && in_last) begin")
        entries = [self._phase(i, p) for i, p in enumerate(self.network.chip.schedule)]
        firsts = [first for first, _ in filter(None, entries)]
        begin = firsts[0] if firsts else "FINISH"
        self.states.actions["INPUT"] += [*(f"    {line}" for line in self.start), f"    state <= {begin};", "end"]
        following = [*firsts[1:], "FINISH"]
        for (_, last), after in zip(filter(None, entries), following, strict=True):
            for state in last:
                self.states.actions[state] = [line.replace("@NEXT", after) for line in self.states.actions[state]]
        self._finish()

    def _phase(self, index: int, phase: Phase) -> tuple[str, list[str]] | None:
        """States of one entry of the schedule: the first, and those that leave it for @NEXT."""
        if phase.neuron:
            made = self._sweep(index, phase)
        else:
            deliveries = [d for d in self.machine.deliveries[phase.name] if d.rows]
            made = self._deliveries(index, phase.name, deliveries) if deliveries else None
        if made is None or phase.every is None:
            return made
        first, last = made
        name = f"P{index}_TURN"
        self.declared.append(f"    reg [{address_bits(phase.every.period + 1)}:0] turn_{index};")
        self.turns[index] = phase.every.period
        self.states.add(name, f"state <= (turn_{index} == {phase.every.offset}) ? {first} : @NEXT;")
        return name, [*last, name]

    def _sweep(self, index: int, phase: Phase) -> tuple[str, list[str]] | None:
        """All neurons of a kind, one in each cycle; piece by piece where they deliver to each other in between."""
        if phase.neuron not in self.lanes:
            return None
        lane, op = self.lanes[phase.neuron], f"OP_{phase.neuron}_{phase.handler}".upper()
        if op not in self.states.ops:
            kept = {s: self.memories[phase.neuron, s] for s in lane.kind.states}
            label = f"{phase.neuron}_{phase.handler}"
            self.text(label, op, lane.kind.handlers[phase.handler], self.wires_of[phase.neuron], kept)
        if any(d.rows for scan in self.machine.scans[phase.name] for _, d in scan.deliveries):
            return self._relayed(index, phase, op)
        self.quiet += lane.size + 1
        name, end = f"P{index}_SWEEP", f"P{index}_END"
        self.states.add(name, f"if (n == {lane.size - 1}) begin n <= 0; state <= {end}; end else n <= n + 1'b1;")
        self.states.issue(f"state == {name}", "n", op)
        self.states.add(end, "state <= @NEXT;")
        return name, [end]

    def _deliveries(self, index: int, name: str, deliveries: Sequence[Delivery]) -> tuple[str, list[str]]:
        """All deliveries of a connection, one after the other."""
        step = f"P{index}_NEXT"
        made = self.deliverers[name] = Deliverer(self, name, deliveries, back=step)
        many = len(deliveries)
        self.states.add(step, f"state <= (del_{name}_n == {many}) ? @NEXT : {made.first};")
        return step, [step]

    def _relayed(self, index: int, phase: Phase, op: str) -> tuple[str, list[str]]:
        """A piece of the neurons, then what its neurons deliver, then the next piece."""
        scans = self.machine.scans[phase.name]
        order = [c for c in phase.connections if any(c == x for s in scans for x, d in s.deliveries if d.rows)]
        back = f"P{index}_ENTRY"
        made = {
            c: Deliverer(self, c, [d for s in scans for x, d in s.deliveries if x == c and d.rows], back=back)
            for c in order
        }
        self.deliverers |= made
        inner = [[order.index(c) for c, d in s.deliveries if d.rows] for s in scans]
        columns = {
            "begin": [s.part.start for s in scans],
            "last": [s.part.stop - 1 for s in scans],
            "many": [len(e) for e in inner],
        }
        piece = table(f"piece_{index}", len(scans), columns)
        entry = table(f"entry_{index}", sum(map(len, inner)), {"which": [x for e in inner for x in e]})
        for t in (piece, entry):
            self.declared += declare_table(t, f"{t.name}_n", self.files, f"{self.name}_{t.name}.hex")
            self.declared.append(f"    reg [{address_bits(t.size + 1)}:0] {t.name}_n;")
            self.start.append(f"{t.name}_n <= 0;")
        most = max(len(e) for e in inner)
        self.declared.append(f"    reg [{address_bits(most + 1)}:0] left_{index};")
        p, lane = f"P{index}", self.lanes[phase.neuron]
        self.quiet += lane.size + 5 * len(scans)
        self.states.add(f"{p}_PIECE", f"state <= {p}_READ;")
        self.states.add(f"{p}_READ", f"n <= {piece.wire('begin').code};", f"state <= {p}_SWEEP;")
        end = f"if ($signed({{1'b0, n}}) == {piece.wire('last').code}) state <= {p}_END; else n <= n + 1'b1;"
        self.states.add(f"{p}_SWEEP", end)
        self.states.issue(f"state == {p}_SWEEP", "n", op)
        self.states.add(f"{p}_END", "n <= 0;", f"left_{index} <= {piece.wire('many').code};", f"state <= {back};")
        chosen = made[order[-1]].first
        for i in reversed(range(len(order) - 1)):
            chosen = f"({entry.wire('which').code} == {literal(i)}) ? {made[order[i]].first} : {chosen}"
        self.states.add(
            back,
            f"if (left_{index} == 0) begin",
            f"    piece_{index}_n <= piece_{index}_n + 1'b1;",
            f"    state <= (piece_{index}_n == {len(scans) - 1}) ? @NEXT : {p}_PIECE;",
            "end else begin",
            f"    left_{index} <= left_{index} - 1'b1;",
            f"    entry_{index}_n <= entry_{index}_n + 1'b1;",
            f"    state <= {chosen};",
            "end",
        )
        return f"{p}_PIECE", [back]

    def _finish(self) -> None:
        """The past is kept, counts from outside are cleared, what the outputs emit leaves."""
        add = self.states.add
        add("FINISH", f"if (n == {self.sweep - 1}) begin n <= 0; state <= FINISH_END; end else n <= n + 1'b1;")
        self.states.issue("state == FINISH", "n", "OP_FINISH")
        self.quiet += self.sweep + 3
        turned = [f"turn_{i} <= (turn_{i} == {period - 1}) ? 0 : turn_{i} + 1'b1;" for i, period in self.turns.items()]
        head = ["head <= head_next;"] if self.past else []
        kinds = list(self.outputs)
        add("FINISH_END", *turned, *head, f"state <= {f'OUT_{kinds[0].upper()}' if kinds else 'LEAVE'};")
        for i, kind in enumerate(kinds):
            after = f"OUT_{kinds[i + 1].upper()}" if i + 1 < len(kinds) else "LEAVE"
            name, size = f"OUT_{kind.upper()}", self.lanes[kind].size
            self.states.issue(f"state == {name} || state == {name}_WAIT", "n", "OP_NONE")
            add(name, f"state <= {name}_WAIT;")
            add(
                f"{name}_WAIT",
                "if (!out_valid || out_ready) begin",
                f"    n <= (n == {size - 1}) ? 0 : n + 1'b1;",
                f"    state <= (n == {size - 1}) ? {after} : {name};",
                "end",
            )
            self.quiet += 2 * size
        add("LEAVE", "if (out_ready) state <= INPUT;")

    # the file

    def _assembled(self) -> Module:
        from neurodeploy.emit.verilog.writing import module_code

        in_bits, out_bits = self._count_bits()
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
