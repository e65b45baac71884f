"""A placed network as one C99 file and its header."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from neurodeploy.chips import Phase
from neurodeploy.chips.compile import GIVEN_EXTERNAL
from neurodeploy.emit.c.deliveries import Delivered, DeliveryWriter
from neurodeploy.emit.c.header import header_of
from neurodeploy.emit.c.table import helpers, number
from neurodeploy.emit.c.tables import Tables, bytes_of, identifiers, indented, loop, storage
from neurodeploy.emit.c.text import Function, Register, function_body
from neurodeploy.errors import Fault, Refusal
from neurodeploy.network import Group, Network
from neurodeploy.simulator import assemble
from neurodeploy.simulator.machine import Delivery, Lane
from neurodeploy.step import Interval

#: Statement for a value that a register does not hold.
FAULT = "S->fault = 1;"
#: Most synapses of a file: they are numbered with 32 bits.
MOST = (1 << 31) - 1


@dataclass(frozen=True)
class Source:
    """A network in C.

    header, code : text of the two files; the code includes the header by ``prefix``.h
    table_bytes, state_bytes : size of the constant tables, and of a state
    operators : most operators of texts that one step computes, if every source of every synapse emits
    quiet_operators : those of a step in which nothing is emitted
    synapses : most synapses that one step meets
    fields : neuron kind -> state -> member of the state struct, in ascending hardware id
    inputs, outputs : group -> C name of the argument, in the order of the arguments
    """

    prefix: str
    header: str
    code: str
    table_bytes: int
    state_bytes: int
    operators: int
    quiet_operators: int
    synapses: int
    fields: dict[str, dict[str, str]]
    inputs: dict[str, str]
    outputs: dict[str, str]


def to_c(network: Network, prefix: str) -> Source:
    """Write a placed network.

    prefix : what all public names begin with
    Raises Refusal ND1901 for a chip that events drive, a network without input or with too many synapses,
    ND1204 without hardware ids.
    """
    return _Writer(network, prefix).source()


class _Writer:
    def __init__(self, network: Network, prefix: str) -> None:
        self.network, self.prefix = network, prefix
        self.where = f"{network.chip.name}, c"
        if network.chip.event_driven:
            raise Refusal(Fault("ND1901", self.where, "driven by events", "a chip that takes steps", "its own format"))
        if not network.inputs():
            raise Refusal(Fault("ND1901", self.where, "a network without an input group", "at least one", "add one"))
        self.machine = assemble(network)
        self.lanes = {k: lane for k, lane in self.machine.lanes.items() if lane.size}
        self.tables, self.members = Tables(), list[tuple[str, str, int]]()
        self.names = identifiers(g.name for g in network.groups)
        self.functions: list[Function] = []
        self.code: list[str] = []
        self.quiet = self.most = self.synapses = 0
        self.past: set[str] = set()

    def source(self) -> Source:
        """Write everything."""
        self.registers = {k: self._registers(k, lane) for k, lane in self.lanes.items()}
        phases = [line for n, phase in enumerate(self.network.chip.schedule) for line in self._phase(n, phase)]
        inputs, outputs = self.network.inputs(), self.network.outputs()
        arguments = [
            *(f"const {self._count_type(g)} *in_{self.names[g.name]}" for g in inputs),
            *(f"{self._count_type(g)} *out_{self.names[g.name]}" for g in outputs),
        ]
        entered = [line for g in inputs for line in self._entered(g)]
        left = [line for g in outputs for line in self._left(g)]
        step = [
            f"int {self.prefix}_step({self.prefix}_state *S, {', '.join(arguments)})",
            "{",
            *indented([*entered, *phases, *self._remembered(), *left, *self._turned(), "return S->fault;"]),
            "}",
            "",
        ]
        public = [*self._reset(), *step, *self._run(arguments, inputs, outputs)]
        used = {pair for f in self.functions for pair in f.used}
        helping = helpers(used, lambda width: f"int{width}_t")
        title = f"{self._title()} Written by neurodeploy; do not edit."
        code = [
            f"/* {title} */",
            f'#include "{self.prefix}.h"',
            "",
            *helping,
            *([""] if helping else []),
            *self.tables.lines,
            *self.code,
            *public,
        ]
        depth = self.machine.longest_delay + 1
        for kind in sorted(self.past):
            stored = self.registers[kind][self.lanes[kind].kind.emits].stored
            self.members.append((stored, f"{kind}_past", depth * self.lanes[kind].size))
        state_bytes = sum(bytes_of(kind) * size for kind, _, size in self.members)
        work = [
            f"Constant tables {self.tables.size} bytes, a state about {state_bytes} bytes. A step computes",
            f"{self.quiet} operators, and at most {self.most} more on {self.synapses} synapses if everything fires.",
        ]
        header = header_of(self.network, self.prefix, self.names, self._members(), arguments, [title, *work])
        fields = {k: {s: f"{k}_{s}" for s in lane.kind.states} for k, lane in self.lanes.items()}
        return Source(
            self.prefix,
            "\n".join(header) + "\n",
            "\n".join(code),
            self.tables.size,
            state_bytes,
            self.most + self.quiet,
            self.quiet,
            self.synapses,
            fields,
            {g.name: f"in_{self.names[g.name]}" for g in inputs},
            {g.name: f"out_{self.names[g.name]}" for g in outputs},
        )

    def _members(self) -> list[str]:
        """Members of the state, as they are declared."""
        depth = self.machine.longest_delay + 1
        past = {f"{k}_past": f"[{depth}][{self.lanes[k].size}]" for k in self.past}
        counters = {
            "fault; /* 1: a text left the width of a register, which then kept what it held */": True,
            "step; /* for phases that do not run in every step */": bool(self._period()),
            "head; /* where the newest of the past stands */": bool(self.past),
        }
        own = [f"int32_t {line}" for line, there in counters.items() if there]
        return [*own, *(f"{kind} {name}{past.get(name, f'[{size}]')};" for kind, name, size in self.members)]

    def _title(self) -> str:
        n = self.network
        sizes = ", ".join(f"{g.name}: {g.size} {g.kind}" for g in n.groups).replace("*/", "* /")
        return f"Network of {n.chip.name} ({sizes})."

    def _registers(self, kind: str, lane: Lane) -> dict[str, Register]:
        """Parameters and states of a kind, at neuron N; states become members."""
        read = {n for h in lane.kind.handlers.values() for n in h.reads}
        for c in self.network.chip.connections.values():
            if c.target == kind and any(d.rows for d in self.machine.deliveries[c.name]):
                read |= c.on_input.reads | (c.on_sum.reads if c.on_sum is not None else frozenset())
        read |= {e.start for e in lane.kind.states.values() if isinstance(e.start, str)}
        found = {
            n: self.tables.value(f"Neuron_{kind}_{n}", v, "N", f"{n} of each {kind} neuron")
            for n, v in lane.parameters.items()
            if n in read
        }
        for name, entry in lane.kind.states.items():
            found[name] = self._member(f"{kind}_{name}", entry.interval, lane.size)
        external = lane.kind.entry.external
        if external is not None:
            self.members.append((storage(external.interval), f"{kind}_external", lane.size))
        return found

    def _member(self, name: str, interval: Interval, size: int) -> Register:
        kind = storage(interval)
        self.members.append((kind, name, size))
        return Register(f"S->{name}[N]", interval, kind)

    def _count_type(self, g: Group) -> str:
        """C type of what a group takes or emits."""
        kind = self.lanes[g.kind].kind
        if kind.entry.external is not None and kind.is_input():
            return storage(kind.entry.external.interval)
        return storage(kind.states[kind.emits].interval)

    def _places(self, g: Group) -> str:
        """Expression for the place of the Nth neuron of a group among its kind."""
        places = self.lanes[g.kind].slices[g.name]
        first = int(places[0])
        if np.array_equal(places, np.arange(first, first + places.size)):
            return f"{first} + N" if first else "N"
        name = f"Place_{self.names[g.name]}"
        if not any(f" {name}[" in line for line in self.tables.lines):
            self.tables.array(name, places, f"where the neurons of {self.names[g.name]} stand among their kind")
        return f"{name}[N]"

    def _entered(self, g: Group) -> Iterator[str]:
        body = [f"S->{g.kind}_external[{self._places(g)}] = in_{self.names[g.name]}[N];"]
        return loop("N", "0", str(g.size), body)

    def _left(self, g: Group) -> Iterator[str]:
        emits = self.lanes[g.kind].kind.emits
        body = [f"out_{self.names[g.name]}[N] = S->{g.kind}_{emits}[{self._places(g)}];"]
        return loop("N", "0", str(g.size), body)

    # phases

    def _phase(self, index: int, phase: Phase) -> list[str]:
        lines = list(self._neurons(index, phase) if phase.neuron else self._connection(phase))
        if not lines or phase.every is None:
            return [f"/* {phase.name} */", *lines] if lines else []
        turn = f"if (S->step % {phase.every.period} == {phase.every.offset}) {{"
        return [f"/* {phase.name} */", turn, *indented(lines), "}"]

    def _connection(self, phase: Phase) -> Iterator[str]:
        deliveries = [d for d in self.machine.deliveries[phase.name] if d.rows]
        if deliveries:
            made = self._delivered(phase.name, deliveries)
            yield from loop("D", "0", str(len(deliveries)), [f"{made.name}(S, D);"])

    def _delivered(self, name: str, deliveries: Sequence[Delivery]) -> Delivered:
        kind = self.network.chip.connections[name]
        if sum(row.targets.size for d in deliveries for row in d.rows) > MOST:
            was = f"{name}: more than {MOST:,} synapses"
            raise Refusal(Fault("ND1901", self.where, was, f"at most {MOST:,}", "split the network"))
        registers = dict(self.registers[kind.target])
        for register, entry in kind.registers.items():
            registers[register] = self._member(f"{name}_{register}", entry.interval, self.lanes[kind.target].size)
        emitted = {k: self.registers[k][lane.kind.emits] for k, lane in self.lanes.items()}
        writer = DeliveryWriter(
            self.network.chip,
            kind,
            deliveries,
            self.lanes,
            tables=self.tables,
            registers=registers,
            emitted=emitted,
            state=f"{self.prefix}_state",
            fault=FAULT,
        )
        made = writer.write()
        self.code += made.lines
        self.functions += made.functions
        self.past |= made.history
        self.synapses += made.synapses
        self.most += made.operators
        return made

    def _neurons(self, index: int, phase: Phase) -> Iterator[str]:
        if phase.neuron not in self.lanes:
            return
        lane, handler = self.lanes[phase.neuron], self.lanes[phase.neuron].kind.handlers[phase.handler]
        registers, external = dict(self.registers[phase.neuron]), lane.kind.entry.external
        if external is not None:
            registers[GIVEN_EXTERNAL] = Register(f"S->{phase.neuron}_external[N]", external.interval)
        body = function_body(handler, registers, FAULT)
        self.functions.append(body)
        self.quiet += body.operators * lane.size
        name = f"Text_{phase.neuron}_{phase.handler}"
        if not any(f" {name}(" in line for line in self.code):
            self.code += [f"static void {name}({self.prefix}_state *S, int32_t N)", "{", *body.lines, "}", ""]
        inner = [(c, d) for scan in self.machine.scans[phase.name] for c, d in scan.deliveries if d.rows]
        if not inner:
            yield from loop("N", "0", str(lane.size), [f"{name}(S, N);"])
            return
        yield from self._relayed(index, phase, name)

    def _relayed(self, index: int, phase: Phase, name: str) -> Iterator[str]:
        """Neurons piece by piece: what a piece emits is delivered before the next takes its step."""
        scans = self.machine.scans[phase.name]
        order = [c for c in phase.connections if any(c == name_ for s in scans for name_, d in s.deliveries if d.rows)]
        by_kind = {c: [d for s in scans for name_, d in s.deliveries if name_ == c and d.rows] for c in order}
        made = {c: self._delivered(c, by_kind[c]) for c in order}
        counters = dict.fromkeys(order, 0)
        which, entries, ends = list[int](), list[int](), [0]
        for scan in scans:
            for c, d in scan.deliveries:
                if d.rows:
                    which.append(order.index(c))
                    entries.append(counters[c])
                    counters[c] += 1
            ends.append(len(which))
        self.tables.array(
            f"Piece_{index}_begin", [0, *(s.part.stop for s in scans)], f"neurons of each piece: {phase.name}"
        )
        self.tables.array(f"Piece_{index}_first", ends, "first delivery after each piece, and the end of the last")
        entry = self.tables.value(f"Piece_{index}_delivery", entries, "E", "number of each delivery").place
        chosen = [f"{made[order[0]].name}(S, {entry});"]
        if len(order) > 1:
            table = self.tables.array(f"Piece_{index}_connection", which, "connection of each delivery")
            chosen = [
                line
                for number_, c in enumerate(order)
                for line in (f"if ({table}[E] == {number_}) {{", f"    {made[c].name}(S, {entry});", "}")
            ]
        body = [
            *loop("N", f"(int32_t)Piece_{index}_begin[P]", f"(int32_t)Piece_{index}_begin[P + 1]", [f"{name}(S, N);"]),
            *loop("E", f"(int32_t)Piece_{index}_first[P]", f"(int32_t)Piece_{index}_first[P + 1]", chosen),
        ]
        yield from loop("P", "0", str(len(scans)), body)

    def _remembered(self) -> list[str]:
        """At the end of a step, what was emitted becomes the newest of the past."""
        if not self.past:
            return []
        depth = self.machine.longest_delay + 1
        lines = [f"S->head = (S->head + {depth - 1}) % {depth};"]
        for kind in sorted(self.past):
            lane = self.lanes[kind]
            body = [f"S->{kind}_past[S->head][N] = S->{kind}_{lane.kind.emits}[N];"]
            lines += loop("N", "0", str(lane.size), body)
        return lines

    def _turned(self) -> list[str]:
        turn = self._period()
        return [f"S->step = (S->step + 1) % {turn};"] if turn else []

    def _period(self) -> int:
        """Steps after which all periodic phases are where they began; 0 where there are none."""
        periods = [p.every.period for p in self.network.chip.schedule if p.every is not None]
        return math.lcm(*periods) if periods else 0

    # the public part

    def _reset(self) -> list[str]:
        lines = [
            f"void {self.prefix}_reset({self.prefix}_state *S)",
            "{",
            "    static const " + f"{self.prefix}_state empty = {{0}};",
        ]
        lines.append("    *S = empty;")
        for kind, lane in self.lanes.items():
            starts = {}
            for name, entry in lane.kind.states.items():
                at = self.registers[kind][entry.start].place if isinstance(entry.start, str) else number(entry.start)
                if at != "0":
                    starts[name] = at
            if starts:
                body = [f"S->{kind}_{n}[N] = ({self.registers[kind][n].stored}){at};" for n, at in starts.items()]
                lines += indented(loop("N", "0", str(lane.size), body))
        return [*lines, "}", ""]

    def _run(self, arguments: Sequence[str], inputs: Sequence[Group], outputs: Sequence[Group]) -> list[str]:
        steps = [
            *(f"in_{self.names[g.name]} + (size_t)t * {g.size}" for g in inputs),
            *(f"out_{self.names[g.name]} + (size_t)t * {g.size}" for g in outputs),
        ]
        body = loop("t", "0", "steps", [f"{self.prefix}_step(S, {', '.join(steps)});"])
        head = f"int {self.prefix}_run({self.prefix}_state *S, int32_t steps, {', '.join(arguments)})"
        return [head, "{", *indented([*body, "return S->fault;"]), "}", ""]
